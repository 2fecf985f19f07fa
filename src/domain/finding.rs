//! Findings: the results of checks such as lint, each with a severity, a place and a message.

use serde::{Deserialize, Serialize};
use std::fmt;
use utoipa::ToSchema;

/// The severity of a finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Unusual, but handled as the rules say.
    Warning,
    /// Needs attention after an import: a local value was kept, or upstream removed or changed something.
    Drift,
    /// Rejected, because it would do harm.
    Error,
}

/// One result of a check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({ "severity": "warning", "place": "release 44.20260722.3.0", "message": "has no payload on s390x" }))]
pub struct Finding {
    /// Its severity.
    pub severity: Severity,
    /// Where the problem is, as text for people: a document and a path in it, or a release. The `subject` of an audit entry is
    /// something else: the target of an action.
    pub place: String,
    /// What was found, and what was done about it.
    pub message: String,
}

impl Finding {
    /// Builds a finding about something unusual that was handled.
    pub fn warning(place: impl Into<String>, message: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, place: place.into(), message: message.into() }
    }

    /// Builds a finding that needs attention after an import.
    pub fn drift(place: impl Into<String>, message: impl Into<String>) -> Self {
        Self { severity: Severity::Drift, place: place.into(), message: message.into() }
    }

    /// Builds a finding about something that was rejected.
    pub fn error(place: impl Into<String>, message: impl Into<String>) -> Self {
        Self { severity: Severity::Error, place: place.into(), message: message.into() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let severity = match self.severity {
            Severity::Warning => "warning",
            Severity::Drift => "drift",
            Severity::Error => "error",
        };
        write!(f, "{severity}: {}: {}", self.place, self.message)
    }
}
