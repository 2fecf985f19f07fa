//! The overview of streams.

use super::rollout::GateModel;
use crate::{
    domain::{
        document::{shape::StopDocument, stop as stop_document},
        ids::StreamId,
        rollout::share::rounded,
    },
    manage::{
        FindingReport,
        read::{LiveRollout, NextStep, StreamOverview},
    },
};
use jiff::Timestamp;
use serde::Serialize;
use std::collections::BTreeMap;
use utoipa::ToSchema;

/// All streams at a glance.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({ "streams": [{
    "product": "fedora-coreos", "stream": "stable", "revision": 42, "changed_at": "2026-07-22T14:00:00Z",
    "newest": { "aarch64": "44.20260708.3.0", "x86_64": "44.20260722.3.0" },
    "rollouts": [{ "release": "44.20260722.3.0", "id": 1, "state": "running", "open_share": 0.25,
        "next_step": { "at": "2026-07-24T14:00:00Z", "share": 1.0 }, "fully_open_at": "2026-07-24T14:00:00Z" }],
    "rollouts_total": 1,
    "findings": [{ "severity": "warning", "place": "release 44.20260722.3.0", "message": "has no payload on aarch64" }],
    "findings_total": 1, "emergency_stop": null, "product_emergency_stop": null
}] }))]
pub struct OverviewModel {
    /// The streams that the caller may read, by product and name.
    pub streams: Vec<StreamOverviewModel>,
}

/// A stream at a glance.
#[derive(Debug, Serialize, ToSchema)]
pub struct StreamOverviewModel {
    /// The product.
    pub product: String,
    /// The stream.
    pub stream: String,
    /// The newest revision.
    pub revision: i64,
    /// When the newest revision was created.
    #[schema(value_type = String, format = DateTime)]
    pub changed_at: Timestamp,
    /// The version of the newest published release with a payload on each arch.
    pub newest: BTreeMap<String, String>,
    /// The rollouts of published releases that have not ended and do not admit all nodes yet, those of the newest release first; at
    /// most 20.
    pub rollouts: Vec<LiveRolloutModel>,
    /// The number of all such rollouts.
    pub rollouts_total: usize,
    /// The lint findings, the most severe first; at most 20. They may be a minute old.
    pub findings: Vec<FindingReport>,
    /// The number of all lint findings.
    pub findings_total: usize,
    /// The emergency stop of the stream; null if none is in force.
    pub emergency_stop: Option<StopDocument>,
    /// The emergency stop of the product; null if none is in force.
    pub product_emergency_stop: Option<StopDocument>,
}

/// A rollout that has not ended and does not admit all nodes yet.
#[derive(Debug, Serialize, ToSchema)]
pub struct LiveRolloutModel {
    /// The version of the release.
    pub release: String,
    /// The id of the rollout in its release.
    pub id: u32,
    /// `scheduled`, `running`, `waiting` (at a gate) or `paused`.
    pub state: &'static str,
    /// The share of the matching nodes, 0 to 1, that the rollout admits now. During an emergency stop: 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub open_share: Option<f64>,
    /// During an emergency stop: the share, 0 to 1, that the rollout admits once the stop is lifted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub open_share_if_lifted: Option<f64>,
    /// The next point of the plan: its start, a step or its end. Absent after its end, and in pauses and emergency stops.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_step: Option<NextStepModel>,
    /// The gate at which the rollout waits, or where it arrives next.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gate: Option<GateModel>,
    /// When the rollout will admit all matching nodes, if it is not changed. Absent if it never will, if a gate comes before, or during an emergency stop.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    pub fully_open_at: Option<String>,
}

/// A rollout that has not ended and does not admit all nodes yet, with its stream.
#[derive(Debug, Serialize, ToSchema)]
pub struct StreamRolloutModel {
    /// The name of the product.
    pub product: String,
    /// The name of the stream.
    pub stream: String,
    #[serde(flatten)]
    rollout: LiveRolloutModel,
}

impl StreamRolloutModel {
    /// Describes a rollout of a stream.
    #[must_use]
    pub fn new(stream: &StreamId, rollout: &LiveRollout) -> Self {
        let (product, stream) = (stream.product.to_string(), stream.stream.to_string());
        Self { product, stream, rollout: LiveRolloutModel::new(rollout) }
    }
}

/// The next point of a plan.
#[derive(Debug, Serialize, ToSchema)]
pub struct NextStepModel {
    /// When it is reached.
    #[schema(format = DateTime)]
    pub at: String,
    /// The share of the matching nodes, 0 to 1, that the rollout admits then.
    pub share: f64,
}

impl OverviewModel {
    /// Describes streams.
    #[must_use]
    pub fn new(streams: &[StreamOverview]) -> Self {
        Self { streams: streams.iter().map(StreamOverviewModel::new).collect() }
    }
}

impl StreamOverviewModel {
    fn new(overview: &StreamOverview) -> Self {
        let newest = overview.newest.iter().map(|(arch, version)| (arch.to_string(), version.to_string()));
        Self {
            product: overview.id.product.to_string(),
            stream: overview.id.stream.to_string(),
            revision: overview.revision.0,
            changed_at: overview.changed_at,
            newest: newest.collect(),
            rollouts: overview.rollouts.items.iter().map(LiveRolloutModel::new).collect(),
            rollouts_total: overview.rollouts.total,
            findings: overview.findings.items.iter().map(FindingReport::from).collect(),
            findings_total: overview.findings.total,
            emergency_stop: overview.stop.as_ref().map(stop_document),
            product_emergency_stop: overview.product_stop.as_ref().map(stop_document),
        }
    }
}

impl LiveRolloutModel {
    fn new(LiveRollout { release, status, .. }: &LiveRollout) -> Self {
        Self {
            release: release.to_string(),
            id: status.id.number(),
            state: status.phase.as_str(),
            open_share: status.share.map(rounded),
            open_share_if_lifted: status.share_if_lifted.map(rounded),
            next_step: status
                .next_step
                .map(|NextStep { at, share }| NextStepModel { at: at.to_string(), share: rounded(share) }),
            gate: status.gate.map(GateModel::from),
            fully_open_at: status.fully_open_at.map(|at| at.to_string()),
        }
    }
}
