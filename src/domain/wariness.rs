//! Where a node stands in the order in which a rollout lets nodes in.

use siphasher::sip::SipHasher13;
use std::hash::Hasher;

/// From 0, the operator's canary, to 1, the last to go.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub struct Wariness(f64);

/// The least that a hashed node gets: 0 is for those whom an operator put there.
const LEAST_HASHED: f64 = 0.000_001;
/// 2 to the power of 64.
const HASH_RANGE: f64 = 18_446_744_073_709_551_616.0;

impl Wariness {
    /// A given wariness, moved into 0 to 1; not a number acts as 0.
    #[must_use]
    pub fn given(wariness: f64) -> Self {
        if wariness.is_nan() {
            return Self(0.0);
        }
        Self(wariness.clamp(0.0, 1.0))
    }

    /// The frozen hash of a node's id: SipHash-1-3 with zero keys over its bytes and 0xff (rule 8 of the wire contract of
    /// Fedora CoreOS). It must never change: every node's place in every rollout hangs on it.
    #[must_use]
    pub fn of_node(id: &str) -> Self {
        let mut hasher = SipHasher13::new();
        hasher.write(id.as_bytes());
        hasher.write_u8(0xff);
        #[expect(clippy::cast_precision_loss, reason = "the rule is stated on the nearest f64")]
        let place = hasher.finish() as f64 / HASH_RANGE;
        Self(place.max(LEAST_HASHED))
    }

    /// The number, 0 to 1.
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
            assert_eq!(Wariness::of_node(id).get(), wariness, "{id}");
        }
    }

    #[test]
    #[expect(clippy::float_cmp, reason = "clamping is exact")]
    fn given_values_are_moved_into_range() {
        for (given, taken) in [(-1.0, 0.0), (2.0, 1.0), (0.25, 0.25), (f64::NAN, 0.0), (f64::INFINITY, 1.0)] {
            assert_eq!(Wariness::given(given).get(), taken, "{given}");
        }
    }
}
