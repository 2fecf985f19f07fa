//! Streams to documents: equal streams give equal documents.

use super::{
    FORMAT,
    shape::{
        AliasDocument, ArtifactDocument, BlockedUpdateDocument, PayloadDocument, PolicyDocument, PromotionDocument,
        ProtectionDocument, ReleaseDocument, RolloutDocument, SelectorDocument, StepDocument, StopDocument,
        StreamDocument,
    },
};
use crate::domain::{
    artifact::{Artifact, ArtifactKey},
    freeze::FreezeWindow,
    origin::Origin,
    protection::Protection,
    ramp::Course,
    reason::Reason,
    release::{Release, ReleaseState},
    rollout::{Rollout, RolloutState},
    selector::Selector,
    share::Share,
    stream::Stream,
};
use std::{collections::BTreeSet, fmt::Display};

impl Stream {
    /// The whole stream as one document.
    #[must_use]
    pub fn to_document(&self) -> StreamDocument {
        let usual = self.usual_origin();
        let writer = Writer { usual: Some(usual) };
        StreamDocument {
            format: FORMAT,
            product: self.id.product.to_string(),
            stream: self.id.stream.to_string(),
            revision: None,
            origin: Some(usual.as_str().into()),
            arches: texts(&self.arches),
            mirrors: texts(&self.mirrors),
            protection: protection(&self.protection),
            emergency_stop: self
                .stop
                .as_ref()
                .map(|stop| StopDocument { since: stop.since.to_string(), reason: stop.reason.as_str().into() }),
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
                    origin: writer.unusual(blocked.origin),
                })
                .collect(),
        }
    }

    /// The origin of most releases, so that the document need not repeat it.
    fn usual_origin(&self) -> Origin {
        let count = |origin: &Origin| self.releases.iter().filter(|release| release.origin == *origin).count();
        Origin::ALL.into_iter().max_by_key(count).unwrap_or(Origin::Git)
    }
}

struct Writer {
    /// Goes without saying.
    usual: Option<Origin>,
}

impl Writer {
    fn unusual(&self, origin: Origin) -> Option<String> {
        (Some(origin) != self.usual).then(|| origin.as_str().into())
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
            ids.iter().map(|id| AliasDocument {
                arch: key.arch.to_string(),
                scheme: key.scheme.to_string(),
                id: id.to_string(),
            })
        });
        ReleaseDocument {
            version: release.version.to_string(),
            state,
            origin: self.unusual(release.origin),
            barrier: release
                .barrier
                .as_ref()
                .map(|barrier| self.policy(&barrier.reason, barrier.arches.as_ref(), barrier.origin)),
            dead_end: release
                .dead_end
                .as_ref()
                .map(|dead_end| self.policy(&dead_end.reason, dead_end.arches.as_ref(), dead_end.origin)),
            rollouts: release.rollouts.iter().map(|rollout| self.rollout(rollout)).collect(),
            cleared: release.cleared.iter().map(|aspect| aspect.as_str().into()).collect(),
            payloads: payloads.collect(),
            aliases: aliases.collect(),
            notes: release.notes.as_ref().map(ToString::to_string),
            artifacts: release.artifacts.iter().map(|(key, artifact)| self::artifact(key, artifact)).collect(),
            promoted_from: release
                .promoted_from
                .as_ref()
                .map(|from| PromotionDocument { stream: from.stream.to_string(), version: from.version.to_string() }),
        }
    }

    fn policy(&self, reason: &Reason, arches: Option<&BTreeSet<impl Display>>, origin: Origin) -> PolicyDocument {
        PolicyDocument { reason: reason.as_str().into(), arches: arches.map(texts), origin: self.unusual(origin) }
    }

    fn rollout(&self, rollout: &Rollout) -> RolloutDocument {
        let (duration, end_share, steps) = match &rollout.ramp.course {
            Course::Constant => (None, None, None),
            Course::Linear { duration, end_share } => {
                let end_share = (*end_share != Share::ALL).then(|| end_share.get());
                (Some(duration.to_string()), end_share, None)
            }
            Course::Steps(steps) => {
                let steps =
                    steps.iter().map(|step| StepDocument { after: step.after.to_string(), share: step.share.get() });
                (None, None, Some(steps.collect()))
            }
        };
        RolloutDocument {
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
            origin: self.unusual(rollout.origin),
        }
    }
}

/// A release on its own, which says who set everything on it.
#[must_use]
pub fn release(release: &Release) -> ReleaseDocument {
    Writer { usual: None }.release(release)
}

/// A rollout on its own.
#[must_use]
pub fn rollout(rollout: &Rollout) -> RolloutDocument {
    Writer { usual: None }.rollout(rollout)
}

/// A file of a release.
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

/// What keeps a stream from being opened in haste; none if nothing does.
#[must_use]
pub fn protection(protection: &Protection) -> Option<ProtectionDocument> {
    (*protection != Protection::default()).then(|| ProtectionDocument {
        shortest_rollout: protection.shortest_rollout.map(|shortest| shortest.to_string()),
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
