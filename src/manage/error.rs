//! Why a command was not executed.

use super::refusal::Refusal;
use crate::{
    domain::{admission::check::AdmissionError, document::Problem, stream::Revision},
    store::{Retryable, StoreError},
};
use thiserror::Error;

/// Why a command was not executed. Nothing was changed.
#[derive(Debug, Error)]
pub enum CommandError {
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The command was refused.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The stream is at another revision than the request expects.
    #[error("{}", describe_conflict(*expected, *found))]
    RevisionMismatch {
        /// The revision that the request expects.
        expected: Revision,
        /// The newest revision.
        found: Revision,
    },
    /// The command would offer more during an emergency stop or a freeze window.
    #[error(transparent)]
    Admission(AdmissionError),
    /// The next state breaks a rule of streams.
    #[error("the change would make the stream invalid: {}", list(_0))]
    Invalid(Vec<Problem>),
}

impl Retryable for CommandError {
    fn is_retryable(&self) -> bool {
        matches!(self, Self::Store(error) if error.is_retryable())
    }
}

fn describe_conflict(expected: Revision, found: Revision) -> String {
    match (expected, found) {
        (_, Revision(0)) => "the stream does not exist".into(),
        (Revision(0), found) => format!("the stream exists already, at revision {found}"),
        (Revision(..0), found) => format!("the stream is at revision {found}, which If-Match does not name"),
        (expected, found) => format!("the stream is at revision {found}, expected revision {expected}"),
    }
}

fn list(problems: &[Problem]) -> String {
    problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}
