//! Changes and findings in the form of JSON, for reports and the API.

use crate::domain::{
    diff::{Change, Target},
    finding::{Finding, Severity},
};
use serde::{Serialize, Serializer};
use utoipa::ToSchema;

/// One change. Without `before` it is an addition, without `after` a removal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = Change, example = json!({
    "subject": "release 44.20260722.3.0", "before": "draft, age index 179 (local)", "after": "published, age index 179 (local)",
    "target": { "kind": "release", "release": "44.20260722.3.0" }
}))]
pub struct ChangeReport {
    /// What changed, as text for people.
    pub subject: String,
    /// The value before the change, as text for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<String>,
    /// The value after the change, as text for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
    /// What changed, for programs.
    pub target: ChangeTarget,
}

/// What a change is about. Fields that do not identify this kind of target are absent.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, ToSchema)]
#[schema(example = json!({ "kind": "payload", "release": "44.20260722.3.0", "arch": "x86_64", "scheme": "oci" }))]
pub struct ChangeTarget {
    /// Of the stream: `description`, `arch`, `mirror`, `edge_rule`, `identity`, `targets`, `default_rollout`, `base`, `base_lag`, `base_policy`, `follow`,
    /// `shortest_rollout`, `canaries`, `freeze_window`, `emergency_stop`, `upstream_document` or `blocked_update`. Of a release: `release` (its state and age), `barrier`, `dead_end`, `predecessors`,
    /// `rollout`, `rollout_order`, `suppressed_upstream`, `payload`, `alias`, `artifact`, `notes`, `built_on` or `promotion`. New kinds may be added.
    pub kind: &'static str,
    /// The version of the release; of a blocked update, the release that must not be the target.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub release: Option<String>,
    /// The number among the releases of this version, if upstream lists it more than once and this is not the first one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub occurrence: Option<usize>,
    /// The id of the rollout.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<u32>,
    /// The arch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub arch: Option<String>,
    /// The payload scheme.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scheme: Option<String>,
    /// The alias, the mirror, the name of the artifact, the kind of upstream document, or the suppressed policy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The oldest release of a blocked range, or the first moment of a freeze window.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// The newest release of a blocked range, or the first moment after a freeze window.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<String>,
    /// The time zone of a weekly freeze window.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub zone: Option<String>,
}

/// One result of a check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = Finding, example = json!({
    "code": "LK1004", "name": "missing-payload", "severity": "warning", "place": "release 44.20260722.3.0",
    "message": "has no payload on s390x"
}))]
pub struct FindingReport {
    /// What it is about, for programs: `LK1001`. It stays the same when the message changes.
    pub code: String,
    /// The code in words: `version-order`.
    pub name: &'static str,
    /// Its severity.
    pub severity: SeverityReport,
    /// Where the problem is, as text for people: a document and a path in it, or a release. The `subject` of an audit entry is
    /// something else: the target of an action.
    pub place: String,
    /// What was found, and what was done about it.
    pub message: String,
}

/// The severity of a finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = Severity)]
pub enum SeverityReport {
    /// Unusual, but handled as the rules say.
    Warning,
    /// Needs attention after an import: a local value was kept, or upstream removed or changed something.
    Drift,
    /// Rejected, because it would do harm.
    Error,
}

impl From<&Change> for ChangeReport {
    fn from(change: &Change) -> Self {
        Self {
            subject: change.target.to_string(),
            before: change.before.as_ref().map(ToString::to_string),
            after: change.after.as_ref().map(ToString::to_string),
            target: ChangeTarget::from(&change.target),
        }
    }
}

impl From<&Target> for ChangeTarget {
    fn from(target: &Target) -> Self {
        let with_kind = |kind| {
            let release = target.release();
            Self {
                kind,
                release: release.map(|release| release.version.to_string()),
                occurrence: release.map(|release| release.occurrence).filter(|occurrence| *occurrence > 1),
                ..Self::default()
            }
        };
        match target {
            Target::Description => with_kind("description"),
            Target::Arch(arch) => Self { arch: Some(arch.to_string()), ..with_kind("arch") },
            Target::Mirror(mirror) => Self { name: Some(mirror.to_string()), ..with_kind("mirror") },
            Target::EdgeRule => with_kind("edge_rule"),
            Target::Identity => with_kind("identity"),
            Target::Targets => with_kind("targets"),
            Target::DefaultRollout => with_kind("default_rollout"),
            Target::Base => with_kind("base"),
            Target::BaseLag => with_kind("base_lag"),
            Target::BasePolicy { version, kind } => Self {
                release: Some(version.to_string()),
                name: Some(kind.as_str().into()),
                ..with_kind("base_policy")
            },
            Target::Follow => with_kind("follow"),
            Target::ShortestRollout => with_kind("shortest_rollout"),
            Target::Canaries => with_kind("canaries"),
            Target::FreezeWindow { from, until, zone } => {
                let [from, until] = [from, until].map(|moment| Some(moment.clone()));
                Self { from, until, zone: zone.clone(), ..with_kind("freeze_window") }
            }
            Target::EmergencyStop => with_kind("emergency_stop"),
            Target::UpstreamDocument(kind) => Self { name: Some(kind.to_string()), ..with_kind("upstream_document") },
            Target::Release(_) => with_kind("release"),
            Target::Barrier(_) => with_kind("barrier"),
            Target::DeadEnd(_) => with_kind("dead_end"),
            Target::Predecessors(_) => with_kind("predecessors"),
            Target::Rollout { id, .. } => Self { id: Some(id.number()), ..with_kind("rollout") },
            Target::RolloutOrder(_) => with_kind("rollout_order"),
            Target::SuppressedUpstream { policy, .. } => {
                Self { name: Some(policy.as_str().into()), ..with_kind("suppressed_upstream") }
            }
            Target::Payload { key, .. } => {
                Self { arch: Some(key.arch.to_string()), scheme: Some(key.scheme.to_string()), ..with_kind("payload") }
            }
            Target::Alias { id, key, .. } => Self {
                arch: Some(key.arch.to_string()),
                scheme: Some(key.scheme.to_string()),
                name: Some(id.to_string()),
                ..with_kind("alias")
            },
            Target::Artifact { key, .. } => {
                Self { arch: Some(key.arch.to_string()), name: Some(key.name.to_string()), ..with_kind("artifact") }
            }
            Target::Notes(_) => with_kind("notes"),
            Target::Promotion(_) => with_kind("promotion"),
            Target::BuiltOn { arch, .. } => Self { arch: Some(arch.to_string()), ..with_kind("built_on") },
            Target::BlockedUpdate { first, last, target } => {
                let [release, from, until] = [target, first, last].map(|version| Some(version.to_string()));
                Self { release, from, until, ..with_kind("blocked_update") }
            }
        }
    }
}

impl From<&Finding> for FindingReport {
    fn from(finding: &Finding) -> Self {
        let severity = match finding.severity {
            Severity::Warning => SeverityReport::Warning,
            Severity::Drift => SeverityReport::Drift,
            Severity::Error => SeverityReport::Error,
        };
        let (code, name) = (format!("LK{}", finding.code.number()), finding.code.name());
        Self { code, name, severity, place: finding.place.clone(), message: finding.message.clone() }
    }
}

/// Serialises changes as a list of [`ChangeReport`].
pub(super) fn changes<S: Serializer>(changes: &[Change], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(changes.iter().map(ChangeReport::from))
}

/// Serialises findings as a list of [`FindingReport`], or as null.
#[expect(clippy::ref_option, reason = "serde passes a reference")]
pub(super) fn findings<S: Serializer>(findings: &Option<Vec<Finding>>, serializer: S) -> Result<S::Ok, S::Error> {
    match findings {
        Some(findings) => serializer.collect_seq(findings.iter().map(FindingReport::from)),
        None => serializer.serialize_none(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{base, diff::Diff};
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_target_of_a_diff_is_different(before in base::samples::stream(), after in base::samples::stream()) {
            let targets: Vec<String> = Diff::between(&before, &after)
                .0
                .iter()
                .map(|change| serde_json::to_string(&ChangeTarget::from(&change.target)).unwrap())
                .collect();
            let distinct: std::collections::BTreeSet<&String> = targets.iter().collect();
            prop_assert_eq!(distinct.len(), targets.len());
        }
    }
}
