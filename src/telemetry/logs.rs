//! Logs on standard error.

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

/// Starts logging for this process; a second call changes nothing.
pub fn start_logs(shape: LogShape, filter: Targets) {
    let colours = std::io::stderr().is_terminal();
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_ansi(colours);
    let lines = match shape {
        LogShape::Text => lines.boxed(),
        LogShape::Json => lines.json().boxed(),
    };
    // The filter is the whole registry's: one on the layer alone forgets events after somebody asked whether one would be
    // logged, as sqlx does at each query (tokio-rs/tracing#2519).
    let _ = tracing_subscriber::registry().with(lines).with(filter).try_init();
}
