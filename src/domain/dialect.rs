//! The rules that a protocol defines. All other rules are the same for every protocol.

use super::{
    admission::lint::lint,
    epoch::Epoch,
    finding::Finding,
    graph::{Graph, Node},
    ids::{ProductName, ProtocolName},
    policy::graph_rules::GraphRules,
    rollout::wariness::Wariness,
    stream::Stream,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::Arc,
};

/// What a node has in a full graph besides its texts, unless its protocol says otherwise.
const OTHER_NODE_BYTES: usize = 512;

/// The rules of a protocol. Pure.
pub trait Dialect: Send + Sync {
    /// Returns the protocol's name, which is stored with its products. It never changes.
    fn name(&self) -> &'static str;

    /// Returns the rules of a new stream whose creator gives none.
    fn rules(&self) -> GraphRules {
        GraphRules::default()
    }

    /// Returns the position in rollouts of a node that does not report one. It must never change for a node.
    fn wariness(&self, node: &str) -> Wariness;

    /// Returns an upper bound of the bytes of a node in a full graph, at any time. The default is for texts without escapes.
    fn max_node_bytes(&self, graph: &Graph, node: &Node) -> usize {
        let reasons = [&node.barrier, &node.dead_end].into_iter().flatten().map(|reason| reason.as_str().len());
        let names = [node.version.as_str(), node.payload.as_str(), graph.scheme.as_str()].map(str::len);
        OTHER_NODE_BYTES + reasons.chain(names).sum::<usize>()
    }

    /// Returns what the protocol cannot express of a stream.
    fn lint(&self, stream: &Stream) -> Vec<Finding>;
}

/// Returns the lint findings of a stream, with what its protocol cannot express if the service speaks it.
#[must_use]
pub fn findings(dialect: Option<&dyn Dialect>, stream: &Stream, now: Epoch) -> Vec<Finding> {
    let protocol_findings = dialect.map(|dialect| dialect.lint(stream)).unwrap_or_default();
    lint(stream, now).into_iter().chain(protocol_findings).collect()
}

/// Names that the service uses for its own paths. A product with such a name could not be reached below `/{product}/`.
pub const OWN_PATHS: [&str; 5] = ["api", "fleet", "healthz", "metrics", "ui"];

/// The protocols that a service speaks, and the product names that their paths use.
#[derive(Clone)]
pub struct Dialects {
    by_name: BTreeMap<&'static str, Arc<dyn Dialect>>,
    /// The protocol of products that their first stream creates.
    default: Option<Arc<dyn Dialect>>,
    reserved: BTreeSet<String>,
}

impl Dialects {
    /// Collects protocols. Products that their first stream creates speak the first one, as the database's default says. `reserved` are the first segments of the paths that they claim.
    #[must_use]
    pub fn new(dialects: Vec<Arc<dyn Dialect>>, reserved: BTreeSet<String>) -> Self {
        let default = dialects.first().cloned();
        let by_name = dialects.into_iter().map(|dialect| (dialect.name(), dialect)).collect();
        Self { by_name, default, reserved }
    }

    /// Returns a protocol, or `None` if the service does not speak it.
    #[must_use]
    pub fn get(&self, name: &ProtocolName) -> Option<&Arc<dyn Dialect>> {
        self.by_name.get(name.as_str())
    }

    /// Returns the protocol of products that their first stream creates.
    #[must_use]
    pub fn default_dialect(&self) -> Option<&Arc<dyn Dialect>> {
        self.default.as_ref()
    }

    /// Returns the names of all protocols.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        self.by_name.keys().copied()
    }

    /// Returns true if paths of the service or of a protocol begin with this name.
    #[must_use]
    pub fn is_reserved(&self, product: &ProductName) -> bool {
        OWN_PATHS.contains(&product.as_str()) || self.reserved.contains(product.as_str())
    }
}

impl fmt::Debug for Dialects {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_set().entries(self.by_name.keys()).finish()
    }
}
