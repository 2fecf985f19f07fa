//! Logs, traces and metrics. Every module may import it; it imports no other module.

mod context;
mod logs;
mod metrics;
mod otlp;

pub use context::{TraceContext, is_traced, set_parent, set_parent_from_headers, trace_context, trace_id};
pub use logs::{LogShape, TelemetryGuard, start_logs};
pub use metrics::{GaugeSample, Metrics, PollLabels, PollTally, RouteTimes, Scope, Timed};
pub use otlp::{Otlp, OtlpError};
