//! Presets.

use crate::domain::{
    document::{
        preset_shape::{PresetDocument, PresetRolloutDocument},
        rollout as document_of,
        shape::StepDocument,
    },
    epoch::Epoch,
    product_preset::ProductPresets,
    rollout::preset::Preset,
};
use serde::Serialize;
use utoipa::ToSchema;

/// A preset: a named ramp.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({ "name": "linear-48h", "description": "from no nodes to all nodes in 48 hours, linear",
    "start_share": 0.0, "duration": "PT48H" }))]
pub struct PresetModel {
    /// The name.
    pub name: &'static str,
    /// What the ramp does.
    pub description: &'static str,
    /// The share at the start, 0 to 1.
    pub start_share: f64,
    /// The duration of a linear ramp, ISO 8601.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duration: Option<String>,
    /// The steps of a stepped ramp.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub steps: Option<Vec<StepDocument>>,
}

impl PresetModel {
    /// Lists every preset.
    #[must_use]
    pub fn all() -> Vec<Self> {
        Preset::ALL.iter().copied().map(Self::new).collect()
    }

    fn new(preset: Preset) -> Self {
        let document = document_of(&preset.rollout(Epoch(0)));
        Self {
            name: preset.as_str(),
            description: preset.description(),
            start_share: document.start_share.unwrap_or(0.0),
            duration: document.duration,
            steps: document.steps,
        }
    }
}

/// A preset that rollouts of a product can have.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({ "name": "canaries-first", "built_in": false, "description": "Canaries now, everyone in 48 hours from tomorrow.",
    "rollouts": [
        { "selector": { "groups": ["canary"] }, "start_share": 1.0 },
        { "steps": [{ "after": "PT24H", "share": 1.0, "over": "PT48H" }] }
    ] }))]
pub struct ProductPresetModel {
    /// The name.
    pub name: String,
    /// True for a preset of the service, which every product has: a ramp, which a request can combine with a selector.
    pub built_in: bool,
    /// What the preset is for; absent if that is not described.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// The rollouts that a release gets from the preset, in their order. They start when the preset is used.
    pub rollouts: Vec<PresetRolloutDocument>,
}

impl ProductPresetModel {
    /// Lists every preset of the service and of a product, by name.
    #[must_use]
    pub fn all(presets: &ProductPresets) -> Vec<Self> {
        let built_in = Preset::ALL.iter().map(|preset| Self {
            name: preset.as_str().into(),
            built_in: true,
            description: Some(preset.description().into()),
            rollouts: vec![PresetRolloutDocument::from(&preset.rollout(Epoch(0)))],
        });
        let own = presets.iter().map(|(name, preset)| {
            let PresetDocument { description, rollouts } = PresetDocument::from(preset);
            Self { name: name.to_string(), built_in: false, description, rollouts }
        });
        let mut all: Vec<Self> = built_in.chain(own).collect();
        all.sort_by(|one, other| one.name.cmp(&other.name));
        all
    }
}
