//! Parsing and writing of presets of products.

use super::{
    preset_shape::{PresetDocument, PresetRolloutDocument},
    read::Reader,
    shape::RolloutDocument,
    write,
};
use crate::domain::{
    description::Description,
    product_preset::{PresetRollout, ProductPreset},
    rollout::Rollout,
};

impl Reader {
    /// Parses a preset of a product.
    pub(super) fn product_preset(&mut self, document: &PresetDocument) -> Option<ProductPreset> {
        let description = document.description.as_ref().and_then(|text| self.parse("description", text));
        let mut rollouts = Vec::with_capacity(document.rollouts.len());
        for (index, rollout) in document.rollouts.iter().enumerate() {
            rollouts.push(self.preset_rollout(&format!("rollouts[{index}]"), rollout)?);
        }
        Some(ProductPreset { description, rollouts })
    }

    fn preset_rollout(&mut self, path: &str, document: &PresetRolloutDocument) -> Option<PresetRollout> {
        let waits_for_windows = self.freeze(&format!("{path}.freeze"), document.freeze.as_deref());
        let rollout = self.rollout(path, &document.to_rollout())?;
        let rollout = Rollout { ramp: rollout.ramp.with_closed_gates(), ..rollout };
        Some(PresetRollout { rollout, waits_for_windows })
    }

    /// Parses what a rollout does at freeze windows. Returns true if it waits for their ends.
    fn freeze(&mut self, path: &str, name: Option<&str>) -> bool {
        match name {
            None | Some("refuse") => {}
            Some("wait") => return true,
            Some(other) => self.problem(path, format!("must be \"refuse\" or \"wait\", is {other:?}")),
        }
        false
    }
}

impl PresetRolloutDocument {
    /// Converts to the shape of stream documents, without a start.
    fn to_rollout(&self) -> RolloutDocument {
        RolloutDocument {
            selector: self.selector.clone(),
            start_share: self.start_share,
            duration: self.duration.clone(),
            end_share: self.end_share,
            steps: self.steps.clone(),
            ..RolloutDocument::default()
        }
    }
}

impl From<&Rollout> for PresetRolloutDocument {
    /// Describes a rollout that does not wait for the ends of freeze windows, without its start.
    fn from(rollout: &Rollout) -> Self {
        let RolloutDocument { selector, start_share, duration, end_share, steps, .. } = write::rollout(rollout);
        Self { selector, start_share, duration, end_share, steps, freeze: None }
    }
}

impl From<&ProductPreset> for PresetDocument {
    fn from(preset: &ProductPreset) -> Self {
        let rollout = |preset: &PresetRollout| PresetRolloutDocument {
            freeze: preset.waits_for_windows.then(|| "wait".into()),
            ..PresetRolloutDocument::from(&preset.rollout)
        };
        Self {
            description: preset.description.as_ref().map(Description::to_string),
            rollouts: preset.rollouts.iter().map(rollout).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{
        document::parts,
        origin::Origin,
        rollout::{RolloutClock, RolloutState, ramp::Ramp},
        samples,
    };
    use proptest::{collection, option, prelude::*};

    fn preset() -> impl Strategy<Value = ProductPreset> {
        let rollout = (samples::rollout(), any::<bool>()).prop_map(|(rollout, waits_for_windows)| {
            let ramp = Ramp { start: None, ..rollout.ramp.with_closed_gates() };
            let (state, clock, origin) = (RolloutState::Active, RolloutClock::default(), Origin::Local);
            PresetRollout { rollout: Rollout { ramp, state, clock, origin, ..rollout }, waits_for_windows }
        });
        let description = option::of("[!-~][ -~\n]{0,100}".prop_map(|text| Description::parse(&text).unwrap()));
        (description, collection::vec(rollout, 1..5))
            .prop_map(|(description, rollouts)| ProductPreset { description, rollouts })
    }

    proptest! {
        #[test]
        fn a_preset_is_read_from_its_document_as_it_was_written(preset in preset()) {
            let text = serde_json::to_string(&PresetDocument::from(&preset)).unwrap();
            let document: PresetDocument = serde_json::from_str(&text).unwrap();
            prop_assert_eq!(&PresetDocument::from(&preset), &document);
            prop_assert_eq!(parts::product_preset(&document), Ok(preset));
        }
    }

    #[test]
    fn problems_are_reported_by_path() {
        let problems = |text: &str| {
            let problems = parts::product_preset(&serde_json::from_str(text).unwrap()).unwrap_err();
            problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
        };
        let all = problems(
            r#"{"description": "a\tb", "rollouts": [{"start_share": 2, "freeze": "thaw", "selector": {"groups": []}}]}"#,
        );
        for expected in [
            "description: contains '\\t'",
            "rollouts[0].start_share: is 2",
            "rollouts[0].freeze: must be \"refuse\" or \"wait\", is \"thaw\"",
            "rollouts[0].selector.groups: is empty",
        ] {
            assert!(all.contains(expected), "{expected}: {all}");
        }
        assert!(
            problems(r#"{"rollouts": [{"end_share": 0.5}]}"#).contains("rollouts[0].end_share: requires a duration")
        );
        for unknown in [r#"{"rollouts": [{"start": "2026-07-22T14:00:00Z"}]}"#, r#"{"rollouts": [{"preset": "week"}]}"#]
        {
            assert!(serde_json::from_str::<PresetDocument>(unknown).is_err(), "{unknown}");
        }
    }
}
