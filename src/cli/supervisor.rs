//! What systemd is told, where it is what started us: `sd_notify(3)`.

use crate::server::Pulse;
use sd_notify::{NotifyState, notify, watchdog_enabled};

/// Polls are answered.
pub(super) fn ready() {
    tell(NotifyState::Ready);
}

/// We were asked to stop.
pub(super) fn stopping() {
    tell(NotifyState::Stopping);
}

/// Tells that this process still works, twice in the time after which it would be taken for dead, for as long as polls are
/// answered by every loop.
pub(super) async fn keep_telling(pulse: Pulse) {
    let Some(patience) = watchdog_enabled() else { return };
    let mut ticks = tokio::time::interval(patience / 2);
    loop {
        ticks.tick().await;
        pulse.beat().await;
        tell(NotifyState::Watchdog);
    }
}

fn tell(state: NotifyState<'_>) {
    if let Err(error) = notify(&[state]) {
        tracing::warn!(error = &error as &dyn std::error::Error, "systemd cannot be told how we are");
    }
}
