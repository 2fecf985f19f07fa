//! Presets of products: named lists of rollouts, which start when the preset is used.

use super::{
    description::Description,
    epoch::Epoch,
    rollout::{Rollout, preset::Preset, ramp::Ramp},
    text::text_type,
};
use std::collections::BTreeMap;

text_type!(
    /// The name of a preset of a product, such as `canaries-first`; it is part of URLs.
    PresetName,
    64,
    "1 to 64 of a-z, 0-9, '-', '_' and '.', starting with a letter or digit",
    |at, c| c.is_ascii_lowercase() || c.is_ascii_digit() || (at > 0 && matches!(c, '-' | '_' | '.'))
);

/// The presets of a product, by name.
pub type ProductPresets = BTreeMap<PresetName, ProductPreset>;

/// The maximum number of presets of a product.
pub const MAX_PRESETS: usize = 100;

/// A preset of a product.
#[derive(Debug, Clone, PartialEq)]
pub struct ProductPreset {
    /// What it is for, if that is described.
    pub description: Option<Description>,
    /// Its rollouts, in their order; at least one.
    pub rollouts: Vec<PresetRollout>,
}

/// A rollout of a preset.
#[derive(Debug, Clone, PartialEq)]
pub struct PresetRollout {
    /// The rollout, without a start and with closed gates.
    pub rollout: Rollout,
    /// If true, a start or step that would fall into a freeze window waits for its end.
    pub waits_for_windows: bool,
}

impl PresetName {
    /// Returns true if requests could not name the preset: the service has a preset of this name, or the name is `none`, the value for no preset.
    #[must_use]
    pub fn is_reserved(&self) -> bool {
        Preset::from_name(self.as_str()).is_some() || self.as_str() == "none"
    }
}

impl PresetRollout {
    /// Builds the rollout with this start.
    #[must_use]
    pub fn starting_at(&self, start: Epoch) -> Rollout {
        self.rollout.with_plan(Ramp { start: Some(start), ..self.rollout.ramp.clone() })
    }
}

/// Returns the names of all presets that rollouts of a product can have: those of the service, then those of the product.
#[must_use]
pub fn names(presets: &ProductPresets) -> String {
    let names = Preset::ALL.iter().map(|preset| preset.as_str()).chain(presets.keys().map(PresetName::as_str));
    names.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_the_service_are_reserved() {
        let is_reserved = |name: &str| PresetName::parse(name).unwrap().is_reserved();
        assert!(Preset::ALL.iter().all(|preset| is_reserved(preset.as_str())));
        assert!(is_reserved("none") && !is_reserved("linear-24h"));
        for bad in ["", "..", "a/b", "-x", "Fast", "a b", &"x".repeat(65)] {
            assert!(PresetName::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn all_presets_are_named() {
        let preset = ProductPreset { description: None, rollouts: Vec::new() };
        let presets = BTreeMap::from([(PresetName::parse("canaries-first").unwrap(), preset)]);
        assert_eq!(names(&presets), "linear-48h, week, emergency-3h, canaries-first");
        assert_eq!(names(&BTreeMap::new()), "linear-48h, week, emergency-3h");
    }
}
