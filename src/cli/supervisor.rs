//! Notifications to systemd, if it started this process: `sd_notify(3)`.

use crate::server::EventLoopHealth;
use sd_notify::{NotifyState, notify, watchdog_enabled};

/// Reports that polls are answered.
pub(super) fn notify_ready() {
    notify_systemd(NotifyState::Ready);
}

/// Reports that this process is stopping.
pub(super) fn notify_stopping() {
    notify_systemd(NotifyState::Stopping);
}

/// Notifies the watchdog twice per timeout for as long as every event loop responds.
pub(super) async fn feed_watchdog(event_loops: EventLoopHealth) {
    let Some(timeout) = watchdog_enabled() else { return };
    let mut ticks = tokio::time::interval(timeout / 2);
    loop {
        ticks.tick().await;
        event_loops.probe().await;
        notify_systemd(NotifyState::Watchdog);
    }
}

fn notify_systemd(state: NotifyState<'_>) {
    if let Err(error) = notify(&[state]) {
        tracing::warn!(error = &error as &dyn std::error::Error, "systemd notification failed");
    }
}
