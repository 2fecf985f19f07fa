//! What is wrong with a setting, and checks that several sections share.

use std::path::PathBuf;
use thiserror::Error;

/// A setting that is wrong, by its name.
#[derive(Debug, Error)]
pub enum ConfigError {
    /// The file is not there.
    #[error("the configuration file {} cannot be read", path.display())]
    Missing {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A setting is unknown or of another type.
    #[error("{}", told(_0))]
    Layer(Box<figment2::Error>),
    /// A setting has a value that it cannot have.
    #[error("setting {setting} {problem}")]
    Value {
        /// Which, as in `database.url`.
        setting: String,
        /// What is wrong with it.
        problem: String,
    },
}

impl ConfigError {
    pub(super) fn value(setting: &str, problem: &str) -> Self {
        Self::Value { setting: setting.into(), problem: problem.into() }
    }
}

/// Each thing that is wrong, by the setting's name and the layer.
fn told(error: &figment2::Error) -> String {
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

/// A duration that must not be zero or negative.
pub(super) fn positive(setting: &str, duration: jiff::SignedDuration) -> Result<(), ConfigError> {
    if duration.is_positive() { Ok(()) } else { Err(ConfigError::value(setting, "has to be longer than nothing")) }
}

/// A validated duration as the runtime takes it.
pub(super) fn to_std(duration: jiff::SignedDuration) -> std::time::Duration {
    duration.unsigned_abs()
}
