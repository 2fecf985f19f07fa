//! Findings: what is odd about something, and where.

use serde::{Deserialize, Serialize};
use std::fmt;
use utoipa::ToSchema;

/// How much a finding weighs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Odd, and dealt with as the rules say.
    Warning,
    /// Set here, and different from what came from outside; ours stays.
    Drift,
    /// Not done: it would do harm.
    Error,
}

/// Something odd, and where.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({ "severity": "warning", "place": "release 44.20260722.3.0", "message": "has no payload on s390x" }))]
pub struct Finding {
    /// How much it weighs.
    pub severity: Severity,
    /// Where: a document and a path in it, or a release.
    pub place: String,
    /// What is odd, and what was made of it.
    pub message: String,
}

impl Finding {
    /// One that was dealt with.
    pub fn warning(place: impl Into<String>, message: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, place: place.into(), message: message.into() }
    }

    /// One about something that was set here and stays.
    pub fn drift(place: impl Into<String>, message: impl Into<String>) -> Self {
        Self { severity: Severity::Drift, place: place.into(), message: message.into() }
    }

    /// One that stopped something.
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
