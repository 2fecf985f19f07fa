//! The rules of Fedora CoreOS.

use super::NAME;
use crate::domain::{
    dialect::Dialect, finding::Finding, payload::Scheme, policy::graph_rules::Identity, rollout::wariness::Wariness,
    stream::Stream,
};

/// The rules of Fedora CoreOS.
#[derive(Debug, Clone, Copy, Default)]
pub struct FcosDialect;

impl Dialect for FcosDialect {
    fn name(&self) -> &'static str {
        NAME
    }

    fn wariness(&self, node: &str) -> Wariness {
        Wariness::from_node_id(node)
    }

    fn lint(&self, stream: &Stream) -> Vec<Finding> {
        let asked = [Scheme::checksum(), Scheme::oci()];
        let others = stream.schemes().into_iter().filter(|scheme| !asked.contains(scheme));
        let message = |scheme: &Scheme| format!("no agent of {NAME} asks for payloads of the scheme {scheme}");
        let mut findings: Vec<Finding> = others.map(|scheme| Finding::warning("payloads", message(scheme))).collect();
        if stream.rules.identity == Identity::Version {
            let message = format!("agents of {NAME} report payloads: they cannot be identified by their version");
            findings.push(Finding::warning("identity", message));
        }
        findings
    }
}
