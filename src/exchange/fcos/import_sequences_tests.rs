//! Random sequences of imports and of commands on rollouts, with time between them: what an import may change of the rollouts.

use super::*;
use crate::{
    domain::{
        duration::Minutes,
        edit::apply_local_edit,
        ids::{ProductName, StreamName, Version},
        origin::Origin,
        policy::graph_rules::GraphRules,
        release::Release,
        rollout::{
            Rollout, RolloutState,
            id::RolloutId,
            share::{OpenShare, Share},
        },
    },
    manage::{
        LoadedReads, ReleaseAddress, RolloutAddress,
        commands::{
            rollout_actions::{
                AbortRollout, AccelerateRollout, AdvanceRollout, CompleteRollout, Further, HoldRollout, PauseRollout,
                RestartRollout, ResumeRollout,
            },
            rollouts::{CreateRollout, OrderRollouts, RolloutPlan},
        },
    },
};
use fastrand::Rng;
use serde_json::{Value, json};
use std::collections::BTreeMap;

const SEQUENCES: u64 = 4_000;
const STEPS: usize = 14;
const START: i64 = 1_790_000_000;
const HOUR: i64 = 3600;

/// What enough sequences must contain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    RepeatedImport,
    ChangedPlan,
    EndedRollout,
    ImportWhilePaused,
    ImportAfterPause,
    ImportOverLocalRollouts,
}

/// A stream, what upstream says, and what rollouts were.
struct Sequence {
    rng: Rng,
    id: StreamId,
    now: Epoch,
    /// Upstream's rollout of release 2.
    rollout: Option<Value>,
    /// That of the last import.
    imported: Option<Value>,
    /// The releases that upstream lists.
    releases: usize,
    stream: Option<Stream>,
    contains: Vec<Kind>,
}

fn open(rollout: &Rollout, now: Epoch) -> f64 {
    match rollout.open_share(now) {
        OpenShare::Open(share) => share,
        OpenShare::Closed => -1.0,
    }
}

fn is_paused(rollout: &Rollout) -> bool {
    matches!(rollout.state, RolloutState::Paused { .. })
}

fn release(stream: &Stream) -> &Release {
    let position = stream.releases.iter().position(|release| release.version.as_str() == "2");
    &stream.releases[position.unwrap()]
}

impl Sequence {
    fn new(seed: u64) -> Self {
        let id = StreamId { product: ProductName::parse("os").unwrap(), stream: StreamName::parse("stable").unwrap() };
        let rollout = Some(json!({"start_epoch": START, "duration_minutes": 2880, "start_percentage": 0.0}));
        let (stream, imported, contains) = (None, None, Vec::new());
        Self { rng: Rng::with_seed(seed), id, now: Epoch(START), rollout, imported, releases: 2, stream, contains }
    }

    /// Returns what upstream says now.
    fn upstream(&self) -> Modelled {
        let commit = |number: usize| json!([{"architecture": "x86_64", "checksum": format!("{number:064x}")}]);
        let releases: Vec<Value> = (1..=self.releases)
            .map(|number| json!({"version": number.to_string(), "commits": commit(number)}))
            .collect();
        let rollout = self.rollout.iter().map(|rollout| json!({"version": "2", "metadata": {"rollout": rollout}}));
        let releases = serde_json::from_value(json!({"releases": releases})).unwrap();
        let updates = serde_json::from_value(json!({"releases": rollout.collect::<Vec<_>>()})).unwrap();
        model(&self.id, &releases, &updates).unwrap()
    }

    fn change_upstream(&mut self) {
        match self.rng.u8(..4) {
            0 => self.rollout = None,
            1 => self.releases += 1,
            _ => {
                let start = self.now.0 + self.rng.i64(-48..24) * HOUR;
                let share = f64::from(self.rng.u8(..=10)) / 10.0;
                let minutes = self.rng.u64(60..4000);
                self.rollout =
                    Some(json!({"start_epoch": start, "duration_minutes": minutes, "start_percentage": share}));
            }
        }
    }

    fn import(&mut self) {
        let fetched = Fetched { modelled: self.upstream(), documents: Vec::new() };
        let plan = fetched.modelled.stream.clone();
        let before = self.stream.clone();
        self.apply(&Import { fetched, previous: None, allow_removals: false });
        let after = self.stream.clone().unwrap();
        let said = json!(self.rollout);
        let is_repeated = self.imported.replace(said.clone()) == Some(said);
        let Some(before) = before else { return };
        let [old, new] = [&before, &after].map(release);
        if is_repeated {
            assert_eq!(new.rollouts, old.rollouts, "a repeated import changed a rollout");
            self.contains.push(Kind::RepeatedImport);
        } else if self.rollout.is_none() {
            self.contains.push(Kind::EndedRollout);
        } else {
            self.contains.push(Kind::ChangedPlan);
        }
        if old.rollouts.iter().any(|rollout| rollout.origin != Origin::Upstream) {
            assert_eq!(new.rollouts, old.rollouts, "an import changed rollouts that were set here");
            self.contains.push(Kind::ImportOverLocalRollouts);
        }
        let theirs = release(&plan).rollouts.first();
        for known in &old.rollouts {
            let now_known = new.rollouts.iter().find(|rollout| rollout.id == known.id);
            if is_paused(known) {
                let kept = now_known.unwrap();
                assert_eq!(kept.state, known.state, "an import ended a pause");
                assert!(open(kept, self.now) <= open(known, self.now) + 1e-9, "an import opened a paused rollout");
                self.contains.push(Kind::ImportWhilePaused);
            } else if let Some(kept) = now_known {
                assert_eq!((kept.state, kept.clock), (known.state, known.clock), "an import changed a local state");
                // With the same clock, upstream's plan opens what it would have opened without the pauses until now.
                let planned = theirs.map_or(-1.0, |theirs| {
                    open(&Rollout { state: known.state, clock: known.clock, ..theirs.clone() }, self.now)
                });
                let most = open(known, self.now).max(planned);
                assert!(open(kept, self.now) <= most + 1e-9, "an import opened more than it says");
                if known.clock.stood_still > 0 {
                    self.contains.push(Kind::ImportAfterPause);
                }
            } else {
                assert!(self.rollout.is_none() && known.state == RolloutState::Active, "an import lost {known:?}");
            }
        }
    }

    fn any_rollout(&mut self) -> RolloutAddress {
        let rollouts = &release(self.stream.as_ref().unwrap()).rollouts;
        let id = self.rng.choice(rollouts).map(|rollout| rollout.id).unwrap_or_default();
        let release = ReleaseAddress { stream: self.id.clone(), version: Version::parse("2").unwrap() };
        RolloutAddress { release, id }
    }

    /// Carries out a random command on a rollout. Some are refused.
    fn change_rollouts(&mut self) {
        let rollout = self.any_rollout();
        let release = rollout.release.clone();
        let share = Share::new(f64::from(self.rng.u8(..=100)) / 100.0).unwrap();
        let command: Box<dyn Command> = match self.rng.u8(..12) {
            0..=3 => Box::new(PauseRollout { rollout }),
            4..=6 => Box::new(ResumeRollout { rollout }),
            7 => Box::new(AbortRollout { rollout }),
            8 => Box::new(RestartRollout { rollout }),
            9 => Box::new(CompleteRollout { rollout }),
            10 if self.rng.bool() => Box::new(AdvanceRollout { rollout, further: Further::To { share, over: None } }),
            10 if self.rng.bool() => Box::new(HoldRollout { rollout, share }),
            10 => Box::new(AccelerateRollout { rollout, within: Minutes(self.rng.u64(1..3000)) }),
            _ if self.rng.bool() => {
                let group = self.rng.u32(..);
                let text = format!("duration = \"PT48H\"\nselector = {{ groups = [\"group {group}\"] }}");
                let document = toml::from_str(&text).unwrap();
                let plan = RolloutPlan { document, preset: None, waits_for_windows: false };
                Box::new(CreateRollout { release, plan, before: None })
            }
            _ => {
                let present = self.stream.as_ref().unwrap();
                let mut ids: Vec<RolloutId> =
                    self::release(present).rollouts.iter().map(|rollout| rollout.id).collect();
                self.rng.shuffle(&mut ids);
                Box::new(OrderRollouts { release, ids })
            }
        };
        self.apply(&*command);
        // What the last import kept because of a pause, the next one may change.
        self.imported = None;
    }

    /// Applies a command unless it is refused, and checks the ids of rollouts.
    fn apply(&mut self, command: &dyn Command) {
        let read = LoadedReads::default();
        let (stream, rules) = (self.stream.as_ref(), GraphRules::default());
        let present = Present { id: &self.id, stream, read: &read, rules, now: self.now };
        let Ok(Next { stream: mut after, .. }) = command.apply(&present) else { return };
        let before = self.stream.take().unwrap_or_else(|| Stream::empty(self.id.clone()));
        number_rollouts(&before, &mut after);
        if matches!(command.provenance(), Provenance::Local) {
            after = apply_local_edit(&before, after).unwrap();
        }
        let last = before.releases.iter().find(|release| release.version.as_str() == "2");
        let last = last.map_or(RolloutId::NEW, |release| release.last_rollout_id);
        let known: BTreeMap<RolloutId, &Rollout> = before
            .releases
            .iter()
            .filter(|release| release.version.as_str() == "2")
            .flat_map(|release| release.rollouts.iter().map(|rollout| (rollout.id, rollout)))
            .collect();
        let new = release(&after);
        assert!(new.last_rollout_id >= last, "an id would be given again");
        for rollout in &new.rollouts {
            match known.get(&rollout.id) {
                Some(known) => assert_eq!(known.selector, rollout.selector, "a rollout got another's id"),
                None => assert!(rollout.id > last, "an id was given again"),
            }
        }
        self.stream = Some(after);
    }
}

#[test]
fn an_import_keeps_pauses_ids_and_what_was_set_here_in_any_sequence() {
    let mut seen: BTreeMap<Kind, usize> = BTreeMap::new();
    for seed in 0..SEQUENCES {
        let mut sequence = Sequence::new(seed);
        sequence.import();
        for _ in 0..STEPS {
            sequence.now = sequence.now.plus_seconds(sequence.rng.i64(1..8 * HOUR));
            match sequence.rng.u8(..6) {
                0..=2 => sequence.change_rollouts(),
                3 => sequence.import(),
                _ => {
                    sequence.change_upstream();
                    sequence.import();
                }
            }
        }
        sequence.contains.sort_unstable();
        sequence.contains.dedup();
        for kind in sequence.contains {
            *seen.entry(kind).or_default() += 1;
        }
    }
    assert!(seen.len() == 6 && seen.values().all(|count| *count >= 500), "too few of a kind: {seen:?}");
}
