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
    let layer = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_ansi(colours);
    let layer = match shape {
        LogShape::Text => layer.boxed(),
        LogShape::Json => layer.json().boxed(),
    };
    // Only the first subscriber of a process counts; tests start several servers in one.
    let _ = tracing_subscriber::registry().with(layer.with_filter(filter)).try_init();
}
