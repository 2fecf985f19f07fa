//! Writing of documents. Equal streams produce equal documents.

use super::{
    FORMAT,
    follow_shape::FollowDocument,
    shape::{
        AliasDocument, ArtifactDocument, BlockedUpdateDocument, PayloadDocument, PolicyDocument, PredecessorsDocument,
        PromotionDocument, ProtectionDocument, ReleaseDocument, RolloutDocument, SelectorDocument, StepDocument,
        StopDocument, StreamDocument,
    },
    write_base,
};
use crate::domain::{
    admission::{emergency_stop::EmergencyStop, freeze_window::FreezeWindow, protection::Protection},
    artifact::{Artifact, ArtifactKey},
    origin::Origin,
    policy::graph_rules::{EdgeRule, GraphRules, Identity, TargetLimit},
    reason::Reason,
    release::{Release, ReleaseState},
    rollout::{
        Rollout, RolloutState,
        id::RolloutId,
        ramp::Course,
        selector::Selector,
        share::Share,
        step::{Step, StepGate},
    },
    stream::Stream,
};
use std::{collections::BTreeSet, fmt::Display};

impl Stream {
    /// Returns the complete stream as one document.
    #[must_use]
    pub fn to_document(&self) -> StreamDocument {
        let default_origin = self.most_common_origin();
        let writer = Writer { default_origin: Some(default_origin) };
        let GraphRules { edge_rule, identity, targets } = self.rules;
        StreamDocument {
            format: FORMAT,
            product: self.id.product.to_string(),
            stream: self.id.stream.to_string(),
            revision: None,
            origin: Some(default_origin.as_str().into()),
            description: self.description.as_ref().map(ToString::to_string),
            arches: texts(&self.arches),
            mirrors: texts(&self.mirrors),
            edge_rule: (edge_rule != EdgeRule::default()).then(|| edge_rule.as_str().into()),
            identity: (identity != Identity::default()).then(|| identity.as_str().into()),
            targets: (targets != TargetLimit::default()).then(|| targets.into()),
            protection: protection(&self.protection),
            default_rollout: self.default_rollout.map(|preset| preset.as_str().into()),
            base: self.base.as_ref().map(|base| base.stream.to_string()),
            base_lag: self.base.as_ref().and_then(|base| base.lag).map(|lag| lag.to_string()),
            base_policies: self.base.as_ref().map(|base| write_base::base_policies(&base.policies)).unwrap_or_default(),
            follow: self.follow.as_deref().map(FollowDocument::from),
            emergency_stop: self.stop.as_ref().map(self::stop),
            sources: self.sources.iter().map(|(kind, hash)| (kind.to_string(), hash.to_string())).collect(),
            releases: self.releases.iter().map(|release| writer.release(release)).collect(),
            blocked_updates: self
                .blocked_updates
                .iter()
                .map(|blocked| BlockedUpdateDocument {
                    first: blocked.first.to_string(),
                    last: blocked.last.to_string(),
                    target: blocked.target.to_string(),
                    reason: blocked.reason.as_str().into(),
                    arches: blocked.arches.as_ref().map(texts),
                    origin: writer.explicit_origin(blocked.origin),
                })
                .collect(),
        }
    }

    /// Returns the origin of most releases, which the document states only once.
    fn most_common_origin(&self) -> Origin {
        let count = |origin: &Origin| self.releases.iter().filter(|release| release.origin == *origin).count();
        Origin::ALL.iter().copied().max_by_key(count).unwrap_or(Origin::Git)
    }
}

fn step(step: &Step) -> StepDocument {
    StepDocument {
        after: step.after.to_string(),
        share: step.share.get(),
        over: (step.over.0 > 0).then(|| step.over.to_string()),
        gate: step.gate != StepGate::None,
        passed: step.gate == StepGate::Passed,
    }
}

/// Returns the last id of a rollout, if no rollout of the release shows it.
fn last_rollout_id(release: &Release) -> Option<u32> {
    let highest = release.rollouts.iter().map(|rollout| rollout.id).max().unwrap_or_default();
    Some(release.last_rollout_id).filter(|last| *last > highest).map(RolloutId::number)
}

struct Writer {
    /// The origin that is not written on each value.
    default_origin: Option<Origin>,
}

impl Writer {
    fn explicit_origin(&self, origin: Origin) -> Option<String> {
        (Some(origin) != self.default_origin).then(|| origin.as_str().into())
    }

    fn release(&self, release: &Release) -> ReleaseDocument {
        let state = (release.state != ReleaseState::Published).then(|| release.state.as_str().into());
        let payloads = release.payloads.iter().map(|(key, payload)| PayloadDocument {
            arch: key.arch.to_string(),
            scheme: key.scheme.to_string(),
            id: payload.id.to_string(),
            synthetic: payload.synthetic,
        });
        let aliases = release.aliases.iter().flat_map(|(key, ids)| {
            ids.iter().map(|(id, origin)| AliasDocument {
                arch: key.arch.to_string(),
                scheme: key.scheme.to_string(),
                id: id.to_string(),
                // Documents of earlier versions have none: they were all set here.
                origin: (*origin != Origin::Local).then(|| origin.as_str().into()),
            })
        });
        ReleaseDocument {
            version: release.version.to_string(),
            state,
            origin: self.explicit_origin(release.origin),
            barrier: release
                .barrier
                .as_ref()
                .map(|barrier| self.policy(&barrier.reason, barrier.arches.as_ref(), barrier.origin)),
            dead_end: release
                .dead_end
                .as_ref()
                .map(|dead_end| self.policy(&dead_end.reason, dead_end.arches.as_ref(), dead_end.origin)),
            predecessors: release.predecessors.as_ref().map(|predecessors| PredecessorsDocument {
                versions: texts(&predecessors.versions),
                origin: self.explicit_origin(predecessors.origin),
            }),
            rollouts: release.rollouts.iter().map(|rollout| self.rollout(rollout)).collect(),
            last_rollout_id: last_rollout_id(release),
            suppressed_upstream: release.suppressed_upstream.iter().map(|policy| policy.as_str().into()).collect(),
            payloads: payloads.collect(),
            aliases: aliases.collect(),
            notes: release.notes.as_ref().map(ToString::to_string),
            artifacts: release.artifacts.iter().map(|(key, artifact)| self::artifact(key, artifact)).collect(),
            promoted_from: release
                .promoted_from
                .as_ref()
                .map(|from| PromotionDocument { stream: from.stream.to_string(), version: from.version.to_string() }),
            built_on: write_base::built_on(release.built_on.as_deref()),
        }
    }

    fn policy(&self, reason: &Reason, arches: Option<&BTreeSet<impl Display>>, origin: Origin) -> PolicyDocument {
        PolicyDocument {
            reason: reason.as_str().into(),
            arches: arches.map(texts),
            origin: self.explicit_origin(origin),
        }
    }

    fn rollout(&self, rollout: &Rollout) -> RolloutDocument {
        let (duration, end_share, steps) = match &rollout.ramp.course {
            Course::Constant => (None, None, None),
            Course::Linear { duration, end_share } => {
                let end_share = (*end_share != Share::ALL).then(|| end_share.get());
                (Some(duration.to_string()), end_share, None)
            }
            Course::Steps(steps) => (None, None, Some(steps.iter().map(step).collect())),
        };
        RolloutDocument {
            id: Some(rollout.id.number()).filter(|_| !rollout.id.is_new()),
            selector: (!rollout.selector.is_any()).then(|| selector(&rollout.selector)),
            start: rollout.ramp.start.map(|start| start.to_string()),
            start_share: rollout.ramp.start_share.map(Share::get),
            duration,
            end_share,
            steps,
            state: (rollout.state != RolloutState::Active).then(|| rollout.state.as_str().into()),
            paused_at: match rollout.state {
                RolloutState::Paused { at } => Some(at.to_string()),
                _ => None,
            },
            stood_still_seconds: u64::try_from(rollout.clock.stood_still).ok().filter(|seconds| *seconds > 0),
            first_opened: rollout.clock.first_opened.map(|at| at.to_string()),
            origin: self.explicit_origin(rollout.origin),
        }
    }
}

/// Returns the document of an emergency stop.
#[must_use]
pub fn stop(stop: &EmergencyStop) -> StopDocument {
    StopDocument { since: stop.since.to_string(), reason: stop.reason.as_str().into() }
}

/// Returns the document of a single release, with the origin of every value.
#[must_use]
pub fn release(release: &Release) -> ReleaseDocument {
    Writer { default_origin: None }.release(release)
}

/// Returns the document of a single rollout, with its origin.
#[must_use]
pub fn rollout(rollout: &Rollout) -> RolloutDocument {
    Writer { default_origin: None }.rollout(rollout)
}

/// Returns the document of an artifact.
#[must_use]
pub fn artifact(key: &ArtifactKey, artifact: &Artifact) -> ArtifactDocument {
    ArtifactDocument {
        arch: key.arch.to_string(),
        name: key.name.to_string(),
        url: artifact.location.to_string(),
        sha256: artifact.sha256.map(|hash| hash.to_string()),
        size: artifact.size,
    }
}

/// Returns the document of a protection, or `None` if nothing is protected.
#[must_use]
pub fn protection(protection: &Protection) -> Option<ProtectionDocument> {
    (*protection != Protection::default()).then(|| ProtectionDocument {
        shortest_rollout: protection.shortest_rollout.map(|shortest| shortest.to_string()),
        canaries: texts(&protection.canaries),
        freeze_windows: protection.freeze_windows.iter().map(FreezeWindow::to_document).collect(),
    })
}

fn selector(selector: &Selector) -> SelectorDocument {
    SelectorDocument {
        arches: selector.arches.as_ref().map(texts),
        schemes: selector.schemes.as_ref().map(texts),
        groups: selector.groups.as_ref().map(texts),
        platforms: selector.platforms.as_ref().map(texts),
    }
}

fn texts(values: &BTreeSet<impl Display>) -> Vec<String> {
    values.iter().map(ToString::to_string).collect()
}
