//! Why a request is refused.

use crate::{
    auth::Role,
    domain::{document::Problem, edit::ImmutabilityError, finding::Finding, rollout::TransitionError},
};
use thiserror::Error;

/// Why a request is refused. Nothing was changed.
#[derive(Debug, Clone, PartialEq, Error)]
pub enum Refusal {
    /// The caller lacks the role.
    #[error("requires role `{role}` on `{on}`{}", because(why.as_deref()))]
    Denied {
        /// The required role.
        role: Role,
        /// The stream or pattern of streams on which the role is required.
        on: String,
        /// Why the role is required, if that depends on more than the operation.
        why: Option<String>,
    },
    /// The named thing does not exist.
    #[error("there is no {what} {name}")]
    NoSuch {
        /// The kind of thing.
        what: &'static str,
        /// Its name.
        name: String,
    },
    /// The thing does not exist, or its state or the caller's roles hide it.
    #[error("{0}")]
    NotFound(String),
    /// A thing of this name exists already.
    #[error("{what} {name} exists already")]
    Exists {
        /// The kind of thing.
        what: &'static str,
        /// Its name.
        name: String,
    },
    /// Fields are invalid.
    #[error("{}", list(_0))]
    Invalid(Vec<Problem>),
    /// The change would alter what was published.
    #[error(transparent)]
    ImmutabilityError(#[from] ImmutabilityError),
    /// The state of the rollout does not allow the action.
    #[error(transparent)]
    Verb(#[from] TransitionError),
    /// The state of the target does not allow the action.
    #[error("{0}")]
    State(String),
    /// The change introduces errors.
    #[error("the change introduces errors: see `findings`")]
    Dangerous(Vec<Finding>),
    /// The change introduces warnings that the caller has not acknowledged.
    #[error("the change introduces warnings: review them and repeat the request with acknowledge=true")]
    Unacknowledged(Vec<Finding>),
    /// The idempotency key belongs to another request.
    #[error("this Idempotency-Key was used for another request")]
    KeyReused,
}

impl Refusal {
    /// Refuses for a role that the caller lacks.
    pub fn denied(role: Role, on: impl std::fmt::Display) -> Self {
        Self::Denied { role, on: on.to_string(), why: None }
    }

    /// Refuses for a thing that does not exist.
    pub fn no_such(what: &'static str, name: impl std::fmt::Display) -> Self {
        Self::NoSuch { what, name: name.to_string() }
    }

    /// Names the part of a request that has the invalid fields.
    #[must_use]
    pub(super) fn within(self, part: &str) -> Self {
        let Self::Invalid(problems) = self else { return self };
        let within = |problem: Problem| Problem { path: format!("{part}.{}", problem.path), ..problem };
        Self::Invalid(problems.into_iter().map(within).collect())
    }

    /// Refuses for one invalid field.
    pub fn field(path: &str, message: impl std::fmt::Display) -> Self {
        Self::Invalid(vec![Problem { path: path.into(), message: message.to_string() }])
    }
}

impl From<Vec<Problem>> for Refusal {
    fn from(problems: Vec<Problem>) -> Self {
        Self::Invalid(problems)
    }
}

fn because(why: Option<&str>) -> String {
    why.map(|why| format!(": {why}")).unwrap_or_default()
}

fn list(problems: &[Problem]) -> String {
    problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}
