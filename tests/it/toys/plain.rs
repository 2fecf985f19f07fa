//! The rules of toys that have none of their own.

use lockkeeper::domain::{dialect::Dialect, finding::Finding, rollout::wariness::Wariness, stream::Stream};

pub(super) struct Plain(pub(super) &'static str);

impl Dialect for Plain {
    fn name(&self) -> &'static str {
        self.0
    }

    fn wariness(&self, node: &str) -> Wariness {
        Wariness::from_node_id(node)
    }

    fn lint(&self, _: &Stream) -> Vec<Finding> {
        Vec::new()
    }
}
