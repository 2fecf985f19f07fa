//! The rules of Fedora CoreOS.

use super::NAME;
use crate::domain::{
    dialect::Dialect,
    finding::{Code, Finding},
    graph::{Graph, Node},
    payload::Scheme,
    policy::graph_rules::{GraphRules, Identity, NewestTargets},
    rollout::wariness::Wariness,
    stream::Stream,
};

/// The number of targets that the nodes of a new stream are shown. An agent takes the newest one; the next one remains if the newest is
/// withdrawn between two polls.
const NEWEST: u16 = 2;

/// The rules of Fedora CoreOS.
#[derive(Debug, Clone, Copy, Default)]
pub struct FcosDialect;

impl Dialect for FcosDialect {
    fn name(&self) -> &'static str {
        NAME
    }

    /// Returns the rules of streams that are created here. Upstream's streams show all targets.
    fn rules(&self) -> GraphRules {
        GraphRules { targets: NewestTargets::new(NEWEST).into(), ..GraphRules::default() }
    }

    fn wariness(&self, node: &str) -> Wariness {
        Wariness::from_node_id(node)
    }

    fn max_node_bytes(&self, graph: &Graph, node: &Node) -> usize {
        super::node_size::max_node_bytes(graph, node)
    }

    fn lint(&self, stream: &Stream) -> Vec<Finding> {
        let asked = [Scheme::checksum(), Scheme::oci()];
        let others = stream.schemes().into_iter().filter(|scheme| !asked.contains(scheme));
        let message = |scheme: &Scheme| format!("no agent of {NAME} asks for payloads of the scheme {scheme}");
        let mut findings: Vec<Finding> =
            others.map(|scheme| Finding::warning(Code::UnaskedScheme, "payloads", message(scheme))).collect();
        if stream.rules.identity == Identity::Version {
            let message = format!("agents of {NAME} report payloads: they cannot be identified by their version");
            findings.push(Finding::warning(Code::UnsupportedIdentity, "identity", message));
        }
        findings
    }
}
