//! Maps errors to problem documents.

use crate::{
    auth::Identity,
    domain::document::{MAX_PROBLEMS, Problem as FieldProblem},
    http::problem::{FieldError, Problem, ProblemKind},
    manage::{CommandError, FindingReport, ReadError, Refusal, records::StoreError},
    registry::{Fault, RegistryError},
};

/// Maps an error of the database. The log has the details.
#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
pub(super) fn refused(error: StoreError) -> Problem {
    if !error.is_unavailable() {
        tracing::error!(error = &error as &dyn std::error::Error, "database request failed");
        return ProblemKind::Internal.into();
    }
    tracing::warn!(error = &error as &dyn std::error::Error, "database unavailable");
    ProblemKind::Unavailable.because("the database is unavailable")
}

impl From<ReadError> for Problem {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Unauthenticated => ProblemKind::Unauthenticated.because(error.to_string()),
            ReadError::Denied { .. } => ProblemKind::Forbidden.because(error.to_string()),
            ReadError::NotFound(detail) => ProblemKind::NotFound.because(detail),
            ReadError::Store(error) => refused(error),
        }
    }
}

/// Builds the problem of a missing role: 403, or 401 for an anonymous caller, who can still send a token.
pub(super) fn forbidden(caller: &Identity, detail: String) -> Problem {
    if caller.is_known() {
        return ProblemKind::Forbidden.because(detail);
    }
    ProblemKind::Unauthenticated.because("requires a bearer token")
}

/// Maps the error of a command.
pub(super) fn not_changed(error: CommandError) -> Problem {
    match error {
        CommandError::Store(error) if error.is_unavailable() => {
            tracing::warn!(error = &error as &dyn std::error::Error, "database unavailable");
            ProblemKind::Unavailable.because("the database is unavailable: no change was confirmed")
        }
        CommandError::Store(error) => refused(error),
        CommandError::RevisionMismatch { .. } => ProblemKind::Changed.because(error.to_string()),
        CommandError::Admission(error) => ProblemKind::Conflict.because(error.to_string()),
        CommandError::Invalid(problems) => fields(problems),
        CommandError::Refused(refusal) => problem_from(refusal),
    }
}

/// Maps the error of an image that was not read.
pub(super) fn not_read(error: &RegistryError) -> Problem {
    match error.fault() {
        Fault::Request => field("image", error),
        Fault::Registry => {
            tracing::warn!(error = error as &dyn std::error::Error, "registry request failed");
            ProblemKind::BadGateway.because(error.to_string())
        }
        Fault::Settings => {
            tracing::error!(error = error as &dyn std::error::Error, "registry credentials unusable");
            ProblemKind::Internal.into()
        }
    }
}

fn problem_from(refusal: Refusal) -> Problem {
    let detail = refusal.to_string();
    match refusal {
        Refusal::Denied { .. } => ProblemKind::Forbidden.because(detail),
        Refusal::NoSuch { .. } | Refusal::NotFound(_) => ProblemKind::NotFound.because(detail),
        Refusal::Exists { .. } | Refusal::ImmutabilityError(_) | Refusal::Verb(_) | Refusal::State(_) => {
            ProblemKind::Conflict.because(detail)
        }
        Refusal::Invalid(problems) => fields(problems),
        Refusal::Dangerous(findings) | Refusal::Unacknowledged(findings) => {
            let findings: Vec<FindingReport> = findings.iter().map(FindingReport::from).collect();
            ProblemKind::Conflict.because(detail).found(&findings)
        }
        Refusal::KeyReused => ProblemKind::Invalid.because(detail),
    }
}

/// Builds the problem of invalid fields.
pub(super) fn fields(problems: Vec<FieldProblem>) -> Problem {
    let errors = problems
        .into_iter()
        .take(MAX_PROBLEMS)
        .map(|problem| FieldError { path: problem.path, message: problem.message });
    Problem::from(ProblemKind::Invalid).at(errors)
}

/// Builds the problem of a query parameter that an operation does not have.
pub(super) fn unknown_parameter(name: &str) -> Problem {
    ProblemKind::BadRequest.because(format!("unknown query parameter {name:?}"))
}

/// Builds the problem of one invalid field.
pub(super) fn field(path: &str, message: impl std::fmt::Display) -> Problem {
    Problem::from(ProblemKind::Invalid).at([FieldError { path: path.into(), message: message.to_string() }])
}
