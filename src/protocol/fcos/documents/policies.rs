//! The policies of a release in the form of `updates.json`. They never admit more nodes than the service does.

use crate::domain::{
    base::BasePolicyKind,
    epoch::Epoch,
    finding::{Code, Finding},
    ids::Arch,
    policy::graph_rules::EdgeRule,
    release::{Release, ReleaseState},
    rollout::{
        Rollout, RolloutState,
        ramp::Course,
        share::{OpenShare, Share},
        step::before_gate,
    },
    stream::Stream,
};

/// The policies of one version, as the format expresses them.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct WirePolicies {
    pub(super) barrier: Option<String>,
    pub(super) dead_end: Option<String>,
    pub(super) rollout: Option<WireRollout>,
}

/// A rollout, as the format expresses it.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(super) struct WireRollout {
    pub(super) start_epoch: Option<i64>,
    pub(super) start_percentage: Option<f64>,
    pub(super) duration_minutes: Option<u64>,
}

/// Which nodes a release admits.
enum Exposure {
    /// The release has no rollout: a barrier admits all nodes, any other release none.
    NoRollout,
    /// All nodes.
    All,
    /// The nodes that a rollout admits.
    Rollout(WireRollout),
    /// No node.
    Closed,
}

impl WireRollout {
    /// A rollout that admits no node. A share of 0 would still admit nodes with wariness 0.
    pub(super) const CLOSED: Self = Self { start_epoch: None, start_percentage: Some(-1.0), duration_minutes: None };

    fn constant(share: f64) -> Self {
        Self { start_percentage: Some(share), ..Self::default() }
    }
}

/// Returns the policies of a release at the time of `input`. Adds a finding for each value that the format cannot express.
pub(super) fn policies(
    input: &super::DocumentInput<'_>,
    release: &Release,
    findings: &mut Vec<Finding>,
) -> WirePolicies {
    let (stream, now) = (input.stream, input.now);
    let mut warn = |message: &str| {
        findings.push(Finding::warning(
            Code::NotExpressible,
            format!("release {}", release.version),
            format!("updates.json cannot express that {message}"),
        ));
    };
    if release.barrier.as_ref().is_some_and(|barrier| barrier.arches.is_some()) {
        warn("it is a barrier only on some architectures; it is written as a barrier on all");
    }
    if release.dead_end.as_ref().is_some_and(|dead_end| dead_end.arches.is_some()) {
        warn("it is a dead end only on some architectures; it is written as a dead end on all");
    }
    let mut arches = release.payloads.keys().map(|key| &key.arch);
    let inherited = arches.find_map(|arch| stream.inherited_reason(release, BasePolicyKind::DeadEnd, arch));
    let dead_end = release.dead_end.as_ref().map(|dead_end| &dead_end.reason).or(inherited);
    let exposure = if input.is_stopped { Exposure::Closed } else { exposure(stream, release, now, &mut warn) };
    let rollout = match exposure {
        Exposure::NoRollout => None,
        Exposure::Rollout(rollout) => Some(rollout),
        Exposure::All => Some(WireRollout::constant(1.0)),
        // Without a rollout a barrier would admit all nodes; any other release admits none.
        Exposure::Closed => release.barrier.is_some().then_some(WireRollout::CLOSED),
    };
    WirePolicies {
        barrier: release.barrier.as_ref().map(|barrier| barrier.reason.as_str().into()),
        dead_end: dead_end.map(|reason| reason.as_str().into()),
        rollout,
    }
}

fn exposure(stream: &Stream, release: &Release, now: Epoch, warn: &mut impl FnMut(&str)) -> Exposure {
    if release.state == ReleaseState::Withdrawn {
        return Exposure::Closed;
    }
    if stream.blocked_updates.iter().any(|blocked| blocked.target == release.version) {
        warn("updates to it are blocked from some releases; it is written as closed");
        return Exposure::Closed;
    }
    if crosses_base_barrier(stream, release) {
        warn("a barrier of the base is before it; it is written as closed");
        return Exposure::Closed;
    }
    let edge_rule = stream.rules.edge_rule;
    if edge_rule == EdgeRule::Explicit {
        if release.predecessors.is_some() {
            warn("only its predecessors may update to it; it is written as closed");
        }
        return Exposure::Closed;
    }
    let limited_barrier = release.barrier.as_ref().is_some_and(|barrier| barrier.arches.is_some());
    let for_all = release.rollouts.iter().position(|rollout| rollout.selector.is_any());
    match (release.rollouts.is_empty(), for_all) {
        (true, _) if edge_rule == EdgeRule::Open => Exposure::All,
        // On the architectures without the barrier, no update leads to the release.
        (true, _) if limited_barrier => Exposure::Closed,
        (true, _) => Exposure::NoRollout,
        (false, Some(index)) => {
            let (before, rest) = release.rollouts.split_at(index);
            if !before.iter().all(|rollout| is_permanently_open(rollout, now)) {
                warn("some nodes are admitted later than others; it is written as closed");
                return Exposure::Closed;
            }
            if !before.is_empty() {
                warn("some nodes are admitted first; it is written with the rollout of the other nodes");
            }
            rest.first().map_or(Exposure::Closed, |rollout| wire_rollout(rollout, now, warn))
        }
        (false, None) => {
            warn("its rollouts are only for some nodes; it is written as closed");
            Exposure::Closed
        }
    }
}

/// Returns true if the base forbids an update to a release from an older one that has a build on the same arch.
fn crosses_base_barrier(stream: &Stream, release: &Release) -> bool {
    let Some(base) = &stream.base else { return false };
    let on = |release: &Release, arch: &Arch| Some(release.built_on.as_ref()?.get(arch)?.age);
    release.payloads.keys().any(|key| {
        let Some(to) = on(release, &key.arch) else { return true };
        let last = base.barriers_on(&key.arch).map(|barrier| barrier.release.age).rfind(|age| *age < to);
        let older = stream.aged().take_while(|(_, other)| other.version != release.version);
        let mut ages = older.filter_map(|(_, other)| on(other, &key.arch));
        ages.any(|from| from > to || last.is_some_and(|last| from < last))
    })
}

/// Returns true if the rollout admits all nodes that it selects, now and at any later time.
fn is_permanently_open(rollout: &Rollout, now: Epoch) -> bool {
    let open_now = matches!(rollout.open_share(now), OpenShare::Open(share) if share >= 1.0);
    let stays_open = match (&rollout.state, &rollout.ramp.course) {
        (RolloutState::Active, Course::Linear { end_share, .. }) => end_share.get() >= 1.0,
        (RolloutState::Active, Course::Steps(steps)) => before_gate(steps).iter().all(|step| step.share.get() >= 1.0),
        _ => true,
    };
    open_now && stays_open
}

fn wire_rollout(rollout: &Rollout, now: Epoch, warn: &mut impl FnMut(&str)) -> Exposure {
    let ramp = &rollout.present_ramp();
    let start = WireRollout {
        start_epoch: ramp.start.map(|start| start.0),
        start_percentage: ramp.start_share.map(Share::get),
        duration_minutes: None,
    };
    match (rollout.state, &ramp.course) {
        (RolloutState::Active, Course::Constant) => Exposure::Rollout(start),
        (RolloutState::Active, Course::Linear { duration, end_share }) if *end_share == Share::ALL => {
            Exposure::Rollout(WireRollout { duration_minutes: Some(duration.0), ..start })
        }
        (RolloutState::Active, _) => {
            warn("it is rolled out in steps or not to all nodes; it is written with its share now");
            Exposure::Rollout(WireRollout::constant(ramp.share_at(now)))
        }
        (RolloutState::Paused { at }, _) => Exposure::Rollout(WireRollout::constant(ramp.share_at(at))),
        (RolloutState::Completed, _) => Exposure::Rollout(WireRollout::constant(1.0)),
        (RolloutState::Aborted, _) => Exposure::Closed,
    }
}

/// Returns true if one of the rollouts is written as its share at a given time.
pub(super) fn depends_on_time(release: &Release) -> bool {
    release.rollouts.iter().any(|rollout| {
        let exact = match &rollout.ramp.course {
            Course::Constant => rollout.selector.is_any(),
            Course::Linear { end_share, .. } => rollout.selector.is_any() && *end_share == Share::ALL,
            Course::Steps(_) => false,
        };
        rollout.state == RolloutState::Active && !exact
    })
}
