//! Configuration errors, and checks that several sections share.

use std::path::PathBuf;
use thiserror::Error;

/// A configuration error.
#[derive(Debug, Error)]
pub enum ConfigError {
    /// The configuration file cannot be read.
    #[error("cannot read the configuration file {}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
    /// A setting is unknown or has the wrong type.
    #[error("{}", describe(_0))]
    Layer(Box<figment2::Error>),
    /// A setting has an invalid value.
    #[error("setting {setting} {problem}")]
    Value {
        /// The setting, such as `database.url`.
        setting: String,
        /// What is wrong with its value.
        problem: String,
    },
}

impl ConfigError {
    /// Returns the error for a value that is invalid.
    #[must_use]
    pub fn value(setting: &str, problem: &str) -> Self {
        Self::Value { setting: setting.into(), problem: problem.into() }
    }
}

/// Describes all errors with the setting's name and the layer that it came from.
fn describe(error: &figment2::Error) -> String {
    let one = |error: figment2::Error| {
        let source = error.metadata.as_ref().map(|layer| match &layer.source {
            Some(figment2::Source::File(path)) => format!(" ({})", path.display()),
            Some(source) => format!(" ({source})"),
            None => format!(" ({})", layer.name),
        });
        let path = error.path.join(".");
        let setting = if path.is_empty() { String::new() } else { format!("setting {path}: ") };
        format!("{setting}{}{}", error.kind, source.unwrap_or_default())
    };
    error.clone().into_iter().map(one).collect::<Vec<_>>().join("; ")
}

/// Checks that a duration is longer than zero.
pub(super) fn positive(setting: &str, duration: jiff::SignedDuration) -> Result<(), ConfigError> {
    if duration.is_positive() { Ok(()) } else { Err(ConfigError::value(setting, "must be longer than 0s")) }
}

/// Converts a validated duration for the runtime.
pub(super) fn to_std(duration: jiff::SignedDuration) -> std::time::Duration {
    duration.unsigned_abs()
}
