//! What is held back in a graph, and from whom.

use super::{
    epoch::Epoch,
    graph::{Edge, Graph, Node, NodeIndex},
    rollout::Rollout,
    selector::Audience,
    share::OpenShare,
    wariness::Wariness,
};

/// Where a node stands towards each rollout of a graph at one instant. Equal standings see equal graphs: it is what rendered
/// answers are keyed by.
///
/// It is hashed for every poll that asks for a whole graph, and therefore kept small: a number a place.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Standing(Box<[u32]>);

/// Where a node stands towards one release.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// The first of its rollouts whose selector picks the node.
    pub rollout: Option<usize>,
    /// It may not see the release as a target.
    pub held_back: bool,
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
    /// Where somebody stands towards one release at `now`.
    #[must_use]
    pub fn place(&self, node: &Node, asker: &Asker<'_>, now: Epoch) -> Place {
        if !node.is_rollout() {
            return Place { rollout: None, held_back: false };
        }
        let audience = self.audience(asker);
        let rollout = node.rollouts.iter().position(|rollout| rollout.selector.matches(&audience));
        let share = rollout
            .and_then(|index| node.rollouts.get(index))
            .map_or(OpenShare::Closed, |rollout| rollout.open_share(now));
        Place { rollout, held_back: share.holds_back(asker.wariness) }
    }

    /// Where somebody stands towards all of them at `now`.
    #[must_use]
    pub fn standing(&self, asker: &Asker<'_>, now: Epoch) -> Standing {
        let gates = self.gates().iter().filter_map(|index| self.node(*index));
        Standing(gates.map(|node| self.place(node, asker, now).number()).collect())
    }

    pub(crate) fn audience<'a>(&'a self, asker: &Asker<'a>) -> Audience<'a> {
        Audience { arch: &self.arch, scheme: &self.scheme, group: asker.group, platform: asker.platform }
    }

    /// The rollout that counts for this standing on this node.
    #[must_use]
    pub fn rollout_for<'a>(&self, node: &'a Node, standing: &Standing) -> Option<&'a Rollout> {
        node.rollouts.get(standing.place(node)?.rollout?)
    }

    /// Is somebody at this place kept waiting for the release by a rollout that goes on? One that was aborted, or that is for others
    /// alone, is nothing to wait for.
    #[must_use]
    pub fn keeps_waiting(&self, node: &Node, place: Place) -> bool {
        let rollout = place.rollout.and_then(|rollout| node.rollouts.get(rollout));
        place.held_back && !node.withdrawn && rollout.is_some_and(Rollout::is_live)
    }

    /// Is this standing kept waiting for any release?
    #[must_use]
    pub fn keeps_any_waiting(&self, standing: &Standing) -> bool {
        let gates = self.gates().iter().filter_map(|index| self.node(*index));
        gates.zip(&standing.0).any(|(node, number)| self.keeps_waiting(node, Place::of_number(*number)))
    }

    fn is_open(&self, target: NodeIndex, standing: &Standing) -> bool {
        self.node(target).and_then(|node| standing.place(node)).is_none_or(|place| !place.held_back)
    }

    /// The edges that this standing sees, in order.
    pub fn open_edges<'a>(&'a self, standing: &'a Standing) -> impl Iterator<Item = Edge> + 'a {
        self.edges().filter(|edge| self.is_open(edge.to, standing))
    }

    /// The releases to which a node on `from` may go now, and where it stands towards each: with `from` itself they are all that
    /// an agent reads.
    pub fn open_targets<'a>(
        &'a self,
        from: NodeIndex,
        asker: &'a Asker<'a>,
        now: Epoch,
    ) -> impl Iterator<Item = (NodeIndex, Place)> + 'a {
        self.placed_targets(from, asker, now).filter(|(_, place)| !place.held_back)
    }

    /// The releases to which a node on `from` may go now or later, and where it stands towards each.
    pub fn placed_targets<'a>(
        &'a self,
        from: NodeIndex,
        asker: &'a Asker<'a>,
        now: Epoch,
    ) -> impl Iterator<Item = (NodeIndex, Place)> + 'a {
        self.targets(from).filter_map(move |target| Some((target, self.place(self.node(target)?, asker, now))))
    }
}

impl Standing {
    fn place(&self, node: &Node) -> Option<Place> {
        self.0.get(node.gate?).copied().map(Place::of_number)
    }
}

impl Place {
    /// Twice the rollout, counted from 1 (0 for none), and 1 more if it is held back.
    fn number(self) -> u32 {
        let rollout = self.rollout.and_then(|rollout| u32::try_from(rollout + 1).ok()).unwrap_or(0);
        rollout * 2 + u32::from(self.held_back)
    }

    fn of_number(number: u32) -> Self {
        let rollout = usize::try_from(number / 2).unwrap_or(0);
        Self { rollout: rollout.checked_sub(1), held_back: number % 2 == 1 }
    }
}
