//! Refusals as problem documents.

use crate::{
    domain::document::Problem as FieldProblem,
    http::problem::{FieldError, Problem, ProblemKind},
    manage::{ChangeError, EditError, Refusal, kept::StoreError},
};

/// The store failed: the details are for the log.
#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
pub(super) fn refused(error: StoreError) -> Problem {
    if !error.is_away() {
        tracing::error!(error = &error as &dyn std::error::Error, "the store did not take a request");
        return ProblemKind::Internal.into();
    }
    tracing::warn!(error = &error as &dyn std::error::Error, "a request could not reach the database");
    ProblemKind::Unavailable.because("the database does not answer; nothing is known to have been changed")
}

/// Why a change was not made.
pub(super) fn not_changed(error: EditError) -> Problem {
    match error {
        ChangeError::Store(error) => refused(error),
        ChangeError::MovedOn { .. } => ProblemKind::Changed.because(error.to_string()),
        ChangeError::Closed(closed) => ProblemKind::Conflict.because(closed.to_string()),
        ChangeError::Broken(problems) => fields(problems),
        ChangeError::Refused(refusal) => of(refusal),
    }
}

fn of(refusal: Refusal) -> Problem {
    let detail = refusal.to_string();
    match refusal {
        Refusal::Denied { .. } => ProblemKind::Forbidden.because(detail),
        Refusal::NoSuch { .. } => ProblemKind::NotFound.because(detail),
        Refusal::Exists { .. } | Refusal::Misstep(_) | Refusal::Verb(_) | Refusal::State(_) => {
            ProblemKind::Conflict.because(detail)
        }
        Refusal::Invalid(problems) => fields(problems),
        Refusal::Dangerous(findings) | Refusal::Unacknowledged(findings) => {
            ProblemKind::Conflict.because(detail).found(&findings)
        }
        Refusal::KeyReused => ProblemKind::Invalid.because(detail),
    }
}

/// Fields are wrong.
pub(super) fn fields(problems: Vec<FieldProblem>) -> Problem {
    let errors = problems.into_iter().map(|problem| FieldError { path: problem.path, message: problem.message });
    Problem::from(ProblemKind::Invalid).at(errors)
}

/// One field is wrong.
pub(super) fn field(path: &str, message: impl std::fmt::Display) -> Problem {
    Problem::from(ProblemKind::Invalid).at([FieldError { path: path.into(), message: message.to_string() }])
}
