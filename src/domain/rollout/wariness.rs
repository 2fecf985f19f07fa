//! Wariness: the position of a node in rollouts.

use siphasher::sip::SipHasher13;
use std::hash::Hasher;

/// The position of a node in rollouts, from 0 (first, chosen by the operator for canaries) to 1 (last).
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub struct Wariness(f64);

/// The minimum for nodes whose wariness is hashed. 0 is reserved for nodes to which an operator assigned it.
const MIN_HASHED: f64 = 0.000_001;
/// 2 to the power of 64.
const HASH_RANGE: f64 = 18_446_744_073_709_551_616.0;

impl Wariness {
    /// Builds a wariness, clamped to 0 to 1. NaN becomes 0.
    #[must_use]
    pub fn new(wariness: f64) -> Self {
        if wariness.is_nan() {
            return Self(0.0);
        }
        Self(wariness.clamp(0.0, 1.0))
    }

    /// Computes the wariness of a node from its id: SipHash-1-3 with zero keys over the bytes of the id and 0xff, like upstream's
    /// servers. It must never change, because it determines the position of every node in every rollout.
    #[must_use]
    pub fn from_node_id(id: &str) -> Self {
        let mut hasher = SipHasher13::new();
        hasher.write(id.as_bytes());
        hasher.write_u8(0xff);
        #[expect(clippy::cast_precision_loss, reason = "the rule is stated on the nearest f64")]
        let position = hasher.finish() as f64 / HASH_RANGE;
        Self(position.max(MIN_HASHED))
    }

    /// Returns the number, 0 to 1.
    #[must_use]
    pub fn get(self) -> f64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[expect(clippy::float_cmp, reason = "the hash is frozen to the bit")]
    fn the_hash_is_frozen() {
        for (id, wariness) in [
            ("", 0.188_483_157_460_514_56),
            ("13cc1b8c4aee096f177b1d09618a2d4a", 0.831_385_124_861_884_8),
            ("9a41a9f6519c11f8808db67b96ebd4eb", 0.048_090_684_102_450_335),
        ] {
            assert_eq!(Wariness::from_node_id(id).get(), wariness, "{id}");
        }
    }

    #[test]
    #[expect(clippy::float_cmp, reason = "clamping is exact")]
    fn values_are_clamped_to_the_range() {
        for (value, clamped) in [(-1.0, 0.0), (2.0, 1.0), (0.25, 0.25), (f64::NAN, 0.0), (f64::INFINITY, 1.0)] {
            assert_eq!(Wariness::new(value).get(), clamped, "{value}");
        }
    }
}
