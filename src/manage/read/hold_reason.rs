//! Why a release is held back from a node.

use super::rollouts::RolloutPhase;
use crate::domain::{
    epoch::Epoch,
    rollout::{
        Rollout,
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
        /// The number of the rollout.
        number: usize,
    },
    /// The rollout that applies to the node has not reached it.
    NotReached {
        /// The number of the rollout.
        number: usize,
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
    pub(super) fn new(number: usize, rollout: &Rollout, wariness: Wariness, now: Epoch) -> Self {
        match rollout.open_share(now) {
            OpenShare::Closed => Self::Aborted { number },
            OpenShare::Open(share) => {
                Self::NotReached { number, phase: RolloutPhase::at(rollout, now), share, wariness }
            }
        }
    }
}

impl fmt::Display for HoldReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoRollout => f.write_str("no selector of its rollouts matches this node"),
            Self::Aborted { number } => write!(f, "rollout {number} was aborted"),
            Self::NotReached { number, phase, share, wariness } => write!(
                f,
                "rollout {number} ({}) is open to a share of {}, and the wariness of this node is {}",
                phase.as_str(),
                rounded(*share),
                wariness.get()
            ),
        }
    }
}
