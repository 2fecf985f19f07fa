//! `[log]`

use super::error::ConfigError;
use serde::{Deserialize, Serialize};

/// Logs, written to standard error.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogSettings {
    /// The format of lines.
    pub format: LogFormat,
    /// A filter in the syntax of `tracing`: `info`, or `warn,lockkeeper::catalog=debug`.
    pub filter: String,
    /// The share of agents' requests to log, 0 to 1. All requests of release managers are logged.
    pub access_share: f64,
}

/// The format of a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    /// A message and its fields, for people.
    Text,
    /// A JSON object per line, for programs.
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
            return Err(ConfigError::value("log.access_share", "must be between 0 and 1"));
        }
        let parsed = self.filter.parse::<tracing_subscriber::filter::Targets>();
        parsed.map(drop).map_err(|error| ConfigError::value("log.filter", &error.to_string()))
    }
}
