//! What operators see from outside: logs, traces and metrics. Everybody may use it; it uses nothing of ours.

mod context;
mod logs;
mod metrics;
mod otlp;

pub use context::{begun_by, carried, follow, is_traced};
pub use logs::{LogShape, Telling, start_logs};
pub use metrics::{Metrics, PollTally, Reading, Scope, Timed};
pub use otlp::{Otlp, OtlpError};
