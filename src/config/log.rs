//! `[log]`

use super::error::ConfigError;
use serde::{Deserialize, Serialize};

/// Logs, which go to standard error.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogSettings {
    /// For people or for programs.
    pub format: LogFormat,
    /// What is logged, in the words of `tracing`: `info`, or `warn,lockkeeper::catalog=debug`.
    pub filter: String,
    /// The share of the agents' requests, 0 to 1, that are logged a line each; those of release managers all are.
    pub access_share: f64,
}

/// How a line looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    /// A sentence and its fields.
    Text,
    /// An object a line.
    Json,
}

impl Default for LogSettings {
    fn default() -> Self {
        Self { format: LogFormat::Text, filter: "info,sqlx=warn".into(), access_share: 0.0 }
    }
}

impl LogSettings {
    pub(super) fn validate(&self) -> Result<(), ConfigError> {
        if !(0.0..=1.0).contains(&self.access_share) {
            return Err(ConfigError::value("log.access_share", "has to lie between 0 and 1"));
        }
        let parsed = self.filter.parse::<tracing_subscriber::filter::Targets>();
        parsed.map(drop).map_err(|error| ConfigError::value("log.filter", &error.to_string()))
    }
}
