//! Ramps that people use.

use super::{
    duration::Minutes,
    epoch::Epoch,
    origin::Origin,
    ramp::{Course, Ramp, Step},
    rollout::{Rollout, RolloutState},
    selector::Selector,
    share::Share,
};

/// A ramp that people use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Preset {
    /// 48 hours in a straight line.
    Linear48h,
    /// A week in steps.
    Week,
    /// 3 hours in a straight line.
    Emergency,
}

/// A step a day, the first at the start.
const WEEK: [f64; 7] = [0.01, 0.05, 0.15, 0.40, 0.60, 0.90, 1.0];
const DAY: u64 = 24 * 60;

impl Preset {
    /// Every preset.
    pub const ALL: [Self; 3] = [Self::Linear48h, Self::Week, Self::Emergency];

    /// Its name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Linear48h => "linear-48h",
            Self::Week => "week",
            Self::Emergency => "emergency-3h",
        }
    }

    /// The preset of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|preset| preset.as_str() == name)
    }

    /// What it does.
    #[must_use]
    pub fn description(self) -> &'static str {
        match self {
            Self::Linear48h => "from nobody to everybody in 48 hours, in a straight line",
            Self::Week => "1 % at the start, then 5, 15, 40, 60, 90 and 100 %, a day each",
            Self::Emergency => "from nobody to everybody in 3 hours, in a straight line: for what cannot wait",
        }
    }

    /// The ramp that starts then.
    #[must_use]
    pub fn ramp(self, start: Epoch) -> Ramp {
        let line = |hours: u64| Course::Linear { duration: Minutes(hours * 60), end_share: Share::ALL };
        let (start_share, course) = match self {
            Self::Linear48h => (Share::NONE, line(48)),
            Self::Emergency => (Share::NONE, line(3)),
            Self::Week => {
                let share = |share| Share::given(share).unwrap_or(Share::ALL);
                let days = (0..).map(|day| Minutes(day * DAY));
                let steps = days.zip(WEEK).skip(1).map(|(after, at)| Step { after, share: share(at) });
                (share(0.01), Course::Steps(steps.collect()))
            }
        };
        Ramp { start: Some(start), start_share: Some(start_share), course }
    }

    /// A rollout for everybody by it.
    #[must_use]
    pub fn rollout(self, start: Epoch) -> Rollout {
        let (selector, state) = (Selector::default(), RolloutState::Active);
        Rollout { selector, ramp: self.ramp(start), state, origin: Origin::Local }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_open_as_they_say() {
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
            assert_eq!(Preset::named(preset.as_str()), Some(preset));
            assert!(!preset.description().is_empty());
        }
    }
}
