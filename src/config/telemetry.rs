//! `[telemetry]`

use super::error::{ConfigError, positive};
use crate::telemetry::Otlp;
use jiff::SignedDuration;
use serde::{Deserialize, Serialize};

/// Metrics and traces, and the collector that they are sent to.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TelemetrySettings {
    /// Whether to record metrics. If false, there is no `/metrics`, and none are sent.
    pub metrics: bool,
    /// The base URL of a collector for OTLP over HTTP; absent: nothing is sent.
    pub otlp_endpoint: Option<String>,
    /// The share of requests without a `traceparent` header that are traced, 0 to 1.
    pub trace_share: f64,
    /// How often metrics are sent.
    pub metrics_interval: SignedDuration,
}

impl Default for TelemetrySettings {
    fn default() -> Self {
        Self { metrics: true, otlp_endpoint: None, trace_share: 0.1, metrics_interval: SignedDuration::from_mins(1) }
    }
}

impl TelemetrySettings {
    pub(super) fn validate(&self) -> Result<(), ConfigError> {
        if !(0.0..=1.0).contains(&self.trace_share) {
            return Err(ConfigError::value("telemetry.trace_share", "must be between 0 and 1"));
        }
        if let Some(endpoint) = &self.otlp_endpoint {
            let url = reqwest::Url::parse(endpoint).ok().filter(|url| ["http", "https"].contains(&url.scheme()));
            url.ok_or_else(|| ConfigError::value("telemetry.otlp_endpoint", "must be an http:// or https:// URL"))?;
        }
        positive("telemetry.metrics_interval", self.metrics_interval)
    }

    /// Returns the collector to send telemetry to, if any.
    #[must_use]
    pub fn otlp(&self) -> Option<Otlp> {
        Some(Otlp {
            endpoint: self.otlp_endpoint.clone()?,
            trace_share: self.trace_share,
            metrics_interval: self.metrics_interval.unsigned_abs(),
        })
    }
}
