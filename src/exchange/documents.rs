//! Stream documents as TOML files: `<folder>/<product>/<stream>.toml`.

use super::locate::{Lines, position};
use crate::{
    domain::{
        document::{StreamDocument, Strictness, field_path},
        ids::StreamId,
        stream::{Revision, Stream},
    },
    files,
};
use std::{
    io,
    num::NonZero,
    panic::resume_unwind,
    path::{Path, PathBuf},
    thread::ScopedJoinHandle,
};
use thiserror::Error;

/// The maximum size of a document, in bytes.
pub const MAX_BYTES: u64 = 64 * 1024 * 1024;

/// The maximum number of problems that are reported for one document.
const MAX_PROBLEMS: usize = 50;

/// Why a document is rejected.
#[derive(Debug, Error)]
pub enum DocumentError {
    /// The file or folder cannot be read.
    #[error("{}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// The document is invalid. The message has one line per problem: `file:line:column: field: problem`.
    #[error("{}", lines(path, problems).join("\n"))]
    Wrong {
        /// The file.
        path: PathBuf,
        /// The problems, in the order of the fields.
        problems: Vec<DocumentProblem>,
    },
}

/// A problem in a document, and its location.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DocumentProblem {
    /// The line, counted from 1.
    pub line: usize,
    /// The column in bytes, counted from 1.
    pub column: usize,
    /// The field, or `document` for the document itself.
    pub field: String,
    /// What is wrong with the field.
    pub message: String,
}

fn lines(path: &Path, problems: &[DocumentProblem]) -> Vec<String> {
    let line = |problem: &DocumentProblem| {
        let DocumentProblem { line, column, field, message } = problem;
        format!("{}:{line}:{column}: {field}: {message}", path.display())
    };
    problems.iter().map(line).collect()
}

impl DocumentError {
    /// Returns the message with one element per problem. An element may contain line ends that come from the document.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        match self {
            Self::Wrong { path, problems } => lines(path, problems),
            Self::Io { .. } => vec![self.to_string()],
        }
    }
}

/// Parses a document.
///
/// # Errors
/// Returns every problem of the document, with its line and field.
pub fn read(text: &str) -> Result<Stream, Vec<DocumentProblem>> {
    parse(text).map(|(stream, _)| stream)
}

fn parse(text: &str) -> Result<(Stream, Option<Revision>), Vec<DocumentProblem>> {
    let deserializer = toml::de::Deserializer::parse(text).map_err(|error| vec![syntax(text, "", &error)])?;
    let document: StreamDocument = serde_path_to_error::deserialize(deserializer).map_err(|error| {
        let field = field_path(error.path());
        vec![syntax(text, &field, error.inner())]
    })?;
    let revision = document.revision.map(|number| Revision(number.into()));
    Stream::from_document(&document, Strictness::Strict).map(|stream| (stream, revision)).map_err(|problems| {
        let lines = Lines::new(text);
        let locate = |problem: crate::domain::document::Problem| {
            let (line, column) = lines.position_of(&problem.path);
            DocumentProblem { line, column, field: problem.path, message: problem.message }
        };
        problems.into_iter().take(MAX_PROBLEMS).map(locate).collect()
    })
}

fn syntax(text: &str, field: &str, error: &toml::de::Error) -> DocumentProblem {
    let (line, column) = match error.span() {
        Some(span) if span.start > 0 || field.is_empty() => position(text, span.start),
        _ => Lines::new(text).position_of(field),
    };
    let field = if field.is_empty() { "document" } else { field };
    DocumentProblem { line, column, field: field.into(), message: error.message().into() }
}

/// Formats a stream as a document.
#[must_use]
pub fn write(stream: &Stream) -> String {
    super::toml_text::write(&stream.to_document())
}

/// Formats a stream as a document that contains the stream's revision. `document put` accepts it only while the stream is at that
/// revision.
#[must_use]
pub fn write_at(stream: &Stream, revision: Revision) -> String {
    let document = StreamDocument { revision: u32::try_from(revision.0).ok(), ..stream.to_document() };
    super::toml_text::write(&document)
}

/// Reads a document from a file in any folder. Returns the stream and the revision that the document names.
///
/// # Errors
/// Returns an error if the file cannot be read or is invalid.
pub fn read_anywhere(path: &Path) -> Result<(Stream, Option<Revision>), DocumentError> {
    read_text(path).map(|(written, _)| written)
}

fn read_text(path: &Path) -> Result<((Stream, Option<Revision>), String), DocumentError> {
    let failed = |source| DocumentError::Io { path: path.into(), source };
    let text = files::read_text(path, MAX_BYTES).map_err(failed)?;
    let written = parse(&text).map_err(|problems| DocumentError::Wrong { path: path.into(), problems })?;
    Ok((written, text))
}

/// Reads a document from a file whose path has to match the product and the stream in it.
///
/// # Errors
/// Returns an error if the file cannot be read or is invalid.
pub fn read_file(path: &Path) -> Result<Stream, DocumentError> {
    let ((stream, revision), text) = read_text(path)?;
    let wrong = |field: &str, message: String| {
        let (line, column) = Lines::new(&text).position_of(field);
        let problem = DocumentProblem { line, column, field: field.into(), message };
        DocumentError::Wrong { path: path.into(), problems: vec![problem] }
    };
    if revision.is_some() {
        let message = "is only allowed in documents for `document put`; remove it here";
        return Err(wrong("revision", message.into()));
    }
    let name = |part: Option<&std::ffi::OsStr>| part.map(|name| name.to_string_lossy().into_owned());
    let from_path = [name(path.parent().and_then(Path::file_name)), name(path.file_stem())];
    let values = [("product", stream.id.product.as_str()), ("stream", stream.id.stream.as_str())];
    for ((field, value), from_path) in values.into_iter().zip(from_path) {
        let from_path = from_path.unwrap_or_default();
        if value != from_path {
            return Err(wrong(field, format!("is {value:?}, but the path of the file says {from_path:?}")));
        }
    }
    Ok(stream)
}

/// A document in a folder, which was valid when it was checked. It is read again when it is needed: many streams take more memory than
/// what names their files.
#[derive(Debug, Clone)]
pub struct DocumentFile {
    path: PathBuf,
    id: StreamId,
}

impl DocumentFile {
    /// Returns the stream that the document describes.
    #[must_use]
    pub fn id(&self) -> &StreamId {
        &self.id
    }

    /// Reads the document.
    ///
    /// # Errors
    /// The file cannot be read, or is invalid by now.
    pub fn read(&self) -> Result<Stream, DocumentError> {
        read_file(&self.path)
    }
}

/// Checks every document in a folder. Returns them sorted by path.
///
/// # Errors
/// Returns an error if the folder or a document cannot be read, or if a document is invalid.
pub fn check_folder(folder: &Path) -> Result<Vec<DocumentFile>, DocumentError> {
    let mut paths = Vec::new();
    for product in entries(folder)? {
        if product.is_dir() {
            paths.extend(entries(&product)?.into_iter().filter(|path| path.extension().is_some_and(|e| e == "toml")));
        }
    }
    let check = |path: &PathBuf| read_file(path).map(|stream| DocumentFile { id: stream.id, path: path.clone() });
    let threads = std::thread::available_parallelism().map_or(1, NonZero::get);
    let parts = paths.chunks(paths.len().div_ceil(threads).max(1));
    // Reading hundreds of documents takes seconds.
    std::thread::scope(|scope| {
        let parts: Vec<_> = parts.map(|part| scope.spawn(move || part.iter().map(check).collect())).collect();
        let join =
            |part: ScopedJoinHandle<'_, Result<Vec<_>, _>>| part.join().unwrap_or_else(|panic| resume_unwind(panic));
        let checked: Vec<Vec<DocumentFile>> = parts.into_iter().map(join).collect::<Result<_, _>>()?;
        Ok(checked.into_iter().flatten().collect())
    })
}

fn entries(folder: &Path) -> Result<Vec<PathBuf>, DocumentError> {
    let failed = |source| DocumentError::Io { path: folder.into(), source };
    let entries = std::fs::read_dir(folder).map_err(failed)?.map(|entry| entry.map(|entry| entry.path()));
    let mut entries: Vec<PathBuf> = entries.collect::<Result<_, _>>().map_err(failed)?;
    entries.sort();
    Ok(entries)
}
