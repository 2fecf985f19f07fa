//! Random sequences of changes to a base and to the streams that are built on it: no update may skip a barrier of the base, or lead to an older one.

use super::*;
use crate::{
    auth::{Identity, Role},
    domain::{
        artifact::Promotion,
        base::skipped_barriers,
        graph::{Graph, NodeIndex},
        ids::{Arch, ProductName, StreamName},
        origin::Origin,
        payload::{Payload, PayloadId, Scheme},
        policy::{barrier::Barrier, graph_rules::EdgeRule},
        reason::Reason,
    },
    manage::{
        command::LoadedReads,
        commands::{
            policies::{RemoveBarrier, SetBarrier},
            releases::{CreateRelease, PromoteRelease, PublishRelease, WithdrawRelease},
            rollouts::RolloutPlan,
        },
        plan::{Loaded, plan},
        request::Request,
        testing::{NOW, caller, loaded, timestamp},
    },
};
use fastrand::Rng;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

const SEQUENCES: u64 = 7_000;
const STEPS: usize = 20;
pub(super) const ARCHES: [&str; 2] = ["aarch64", "x86_64"];

/// What enough sequences must contain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    /// The base got a barrier that updates had skipped.
    LateBarrier,
    TwoBuilds,
    MissingArch,
    Promotion,
    Refused,
}

/// How a barrier stands, by a model of its own.
#[derive(Clone, Copy, PartialEq)]
enum Counted {
    Yes,
    /// The base no longer has it.
    Removed,
    Overridden,
}

pub(super) struct Sequence {
    pub(super) rng: Rng,
    pub(super) caller: Identity,
    acknowledges: bool,
    pub(super) base: Arc<Stream>,
    /// A stream for tests, and the one that its releases are promoted to.
    pub(super) derived: [Arc<Stream>; 2],
    /// For both of them, the barriers that the base has or had, by arch and age.
    barriers: [BTreeMap<(&'static str, usize), Counted>; 2],
    /// On what each release is built: by its version and arch, the age in the base.
    built_on: BTreeMap<(Version, &'static str), usize>,
    pub(super) number: usize,
    contains: BTreeSet<Kind>,
}

fn id(product: &str, stream: &str) -> StreamId {
    StreamId { product: ProductName::parse(product).unwrap(), stream: StreamName::parse(stream).unwrap() }
}

pub(super) fn arch(name: &str) -> Arch {
    Arch::parse(name).unwrap()
}

fn key(name: &str) -> PayloadKey {
    PayloadKey { arch: arch(name), scheme: Scheme::oci() }
}

fn version_at(stream: &Stream, age: usize) -> Version {
    stream.releases[age].version.clone()
}

/// Returns the command that publishes a release with a payload for each of these arches.
pub(super) fn publication(
    stream: &StreamId,
    version: Version,
    number: usize,
    built: &[(&'static str, Option<&Version>)],
) -> CreateRelease {
    let mut draft = Release::published(version, Origin::Local);
    let mut built_on = BuiltOn::new_vec();
    for (name, on) in built {
        let id = PayloadId::parse(&format!("quay.io/{stream}@sha256:{number:063x}{}", name.len() % 10)).unwrap();
        draft.payloads.insert(key(name), Payload { id, synthetic: false });
        built_on.extend(on.map(|on| (arch(name), BaseRelease { version: on.clone(), age: 0 })));
    }
    draft.built_on = (!built_on.is_empty()).then(|| Box::new(built_on));
    let document = toml::from_str("start_share = 1.0").unwrap();
    let rollouts = vec![RolloutPlan { document, preset: None, waits_for_windows: false }];
    CreateRelease { stream: stream.clone(), draft, rollouts, is_published: true }
}

impl Sequence {
    pub(super) fn new(seed: u64) -> Self {
        let mut rng = Rng::with_seed(seed);
        let base = Stream::empty(id("fedora-coreos", "stable"));
        let derived = ["testing", "stable"].map(|name| {
            let mut stream = Stream::empty(id("acme", name));
            stream.base = Some(Box::new(Base { stream: base.id.clone(), lag: None, policies: Vec::new() }));
            stream.rules.edge_rule = if rng.bool() { EdgeRule::Open } else { EdgeRule::Derived };
            Arc::new(stream)
        });
        Self {
            acknowledges: seed.is_multiple_of(2),
            rng,
            caller: caller(Role::Admin),
            base: Arc::new(base),
            derived,
            barriers: [BTreeMap::new(), BTreeMap::new()],
            built_on: BTreeMap::new(),
            number: 0,
            contains: BTreeSet::new(),
        }
    }

    /// Carries out a command on a stream. Returns the next state if it is not refused.
    pub(super) fn run(
        &self,
        command: &dyn Command,
        on: &Arc<Stream>,
        read: LoadedReads,
        acknowledge: bool,
    ) -> Option<Arc<Stream>> {
        let read = LoadedReads { base: Some(self.base.clone()).filter(|_| on.base.is_some()), ..read };
        let loaded = Loaded { read, stream: Some(on.clone()), ..loaded(&on.id, Some(on)) };
        let request = Request { acknowledge, ..Request::new(&self.caller, "a test") };
        let planned = plan(command, &request, &loaded, timestamp(NOW)).ok()?;
        Some(planned.next.map_or_else(|| on.clone(), |next| next.stream))
    }

    fn arches(&mut self) -> Vec<&'static str> {
        match self.rng.u8(..3) {
            0 => vec!["x86_64"],
            _ => ARCHES.to_vec(),
        }
    }

    /// Changes the base, and records that in the streams on it.
    pub(super) fn change_base(&mut self, command: &dyn Command) -> bool {
        let before = self.base.clone();
        let Some(after) = self.run(command, &before, LoadedReads::default(), true) else { return false };
        self.base = after;
        for stream in 0..2 {
            let derived = self.derived[stream].clone();
            let command = InheritBase { stream: derived.id.clone() };
            self.derived[stream] = self.run(&command, &derived, LoadedReads::default(), false).unwrap();
        }
        true
    }

    pub(super) fn publish_base(&mut self) {
        self.number += 1;
        let version = Version::parse(&format!("44.2026.{}", self.number)).unwrap();
        let arches: Vec<_> = self.arches().into_iter().map(|name| (name, None)).collect();
        let command = publication(&self.base.id, version, self.number, &arches);
        if self.change_base(&command) && self.rng.u8(..6) == 0 {
            self.set_barrier(self.base.releases.len() - 1);
        }
    }

    pub(super) fn set_barrier(&mut self, age: usize) {
        let release = ReleaseAddress { stream: self.base.id.clone(), version: version_at(&self.base, age) };
        let built = |name: &&str| self.base.releases[age].payloads.contains_key(&key(name));
        let built: Vec<&'static str> = ARCHES.into_iter().filter(built).collect();
        let skips = |name: &'static str, stream: &Stream, built_on: &BTreeMap<(Version, &'static str), usize>| {
            let on = |version: &Version| built_on.get(&(version.clone(), name)).copied();
            let graph = Graph::new(stream, &arch(name), &Scheme::oci());
            let version = |index| graph.node(index).unwrap().version.clone();
            graph.edges().any(|edge| on(&version(edge.from)) < Some(age) && on(&version(edge.to)) > Some(age))
        };
        let is_late = built.iter().any(|name| self.derived.iter().any(|stream| skips(name, stream, &self.built_on)));
        let arches = Some(built.iter().map(|name| arch(name)).collect());
        let barrier = Barrier { reason: Reason::new("keys").unwrap(), arches, origin: Origin::Local };
        if !self.change_base(&SetBarrier { release, barrier }) {
            return;
        }
        if is_late {
            self.contains.insert(Kind::LateBarrier);
        }
        for barriers in &mut self.barriers {
            for name in &built {
                if barriers.get(&(name, age)) != Some(&Counted::Overridden) {
                    barriers.insert((name, age), Counted::Yes);
                }
            }
        }
    }

    pub(super) fn remove_barrier(&mut self, age: usize) {
        let release = ReleaseAddress { stream: self.base.id.clone(), version: version_at(&self.base, age) };
        if !self.change_base(&RemoveBarrier { release }) {
            return;
        }
        for barriers in &mut self.barriers {
            for name in ARCHES {
                match barriers.get_mut(&(name, age)) {
                    Some(counted @ Counted::Yes) => *counted = Counted::Removed,
                    Some(Counted::Overridden) => drop(barriers.remove(&(name, age))),
                    _ => {}
                }
            }
        }
    }

    /// Publishes a release that is built on releases of the base, usually on one.
    fn publish(&mut self, stream: usize) {
        self.number += 1;
        let version = Version::parse(&format!("own-{}", self.number)).unwrap();
        let newest = self.base.releases.len();
        let mut built = Vec::new();
        let common = self.rng.usize(..newest);
        for name in self.arches() {
            let age = if self.rng.u8(..5) == 0 { self.rng.usize(..newest) } else { common };
            built.push((name, age));
        }
        let versions: Vec<_> = built.iter().map(|(name, age)| (*name, version_at(&self.base, *age))).collect();
        let named: Vec<_> = versions.iter().map(|(name, version)| (*name, Some(version))).collect();
        let command = publication(&self.derived[stream].id, version.clone(), self.number, &named);
        let built = built.into_iter().map(|(name, age)| ((version.clone(), name), age)).collect();
        self.write(stream, &command, LoadedReads::default(), built);
    }

    /// Promotes a release to the second stream, and publishes it there.
    fn promote(&mut self) {
        let Some(from) = self.rng.choice(self.derived[0].releases.clone()) else { return };
        let [source, target] = &self.derived;
        let promotion = Promotion { stream: source.id.stream.clone(), version: from.version.clone() };
        self.number += 1;
        let version = Version::parse(&format!("promoted-{}", self.number)).unwrap();
        let promote = PromoteRelease {
            stream: target.id.clone(),
            from: promotion,
            version: Some(version.clone()),
            payloads: None,
        };
        let read = LoadedReads { stream: Some(source.clone()), ..LoadedReads::default() };
        let Some(drafted) = self.run(&promote, target, read, true) else { return };
        let publish =
            PublishRelease { release: ReleaseAddress { stream: target.id.clone(), version: version.clone() } };
        let known = |name| self.built_on.get(&(from.version.clone(), name)).map(|age| ((version.clone(), name), *age));
        let built = ARCHES.into_iter().filter_map(known).collect();
        let before = std::mem::replace(&mut self.derived[1], drafted);
        if self.write(1, &publish, LoadedReads::default(), built) {
            self.contains.insert(Kind::Promotion);
        } else {
            self.derived[1] = before;
        }
    }

    /// Carries out a command that publishes a release. Without acknowledgement, none may skip a barrier.
    fn write(
        &mut self,
        stream: usize,
        command: &dyn Command,
        read: LoadedReads,
        built: BTreeMap<(Version, &'static str), usize>,
    ) -> bool {
        let before = self.derived[stream].clone();
        let Some(after) = self.run(command, &before, read, self.acknowledges) else {
            self.contains.insert(Kind::Refused);
            return false;
        };
        // A withdrawal does not wait for findings.
        if !self.acknowledges && !command.action().is_restrictive {
            let [known, found] = [&before, &after].map(|stream| {
                skipped_barriers(stream).into_iter().map(|finding| finding.message).collect::<BTreeSet<_>>()
            });
            assert!(found.is_subset(&known), "published without acknowledgement: {found:?}");
        }
        self.derived[stream] = after;
        self.built_on.extend(built);
        true
    }

    pub(super) fn override_barrier(&mut self, stream: usize, age: usize) {
        let policy = BasePolicyAddress {
            stream: self.derived[stream].id.clone(),
            version: version_at(&self.base, age),
            kind: BasePolicyKind::Barrier,
        };
        let before = self.derived[stream].clone();
        let command = RemoveBasePolicy { policy };
        let Some(after) = self.run(&command, &before, LoadedReads::default(), true) else { return };
        self.derived[stream] = after;
        let barriers = &mut self.barriers[stream];
        let accepts_removal = ARCHES.iter().any(|name| barriers.get(&(name, age)) == Some(&Counted::Removed));
        for name in ARCHES {
            match barriers.get_mut(&(name, age)) {
                Some(counted @ Counted::Yes) if !accepts_removal => *counted = Counted::Overridden,
                Some(Counted::Removed) => drop(barriers.remove(&(name, age))),
                _ => {}
            }
        }
    }

    fn step(&mut self) {
        let stream = self.rng.usize(..2);
        let age = self.rng.usize(..self.base.releases.len().max(1));
        let skipped = self.skipped_age(stream).unwrap_or(age);
        match self.rng.u8(..16) {
            // The base is there first, so that images are built on what is far apart.
            _ if self.base.releases.len() < 4 => self.publish_base(),
            0..=1 => self.publish_base(),
            2..=8 => self.publish(stream),
            9 => self.set_barrier(age),
            10..=11 => self.set_barrier(skipped),
            12 => self.remove_barrier(age),
            13 => self.promote(),
            14 if self.rng.bool() => self.override_barrier(stream, age),
            _ => {
                let Some(release) = self.rng.choice(self.derived[stream].releases.clone()) else { return };
                let (id, version) = (self.derived[stream].id.clone(), release.version.clone());
                let command = WithdrawRelease { release: ReleaseAddress { stream: id, version } };
                self.write(stream, &command, LoadedReads::default(), BTreeMap::new());
            }
        }
    }

    /// Returns the age of a release of the base that an update of a stream skips.
    fn skipped_age(&mut self, stream: usize) -> Option<usize> {
        let name = self.rng.choice(ARCHES)?;
        let graph = Graph::new(&self.derived[stream], &arch(name), &Scheme::oci());
        let on = |index: NodeIndex| self.built_on[&(graph.node(index).unwrap().version.clone(), name)];
        let skipped: Vec<usize> = graph.edges().flat_map(|edge| on(edge.from) + 1..on(edge.to)).collect();
        self.rng.choice(skipped)
    }

    /// Checks all updates of a stream against the model.
    fn check(&mut self, stream: usize) {
        let derived = &self.derived[stream];
        for name in ARCHES {
            let counted = |age: usize| {
                self.barriers[stream].get(&(name, age)).is_some_and(|counted| *counted != Counted::Overridden)
            };
            let graph = Graph::new(derived, &arch(name), &Scheme::oci());
            let on = |index: NodeIndex| self.built_on[&(graph.node(index).unwrap().version.clone(), name)];
            for edge in graph.edges() {
                let (from, to) = (on(edge.from), on(edge.to));
                assert!(from <= to, "an update from {from} to {to} of the base on {name}");
                assert!(!(from + 1..to).any(counted), "an update from {from} to {to} skips a barrier on {name}");
            }
            // What the rule allows is there: the edge rule `open` has no other reason to leave an update out.
            if derived.rules.edge_rule == EdgeRule::Open {
                let edges: BTreeSet<_> = graph.edges().map(|edge| (edge.from.0, edge.to.0)).collect();
                for to in 0..graph.nodes().len() {
                    for from in 0..to {
                        let (old, new) = (on(NodeIndex(from)), on(NodeIndex(to)));
                        let is_allowed = old <= new && !(old + 1..new).any(counted) && !graph.nodes()[to].withdrawn;
                        assert_eq!(edges.contains(&(from, to)), is_allowed, "from {old} to {new} on {name}");
                    }
                }
            }
            for age in (0..self.base.releases.len()).filter(|age| counted(*age)) {
                let built: Vec<usize> =
                    graph.nodes().iter().enumerate().map(|(index, _)| on(NodeIndex(index))).collect();
                if built.iter().filter(|on| **on == age).count() > 1 {
                    self.contains.insert(Kind::TwoBuilds);
                }
                let is_skipped = built.iter().any(|on| *on < age) && built.iter().any(|on| *on > age);
                let has_other = self.built_on.iter().any(|((_, other), on)| *other != name && *on == age);
                if is_skipped && has_other && !built.contains(&age) {
                    self.contains.insert(Kind::MissingArch);
                }
            }
        }
    }
}

#[test]
fn no_update_skips_a_barrier_of_the_base_or_leads_to_an_older_one() {
    let mut seen: BTreeMap<Kind, usize> = BTreeMap::new();
    for seed in 0..SEQUENCES {
        let mut sequence = Sequence::new(seed);
        for _ in 0..STEPS {
            sequence.step();
            sequence.check(0);
            sequence.check(1);
        }
        for kind in sequence.contains {
            *seen.entry(kind).or_default() += 1;
        }
    }
    assert!(seen.len() == 5 && seen.values().all(|count| *count >= 1000), "too few of a kind: {seen:?}");
}
