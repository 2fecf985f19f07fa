//! Rollouts.

use crate::{
    domain::{
        document::{
            rollout as document_of,
            shape::{RolloutDocument, SelectorDocument, StepDocument},
        },
        duration::Minutes,
        epoch::Epoch,
        release::Release,
        rollout::{Rollout, gate::Gate, share::rounded},
        stream::Stream,
    },
    manage::read::RolloutStatus,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A rollout of a release.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({
    "id": 1, "position": 1, "state": "running", "open_share": 0.25, "fully_open_at": "2026-07-24T14:00:00Z",
    "start": "2026-07-22T14:00:00Z", "start_share": 0.0, "duration": "PT48H", "end_share": 1.0, "origin": "local"
}))]
pub struct RolloutModel {
    /// The id, unique in the release. It never changes, and no later rollout of the release gets it.
    pub id: u32,
    /// The position among the rollouts of the release, from 1. They are tried on a node in this order; the first one whose selector matches
    /// applies.
    pub position: usize,
    /// `scheduled`, `running`, `waiting` (at a gate), `paused`, `completed` or `aborted`.
    pub state: &'static str,
    /// The share of the matching nodes, 0 to 1, that the rollout admits now. During an emergency stop: 0. Absent if the rollout
    /// is closed to all nodes, as an aborted one is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub open_share: Option<f64>,
    /// During an emergency stop: the share, 0 to 1, that the rollout admits once the stop is lifted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub open_share_if_lifted: Option<f64>,
    /// The gate at which the rollout waits, or where it arrives next.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gate: Option<GateModel>,
    /// When the rollout would admit all matching nodes if it had never been paused and waited at no gate. Absent if its plan never
    /// does.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    pub planned_fully_open_at: Option<String>,
    /// When the rollout will admit all matching nodes, if it is not changed. Absent if it never will, if it does already, if a
    /// gate comes before, or during an emergency stop.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    pub fully_open_at: Option<String>,
    /// The nodes that the rollout applies to; absent: all nodes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub selector: Option<SelectorDocument>,
    /// When the rollout starts; absent: 1970-01-01.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    pub start: Option<String>,
    /// The share at the start, 0 to 1; absent: 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start_share: Option<f64>,
    /// The time from the start share to the end share of a linear ramp, as an ISO 8601 duration.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duration: Option<String>,
    /// The share at the end of a linear ramp, 0 to 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub end_share: Option<f64>,
    /// The steps of a stepped ramp: shares, and the times after the start at which they begin.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub steps: Option<Vec<StepDocument>>,
    /// Of a paused rollout: the instant whose share it keeps.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    pub paused_at: Option<String>,
    /// The total length of past pauses and waits at gates, in seconds. What follows in the plan is later by this time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stood_still_seconds: Option<u64>,
    /// When the rollout first opened, as recorded at the last change of the stream.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    pub first_opened: Option<String>,
    /// Who set the plan: `upstream`, `git` or `local`.
    pub origin: &'static str,
}

impl RolloutModel {
    /// Describes the rollouts of a release of a stream, at a time.
    #[must_use]
    pub fn all(stream: &Stream, release: &Release, now: Epoch) -> Vec<Self> {
        let statuses = RolloutStatus::all(stream, &release.rollouts, now);
        let rollouts = (1..).zip(&release.rollouts);
        statuses
            .iter()
            .zip(rollouts)
            .map(|(status, (position, rollout))| Self::new(status, position, rollout))
            .collect()
    }

    /// Describes a rollout.
    #[must_use]
    pub fn new(status: &RolloutStatus, position: usize, rollout: &Rollout) -> Self {
        let document = document_of(rollout);
        Self {
            id: status.id.number(),
            position,
            state: status.phase.as_str(),
            open_share: status.share.map(rounded),
            open_share_if_lifted: status.share_if_lifted.map(rounded),
            gate: status.gate.map(GateModel::from),
            planned_fully_open_at: status.planned_fully_open_at.map(|at| at.to_string()),
            fully_open_at: status.fully_open_at.map(|at| at.to_string()),
            end_share: document.duration.as_ref().map(|_| document.end_share.unwrap_or(1.0)),
            selector: document.selector,
            start: document.start,
            start_share: document.start_share,
            duration: document.duration,
            steps: document.steps,
            paused_at: document.paused_at,
            stood_still_seconds: document.stood_still_seconds,
            first_opened: document.first_opened,
            origin: rollout.origin.as_str(),
        }
    }
}

/// A gate of a rollout: it waits there until it is advanced.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Gate, example = json!({ "at": "2026-07-23T14:00:00Z", "share": 0.05 }))]
pub struct GateModel {
    /// When the rollout arrives there, or has arrived. A pause before makes it later.
    #[schema(format = DateTime)]
    pub at: String,
    /// The share of the matching nodes, 0 to 1, to which the rollout opens after the gate.
    pub share: f64,
}

impl From<Gate> for GateModel {
    fn from(gate: Gate) -> Self {
        Self { at: gate.at.to_string(), share: gate.share.get() }
    }
}

/// A rollout to create. The ramp is either a `preset`; or linear, with `duration`; or stepped, with `steps`; or, with none of
/// these, constant at `start_share`.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "preset": "linear-48h", "start": "2026-07-22T14:00:00Z" }))]
pub struct NewRollout {
    /// The name of a preset: a ramp of the service (`linear-48h`, `week` or `emergency-3h`), or a preset of the product, which stands for
    /// all its rollouts at this place. Excludes `start_share`, `duration`, `end_share` and `steps`; a preset of the product excludes
    /// `selector`, too.
    #[serde(default)]
    pub preset: Option<String>,
    /// The nodes that the rollout applies to. Default: all nodes.
    #[serde(default)]
    pub selector: Option<SelectorDocument>,
    /// When the rollout starts, RFC 3339 in whole seconds. Default: now.
    #[serde(default)]
    pub start: Option<String>,
    /// The share at the start, 0 to 1. Default: 0. Nodes of wariness 0 are admitted before the start, too.
    #[serde(default)]
    pub start_share: Option<f64>,
    /// The time from the start share to the end share, an ISO 8601 duration in whole minutes (`PT48H`).
    #[serde(default)]
    pub duration: Option<String>,
    /// The share at the end of the duration, 0 to 1. Default: 1.
    #[serde(default)]
    pub end_share: Option<f64>,
    /// The steps, in the order of their times. A step with a `gate` waits until the rollout is advanced.
    #[serde(default)]
    pub steps: Option<Vec<StepDocument>>,
    /// What happens if the start or a step would fall into a freeze window: `refuse` rejects the rollout, `wait` moves the start
    /// or step, and everything after it, to the end of the window. A linear ramp that has started continues through windows.
    /// Default: `refuse`, or what the preset of the product says.
    #[serde(default)]
    pub freeze: Option<String>,
    /// The id of the existing rollout before which the new one is inserted. Default: after all others.
    #[serde(default)]
    pub before: Option<u32>,
}

impl NewRollout {
    /// Converts to the shape of stream documents.
    #[must_use]
    pub fn to_document(&self) -> RolloutDocument {
        RolloutDocument {
            selector: self.selector.clone(),
            start: self.start.clone(),
            start_share: self.start_share,
            duration: self.duration.clone(),
            end_share: self.end_share,
            steps: self.steps.clone(),
            ..RolloutDocument::default()
        }
    }

    /// Returns true if the body describes a ramp in addition to its start.
    #[must_use]
    pub fn has_ramp(&self) -> bool {
        self.start_share.is_some() || self.duration.is_some() || self.end_share.is_some() || self.steps.is_some()
    }
}

/// The order in which the rollouts of a release are tried on a node.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "ids": [2, 1] }))]
pub struct RolloutOrderModel {
    /// The ids of all rollouts of the release, in the new order.
    pub ids: Vec<u32>,
}

/// How much faster a ramp ends.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "within": "PT6H" }))]
pub struct AccelerateModel {
    /// The time from now to the end of the ramp, an ISO 8601 duration in whole minutes (`PT6H`); shorter than the remaining time.
    pub within: String,
}

impl AccelerateModel {
    /// Parses the time.
    ///
    /// # Errors
    /// The text is not a duration.
    pub fn within(&self) -> Result<Minutes, crate::domain::duration::DurationError> {
        Minutes::parse(&self.within)
    }
}

/// How far a rollout opens: without a share, past the gate at which it waits.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "share": 0.5, "over": "PT24H" }))]
pub struct AdvanceModel {
    /// The share, 0 to 1; higher than the present one. The ramp ends there. Absent: the rollout passes its gate, and its plan continues.
    #[serde(default)]
    #[schema(minimum = 0, maximum = 1)]
    pub share: Option<f64>,
    /// The time from now in which the share is reached evenly, an ISO 8601 duration in whole minutes (`PT24H`). Requires a share. Default:
    /// at once.
    #[serde(default)]
    pub over: Option<String>,
}

/// The share at which a ramp ends.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "share": 0.5 }))]
pub struct HoldModel {
    /// The share, 0 to 1: between the present share and the share at the end of the ramp.
    #[schema(minimum = 0, maximum = 1)]
    pub share: f64,
}
