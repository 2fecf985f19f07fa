//! Shares of the nodes, 0 to 1.

use super::wariness::Wariness;
use thiserror::Error;

/// A share of the nodes. Ours lie in 0 to 1; upstream's may be any finite number, since history holds a share of 100.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub struct Share(f64);

/// The number is not a share.
#[derive(Debug, Clone, Copy, PartialEq, Error)]
#[error("is {0}, a share lies between 0 and 1")]
pub struct ShareError(pub f64);

impl Share {
    /// Nobody but wariness 0.
    pub const NONE: Self = Self(0.0);
    /// Everybody.
    pub const ALL: Self = Self(1.0);

    /// A share that one of us sets: 0 to 1.
    ///
    /// # Errors
    /// It lies outside, or is not a number.
    pub fn given(share: f64) -> Result<Self, ShareError> {
        if (0.0..=1.0).contains(&share) { Ok(Self(share)) } else { Err(ShareError(share)) }
    }

    /// A share as upstream or a revision has it: any finite number.
    ///
    /// # Errors
    /// It is infinite or not a number.
    pub fn recorded(share: f64) -> Result<Self, ShareError> {
        if share.is_finite() { Ok(Self(share)) } else { Err(ShareError(share)) }
    }

    /// Is it one that [`Share::given`] takes?
    #[must_use]
    pub fn is_in_range(self) -> bool {
        Self::given(self.0).is_ok()
    }

    /// The number.
    #[must_use]
    pub fn get(self) -> f64 {
        self.0
    }
}

/// How far a rollout is open at one instant.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum OpenShare {
    /// To nobody, not even at wariness 0.
    Closed,
    /// To nodes whose wariness is not above this number.
    Open(f64),
}

impl OpenShare {
    /// Is a node of this wariness kept from the release?
    #[must_use]
    pub fn holds_back(self, wariness: Wariness) -> bool {
        match self {
            Self::Closed => true,
            Self::Open(share) => wariness.get() > share,
        }
    }
}
