//! What operators see from outside: logs, traces and metrics. Everybody may use it; it uses nothing of ours.

mod context;
mod logs;
mod metrics;
mod otlp;

pub use context::{Carried, begun_by, carried, follow, is_traced, trace_id};
pub use logs::{LogShape, Telling, start_logs};
pub use metrics::{Metrics, PollRoute, PollTally, Reading, Scope, Timed};
pub use otlp::{Otlp, OtlpError};
