//! Presets: ramps for common cases.

use super::{
    Rollout, RolloutClock, RolloutState,
    id::RolloutId,
    ramp::{Course, Ramp},
    selector::BoxedSelector,
    share::Share,
    step::Step,
};
use crate::domain::{duration::Minutes, epoch::Epoch, origin::Origin, text::named_values};
use strum::{EnumString, IntoStaticStr, VariantArray};

/// A predefined ramp.
#[derive(Debug, Clone, Copy, PartialEq, Eq, EnumString, IntoStaticStr, VariantArray)]
pub enum Preset {
    /// Linear over 48 hours.
    #[strum(serialize = "linear-48h")]
    Linear48h,
    /// Daily steps over a week.
    #[strum(serialize = "week")]
    Week,
    /// Linear over 3 hours.
    #[strum(serialize = "emergency-3h")]
    Emergency,
}

/// The shares of the daily steps, the first at the start.
const WEEK: [f64; 7] = [0.01, 0.05, 0.15, 0.40, 0.60, 0.90, 1.0];
const DAY: u64 = 24 * 60;

named_values!(Preset, "preset");

impl Preset {
    /// Returns a description for users.
    #[must_use]
    pub fn description(self) -> &'static str {
        match self {
            Self::Linear48h => "from 0 to 100 % of the nodes in 48 hours, linearly",
            Self::Week => "1 % at the start, then 5, 15, 40, 60, 90 and 100 %, one step per day",
            Self::Emergency => "from 0 to 100 % of the nodes in 3 hours, linearly; for urgent fixes",
        }
    }

    /// Builds the ramp with this start.
    #[must_use]
    pub fn ramp(self, start: Epoch) -> Ramp {
        let line = |hours: u64| Course::Linear { duration: Minutes(hours * 60), end_share: Share::ALL };
        let (start_share, course) = match self {
            Self::Linear48h => (Share::NONE, line(48)),
            Self::Emergency => (Share::NONE, line(3)),
            Self::Week => {
                let share = |share| Share::new(share).unwrap_or(Share::ALL);
                let days = (0..).map(|day| Minutes(day * DAY));
                let steps = days.zip(WEEK).skip(1).map(|(after, at)| Step::at_once(after, share(at)));
                (share(0.01), Course::Steps(steps.collect()))
            }
        };
        Ramp { start: Some(start), start_share: Some(start_share), course }
    }

    /// Builds a rollout for all nodes with this start.
    #[must_use]
    pub fn rollout(self, start: Epoch) -> Rollout {
        let (selector, state) = (BoxedSelector::default(), RolloutState::Active);
        let (id, clock) = (RolloutId::NEW, RolloutClock::default());
        Rollout { id, selector, ramp: self.ramp(start), state, clock, origin: Origin::Local }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn presets_open_as_described() {
        let start = Epoch(1_000_000);
        let shares = |preset: Preset, hours: &[i64]| -> Vec<f64> {
            hours.iter().map(|hours| preset.ramp(start).share_at(start.plus_seconds(hours * 3600))).collect()
        };
        assert_eq!(shares(Preset::Linear48h, &[-1, 0, 24, 48, 100]), [0.0, 0.0, 0.5, 1.0, 1.0]);
        assert_eq!(shares(Preset::Emergency, &[0, 3]), [0.0, 1.0]);
        assert_eq!(
            shares(Preset::Week, &[-1, 0, 23, 24, 48, 72, 96, 120, 144]),
            [0.0, 0.01, 0.01, 0.05, 0.15, 0.40, 0.60, 0.90, 1.0]
        );
        for preset in Preset::ALL {
            assert_eq!(Preset::from_name(preset.as_str()), Some(*preset));
            assert!(!preset.description().is_empty());
        }
    }
}
