//! Events: what happened to streams and products, for consoles and scripts.

mod progress;
#[cfg(test)]
mod progress_tests;

pub use progress::Progress;

use super::{
    epoch::Epoch,
    ids::{ProductName, StreamName, Version},
    rollout::{id::RolloutId, share::Share},
    stream::Revision,
};
use jiff::Timestamp;

/// Something that happened to a stream or to a product.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// When it happened.
    pub at: Timestamp,
    /// The product.
    pub product: ProductName,
    /// The stream; `None` if it concerns a product with all of its streams.
    pub stream: Option<StreamName>,
    /// What happened.
    pub kind: EventKind,
}

/// What happened.
#[derive(Debug, Clone, PartialEq)]
pub enum EventKind {
    /// The stream was changed.
    Revision {
        /// The revision that the change created.
        revision: Revision,
        /// The action, as in the audit log: `rollout.pause`.
        command: Option<String>,
        /// The name of the actor.
        actor: String,
        /// The reason.
        reason: String,
    },
    /// A rollout reached a share of [`THRESHOLDS`].
    RolloutShare {
        /// The rollout.
        rollout: EventRollout,
        /// The share.
        share: f64,
    },
    /// A rollout came to a gate, where it waits until a release manager lets it pass.
    GateWaiting {
        /// The rollout.
        rollout: EventRollout,
        /// The share of the step after the gate.
        next_share: f64,
    },
    /// An emergency stop began.
    StopBegun {
        /// Its reason.
        reason: String,
    },
    /// An emergency stop was lifted.
    StopEnded,
}

/// The rollout that an event is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventRollout {
    /// The version of its release.
    pub release: Version,
    /// Its id in the release.
    pub id: RolloutId,
}

/// The shares of which each is an event when a rollout reaches it.
pub const THRESHOLDS: [f64; 6] = [0.01, 0.1, 0.25, 0.5, 0.75, 1.0];

/// An event of a stream that follows from its state and the time.
#[derive(Debug, Clone, PartialEq)]
pub struct StreamEvent {
    /// When it happened.
    pub at: Epoch,
    /// What happened.
    pub kind: EventKind,
}

impl StreamEvent {
    fn share(at: Epoch, rollout: EventRollout, share: f64) -> Self {
        Self { at, kind: EventKind::RolloutShare { rollout, share } }
    }

    fn gate(at: Epoch, rollout: EventRollout, next_share: Share) -> Self {
        Self { at, kind: EventKind::GateWaiting { rollout, next_share: next_share.get() } }
    }
}
