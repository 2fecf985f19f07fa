//! Shares of nodes, from 0 to 1.

use super::wariness::Wariness;
use thiserror::Error;

/// A share of nodes. Local shares are between 0 and 1. Upstream's may be any finite number: its past documents contain a share of 100.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub struct Share(f64);

/// The error for a number that is not a share.
#[derive(Debug, Clone, Copy, PartialEq, Error)]
#[error("is {0}, expected a share between 0 and 1")]
pub struct ShareError(pub f64);

impl Share {
    /// Only nodes of wariness 0.
    pub const NONE: Self = Self(0.0);
    /// All nodes.
    pub const ALL: Self = Self(1.0);

    /// Builds a share of a local change.
    ///
    /// # Errors
    /// Fails if `share` is not between 0 and 1.
    pub fn new(share: f64) -> Result<Self, ShareError> {
        if (0.0..=1.0).contains(&share) { Ok(Self(share)) } else { Err(ShareError(share)) }
    }

    /// Builds a share of upstream or of a stored revision, which may be any finite number.
    ///
    /// # Errors
    /// Fails if `share` is infinite or not a number.
    pub fn from_record(share: f64) -> Result<Self, ShareError> {
        if share.is_finite() { Ok(Self(share)) } else { Err(ShareError(share)) }
    }

    /// Returns true if [`Share::new`] accepts the number.
    #[must_use]
    pub fn is_in_range(self) -> bool {
        Self::new(self.0).is_ok()
    }

    /// Returns the number.
    #[must_use]
    pub fn get(self) -> f64 {
        self.0
    }
}

/// Rounds a computed share to six decimals, for people: `0.208333`, not `0.20833333333333331`. Only what is exactly 0 or 1
/// is shown as that.
#[must_use]
pub fn rounded(share: f64) -> f64 {
    const DECIMALS: f64 = 1e6;
    let rounded = (share * DECIMALS).round() / DECIMALS;
    if share > 0.0 && share < 1.0 { rounded.clamp(1.0 / DECIMALS, 1.0 - 1.0 / DECIMALS) } else { rounded }
}

/// How far a rollout is open at a given time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum OpenShare {
    /// To no node, not even of wariness 0.
    Closed,
    /// To nodes whose wariness is at most this number.
    Open(f64),
}

impl OpenShare {
    /// Returns true if a node of this wariness is held back.
    #[must_use]
    pub fn holds_back(self, wariness: Wariness) -> bool {
        match self {
            Self::Closed => true,
            Self::Open(share) => wariness.get() > share,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn shares_are_shown_with_at_most_six_decimals() {
        for (share, shown) in [
            (0.208_333_333_333_333_31, "0.208333"),
            (0.150_000_000_000_000_02, "0.15"),
            (1e-9, "0.000001"),
            (1.0 - 1e-9, "0.999999"),
            (0.0, "0"),
            (1.0, "1"),
            (100.0, "100"),
        ] {
            assert_eq!(rounded(share).to_string(), shown, "{share}");
        }
    }

    proptest! {
        #[test]
        fn a_rounded_share_is_near_and_is_rounded_once(share in 0.0..=1.0f64) {
            let shown = rounded(share);
            prop_assert!((shown - share).abs() <= 1e-6 && shown.to_string().len() <= "0.123456".len(), "{}", shown);
            prop_assert!(rounded(shown).total_cmp(&shown).is_eq());
        }
    }
}
