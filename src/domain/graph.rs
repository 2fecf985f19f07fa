//! Releases and policies made into the update graph of one scope, what is held back in it, and the view of one node.
//!
//! The order of nodes and edges is part of the result: equal input gives an equal graph.

use super::{
    arch::Arch,
    epoch::Epoch,
    payload::{PayloadId, Repository, Scheme},
    reason::Reason,
    release::{PayloadKey, ReleaseState},
    rollout::Rollout,
    selector::Audience,
    share::OpenShare,
    stream::Stream,
    version::Version,
    wariness::Wariness,
};
use std::collections::{BTreeSet, HashMap};

/// A node's place in [`Graph::nodes`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeIndex(pub usize);

/// One release in one scope.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// The release's age index in its stream, releases that are not in this scope counted.
    pub age: usize,
    /// Its version.
    pub version: Version,
    /// Its payload in this scope.
    pub payload: PayloadId,
    /// Why it is a barrier here, if it is one.
    pub barrier: Option<Reason>,
    /// Why it is a dead end here, if it is one.
    pub dead_end: Option<Reason>,
    /// Its rollouts, in order.
    pub rollouts: Vec<Rollout>,
    /// No edge leads into it any more.
    pub withdrawn: bool,
    /// Which of the graph's rollout releases it is.
    gate: Option<usize>,
}

impl Node {
    /// Is it opened by a rollout (or kept closed by one)?
    #[must_use]
    pub fn is_rollout(&self) -> bool {
        self.gate.is_some()
    }
}

/// An update that may be taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Edge {
    /// From the older release.
    pub from: NodeIndex,
    /// To the newer one.
    pub to: NodeIndex,
}

/// The update graph of one scope, nothing held back yet.
#[derive(Debug, Clone, PartialEq)]
pub struct Graph {
    /// The architecture.
    pub arch: Arch,
    /// The scheme of the payloads.
    pub scheme: Scheme,
    nodes: Vec<Node>,
    edges: Vec<Edge>,
    /// The nodes with rollouts, oldest first.
    gates: Vec<NodeIndex>,
    /// For each node its targets, in the order of the edges.
    targets: Vec<Vec<NodeIndex>>,
    by_payload: HashMap<PayloadId, NodeIndex>,
    mirrors: BTreeSet<Repository>,
    /// Only where there are mirrors.
    by_digest: HashMap<String, NodeIndex>,
}

/// A node that was recognised by what it runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Recognised<'a> {
    /// Where it stands.
    pub node: NodeIndex,
    /// The mirror that it runs out of: its targets are to be named there.
    pub mirror: Option<&'a Repository>,
}

/// Where a node stands towards each rollout of a graph at one instant. Equal standings see equal graphs: it is what rendered
/// answers are keyed by.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Standing(Box<[Place]>);

/// Where a node stands towards one release with rollouts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Place {
    /// The first rollout whose selector picks the node.
    rollout: Option<usize>,
    /// It may not see the release as a target.
    held_back: bool,
}

/// What is asked about: who, and when.
#[derive(Debug, Clone, Copy)]
pub struct Asker<'a> {
    /// The group that the node says it is in.
    pub group: Option<&'a str>,
    /// The platform that it says it runs on.
    pub platform: Option<&'a str>,
    /// Where it stands in the order of rollouts.
    pub wariness: Wariness,
}

impl Graph {
    /// Builds the graph of a stream on one arch and scheme (rules 1 and 3 to 6 of the wire contract, then blocked updates).
    #[must_use]
    pub fn of(stream: &Stream, arch: &Arch, scheme: &Scheme) -> Self {
        let mut graph = Self {
            arch: arch.clone(),
            scheme: scheme.clone(),
            nodes: Vec::new(),
            edges: Vec::new(),
            gates: Vec::new(),
            targets: Vec::new(),
            by_payload: HashMap::new(),
            mirrors: stream.mirrors.clone(),
            by_digest: HashMap::new(),
        };
        graph.add_nodes(stream);
        graph.add_edges();
        graph.drop_blocked(stream);
        graph.targets = vec![Vec::new(); graph.nodes.len()];
        for edge in &graph.edges {
            if let Some(targets) = graph.targets.get_mut(edge.from.0) {
                targets.push(edge.to);
            }
        }
        graph
    }

    fn add_nodes(&mut self, stream: &Stream) {
        let key = PayloadKey { arch: self.arch.clone(), scheme: self.scheme.clone() };
        let mut aliases = Vec::new();
        for (age, release) in stream.aged() {
            let Some(payload) = release.payloads.get(&key) else {
                continue;
            };
            let index = NodeIndex(self.nodes.len());
            let gate = (!release.rollouts.is_empty()).then_some(self.gates.len());
            if gate.is_some() {
                self.gates.push(index);
            }
            // Of two releases with one payload, an agent finds the older.
            self.by_payload.entry(payload.id.clone()).or_insert(index);
            aliases.extend(release.aliases.get(&key).into_iter().flatten().map(|alias| (alias.clone(), index)));
            self.nodes.push(Node {
                age,
                version: release.version.clone(),
                payload: payload.id.clone(),
                barrier: release
                    .barrier
                    .as_ref()
                    .filter(|barrier| barrier.stands_on(&self.arch))
                    .map(|barrier| barrier.reason.clone()),
                dead_end: release
                    .dead_end
                    .as_ref()
                    .filter(|dead_end| dead_end.holds_on(&self.arch))
                    .map(|dead_end| dead_end.reason.clone()),
                rollouts: release.rollouts.clone(),
                withdrawn: release.state == ReleaseState::Withdrawn,
                gate,
            });
        }
        for (alias, index) in aliases {
            self.by_payload.entry(alias).or_insert(index);
        }
        if !self.mirrors.is_empty() {
            let digests = self.by_payload.iter().filter_map(|(id, index)| Some((id.pull_spec()?.1.to_owned(), *index)));
            for (digest, index) in digests {
                let known = self.by_digest.entry(digest).or_insert(index);
                *known = index.min(*known);
            }
        }
    }

    fn add_edges(&mut self) {
        // For each node, where edges into it begin: at the last barrier strictly before it, or at the oldest.
        let starts: Vec<usize> = self
            .nodes
            .iter()
            .enumerate()
            .scan(0, |last_barrier, (index, node)| {
                let start = *last_barrier;
                if node.barrier.is_some() {
                    *last_barrier = index;
                }
                Some(start)
            })
            .collect();
        let ways_in = |(to, start): (usize, &usize)| {
            (*start..to).map(move |from| Edge { from: NodeIndex(from), to: NodeIndex(to) })
        };
        let all = || self.nodes.iter().zip(starts.iter().enumerate());
        let into_rollouts =
            all().rev().filter(|(node, _)| node.is_rollout() && !node.withdrawn).flat_map(|(_, way)| ways_in(way));
        let into_barriers = all()
            .filter(|(node, _)| node.barrier.is_some() && !node.is_rollout() && !node.withdrawn)
            .flat_map(|(_, way)| ways_in(way));
        let leads_on = |edge: &Edge| self.node(edge.from).is_some_and(|node| node.dead_end.is_none());
        self.edges = into_rollouts.chain(into_barriers).filter(leads_on).collect();
    }

    fn drop_blocked(&mut self, stream: &Stream) {
        for blocked in stream.blocked_updates.iter().filter(|blocked| blocked.holds_on(&self.arch)) {
            let ages = [&blocked.first, &blocked.last, &blocked.target].map(|version| stream.position_of(version));
            let [Some(first), Some(last), Some(target)] = ages else {
                continue;
            };
            let nodes = &self.nodes;
            let age = |index: NodeIndex| nodes.get(index.0).map(|node| node.age);
            self.edges.retain(|edge| {
                let from_range = age(edge.from).is_some_and(|age| (first..=last).contains(&age));
                !(from_range && age(edge.to) == Some(target))
            });
        }
    }

    /// The nodes, oldest first.
    #[must_use]
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// One node.
    #[must_use]
    pub fn node(&self, index: NodeIndex) -> Option<&Node> {
        self.nodes.get(index.0)
    }

    /// Every edge, held back or not.
    #[must_use]
    pub fn edges(&self) -> &[Edge] {
        &self.edges
    }

    /// The node that runs this: a payload, an alias, or either's digest out of a mirror.
    #[must_use]
    pub fn recognise(&self, payload: &str) -> Option<Recognised<'_>> {
        if let Some(node) = self.by_payload.get(payload) {
            return Some(Recognised { node: *node, mirror: None });
        }
        let (repository, digest) = payload.split_once('@')?;
        let mirror = self.mirrors.get(repository)?;
        self.by_digest.get(digest).map(|node| Recognised { node: *node, mirror: Some(mirror) })
    }

    /// Where somebody stands towards the rollouts at `now`.
    #[must_use]
    pub fn standing(&self, asker: &Asker<'_>, now: Epoch) -> Standing {
        let audience = self.audience(asker);
        let place = |node: &Node| {
            let rollout = node.rollouts.iter().position(|rollout| rollout.selector.matches(&audience));
            let share = rollout
                .and_then(|index| node.rollouts.get(index))
                .map_or(OpenShare::Closed, |rollout| rollout.open_share(now));
            Place { rollout, held_back: share.holds_back(asker.wariness) }
        };
        Standing(self.gates.iter().filter_map(|index| self.node(*index)).map(place).collect())
    }

    pub(crate) fn audience<'a>(&'a self, asker: &Asker<'a>) -> Audience<'a> {
        Audience { arch: &self.arch, scheme: &self.scheme, group: asker.group, platform: asker.platform }
    }

    /// The rollout that counts for this standing on this node.
    #[must_use]
    pub fn rollout_for<'a>(&self, node: &'a Node, standing: &Standing) -> Option<&'a Rollout> {
        let place = standing.0.get(node.gate?)?;
        node.rollouts.get(place.rollout?)
    }

    fn is_open(&self, target: NodeIndex, standing: &Standing) -> bool {
        let gate = self.node(target).and_then(|node| node.gate);
        gate.and_then(|gate| standing.0.get(gate)).is_none_or(|place| !place.held_back)
    }

    /// The edges that this standing sees, in order.
    pub fn open_edges<'a>(&'a self, standing: &'a Standing) -> impl Iterator<Item = Edge> + 'a {
        self.edges.iter().copied().filter(|edge| self.is_open(edge.to, standing))
    }

    /// The releases to which a node on `from` may go directly, held back or not, in the order of the edges.
    #[must_use]
    pub fn targets(&self, from: NodeIndex) -> &[NodeIndex] {
        self.targets.get(from.0).map_or(&[], Vec::as_slice)
    }

    /// The releases to which a node on `from` may go now: with `from` itself they are all that an agent reads.
    pub fn open_targets<'a>(&'a self, from: NodeIndex, standing: &'a Standing) -> impl Iterator<Item = NodeIndex> + 'a {
        self.targets(from).iter().copied().filter(|target| self.is_open(*target, standing))
    }
}
