//! Why a release is held back from a node.

use super::rollouts::RolloutPhase;
use crate::domain::{
    epoch::Epoch,
    rollout::{
        Rollout,
        id::RolloutId,
        share::{OpenShare, rounded},
        wariness::Wariness,
    },
};
use std::fmt;

/// Why a release is held back from a node.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum HoldReason {
    /// No selector of its rollouts matches the node.
    NoRollout,
    /// The rollout that applies to the node was aborted.
    Aborted {
        /// The rollout.
        id: RolloutId,
    },
    /// The rollout that applies to the node has not reached it.
    NotReached {
        /// The rollout.
        id: RolloutId,
        /// Its phase.
        phase: RolloutPhase,
        /// The share that it admits.
        share: f64,
        /// The wariness of the node.
        wariness: Wariness,
    },
}

impl HoldReason {
    /// Returns why the rollout that applies to a node holds it back.
    pub(super) fn new(rollout: &Rollout, wariness: Wariness, now: Epoch) -> Self {
        let id = rollout.id;
        match rollout.open_share(now) {
            OpenShare::Closed => Self::Aborted { id },
            OpenShare::Open(share) => Self::NotReached { id, phase: RolloutPhase::at(rollout, now), share, wariness },
        }
    }
}

impl fmt::Display for HoldReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoRollout => f.write_str("no selector of its rollouts matches this node"),
            Self::Aborted { id } => write!(f, "rollout {id} was aborted"),
            Self::NotReached { id, phase, share, wariness } => write!(
                f,
                "rollout {id} ({}) is open to a share of {}, and the wariness of this node is {}",
                phase.as_str(),
                rounded(*share),
                wariness.get()
            ),
        }
    }
}
