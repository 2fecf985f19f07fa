//! Random sequences of commands on rollouts, with time between them: what holds in all of them, whatever order they come in.

use super::{
    all_rollouts::{PauseRollouts, ResumeRollouts},
    documents::PutDocument,
    restore::RestoreStream,
    revert::RevertStream,
    rollout_actions::{
        AbortRollout, AccelerateRollout, AdvanceRollout, Further, HoldRollout, PauseRollout, RestartRollout,
        ResumeRollout,
    },
    rollouts::{CreateRollout, OrderRollouts, RolloutPlan},
};
use crate::{
    auth::{Identity, Role},
    domain::{
        duration::Minutes,
        epoch::Epoch,
        rollout::{
            Rollout, RolloutState,
            id::RolloutId,
            preset::Preset,
            ramp::{Course, Ramp},
            selector::{BoxedSelector, Label},
            share::{OpenShare, Share},
            step::{Step, StepGate},
        },
        stream::{Revision, Stream},
    },
    manage::{
        address::RolloutAddress,
        command::{Command, LoadedReads},
        plan::{Loaded, plan},
        request::Request,
        testing::{HOUR, at, caller, found, found_mut, loaded, numbered, release, stream, timestamp},
    },
};
use fastrand::Rng;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

const SEQUENCES: u64 = 10_000;
const STEPS: usize = 14;

/// What the properties are about, and what enough sequences must contain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    WaitingGate,
    PauseAtGate,
    AdvanceWhilePaused,
    RevertAcrossAnAdvance,
}

/// A stream, its earlier states, and what its rollouts were.
struct Sequence {
    rng: Rng,
    caller: Identity,
    now: Epoch,
    states: Vec<Arc<Stream>>,
    /// The revisions after which a rollout had been advanced.
    advances: Vec<usize>,
    /// The nodes that each rollout was ever for.
    nodes: BTreeMap<RolloutId, BoxedSelector>,
    contains: BTreeSet<Kind>,
}

fn share(share: f64) -> Share {
    Share::new(share).unwrap()
}

fn for_group(rollout: &Rollout, group: &str) -> Rollout {
    let mut rollout = rollout.clone();
    rollout.selector.groups = Some([Label::parse(group).unwrap()].into());
    rollout
}

/// Returns a stream whose release 3 has a gated rollout, a linear one, and one in daily steps.
fn first_state() -> Stream {
    let hours = |hours: u64| Minutes(hours * 60);
    let steps = vec![
        Step::at_once(hours(2), share(0.1)),
        Step { gate: StepGate::Closed, ..Step::at_once(hours(4), share(0.3)) },
        // Another gate at the same time.
        Step { gate: StepGate::Closed, ..Step::at_once(hours(4), share(0.4)) },
        Step { over: hours(20), ..Step::at_once(hours(4), share(0.6)) },
        Step { gate: StepGate::Closed, ..Step::at_once(hours(30), Share::ALL) },
    ];
    let gated = Ramp { start: Some(at(0)), start_share: None, course: Course::Steps(steps) };
    let all = Preset::Linear48h.rollout(at(0));
    let mut first = stream();
    found_mut(&mut first, "3").rollouts = vec![
        for_group(&all.with_plan(gated), "gated"),
        for_group(&all, "linear"),
        for_group(&Preset::Week.rollout(at(0)), "week"),
    ];
    numbered(first)
}

fn open(rollout: &Rollout, now: Epoch) -> f64 {
    match rollout.open_share(now) {
        OpenShare::Open(share) => share,
        OpenShare::Closed => -1.0,
    }
}

impl Sequence {
    fn new(seed: u64) -> Self {
        let first = Arc::new(first_state());
        let nodes = rollouts(&first).iter().map(|rollout| (rollout.id, rollout.selector.clone())).collect();
        let (rng, caller) = (Rng::with_seed(seed), caller(Role::Admin));
        let (states, advances, contains) = (vec![first], Vec::new(), BTreeSet::new());
        Self { rng, caller, now: at(1), states, advances, nodes, contains }
    }

    fn present(&self) -> Arc<Stream> {
        self.states.last().unwrap().clone()
    }

    fn any_rollout(&mut self) -> Rollout {
        let present = self.present();
        let rollouts = rollouts(&present);
        // Mostly the first one, which has the gates.
        let index = if self.rng.bool() { 0 } else { self.rng.usize(..rollouts.len()) };
        rollouts[index].clone()
    }

    /// Draws a command, with the revision that it reads and the rollout that most commands are about.
    fn command(&mut self) -> (Box<dyn Command>, Option<usize>, Rollout) {
        let stream = self.present().id.clone();
        let target = self.any_rollout();
        let rollout = RolloutAddress { release: release("3"), id: target.id };
        let to = share(f64::from(self.rng.u8(..=100)) / 100.0);
        let over = self.rng.bool().then(|| Minutes(self.rng.u64(1..2000)));
        let command: Box<dyn Command> = match self.rng.u8(..16) {
            0..=2 => Box::new(PauseRollout { rollout }),
            3..=4 => Box::new(ResumeRollout { rollout }),
            5..=7 => Box::new(AdvanceRollout { rollout, further: Further::PastGate }),
            8 => Box::new(AdvanceRollout { rollout, further: Further::To { share: to, over } }),
            9 => Box::new(CreateRollout {
                release: release("3"),
                plan: RolloutPlan {
                    document: toml::from_str(&format!(
                        "duration = \"PT48H\"\nselector = {{ groups = [\"group {}\"] }}",
                        self.rng.u32(..)
                    ))
                    .unwrap(),
                    preset: None,
                    waits_for_windows: false,
                },
                before: self.rng.bool().then_some(target.id),
            }),
            10 => {
                let mut ids: Vec<RolloutId> = rollouts(&self.present()).iter().map(|rollout| rollout.id).collect();
                self.rng.shuffle(&mut ids);
                Box::new(OrderRollouts { release: release("3"), ids })
            }
            11 => Box::new(PutDocument { written: self.document() }),
            12 => {
                let to = self.rng.usize(..self.states.len());
                let command: Box<dyn Command> = if self.rng.u8(..4) > 0 {
                    Box::new(RevertStream { stream, to: Revision(1) })
                } else {
                    Box::new(RestoreStream { saved: Stream::clone(&self.states[to]) })
                };
                return (command, Some(to), target);
            }
            13 if self.rng.bool() => Box::new(AbortRollout { rollout }),
            13 => Box::new(RestartRollout { rollout }),
            14 if self.rng.bool() => Box::new(HoldRollout { rollout, share: to }),
            14 => Box::new(AccelerateRollout { rollout, within: Minutes(self.rng.u64(1..3000)) }),
            _ if self.rng.bool() => Box::new(PauseRollouts { stream }),
            _ => Box::new(ResumeRollouts { stream }),
        };
        (command, None, target)
    }

    /// Returns the present state as a document that a person wrote: in another order, and without ids.
    fn document(&mut self) -> Stream {
        let mut written = Stream::clone(&self.present());
        let release = found_mut(&mut written, "3");
        // Rollouts for the same nodes are known by their order.
        release.rollouts.sort_by_key(|rollout| rollout.selector.groups.clone());
        for rollout in &mut release.rollouts {
            rollout.id = RolloutId::NEW;
        }
        release.last_rollout_id = RolloutId::NEW;
        written
    }

    /// Carries out a command, and checks what it may change.
    fn execute(&mut self) {
        let (command, to, target) = self.command();
        let before = self.present();
        let revision = to.map(|to| self.states[to].clone());
        let mut loaded = loaded(&before.id, None);
        loaded.head.revision = Revision(i64::try_from(self.states.len()).unwrap());
        let loaded =
            Loaded { stream: Some(before.clone()), read: LoadedReads { revision, ..LoadedReads::default() }, ..loaded };
        let name = command.action().name;
        let is_paused = |rollout: &Rollout| matches!(rollout.state, RolloutState::Paused { .. });
        let request = Request { acknowledge: true, ..Request::new(&self.caller, "a test") };
        let planned = plan(&*command, &request, &loaded, timestamp(self.now));
        if name == "rollout.advance" && is_paused(&target) {
            assert!(planned.is_err(), "a paused rollout was advanced");
            self.contains.insert(Kind::AdvanceWhilePaused);
        }
        let Ok(planned) = planned else { return };
        let Some(next) = planned.next else { return };
        let after = next.stream;
        let waited = |id| rollouts(&before).iter().any(|known| known.id == id && known.is_waiting(self.now));
        if rollouts(&after).iter().any(|rollout| is_paused(rollout) && waited(rollout.id)) {
            self.contains.insert(Kind::PauseAtGate);
        }
        if to.is_some_and(|to| self.advances.iter().any(|advance| *advance > to)) {
            self.contains.insert(Kind::RevertAcrossAnAdvance);
        }
        self.check_ids(&before, &after, name);
        for rollout in rollouts(&after) {
            let Some(known) = rollouts(&before).iter().find(|known| known.id == rollout.id) else { continue };
            let [old, new] = [known, rollout].map(|rollout| open(rollout, self.now));
            match name {
                "rollout.advance" => assert!(new >= old, "an advance lowered a share"),
                "rollout.abort" | "stream.revert" | "stream.restore" => {}
                _ => assert!((new - old).abs() < 1e-9, "{name} changed the open share from {old} to {new}"),
            }
            let may_pass = ["rollout.advance", "stream.revert", "stream.restore", "rollout.hold", "rollout.accelerate"]
                .contains(&name);
            assert!(may_pass || gates(rollout) == gates(known), "{name} passed a gate");
        }
        if name == "rollout.advance" {
            self.advances.push(self.states.len());
        }
        self.states.push(after);
    }

    /// Ids stay, whatever the order; a new one is higher than all before.
    fn check_ids(&mut self, before: &Stream, after: &Stream, name: &str) {
        let [old, new] = [before, after].map(|stream| found(stream, "3"));
        assert!(new.last_rollout_id >= old.last_rollout_id, "{name} gave an id again");
        for rollout in &new.rollouts {
            match self.nodes.get(&rollout.id) {
                Some(nodes) => assert_eq!(*nodes, rollout.selector, "{name} gave an id to a rollout for other nodes"),
                None => assert!(rollout.id > old.last_rollout_id, "{name} gave an id again"),
            }
            self.nodes.insert(rollout.id, rollout.selector.clone());
        }
        let keeps_all = !["stream.revert", "stream.restore"].contains(&name);
        let is_kept = |rollout: &Rollout| new.rollouts.iter().any(|other| other.id == rollout.id);
        assert!(!keeps_all || old.rollouts.iter().all(is_kept), "{name} lost a rollout");
    }

    /// Lets time pass, and checks what nodes see meanwhile.
    fn wait(&mut self) {
        let present = self.present();
        let from = self.now;
        self.now = from.plus_seconds(self.rng.i64(1..12 * HOUR));
        for rollout in rollouts(&present) {
            let mut last = open(rollout, from);
            for part in 1..=4 {
                let poll = from.plus_seconds(self.now.since(from) * part / 4);
                let now_open = open(rollout, poll);
                assert!(now_open >= last, "an offer was withdrawn: {rollout:?}");
                assert!(!rollout.is_waiting(from) || now_open <= last, "a gate opened by itself: {rollout:?}");
                let planned = rollout.ramp.without_gates().share_at(poll);
                let is_planned = now_open <= planned + 1e-9 || rollout.state == RolloutState::Completed;
                assert!(is_planned, "{now_open} was open earlier than planned: {rollout:?}");
                last = now_open;
            }
            if rollout.is_waiting(self.now) {
                self.contains.insert(Kind::WaitingGate);
            }
        }
    }
}

fn rollouts(stream: &Stream) -> &[Rollout] {
    &found(stream, "3").rollouts
}

fn gates(rollout: &Rollout) -> usize {
    match &rollout.ramp.course {
        Course::Steps(steps) => steps.iter().filter(|step| step.gate == StepGate::Closed).count(),
        Course::Constant | Course::Linear { .. } => 0,
    }
}

#[test]
fn gates_advances_pauses_and_ids_hold_in_any_sequence() {
    let mut seen: BTreeMap<Kind, usize> = BTreeMap::new();
    for seed in 0..SEQUENCES {
        let mut sequence = Sequence::new(seed);
        for _ in 0..STEPS {
            sequence.wait();
            sequence.execute();
        }
        for kind in sequence.contains {
            *seen.entry(kind).or_default() += 1;
        }
    }
    assert!(seen.len() == 4 && seen.values().all(|count| *count >= 1000), "too few of a kind: {seen:?}");
}
