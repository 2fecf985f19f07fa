//! The errors of reading upstream's documents.

use super::model::ModelError;
use crate::protocol::fcos::wire::WireError;
use std::{io, path::PathBuf};
use thiserror::Error;

/// The maximum size of a document, in bytes.
pub const MAX_BYTES: usize = 64 * 1024 * 1024;

/// Why a document could not be read.
#[derive(Debug, Error)]
pub enum SourceError {
    /// The file cannot be read.
    #[error("{location}")]
    Io {
        /// The path or URL of the document.
        location: String,
        /// The cause.
        source: io::Error,
    },
    /// The request to the site failed.
    #[error("{location}")]
    Http {
        /// The path or URL of the document.
        location: String,
        /// The cause.
        source: reqwest::Error,
    },
    /// The site answered with another status than 200.
    #[error("{location}: the site answered with status {status}")]
    Status {
        /// The path or URL of the document.
        location: String,
        /// The HTTP status.
        status: u16,
    },
    /// The document is too large.
    #[error("{location}: has more than {MAX_BYTES} bytes")]
    TooLarge {
        /// The path or URL of the document.
        location: String,
    },
    /// A required document is missing.
    #[error("{location}: document not found")]
    Missing {
        /// The path or URL of the document.
        location: String,
    },
    /// The document has the wrong format.
    #[error("{location}")]
    Wire {
        /// The path or URL of the document.
        location: String,
        /// The cause.
        source: WireError,
    },
    /// A value in the document is invalid.
    #[error("{location}: {value} at line {line} column {column}")]
    Value {
        /// The path or URL of the document.
        location: String,
        /// The line, counted from 1.
        line: usize,
        /// The column in bytes, counted from 1.
        column: usize,
        /// The field, and what is wrong with it.
        value: ModelError,
    },
    /// The folder has no streams.
    #[error("{}: contains no prod/streams/<stream>/releases.json", _0.display())]
    NoStreams(PathBuf),
    /// The URL is invalid.
    #[error("{0} is not a valid URL")]
    Address(String),
}
