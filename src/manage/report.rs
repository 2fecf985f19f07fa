//! What a change did, or would do: for whoever asked, now and whenever they ask again.

use crate::domain::{
    diff::{Change, Diff},
    finding::Finding,
    reach::{Reach, ScopeReach},
    stream::{Revision, StreamId},
    version::Version,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What a change did, or with `dry_run` would do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({
    "product": "fedora-coreos", "stream": "stable", "revision": 42, "changed": true, "dry_run": false,
    "changes": [{ "subject": "release 44.20260722.3.0, rollout 1",
        "before": "from share 0 at 2026-07-22T14:00:00Z to 1 in PT48H (local)",
        "after": "from share 0 at 2026-07-22T14:00:00Z to 1 in PT48H (paused at 2026-07-23T02:00:00Z) (local)" }],
    "reach": [], "findings": []
}))]
pub struct Report {
    /// The product.
    pub product: String,
    /// The stream.
    pub stream: String,
    /// The stream's newest revision after this; with `dry_run` the one that it was compared with.
    pub revision: i64,
    /// Was, or would, anything be changed?
    pub changed: bool,
    /// Was it only a look?
    pub dry_run: bool,
    /// The name of what was made, where something was: a version, or the number of a rollout or of a blocked update.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created: Option<String>,
    /// What changed, in the order of the releases.
    pub changes: Vec<Change>,
    /// What it does to the nodes, for each arch and scheme on which it does anything.
    pub reach: Vec<ReachReport>,
    /// What was not so before, and is dangerous (then nothing was changed, unless this is a dry run) or odd.
    pub findings: Vec<Finding>,
}

/// What a change does to the nodes of one arch and scheme.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ReachReport {
    /// The architecture.
    pub arch: String,
    /// The scheme.
    pub scheme: String,
    /// How many updates there are that there were not.
    pub gained: usize,
    /// How many updates there were that are not any more.
    pub lost: usize,
    /// The first hundred of those gained.
    pub gained_updates: Vec<Update>,
    /// The first hundred of those lost.
    pub lost_updates: Vec<Update>,
    /// The share of node ids, 0 to 1, that are offered something else at once.
    pub share_affected_now: f64,
    /// The share of node ids, 0 to 1, that are offered something else once every rollout has come to its end.
    pub share_affected_ever: f64,
}

/// From one version to another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Update {
    /// The version that it starts from.
    pub from: String,
    /// The version that it leads to.
    pub to: String,
}

/// More than that nobody reads.
const MOST_UPDATES: usize = 100;

impl Report {
    pub(super) fn of(id: &StreamId, revision: Revision, diff: Diff, reach: &Reach, findings: Vec<Finding>) -> Self {
        Self {
            product: id.product.to_string(),
            stream: id.stream.to_string(),
            revision: revision.0,
            changed: !diff.is_empty(),
            dry_run: false,
            created: None,
            changes: diff.0,
            reach: reach.scopes.iter().map(ReachReport::of).collect(),
            findings,
        }
    }
}

impl ReachReport {
    fn of(scope: &ScopeReach) -> Self {
        Self {
            arch: scope.arch.to_string(),
            scheme: scope.scheme.to_string(),
            gained: scope.gained.len(),
            lost: scope.lost.len(),
            gained_updates: first(&scope.gained),
            lost_updates: first(&scope.lost),
            share_affected_now: scope.affected_now,
            share_affected_ever: scope.affected_ever,
        }
    }
}

fn first(updates: &[(Version, Version)]) -> Vec<Update> {
    let update = |(from, to): &(Version, Version)| Update { from: from.to_string(), to: to.to_string() };
    updates.iter().take(MOST_UPDATES).map(update).collect()
}
