//! Logs on standard error; with a collector, logs and traces go there too.

use super::otlp::{LAST_WORDS, Otlp, OtlpError};
use opentelemetry_appender_tracing::layer::OpenTelemetryTracingBridge;
use opentelemetry_sdk::{logs::SdkLoggerProvider, trace::SdkTracerProvider};
use std::io::IsTerminal;
use tracing_subscriber::{Layer, filter::Targets, layer::SubscriberExt, util::SubscriberInitExt};

/// How a line looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogShape {
    /// A sentence and its fields.
    Text,
    /// An object a line.
    Json,
}

/// What is still to be sent goes out when this is dropped.
#[derive(Debug, Default)]
#[must_use = "what is still to be sent goes out when this is dropped"]
pub struct Telling(Option<(SdkTracerProvider, SdkLoggerProvider)>);

impl Drop for Telling {
    fn drop(&mut self) {
        if let Some((traces, logs)) = self.0.take() {
            // A collector that is away has already been complained of.
            let _ = traces.shutdown_with_timeout(LAST_WORDS);
            let _ = logs.shutdown_with_timeout(LAST_WORDS);
        }
    }
}

/// Starts logging for this process; a second call changes nothing.
///
/// # Errors
/// Nothing can be sent to the collector.
pub fn start_logs(shape: LogShape, filter: Targets, otlp: Option<&Otlp>) -> Result<Telling, OtlpError> {
    let colours = std::io::stderr().is_terminal();
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_ansi(colours);
    let lines = match shape {
        LogShape::Text => lines.boxed(),
        LogShape::Json => lines.json().boxed(),
    };
    let (telling, sent) = match otlp {
        None => (Telling::default(), None),
        Some(otlp) => {
            let (spans, tracer) = otlp.tracers()?;
            let logs = otlp.loggers()?;
            let sent = tracing_opentelemetry::layer()
                .with_tracer(tracer)
                .with_location(false)
                .with_threads(false)
                .and_then(OpenTelemetryTracingBridge::new(&logs));
            (Telling(Some((spans, logs))), Some(sent))
        }
    };
    // The filter is the whole registry's: one on the layer alone forgets events after somebody asked whether one would be
    // logged, as sqlx does at each query (tokio-rs/tracing#2519).
    let _ = tracing_subscriber::registry().with(lines).with(sent).with(filter).try_init();
    Ok(telling)
}
