//! The hops that a node will take, when, and what holds it back until then.

use super::{
    epoch::Epoch,
    graph::{Graph, NodeIndex},
    reason::Reason,
    standing::Asker,
};

/// Everything that lies before a node, if nobody changes anything.
#[derive(Debug, Clone, PartialEq)]
pub struct Route {
    /// The updates that it will take, in order.
    pub hops: Vec<Hop>,
    /// Why it stops where it stops.
    pub end: End,
}

/// One update.
#[derive(Debug, Clone, PartialEq)]
pub struct Hop {
    /// The release that it goes to.
    pub to: NodeIndex,
    /// The first instant at which it is sent there.
    pub at: Epoch,
    /// The releases that were held back from it when it came to where it stood, newest first.
    pub waiting: Vec<Wait>,
}

/// A release that is held back from the node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wait {
    /// The release.
    pub target: NodeIndex,
    /// When it opens for the node; never, as things stand, if absent.
    pub opens: Option<Epoch>,
}

/// Why a route ends.
#[derive(Debug, Clone, PartialEq)]
pub enum End {
    /// At the newest release of the scope.
    Newest,
    /// At a dead end.
    DeadEnd(Reason),
    /// No release that it could go to exists, though there are newer ones.
    NoWay,
    /// Those to which it could go never open for it, as things stand.
    Closed(Vec<Wait>),
}

impl Graph {
    /// The route of a node that stands on `from` at `now`.
    ///
    /// An agent that may choose takes the highest by age, version and payload.
    #[must_use]
    pub fn route(&self, from: NodeIndex, asker: &Asker<'_>, now: Epoch) -> Route {
        let (mut here, mut now) = (from, now);
        let mut hops = Vec::new();
        loop {
            let mut waits = self.waits(here, asker, now);
            waits.sort_by_key(|wait| std::cmp::Reverse(self.rank(wait.target)));
            let Some(at) = waits.iter().filter_map(|wait| wait.opens).min() else {
                return Route { hops, end: self.end(here, waits) };
            };
            let chosen = waits.iter().find(|wait| wait.opens == Some(at)).map(|wait| wait.target);
            let Some(to) = chosen else {
                return Route { hops, end: End::NoWay };
            };
            waits.retain(|wait| wait.opens.is_none_or(|opens| opens > now));
            hops.push(Hop { to, at, waiting: waits });
            (here, now) = (to, at);
        }
    }

    /// What agents order targets by.
    #[must_use]
    pub fn rank(&self, index: NodeIndex) -> Option<(usize, &str, &str)> {
        self.node(index).map(|node| (node.age, node.version.as_str(), node.payload.as_str()))
    }

    fn waits(&self, from: NodeIndex, asker: &Asker<'_>, now: Epoch) -> Vec<Wait> {
        self.targets(from).map(|target| Wait { target, opens: self.opens_at(target, asker, now) }).collect()
    }

    fn opens_at(&self, target: NodeIndex, asker: &Asker<'_>, now: Epoch) -> Option<Epoch> {
        let node = self.node(target)?;
        if !node.is_rollout() {
            return Some(now);
        }
        let audience = self.audience(asker);
        node.rollouts.iter().find(|rollout| rollout.selector.matches(&audience))?.opens_at(asker.wariness, now)
    }

    fn end(&self, here: NodeIndex, waits: Vec<Wait>) -> End {
        if let Some(reason) = self.node(here).and_then(|node| node.dead_end.clone()) {
            return End::DeadEnd(reason);
        }
        if here.0 + 1 >= self.nodes().len() {
            return End::Newest;
        }
        if waits.is_empty() { End::NoWay } else { End::Closed(waits) }
    }
}
