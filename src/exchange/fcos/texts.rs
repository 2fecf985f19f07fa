//! The documents of one stream as texts. Parses them and builds the stream; errors name file, line and column.

use super::{
    error::SourceError,
    model::{ModelError, Modelled, model},
};
use crate::{
    domain::ids::StreamId,
    protocol::fcos::{
        documents::Kind,
        wire::{self, ReleaseNotes, Releases, StreamMetadata, Updates, WireError},
    },
};
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;

/// Documents, each with its path or URL.
#[derive(Debug, Default)]
pub(super) struct Texts(BTreeMap<Kind, (String, Vec<u8>)>);

impl Texts {
    /// Adds a document. Removes a byte order mark: the text is stored, and not every reader of it accepts the mark.
    pub(super) fn insert(&mut self, kind: Kind, location: String, content: Vec<u8>) {
        let skipped = content.len() - wire::without_byte_order_mark(&content).len();
        let content = if skipped == 0 { content } else { content.get(skipped..).unwrap_or_default().to_vec() };
        self.0.insert(kind, (location, content));
    }

    /// Builds a stream from the documents.
    ///
    /// # Errors
    /// Returns an error if a required document is missing, or if one is invalid: the error names file, field, line and column.
    pub(super) fn model(&self, id: &StreamId) -> Result<Modelled, SourceError> {
        let releases: Releases = self.parse_required(Kind::Releases, id)?;
        let updates: Updates = self.parse_required(Kind::Updates, id)?;
        let mut modelled = model(id, &releases, &updates).map_err(|error| self.locate(error))?;
        if let Some(metadata) = self.parse::<StreamMetadata>(Kind::Stream)? {
            modelled.add_metadata(&metadata).map_err(|error| self.locate(error))?;
        }
        if let Some((location, text)) = self.0.get(&Kind::ReleaseNotes) {
            let read: Result<ReleaseNotes, WireError> = wire::from_yaml(text);
            read.map_err(|source| SourceError::Wire { location: location.clone(), source })?;
        }
        Ok(modelled)
    }

    /// Returns the contents of the documents.
    pub(super) fn into_contents(self) -> impl Iterator<Item = (Kind, Vec<u8>)> {
        self.0.into_iter().map(|(kind, (_, content))| (kind, content))
    }

    fn parse_required<T: DeserializeOwned>(&self, kind: Kind, id: &StreamId) -> Result<T, SourceError> {
        self.parse(kind)?.ok_or_else(|| SourceError::Missing { location: kind.path(&id.stream) })
    }

    fn parse<T: DeserializeOwned>(&self, kind: Kind) -> Result<Option<T>, SourceError> {
        let Some((location, text)) = self.0.get(&kind) else { return Ok(None) };
        wire::from_json(text).map(Some).map_err(|source| SourceError::Wire { location: location.clone(), source })
    }

    /// Adds file, line and column to an error.
    fn locate(&self, error: ModelError) -> SourceError {
        let (location, text) = self.0.get(&error.document).map_or(("", &[][..]), |(location, text)| (location, text));
        let (line, column) = position(text, &error.path);
        SourceError::Value { location: location.into(), line, column, value: error }
    }
}

/// Returns the line and the column, counted from 1, of the value at a path in a JSON document, or of the closest value around it.
fn position(text: &[u8], path: &str) -> (usize, usize) {
    let mut scan = Scan { text, at: 0 };
    scan.skip_space();
    for step in path.split(['.', '[', ']']).filter(|step| !step.is_empty()) {
        let start = scan.at;
        if !scan.enter(step) {
            scan.at = start;
            break;
        }
    }
    let before = text.get(..scan.at).unwrap_or(text);
    let line = before.split(|byte| *byte == b'\n').count();
    let column = before.iter().rev().take_while(|byte| **byte != b'\n').count() + 1;
    (line, column)
}

/// A position in a text that is known to be JSON.
struct Scan<'a> {
    text: &'a [u8],
    at: usize,
}

impl Scan<'_> {
    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn skip_space(&mut self) {
        while self.peek().is_some_and(|byte| byte.is_ascii_whitespace() || matches!(byte, b',' | b':')) {
            self.at += 1;
        }
    }

    /// Moves from the beginning of a list or an object to the beginning of one of its values. Returns false if there is no such value.
    fn enter(&mut self, step: &str) -> bool {
        let is_object = self.peek() == Some(b'{');
        if !is_object && self.peek() != Some(b'[') {
            return false;
        }
        self.at += 1;
        for index in 0usize.. {
            self.skip_space();
            if matches!(self.peek(), None | Some(b'}' | b']')) {
                return false;
            }
            let matches = if is_object {
                let start = self.at;
                self.skip_value();
                let key = self.text.get(start + 1..self.at.saturating_sub(1));
                self.skip_space();
                key == Some(step.as_bytes())
            } else {
                step.parse() == Ok(index)
            };
            if matches {
                return true;
            }
            self.skip_value();
        }
        false
    }

    fn skip_value(&mut self) {
        let mut depth = 0usize;
        loop {
            match self.peek() {
                None => return,
                Some(b'"') => self.skip_string(),
                Some(b'{' | b'[') => {
                    depth += 1;
                    self.at += 1;
                }
                Some(b'}' | b']') => {
                    depth = depth.saturating_sub(1);
                    self.at += 1;
                }
                Some(_) if depth > 0 => self.at += 1,
                Some(_) => self.skip_scalar(),
            }
            if depth == 0 {
                return;
            }
        }
    }

    fn skip_string(&mut self) {
        self.at += 1;
        while let Some(byte) = self.peek() {
            self.at += if byte == b'\\' { 2 } else { 1 };
            if byte == b'"' {
                return;
            }
        }
    }

    fn skip_scalar(&mut self) {
        while self.peek().is_some_and(|byte| !matches!(byte, b',' | b'}' | b']') && !byte.is_ascii_whitespace()) {
            self.at += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_found_by_their_paths() {
        let text = br#"{"note": "a \"[,{ b", "releases": [ {"version":"1", "x":[1,{"y":2}]},
  {"x": -1.5e3, "version" : "2", "commits":[{"architecture":"x86_64"}]} ]}"#;
        for (path, expected) in [
            ("note", (1, 10)),
            ("releases", (1, 35)),
            ("releases[0].version", (1, 48)),
            ("releases[0].x[1].y", (1, 65)),
            ("releases[1].version", (2, 29)),
            ("releases[1].commits[0].architecture", (2, 61)),
            ("releases[1].commits[0].checksum", (2, 45)),
            ("releases[7]", (1, 35)),
            ("nothing", (1, 1)),
            ("", (1, 1)),
        ] {
            assert_eq!(position(text, path), expected, "{path}");
        }
        assert_eq!(position(b"", "releases[0]"), (1, 1));
        assert_eq!(position(b"{\"a\":\"\\", "a.b"), (1, 6));
    }
}
