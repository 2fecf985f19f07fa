//! What operators see from outside: logs and metrics. Everybody may use it; it uses nothing of ours.

mod logs;
mod metrics;

pub use logs::{LogShape, start_logs};
pub use metrics::Metrics;
