//! Logs on standard error. With a collector, logs and traces are also sent there.

use super::otlp::{FLUSH_TIMEOUT, Otlp, OtlpError};
use crate::escape::escaped;
use opentelemetry_appender_tracing::layer::OpenTelemetryTracingBridge;
use opentelemetry_sdk::{logs::SdkLoggerProvider, trace::SdkTracerProvider};
use std::io::{self, IsTerminal, Write};
use tracing_subscriber::{
    Layer,
    field::RecordFields,
    filter::Targets,
    fmt::{
        FormatFields,
        format::{DefaultFields, Writer},
    },
    layer::SubscriberExt,
    util::SubscriberInitExt,
};

/// The format of a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogShape {
    /// A message and its fields.
    Text,
    /// A JSON object per line.
    Json,
}

/// Formats fields as text and escapes their values, so that they contain no terminal control sequences or line breaks.
struct SafeFields;

impl<'writer> FormatFields<'writer> for SafeFields {
    fn format_fields<R: RecordFields>(&self, mut writer: Writer<'writer>, fields: R) -> std::fmt::Result {
        let mut text = String::new();
        DefaultFields::new().format_fields(Writer::new(&mut text), fields)?;
        writer.write_str(&escaped(&text))
    }
}

/// Writes JSON lines, each with one call, and escapes terminal control sequences in them.
struct SafeLines<W>(W);

impl<W: Write> Write for SafeLines<W> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(line);
        let (content, end) = match text.strip_suffix('\n') {
            Some(content) => (content, "\n"),
            None => (&*text, ""),
        };
        self.0.write_all(format!("{}{end}", escaped(content)).as_bytes())?;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// Sends pending traces and logs when it is dropped.
#[derive(Debug, Default)]
#[must_use = "pending traces and logs are sent when this is dropped"]
pub struct TelemetryGuard(Option<(SdkTracerProvider, SdkLoggerProvider)>);

impl Drop for TelemetryGuard {
    fn drop(&mut self) {
        if let Some((traces, logs)) = self.0.take() {
            // A failed collector has been logged already.
            let _ = traces.shutdown_with_timeout(FLUSH_TIMEOUT);
            let _ = logs.shutdown_with_timeout(FLUSH_TIMEOUT);
        }
    }
}

/// Starts logging for this process. A second call has no effect.
///
/// # Errors
/// The exporters for the collector cannot be created.
pub fn start_logs(shape: LogShape, filter: Targets, otlp: Option<&Otlp>) -> Result<TelemetryGuard, OtlpError> {
    let colours = std::io::stderr().is_terminal();
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_ansi(colours);
    let lines = match shape {
        LogShape::Text => lines.fmt_fields(SafeFields).boxed(),
        LogShape::Json => lines.json().with_writer(|| SafeLines(std::io::stderr())).boxed(),
    };
    let (guard, export) = match otlp {
        None => (TelemetryGuard::default(), None),
        Some(otlp) => {
            let (spans, tracer) = otlp.tracers()?;
            let logs = otlp.loggers()?;
            let export = tracing_opentelemetry::layer()
                .with_tracer(tracer)
                .with_location(false)
                .with_threads(false)
                .and_then(OpenTelemetryTracingBridge::new(&logs));
            (TelemetryGuard(Some((spans, logs))), Some(export))
        }
    };
    // The filter applies to the registry. A filter on a layer loses events after a call to `enabled!`, which sqlx makes at each
    // query (tokio-rs/tracing#2519).
    let _ = tracing_subscriber::registry().with(lines).with(export).with(filter).try_init();
    Ok(guard)
}
