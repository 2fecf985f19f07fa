//! What `updates.json` can say of a release's policies: never more open than what is served.

use crate::domain::{
    epoch::Epoch,
    finding::Finding,
    ramp::Course,
    release::{Release, ReleaseState},
    rollout::{Rollout, RolloutState},
    share::{OpenShare, Share},
    stream::Stream,
};

/// The policies of one version in the words of the format.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Told {
    pub(super) barrier: Option<String>,
    pub(super) dead_end: Option<String>,
    pub(super) rollout: Option<ToldRollout>,
}

/// A rollout in the words of the format.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(super) struct ToldRollout {
    pub(super) start_epoch: Option<i64>,
    pub(super) start_percentage: Option<f64>,
    pub(super) duration_minutes: Option<u64>,
}

/// How a release is opened.
enum Opening {
    /// No rollout stands before it: a barrier is open to all, anything else has no way in.
    Free,
    /// A rollout that the format can say.
    Rollout(ToldRollout),
    /// To nobody.
    Closed,
}

impl ToldRollout {
    /// Closed even to wariness 0, which passes a share of 0.
    pub(super) const CLOSED: Self = Self { start_epoch: None, start_percentage: Some(-1.0), duration_minutes: None };

    fn constant(share: f64) -> Self {
        Self { start_percentage: Some(share), ..Self::default() }
    }
}

/// The policies of a release at `now`, and what had to be told otherwise than it is.
pub(super) fn tell(stream: &Stream, release: &Release, now: Epoch, findings: &mut Vec<Finding>) -> Told {
    let mut find = |message: &str| {
        findings.push(Finding::warning(
            format!("release {}", release.version),
            format!("updates.json cannot say that {message}"),
        ));
    };
    if release.barrier.as_ref().is_some_and(|barrier| barrier.arches.is_some()) {
        find("its barrier stands on some arches alone; it is told for all");
    }
    if release.dead_end.as_ref().is_some_and(|dead_end| dead_end.arches.is_some()) {
        find("it is a dead end on some arches alone; it is told for all");
    }
    let rollout = match opening(stream, release, now, &mut find) {
        Opening::Free => None,
        Opening::Rollout(rollout) => Some(rollout),
        // Without a rollout a barrier would be open to all, and anything else is closed.
        Opening::Closed => release.barrier.is_some().then_some(ToldRollout::CLOSED),
    };
    Told {
        barrier: release.barrier.as_ref().map(|barrier| barrier.reason.as_str().into()),
        dead_end: release.dead_end.as_ref().map(|dead_end| dead_end.reason.as_str().into()),
        rollout,
    }
}

fn opening(stream: &Stream, release: &Release, now: Epoch, find: &mut impl FnMut(&str)) -> Opening {
    if release.state == ReleaseState::Withdrawn {
        return Opening::Closed;
    }
    if stream.blocked_updates.iter().any(|blocked| blocked.target == release.version) {
        find("some releases must not go to it directly; it is told as closed");
        return Opening::Closed;
    }
    let limited_barrier = release.barrier.as_ref().is_some_and(|barrier| barrier.arches.is_some());
    let for_all = release.rollouts.iter().position(|rollout| rollout.selector.is_any());
    match (release.rollouts.is_empty(), for_all) {
        // Where the barrier does not stand, nothing leads to it.
        (true, _) if limited_barrier => Opening::Closed,
        (true, _) => Opening::Free,
        (false, Some(index)) => {
            let (before, rest) = release.rollouts.split_at(index);
            if !before.iter().all(|rollout| is_open_for_good(rollout, now)) {
                find("some nodes are let in less than the others; it is told as closed");
                return Opening::Closed;
            }
            if !before.is_empty() {
                find("some nodes are let in first; they are told as the others");
            }
            rest.first().map_or(Opening::Closed, |rollout| told(rollout, now, find))
        }
        (false, None) => {
            find("its rollouts are for some nodes alone; it is told as closed");
            Opening::Closed
        }
    }
}

/// Is it open to all that it is for, now and ever after?
fn is_open_for_good(rollout: &Rollout, now: Epoch) -> bool {
    let open_now = matches!(rollout.open_share(now), OpenShare::Open(share) if share >= 1.0);
    let stays = match (&rollout.state, &rollout.ramp.course) {
        (RolloutState::Active, Course::Linear { end_share, .. }) => end_share.get() >= 1.0,
        (RolloutState::Active, Course::Steps(steps)) => {
            steps.iter().all(|step| step.share.get() >= 1.0) || steps.is_empty()
        }
        _ => true,
    };
    open_now && stays
}

fn told(rollout: &Rollout, now: Epoch, find: &mut impl FnMut(&str)) -> Opening {
    let ramp = &rollout.ramp;
    let start = ToldRollout {
        start_epoch: ramp.start.map(|start| start.0),
        start_percentage: ramp.start_share.map(Share::get),
        duration_minutes: None,
    };
    match (rollout.state, &ramp.course) {
        (RolloutState::Active, Course::Constant) => Opening::Rollout(start),
        (RolloutState::Active, Course::Linear { duration, end_share }) if *end_share == Share::ALL => {
            Opening::Rollout(ToldRollout { duration_minutes: Some(duration.0), ..start })
        }
        (RolloutState::Active, _) => {
            find("it opens in steps or to less than all; its share now is told");
            Opening::Rollout(ToldRollout::constant(ramp.share_at(now)))
        }
        (RolloutState::Paused { at }, _) => Opening::Rollout(ToldRollout::constant(ramp.share_at(at))),
        (RolloutState::Completed, _) => Opening::Rollout(ToldRollout::constant(1.0)),
        (RolloutState::Aborted, _) => Opening::Closed,
    }
}

/// Is one of its rollouts told by its share at a time?
pub(super) fn moves_with_time(release: &Release) -> bool {
    release.rollouts.iter().any(|rollout| {
        let exact = match &rollout.ramp.course {
            Course::Constant => rollout.selector.is_any(),
            Course::Linear { end_share, .. } => rollout.selector.is_any() && *end_share == Share::ALL,
            Course::Steps(_) => false,
        };
        rollout.state == RolloutState::Active && !exact
    })
}
