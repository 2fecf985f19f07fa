//! The nodes for which full graphs are prepared.

use super::encoding::Coding;
use crate::domain::{graph::visibility::NodeContext, rollout::wariness::Wariness};

/// A node that requested a full graph: only what is needed to render the graph of the next revision for similar nodes. Its wariness is
/// rounded and does not identify the node.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct NodeProfile {
    group: Option<Box<str>>,
    platform: Option<Box<str>>,
    wariness: Wariness,
}

/// The number of parts into which the range of wariness is divided.
const PARTS: f64 = 256.0;
/// Selectors name no longer group or platform.
const MAX_LABEL_BYTES: usize = 255;

impl NodeProfile {
    /// Copies what graphs depend on.
    pub(super) fn new(node_context: &NodeContext<'_>) -> Self {
        let label = |text: Option<&str>| text.filter(|text| text.len() <= MAX_LABEL_BYTES).map(Into::into);
        // Rounded up: only nodes with a wariness of exactly 0, which operators give to canaries, keep it.
        let wariness = Wariness::new((node_context.wariness.get() * PARTS).ceil() / PARTS);
        Self { group: label(node_context.group), platform: label(node_context.platform), wariness }
    }

    /// Returns the context of such a node, for a stream that is stopped or not.
    pub(super) fn node_context(&self, is_stopped: bool) -> NodeContext<'_> {
        NodeContext {
            group: self.group.as_deref(),
            platform: self.platform.as_deref(),
            wariness: self.wariness,
            is_stopped,
        }
    }
}

/// A full graph that is requested repeatedly.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct InUse {
    /// One of the nodes that requested it.
    pub(super) node_profile: NodeProfile,
    /// The codings that were requested.
    pub(super) codings: Vec<Coding>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_profile_does_not_identify_a_node() {
        let node_profile = |wariness| {
            NodeProfile::new(&NodeContext { group: Some("canary"), platform: None, wariness, is_stopped: false })
        };
        let node = Wariness::from_node_id("13cc1b8c4aee096f177b1d09618a2d4a");
        assert_eq!(node_profile(node), node_profile(Wariness::new(0.8314)));
        assert_eq!(node_profile(node).node_context(true).group, Some("canary"));
        for given in [0.0, 1.0] {
            assert_eq!(node_profile(Wariness::new(given)).node_context(false).wariness, Wariness::new(given));
        }
        assert!(node_profile(Wariness::new(f64::MIN_POSITIVE)).node_context(false).wariness > Wariness::new(0.0));
        let long = "x".repeat(256);
        let node_context = NodeContext { group: Some(&long), platform: None, wariness: node, is_stopped: false };
        assert_eq!(NodeProfile::new(&node_context).node_context(false).group, None);
    }
}
