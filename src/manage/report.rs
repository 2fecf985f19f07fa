//! Reports: what a change did or would do.

use super::{
    command::ProductState,
    report_parts::{self, ChangeReport, FindingReport},
};
use crate::domain::{
    admission::impact::{Impact, ScopeImpact, Updates},
    diff::{Change, Diff},
    document::{self, shape::StopDocument},
    finding::Finding,
    ids::{ProductName, StreamId, Version},
    rollout::share::rounded,
    stream::Revision,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use utoipa::ToSchema;

/// What a change did, or with `dry_run=true` would do.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[schema(example = json!({
    "product": "fedora-coreos", "stream": "stable", "revision": 42, "changed": true, "dry_run": false,
    "changes": [{ "subject": "release 44.20260722.3.0, rollout 1",
        "before": "from share 0 at 2026-07-22T14:00:00Z to 1 in PT48H (local)",
        "after": "from share 0 at 2026-07-22T14:00:00Z to 1 in PT48H (paused at 2026-07-23T02:00:00Z) (local)",
        "target": { "kind": "rollout", "release": "44.20260722.3.0", "id": 1 } }],
    "impact": [], "findings": []
}))]
pub struct Report {
    /// The product.
    pub product: String,
    /// The stream.
    pub stream: String,
    /// The stream's newest revision after the change; in a dry run the revision that the change was compared with.
    pub revision: i64,
    /// True if the stream's state changed, or in a dry run would change. False if it was in the requested state already.
    pub changed: bool,
    /// True if this was a dry run and nothing was changed.
    pub dry_run: bool,
    /// The name of what was created, if the change created something: the name of a stream, the version of a release, the arch of
    /// an alias, or the number of a rollout or blocked update.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created: Option<String>,
    /// The version of the release that has the requested image already: then nothing changed. Absent in all other reports.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub existing: Option<String>,
    /// In a dry run for an image, what the registry has: the payload for each arch, of arches that the stream does not serve, too.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = json!({"x86_64": "ghcr.io/acme/os@sha256:b5bb9d8014a0f9b1d61e21e796d78dccdf1352f23cd32812f4850b878ae4944c"}))]
    pub builds: Option<BTreeMap<String, String>>,
    /// The changes, in the order of the releases.
    #[serde(serialize_with = "report_parts::changes")]
    #[schema(value_type = Vec<ChangeReport>)]
    pub changes: Vec<Change>,
    /// The effect on nodes, for each arch and scheme with an effect. Null if it was not computed: restrictive changes (pause,
    /// hold, abort, withdraw, dead end, blocked update, emergency stop) do not wait for it unless they are dry runs, and the
    /// computation is given up after 2 seconds, or known releases change their order.
    pub impact: Option<Vec<ImpactReport>>,
    /// New errors and warnings that the change introduces. Errors refuse the change unless it is a dry run. Null if they were not computed:
    /// restrictive changes do not wait for them unless they are dry runs.
    #[serde(serialize_with = "report_parts::findings")]
    #[schema(value_type = Option<Vec<FindingReport>>)]
    pub findings: Option<Vec<Finding>>,
    /// The path of the report with impact and findings, which computes them. Absent if this report has both.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "/api/v1/products/fedora-coreos/streams/stable/revisions/42/report")]
    pub full_report: Option<String>,
    /// The JSON that answered the first request, if this one repeats it with the same idempotency key.
    #[serde(skip)]
    pub repeats: Option<Box<str>>,
}

/// The effect of a change on the nodes of one arch and scheme.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct ImpactReport {
    /// The architecture.
    pub arch: String,
    /// The payload scheme.
    pub scheme: String,
    /// The number of updates (pairs of releases) that the change adds.
    pub gained: usize,
    /// The number of updates (pairs of releases) that the change removes.
    pub lost: usize,
    /// The added updates, at most 100.
    pub gained_updates: Vec<Update>,
    /// The removed updates, at most 100.
    pub lost_updates: Vec<Update>,
    /// The share of node ids, 0 to 1, that are offered something else at once.
    pub share_affected_now: f64,
    /// The share of node ids, 0 to 1, that are offered something else once every rollout has reached its end.
    pub share_affected_eventually: f64,
}

/// An update from one version to another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Update {
    /// The version that the update starts from.
    pub from: String,
    /// The version that the update leads to.
    pub to: String,
}

/// What a change of a product did, or with `dry_run=true` would do.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[schema(example = json!({
    "product": "fedora-coreos", "protocol": "fedora-coreos", "changed": true, "dry_run": false,
    "emergency_stop": { "since": "2026-07-22T14:00:00Z", "reason": "nodes do not come up again" }, "streams": []
}))]
pub struct ProductReport {
    /// The product.
    pub product: String,
    /// The protocol that the product's nodes speak, after the change.
    pub protocol: Option<String>,
    /// True if the product was created, if its protocol, its description or a preset changed, or if its stop was set or lifted, or in a dry
    /// run would be. False if the product was in the requested state already: the first stop stays in force.
    pub changed: bool,
    /// True if this was a dry run and nothing was changed.
    pub dry_run: bool,
    /// The name of what was created: the product, or a preset.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created: Option<String>,
    /// The stop that is in force afterwards; null without one.
    pub emergency_stop: Option<StopDocument>,
    /// When a stop is lifted: one report for each stream in which rollouts were paused.
    pub streams: Vec<Report>,
    /// The JSON that answered the first request, if this one repeats it with the same idempotency key.
    #[serde(skip)]
    pub repeats: Option<Box<str>>,
}

/// The fields of a stored report from which the status and the headers of a response follow.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct StoredReport {
    product: String,
    stream: String,
    revision: i64,
    changed: bool,
    dry_run: bool,
    created: Option<String>,
    existing: Option<String>,
}

impl ProductReport {
    pub(super) fn new(product: &ProductName, state: ProductState, streams: Vec<Report>) -> Self {
        Self {
            product: product.to_string(),
            protocol: state.protocol.map(|protocol| protocol.to_string()),
            changed: false,
            dry_run: false,
            created: None,
            emergency_stop: state.stop.as_ref().map(document::stop),
            streams,
            repeats: None,
        }
    }

    /// Restores a report from the JSON that was sent.
    pub(super) fn from_stored(json: &str) -> serde_json::Result<Self> {
        let StoredReport { product, changed, dry_run, created, .. } = serde_json::from_str(json)?;
        let (protocol, emergency_stop, streams, repeats) = (None, None, Vec::new(), Some(json.into()));
        Ok(Self { product, protocol, changed, dry_run, created, emergency_stop, streams, repeats })
    }

    /// Returns the JSON to send: of a repeated request, the text that was sent the first time.
    ///
    /// # Errors
    /// The report cannot be serialised.
    pub fn to_json(&self) -> serde_json::Result<String> {
        to_json(self, self.repeats.as_deref())
    }
}

impl Report {
    pub(super) fn new(
        id: &StreamId,
        revision: Revision,
        diff: Diff,
        impact: Option<&Impact>,
        findings: Option<Vec<Finding>>,
    ) -> Self {
        Self {
            product: id.product.to_string(),
            stream: id.stream.to_string(),
            revision: revision.0,
            changed: false,
            dry_run: false,
            created: None,
            existing: None,
            builds: None,
            changes: diff.0,
            impact: impact.map(|impact| impact.scopes.iter().map(ImpactReport::new).collect()),
            findings,
            full_report: None,
            repeats: None,
        }
    }

    /// Returns true if impact and findings were computed.
    pub(super) fn is_complete(&self) -> bool {
        self.impact.is_some() && self.findings.is_some()
    }

    /// Restores a report from the JSON that was sent.
    pub(super) fn from_stored(json: &str) -> serde_json::Result<Self> {
        let StoredReport { product, stream, revision, changed, dry_run, created, existing } =
            serde_json::from_str(json)?;
        let (changes, impact, findings, full_report, repeats) = (Vec::new(), None, None, None, Some(json.into()));
        Ok(Self {
            product,
            stream,
            revision,
            changed,
            dry_run,
            created,
            existing,
            builds: None,
            changes,
            impact,
            findings,
            full_report,
            repeats,
        })
    }

    /// Returns the JSON to send: of a repeated request, the text that was sent the first time.
    ///
    /// # Errors
    /// The report cannot be serialised.
    pub fn to_json(&self) -> serde_json::Result<String> {
        to_json(self, self.repeats.as_deref())
    }
}

fn to_json(report: &impl Serialize, repeats: Option<&str>) -> serde_json::Result<String> {
    repeats.map_or_else(|| serde_json::to_string(report), |json| Ok(json.to_owned()))
}

impl ImpactReport {
    fn new(scope: &ScopeImpact) -> Self {
        Self {
            arch: scope.arch.to_string(),
            scheme: scope.scheme.to_string(),
            gained: scope.gained.count,
            lost: scope.lost.count,
            gained_updates: listed_updates(&scope.gained),
            lost_updates: listed_updates(&scope.lost),
            share_affected_now: rounded(scope.affected_now),
            share_affected_eventually: rounded(scope.affected_eventually),
        }
    }
}

fn listed_updates(updates: &Updates) -> Vec<Update> {
    let update = |(from, to): &(Version, Version)| Update { from: from.to_string(), to: to.to_string() };
    updates.first.iter().map(update).collect()
}
