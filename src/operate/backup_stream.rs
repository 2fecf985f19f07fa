//! Reads one stream out of a backup, without a database.

use super::{
    backup::BackupError,
    backup_file::{BackupReader, Part},
};
use crate::domain::{
    document::{DeltaDocument, Problem, StreamDocument, Strictness},
    ids::StreamId,
    stream::{Revision, Stream},
};
use serde::de::DeserializeOwned;
use std::{collections::BTreeMap, path::Path};

/// Reads the state of a stream at one of its revisions, or else at the newest one that the backup has.
///
/// # Errors
/// The file cannot be read or is damaged, or it has no such stream or revision.
pub fn read_stream(from: &Path, id: &StreamId, revision: Option<Revision>) -> Result<(Revision, Stream), BackupError> {
    let (mut reader, _) = BackupReader::begin(from)?;
    let mut history = History { wanted: revision, ..History::default() };
    // Each table follows those that it refers to. Nothing is used before the checksum at the end is verified.
    while let Part::Table(table) = reader.part()? {
        while let Some(line) = reader.row()? {
            history.read(&table.table, &Row::parse(&table.columns, &line)?, id)?;
        }
    }
    history.state(id)
}

/// What a backup has of a stream.
#[derive(Default)]
struct History {
    product: Option<String>,
    stream: Option<String>,
    /// The revision that is read; the newest one unless another one is named.
    wanted: Option<Revision>,
    is_deleted: bool,
    /// The newest whole document up to that revision.
    whole: Option<(Revision, String)>,
    deltas: BTreeMap<Revision, String>,
}

impl History {
    fn read(&mut self, table: &str, row: &Row<'_>, id: &StreamId) -> Result<(), BackupError> {
        let is_of = |column, key: &Option<String>| key.is_some() && row.get(column) == key.as_deref();
        match table {
            "products" if row.get("name") == Some(id.product.as_str()) => self.product = row.owned("id"),
            "streams" if is_of("product_id", &self.product) && row.get("name") == Some(id.stream.as_str()) => {
                self.stream = row.owned("id");
                self.is_deleted = self.wanted.is_none() && row.get("deleted_revision") == row.get("revision");
                self.wanted = Some(self.wanted.map_or_else(|| row.number("revision"), Ok)?);
            }
            "revisions" | "revision_copies" if is_of("stream_id", &self.stream) => {
                let number = row.number("number")?;
                if self.wanted.is_none_or(|wanted| number > wanted) {
                    return Ok(());
                }
                if let Some(document) = row.owned("document")
                    && self.whole.as_ref().is_none_or(|(newest, _)| *newest < number)
                {
                    self.whole = Some((number, document));
                }
                self.deltas.extend(row.owned("delta").map(|delta| (number, delta)));
            }
            _ => {}
        }
        Ok(())
    }

    fn state(self, id: &StreamId) -> Result<(Revision, Stream), BackupError> {
        let wanted = self.wanted.filter(|_| self.stream.is_some()).ok_or_else(|| BackupError::NoStream(id.clone()))?;
        if self.is_deleted {
            return Err(BackupError::DeletedStream(id.clone()));
        }
        let no_revision = || BackupError::NoRevision(wanted, id.clone());
        let (whole, document) = self.whole.ok_or_else(no_revision)?;
        let (mut stream, mut reached) = (state(&parse::<StreamDocument>(&document)?)?, whole);
        for (number, delta) in self.deltas.range(Revision(whole.0.saturating_add(1))..) {
            stream = stream.with_delta(&parse::<DeltaDocument>(delta)?).map_err(|problems| invalid(&problems))?;
            reached = *number;
        }
        if reached == wanted { Ok((wanted, stream.numbered())) } else { Err(no_revision()) }
    }
}

fn state(document: &StreamDocument) -> Result<Stream, BackupError> {
    Stream::from_document(document, Strictness::Recorded).map_err(|problems| invalid(&problems))
}

fn parse<T: DeserializeOwned>(json: &str) -> Result<T, BackupError> {
    serde_json::from_str(json).map_err(|error| BackupError::Row(error.to_string()))
}

fn invalid(problems: &[Problem]) -> BackupError {
    let problems: Vec<String> = problems.iter().map(ToString::to_string).collect();
    BackupError::Row(problems.join("; "))
}

/// A row in the text format of PostgreSQL's `copy`.
struct Row<'a> {
    columns: &'a [String],
    values: Vec<Option<&'a str>>,
}

impl<'a> Row<'a> {
    fn parse(columns: &'a [String], line: &'a [u8]) -> Result<Self, BackupError> {
        let text = std::str::from_utf8(line).map_err(|error| BackupError::Row(error.to_string()))?;
        let values: Vec<_> =
            text.trim_end_matches('\n').split('\t').map(|value| Some(value).filter(|value| *value != "\\N")).collect();
        if values.len() == columns.len() {
            return Ok(Self { columns, values });
        }
        Err(BackupError::Row(format!("a row has {} values, expected {}", values.len(), columns.len())))
    }

    /// Returns a value that contains no escaped characters, such as a name or a number.
    fn get(&self, column: &str) -> Option<&'a str> {
        let index = self.columns.iter().position(|name| name == column)?;
        *self.values.get(index)?
    }

    fn number(&self, column: &str) -> Result<Revision, BackupError> {
        let number = self.get(column).and_then(|number| number.parse().ok());
        number.map(Revision).ok_or_else(|| BackupError::Row(format!("{column} is not a number")))
    }

    fn owned(&self, column: &str) -> Option<String> {
        self.get(column).map(unescaped)
    }
}

fn unescaped(value: &str) -> String {
    let (mut text, mut characters) = (String::with_capacity(value.len()), value.chars());
    while let Some(character) = characters.next() {
        let escaped = if character == '\\' { characters.next() } else { None };
        text.push(match escaped {
            None => character,
            Some('b') => '\u{8}',
            Some('f') => '\u{c}',
            Some('n') => '\n',
            Some('r') => '\r',
            Some('t') => '\t',
            Some('v') => '\u{b}',
            Some(other) => other,
        });
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_read_by_the_names_of_their_columns() {
        let columns = ["id", "name", "note"].map(String::from);
        let row = Row::parse(&columns, b"7\tstable\t\\N\n").unwrap();
        assert_eq!(
            (row.get("id"), row.get("name"), row.get("note"), row.get("x")),
            (Some("7"), Some("stable"), None, None)
        );
        assert_eq!(row.number("id").unwrap(), Revision(7));
        for (column, message) in [("name", "name is not a number"), ("note", "note is not a number")] {
            assert!(row.number(column).unwrap_err().to_string().contains(message));
        }
        let short = Row::parse(&columns, b"7\n").err().unwrap().to_string();
        assert!(short.contains("a row has 1 values, expected 3"), "{short}");
        assert!(Row::parse(&columns, b"\xff\t\t\n").is_err());
    }

    #[test]
    fn escaped_characters_are_restored() {
        for (written, text) in [
            ("a\\tb\\nc\\\\d", "a\tb\nc\\d"),
            ("\\b\\f\\r\\v", "\u{8}\u{c}\r\u{b}"),
            ("{\"a\": \"\\\\n\"}", "{\"a\": \"\\n\"}"),
        ] {
            assert_eq!(unescaped(written), text);
        }
    }
}
