//! Presets of products as documents, which the API and the database use.

use super::{
    read::Reader,
    shape::{RolloutDocument, SelectorDocument, StepDocument},
    write,
};
use crate::domain::{
    description::Description,
    product_preset::{PresetRollout, ProductPreset},
    rollout::Rollout,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A preset of a product: rollouts that a release gets together.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Preset, example = json!({
    "description": "Canaries now. 5 % a day later, once a manager says so, and everyone within 48 hours after that.",
    "rollouts": [
        { "selector": { "groups": ["canary"] }, "start_share": 1.0 },
        { "steps": [{ "after": "PT24H", "share": 0.05, "gate": true }, { "after": "PT24H", "share": 1.0, "over": "PT48H" }] }
    ]
}))]
pub struct PresetDocument {
    /// What the preset is for: 1 to 1000 bytes of text without control characters other than line feeds. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// The rollouts, 1 to 32, in the order in which they are tried on a node.
    #[schema(min_items = 1, max_items = 32)]
    pub rollouts: Vec<PresetRolloutDocument>,
}

/// A rollout of a preset. It starts when the preset is used. The ramp is either linear, with `duration`; or stepped, with `steps`; or, with
/// none of these, constant at `start_share`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = PresetRollout)]
pub struct PresetRolloutDocument {
    /// The nodes that the rollout applies to. Default: all nodes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selector: Option<SelectorDocument>,
    /// The share at the start, 0 to 1. Default: 0. Nodes of wariness 0 are admitted before the start, too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_share: Option<f64>,
    /// The time from the start share to the end share, an ISO 8601 duration in whole minutes (`PT48H`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration: Option<String>,
    /// The share at the end of the duration, 0 to 1. Default: 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end_share: Option<f64>,
    /// The steps, in the order of their times. A step with a `gate` waits until the rollout is advanced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub steps: Option<Vec<StepDocument>>,
    /// What happens if the start or a step would fall into a freeze window: `refuse` rejects the use of the preset, `wait` moves the start
    /// or step, and everything after it, to the end of the window. Default: `refuse`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub freeze: Option<String>,
}

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
            id: None,
            selector: self.selector.clone(),
            start: None,
            start_share: self.start_share,
            duration: self.duration.clone(),
            end_share: self.end_share,
            steps: self.steps.clone(),
            state: None,
            paused_at: None,
            stood_still_seconds: None,
            first_opened: None,
            origin: None,
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
