//! The check that a change may happen now: emergency stops and freeze windows.

use super::{exposure::exposure_increases, freeze_conflicts::find_freeze_conflicts, freeze_window::active_window};
use crate::domain::{epoch::Epoch, ids::StreamId, stream::Stream};
use thiserror::Error;

/// The error for a change that would increase exposure during an emergency stop or a freeze window.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum AdmissionError {
    /// An emergency stop is in force.
    #[error(
        "{stream} has been stopped since {since} ({reason}), and this change would increase what it offers: {increases}; \
         lift the stop first"
    )]
    Stopped {
        /// The stream.
        stream: StreamId,
        /// The start of the stop.
        since: Epoch,
        /// The reason for the stop.
        reason: String,
        /// The exposure increases.
        increases: String,
    },
    /// A freeze window is in force.
    #[error(
        "{stream} is in a freeze window{} ({reason}), and this change would increase what it offers: {increases}",
        until(*ends)
    )]
    Frozen {
        /// The stream.
        stream: StreamId,
        /// The end of the window.
        ends: Option<Epoch>,
        /// The reason for the window.
        reason: String,
        /// The exposure increases.
        increases: String,
    },
}

/// The error for a change after which rollouts begin or step inside a freeze window.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{stream} has freeze windows, and these rollouts begin or step inside one: {conflicts}; plan them outside")]
pub struct FreezeConflictError {
    /// The stream.
    pub stream: StreamId,
    /// The rollouts, each with the time and the reason for the window.
    pub conflicts: String,
}

/// Checks that a change neither plans a rollout into a freeze window nor adds a window over a planned rollout.
///
/// # Errors
/// Fails if it does. The message names the rollouts.
pub fn check_schedule(before: &Stream, after: &Stream, now: Epoch) -> Result<(), FreezeConflictError> {
    let conflicts: Vec<String> = find_freeze_conflicts(before, after, now).iter().map(ToString::to_string).collect();
    if conflicts.is_empty() {
        return Ok(());
    }
    Err(FreezeConflictError { stream: after.id.clone(), conflicts: conflicts.join(", ") })
}

fn until(ends: Option<Epoch>) -> String {
    ends.map(|ends| format!(" until {ends}")).unwrap_or_default()
}

/// Checks that a change during a freeze window does not increase exposure, and that a change during a stop does not increase what lifting
/// the stop would offer, now or later. The stops and windows before the change count.
///
/// # Errors
/// Fails if the stream is stopped or frozen and the change increases exposure.
pub fn check_admission(before: &Stream, after: &Stream, now: Epoch) -> Result<(), AdmissionError> {
    let window = active_window(&before.protection.freeze_windows, now);
    let stop = before.active_stop();
    if stop.is_none() && window.is_none() {
        return Ok(());
    }
    let stopped = |stream: &Stream| Stream {
        stop: before.stop.clone(),
        product_stop: before.product_stop.clone(),
        ..stream.clone()
    };
    let increases = match stop {
        Some(_) => exposure_increases(&stopped(before).lifted(now), &stopped(after).lifted(now), now),
        None => exposure_increases(before, after, now),
    };
    if increases.is_empty() {
        return Ok(());
    }
    let increases: Vec<String> =
        increases.iter().map(|increase| format!("{} {}", increase.version, increase.effect)).collect();
    let (stream, increases) = (before.id.clone(), increases.join(", "));
    if let Some(stop) = stop {
        return Err(AdmissionError::Stopped {
            stream,
            since: stop.since,
            reason: stop.reason.as_str().into(),
            increases,
        });
    }
    let reason = window.map(|window| window.reason.as_str().to_owned()).unwrap_or_default();
    Err(AdmissionError::Frozen { stream, ends: window.and_then(|window| window.ends_after(now)), reason, increases })
}
