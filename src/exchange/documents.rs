//! Stream documents as TOML files: `<folder>/<product>/<stream>.toml`.

use super::locate::{Lines, line_at};
use crate::domain::{
    document::{StreamDocument, Strictness},
    stream::{Revision, Stream},
};
use std::{
    io,
    path::{Path, PathBuf},
};
use thiserror::Error;

/// The most bytes that a document may have.
pub const MOST_BYTES: u64 = 64 * 1024 * 1024;

/// The most problems of one document that are told: who has more begins with these.
const MOST_PROBLEMS: usize = 50;

/// Why a document was not taken.
#[derive(Debug, Error)]
pub enum DocumentError {
    /// The file or folder cannot be read.
    #[error("{}", path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Something in it is wrong: one `file:line: field: problem` a line.
    #[error("{}", lines(path, problems))]
    Wrong {
        /// Which.
        path: PathBuf,
        /// What, in the order of the fields.
        problems: Vec<Placed>,
    },
}

/// What is wrong with a document, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placed {
    /// The line, counted from 1.
    pub line: usize,
    /// The field.
    pub field: String,
    /// What is wrong with it.
    pub message: String,
}

fn lines(path: &Path, problems: &[Placed]) -> String {
    let line = |placed: &Placed| {
        let Placed { line, field, message } = placed;
        format!("{}:{line}: {field}: {message}", path.display())
    };
    problems.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// Reads a document.
///
/// # Errors
/// All that is wrong with it, each with its line and field.
pub fn read(text: &str) -> Result<Stream, Vec<Placed>> {
    parse(text).map(|(stream, _)| stream)
}

fn parse(text: &str) -> Result<(Stream, Option<Revision>), Vec<Placed>> {
    let deserializer = toml::de::Deserializer::parse(text).map_err(|error| vec![syntax(text, ".", &error)])?;
    let document: StreamDocument = serde_path_to_error::deserialize(deserializer).map_err(|error| {
        let field = error.path().to_string();
        vec![syntax(text, &field, error.inner())]
    })?;
    let revision = document.revision.map(|number| Revision(number.into()));
    Stream::from_document(&document, Strictness::Ours).map(|stream| (stream, revision)).map_err(|problems| {
        let lines = Lines::of(text);
        let place = |problem: crate::domain::document::Problem| Placed {
            line: lines.line_of(&problem.path),
            field: problem.path,
            message: problem.message,
        };
        problems.into_iter().take(MOST_PROBLEMS).map(place).collect()
    })
}

fn syntax(text: &str, field: &str, error: &toml::de::Error) -> Placed {
    let line = match error.span() {
        Some(span) if span.start > 0 || field == "." => line_at(text, span.start),
        _ => Lines::of(text).line_of(field),
    };
    Placed { line, field: field.into(), message: error.message().into() }
}

/// Writes a document.
#[must_use]
pub fn write(stream: &Stream) -> String {
    super::toml_text::write(&stream.to_document())
}

/// Writes a document to be put back on the revision that it shows.
#[must_use]
pub fn write_at(stream: &Stream, revision: Revision) -> String {
    let document = StreamDocument { revision: u32::try_from(revision.0).ok(), ..stream.to_document() };
    super::toml_text::write(&document)
}

/// Reads a file, wherever it lies, and the revision that it was made from.
///
/// # Errors
/// It cannot be read, or something in it is wrong.
pub fn read_anywhere(path: &Path) -> Result<(Stream, Option<Revision>), DocumentError> {
    read_text(path).map(|(written, _)| written)
}

fn read_text(path: &Path) -> Result<((Stream, Option<Revision>), String), DocumentError> {
    let failed = |source| DocumentError::Io { path: path.into(), source };
    if std::fs::metadata(path).map_err(failed)?.len() > MOST_BYTES {
        return Err(failed(io::ErrorKind::FileTooLarge.into()));
    }
    let text = std::fs::read_to_string(path).map_err(failed)?;
    let written = parse(&text).map_err(|problems| DocumentError::Wrong { path: path.into(), problems })?;
    Ok((written, text))
}

/// Reads a file. What it says it is has to be where it lies.
///
/// # Errors
/// It cannot be read, or something in it is wrong.
pub fn read_file(path: &Path) -> Result<Stream, DocumentError> {
    let ((stream, revision), text) = read_text(path)?;
    let wrong = |field: &str, message: String| {
        let problem = Placed { line: Lines::of(&text).line_of(field), field: field.into(), message };
        DocumentError::Wrong { path: path.into(), problems: vec![problem] }
    };
    if revision.is_some() {
        let message = "is for documents that are put back with `document put`; leave it out here";
        return Err(wrong("revision", message.into()));
    }
    let name = |part: Option<&std::ffi::OsStr>| part.map(|name| name.to_string_lossy().into_owned());
    let lies_in = [name(path.parent().and_then(Path::file_name)), name(path.file_stem())];
    let says = [("product", stream.id.product.as_str()), ("stream", stream.id.stream.as_str())];
    for ((field, says), lies_in) in says.into_iter().zip(lies_in) {
        let lies_in = lies_in.unwrap_or_default();
        if says != lies_in {
            return Err(wrong(field, format!("is {says:?}, but the file lies where {lies_in:?} belongs")));
        }
    }
    Ok(stream)
}

/// Reads every document of a folder, in the order of their names.
///
/// # Errors
/// The folder or a document cannot be read, or something in one is wrong.
pub fn read_folder(folder: &Path) -> Result<Vec<Stream>, DocumentError> {
    let mut paths = Vec::new();
    for product in entries(folder)? {
        if product.is_dir() {
            paths.extend(entries(&product)?.into_iter().filter(|path| path.extension().is_some_and(|e| e == "toml")));
        }
    }
    paths.iter().map(|path| read_file(path)).collect()
}

fn entries(folder: &Path) -> Result<Vec<PathBuf>, DocumentError> {
    let failed = |source| DocumentError::Io { path: folder.into(), source };
    let entries = std::fs::read_dir(folder).map_err(failed)?.map(|entry| entry.map(|entry| entry.path()));
    let mut entries: Vec<PathBuf> = entries.collect::<Result<_, _>>().map_err(failed)?;
    entries.sort();
    Ok(entries)
}
