//! Findings: the results of checks such as lint, each with a code, a severity, a place and a message.

mod code;

pub use code::Code;
use std::fmt;

/// The severity of a finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Unusual, but handled as the rules say.
    Warning,
    /// Needs attention after an import: a local value was kept, or upstream removed or changed something.
    Drift,
    /// Rejected, because it would do harm.
    Error,
}

impl Severity {
    /// Returns the name that reports use.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Warning => "warning",
            Self::Drift => "drift",
            Self::Error => "error",
        }
    }
}

/// One result of a check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What it is about.
    pub code: Code,
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
    pub fn warning(code: Code, place: impl Into<String>, message: impl Into<String>) -> Self {
        Self { code, severity: Severity::Warning, place: place.into(), message: message.into() }
    }

    /// Builds a finding that needs attention after an import.
    pub fn drift(code: Code, place: impl Into<String>, message: impl Into<String>) -> Self {
        Self { code, severity: Severity::Drift, place: place.into(), message: message.into() }
    }

    /// Builds a finding about something that was rejected.
    pub fn error(code: Code, place: impl Into<String>, message: impl Into<String>) -> Self {
        Self { code, severity: Severity::Error, place: place.into(), message: message.into() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}: {} [LK{}]", self.severity.as_str(), self.place, self.message, self.code.number())
    }
}
