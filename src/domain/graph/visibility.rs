//! Visibility: which releases of a graph rollouts hold back from a node.

use super::{Edge, Graph, Node, NodeIndex};
use crate::domain::{
    epoch::Epoch,
    rollout::{Rollout, selector::Audience, share::OpenShare, wariness::Wariness},
};

/// The position of a node relative to every release with rollouts in a graph, at a given time. Nodes of equal visibility see equal graphs,
/// so prepared answers are cached by it.
///
/// It is hashed for every poll for a full graph and therefore kept small: one number per release.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Visibility {
    rollout_nodes: Box<[u32]>,
    is_stopped: bool,
}

/// The position of a node relative to one release.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TargetVisibility {
    /// The index of the release's first rollout whose selector matches the node.
    pub rollout: Option<usize>,
    /// True if the node must not see the release as a target.
    pub held_back: bool,
}

/// The properties of a node that determine its visibility.
#[derive(Debug, Clone, Copy)]
pub struct NodeContext<'a> {
    /// The group that the node reports.
    pub group: Option<&'a str>,
    /// The platform that the node reports.
    pub platform: Option<&'a str>,
    /// Its position in rollouts.
    pub wariness: Wariness,
    /// True if the stream is stopped or the process offers nothing: everything is held back.
    pub is_stopped: bool,
}

impl Graph {
    /// Computes the visibility of one release to a node at `now`.
    #[must_use]
    pub fn target_visibility(&self, node: &Node, node_context: &NodeContext<'_>, now: Epoch) -> TargetVisibility {
        if !node.is_rollout() {
            return TargetVisibility { rollout: None, held_back: node_context.is_stopped };
        }
        let audience = self.audience(node_context);
        let rollout = node.rollouts().iter().position(|rollout| rollout.selector.matches(&audience));
        let share = rollout
            .and_then(|index| node.rollouts().get(index))
            .map_or(OpenShare::Closed, |rollout| rollout.open_share(now));
        TargetVisibility { rollout, held_back: node_context.is_stopped || share.holds_back(node_context.wariness) }
    }

    /// Computes the visibility of all releases to a node at `now`.
    #[must_use]
    pub fn visibility(&self, node_context: &NodeContext<'_>, now: Epoch) -> Visibility {
        let rollout_nodes = self.rollout_nodes().iter().filter_map(|index| self.node(*index));
        let rollout_nodes =
            rollout_nodes.map(|node| self.target_visibility(node, node_context, now).number()).collect();
        Visibility { rollout_nodes, is_stopped: node_context.is_stopped }
    }

    pub(crate) fn audience<'a>(&'a self, node_context: &NodeContext<'a>) -> Audience<'a> {
        Audience { arch: &self.arch, scheme: &self.scheme, group: node_context.group, platform: node_context.platform }
    }

    /// Returns the rollout of `node` that decides for this visibility.
    #[must_use]
    pub fn rollout_for<'a>(&self, node: &'a Node, visibility: &Visibility) -> Option<&'a Rollout> {
        node.rollouts().get(visibility.target(node)?.rollout?)
    }

    /// Returns true if the release is held back by a rollout that has not ended. A node does not wait for an aborted rollout or for a rollout
    /// that does not match it.
    #[must_use]
    pub fn is_held_back(&self, node: &Node, visibility: TargetVisibility) -> bool {
        let rollout = visibility.rollout.and_then(|rollout| node.rollouts().get(rollout));
        visibility.held_back && !node.withdrawn && rollout.is_some_and(Rollout::is_live)
    }

    /// Returns true if any release is held back by a rollout that has not ended.
    #[must_use]
    pub fn holds_back_any(&self, visibility: &Visibility) -> bool {
        let rollout_nodes = self.rollout_nodes().iter().filter_map(|index| self.node(*index));
        rollout_nodes
            .zip(&visibility.rollout_nodes)
            .any(|(node, number)| self.is_held_back(node, TargetVisibility::from_number(*number)))
    }

    fn is_open(&self, target: NodeIndex, visibility: &Visibility) -> bool {
        !visibility.is_stopped
            && self.node(target).and_then(|node| visibility.target(node)).is_none_or(|target| !target.held_back)
    }

    /// Returns the edges that nodes of this visibility see, in order. If the graph is trimmed these are, from each release, those to its
    /// newest open targets.
    pub fn open_edges<'a>(&'a self, visibility: &'a Visibility) -> impl Iterator<Item = Edge> + 'a {
        let is_open = |to| self.is_open(to, visibility);
        let trimmed = self.shown_targets.map(|shown| self.newest_edges(shown, is_open));
        let all = trimmed.is_none().then(|| self.edges().filter(move |edge| is_open(edge.to)));
        trimmed.into_iter().flatten().chain(all.into_iter().flatten())
    }

    /// Returns every edge that is not held back from nodes of this visibility, whether they would choose it or not.
    #[cfg(test)]
    pub(crate) fn untrimmed_open_edges<'a>(&'a self, visibility: &'a Visibility) -> impl Iterator<Item = Edge> + 'a {
        self.edges().filter(|edge| self.is_open(edge.to, visibility))
    }

    /// Returns the releases that a node on `from` is shown as targets now, each with its visibility. Together with `from` they are all that
    /// an agent needs.
    pub fn open_targets<'a>(
        &'a self,
        from: NodeIndex,
        node_context: &'a NodeContext<'a>,
        now: Epoch,
    ) -> impl Iterator<Item = (NodeIndex, TargetVisibility)> + 'a {
        self.targets_with_visibility(from, node_context, now).filter(|(_, visibility)| !visibility.held_back)
    }

    /// Returns the releases that a node on `from` may update to now or later, each with its visibility. If the graph is trimmed, the newest
    /// ones that it may update to now are among them, no older ones of these, and none that is held back and older than these; during a stop,
    /// which offers nothing, they are the newest of all.
    pub fn targets_with_visibility<'a>(
        &'a self,
        from: NodeIndex,
        node_context: &'a NodeContext<'a>,
        now: Epoch,
    ) -> impl Iterator<Item = (NodeIndex, TargetVisibility)> + 'a {
        let mut targets = self.targets(from);
        if let Some(shown) = self.shown_targets {
            targets.keep_newest(shown);
        }
        std::iter::from_fn(move || {
            let target = targets.next()?;
            let visibility = self.target_visibility(self.node(target)?, node_context, now);
            if !visibility.held_back || node_context.is_stopped {
                targets.count_one();
            }
            Some((target, visibility))
        })
    }
}

impl Visibility {
    fn target(&self, node: &Node) -> Option<TargetVisibility> {
        self.rollout_nodes.get(node.rollout_index()?).copied().map(TargetVisibility::from_number)
    }
}

impl TargetVisibility {
    /// Encodes the visibility: twice the number of the rollout, counted from 1 (0 for none), plus 1 if the release is held back.
    fn number(self) -> u32 {
        let rollout = self.rollout.and_then(|rollout| u32::try_from(rollout + 1).ok()).unwrap_or(0);
        rollout * 2 + u32::from(self.held_back)
    }

    fn from_number(number: u32) -> Self {
        let rollout = usize::try_from(number / 2).unwrap_or(0);
        Self { rollout: rollout.checked_sub(1), held_back: number % 2 == 1 }
    }
}
