//! Why something is not done.

use crate::{
    auth::Role,
    domain::{document::Problem, edit::Misstep, finding::Finding, rollout::VerbError},
};
use thiserror::Error;

/// Why something is not done. Nothing was changed then.
#[derive(Debug, Clone, PartialEq, Error)]
pub enum Refusal {
    /// Whoever asks may not.
    #[error("this takes the role {role} on {on}")]
    Denied {
        /// The role that it takes.
        role: Role,
        /// On what.
        on: String,
    },
    /// There is no such thing.
    #[error("there is no {what} {name}")]
    NoSuch {
        /// What kind of thing.
        what: &'static str,
        /// Its name.
        name: String,
    },
    /// There is such a thing already.
    #[error("there is a {what} {name} already")]
    Exists {
        /// What kind of thing.
        what: &'static str,
        /// Its name.
        name: String,
    },
    /// Fields are wrong.
    #[error("{}", list(_0))]
    Invalid(Vec<Problem>),
    /// It cannot be taken back.
    #[error(transparent)]
    Misstep(#[from] Misstep),
    /// The rollout does not stand so.
    #[error(transparent)]
    Verb(#[from] VerbError),
    /// What it is about does not stand so.
    #[error("{0}")]
    State(String),
    /// It would leave the stream in a dangerous state.
    #[error("this would leave the stream in a dangerous state")]
    Dangerous(Vec<Finding>),
    /// There are warnings that nobody has acknowledged.
    #[error("there are warnings; look at them, and ask again with acknowledge=true")]
    Unacknowledged(Vec<Finding>),
    /// The request's name was used for another request.
    #[error("this Idempotency-Key was used for another request")]
    KeyReused,
}

impl Refusal {
    /// There is no such thing.
    pub fn no_such(what: &'static str, name: impl std::fmt::Display) -> Self {
        Self::NoSuch { what, name: name.to_string() }
    }

    /// One field is wrong.
    pub fn field(path: &str, message: impl std::fmt::Display) -> Self {
        Self::Invalid(vec![Problem { path: path.into(), message: message.to_string() }])
    }
}

impl From<Vec<Problem>> for Refusal {
    fn from(problems: Vec<Problem>) -> Self {
        Self::Invalid(problems)
    }
}

fn list(problems: &[Problem]) -> String {
    problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}
