//! Routes: the updates that a node will take, when, and what holds it back until then.

use super::{Graph, NodeIndex, visibility::NodeContext};
use crate::domain::{epoch::Epoch, reason::Reason};

/// The future updates of a node if the stream does not change.
#[derive(Debug, Clone, PartialEq)]
pub struct Route {
    /// The updates, in order.
    pub hops: Vec<Hop>,
    /// Why the route ends.
    pub end: End,
}

/// One update.
#[derive(Debug, Clone, PartialEq)]
pub struct Hop {
    /// The target release.
    pub to: NodeIndex,
    /// The first second at which the update is offered.
    pub at: Epoch,
    /// The targets that were held back when the node arrived at its previous release, newest first. A release that newer ones keep
    /// out of a trimmed graph is not among them.
    pub waiting: Vec<Wait>,
}

/// A release that is held back from a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wait {
    /// The release.
    pub target: NodeIndex,
    /// The time at which it opens to the node; `None` if its present rollouts never open to it.
    pub opens: Option<Epoch>,
}

/// Why a route ends.
#[derive(Debug, Clone, PartialEq)]
pub enum End {
    /// The node has reached the newest release of the scope.
    Newest,
    /// The node has reached a dead end.
    DeadEnd(Reason),
    /// There are newer releases, but none that the node may update to.
    NoTarget,
    /// The releases that the node may update to never open to it with their present rollouts.
    Closed(Vec<Wait>),
}

impl Graph {
    /// Computes the route of a node that runs `from` at `now`.
    ///
    /// If several targets are offered, agents choose the highest by age, version and payload.
    #[must_use]
    pub fn route(&self, from: NodeIndex, node_context: &NodeContext<'_>, now: Epoch) -> Route {
        let (mut here, mut now) = (from, now);
        let mut hops = Vec::new();
        loop {
            let mut waits = self.waits(here, node_context, now);
            waits.sort_by_key(|wait| std::cmp::Reverse(self.rank(wait.target)));
            let Some(at) = waits.iter().filter_map(|wait| wait.opens).min() else {
                return Route { hops, end: self.end(here, waits) };
            };
            let chosen = waits.iter().find(|wait| wait.opens == Some(at)).map(|wait| wait.target);
            let Some(to) = chosen else {
                return Route { hops, end: End::NoTarget };
            };
            let (mut open, shown) = (0, self.shown_targets.unwrap_or(usize::MAX));
            waits.retain(|wait| {
                let is_open = wait.opens.is_some_and(|opens| opens <= now);
                open += usize::from(is_open);
                !is_open && open < shown
            });
            hops.push(Hop { to, at, waiting: waits });
            (here, now) = (to, at);
        }
    }

    /// Returns the key by which agents order targets.
    #[must_use]
    pub fn rank(&self, index: NodeIndex) -> Option<(usize, &str, &str)> {
        self.node(index).map(|node| (node.age, node.version.as_str(), node.payload.as_str()))
    }

    fn waits(&self, from: NodeIndex, node_context: &NodeContext<'_>, now: Epoch) -> Vec<Wait> {
        self.targets(from).map(|target| Wait { target, opens: self.opens_at(target, node_context, now) }).collect()
    }

    fn opens_at(&self, target: NodeIndex, node_context: &NodeContext<'_>, now: Epoch) -> Option<Epoch> {
        let node = self.node(target)?;
        if !node.is_rollout() {
            return Some(now);
        }
        let audience = self.audience(node_context);
        node.rollouts().iter().find(|rollout| rollout.selector.matches(&audience))?.opens_at(node_context.wariness, now)
    }

    fn end(&self, here: NodeIndex, waits: Vec<Wait>) -> End {
        if let Some(reason) = self.node(here).and_then(|node| node.dead_end.clone()) {
            return End::DeadEnd(reason);
        }
        if here.0 + 1 >= self.nodes().len() {
            return End::Newest;
        }
        if waits.is_empty() { End::NoTarget } else { End::Closed(waits) }
    }
}
