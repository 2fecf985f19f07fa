//! The fields of a preset of a product, which the API and the database use. Unknown fields are rejected; absent fields have the defaults
//! stated here.

use super::shape::{SelectorDocument, StepDocument};
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
