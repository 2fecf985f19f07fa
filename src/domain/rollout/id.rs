//! The ids of rollouts. A rollout keeps its id for as long as its release exists, whatever its place in the order in which rollouts are tried on
//! a node. An id is never given to another rollout of the release.

use std::fmt;

/// The id of a rollout, unique in its release: 1 for the first one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct RolloutId(u32);

impl RolloutId {
    /// What a rollout has instead of an id until it is saved.
    pub const NEW: Self = Self(0);
    /// The highest id.
    pub const MAX: u32 = 1_000_000_000;

    /// Builds an id from a number. Returns `None` for 0, and for numbers that no release reaches.
    #[must_use]
    pub fn from_number(number: u32) -> Option<Self> {
        (1..=Self::MAX).contains(&number).then_some(Self(number))
    }

    /// Returns the number.
    #[must_use]
    pub fn number(self) -> u32 {
        self.0
    }

    /// Returns true if the rollout has no id yet.
    #[must_use]
    pub fn is_new(self) -> bool {
        self == Self::NEW
    }

    /// Returns the id after this one.
    pub(super) fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl fmt::Display for RolloutId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
