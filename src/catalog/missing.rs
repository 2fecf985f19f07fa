//! Full graphs that were requested and are not cached.

use super::{node_profile::NodeProfile, rendered::Rendered, scope::Scope, scopes::StreamScopes};
use crate::domain::graph::visibility::{NodeContext, Visibility};
use std::sync::Arc;

/// A full graph that is not cached. Holds the scopes of its stream at the revision for which the graph was requested.
#[derive(Debug, Clone)]
pub struct MissingGraph {
    scopes: Arc<StreamScopes>,
    arch: Box<str>,
    scheme: Box<str>,
    node_profile: NodeProfile,
    visibility: Visibility,
}

impl MissingGraph {
    /// Describes the full graph of a scope for a node with this visibility.
    #[must_use]
    pub fn new(
        scopes: Arc<StreamScopes>,
        scope: &Scope,
        node_context: &NodeContext<'_>,
        visibility: Visibility,
    ) -> Self {
        let (arch, scheme) = (scope.graph().arch.as_str().into(), scope.graph().scheme.as_str().into());
        Self { arch, scheme, scopes, node_profile: NodeProfile::new(node_context), visibility }
    }

    /// Returns true if it is the full graph of this scope for this visibility.
    #[must_use]
    pub fn matches(&self, scope: &Scope, visibility: &Visibility) -> bool {
        self.scope().is_some_and(|own| std::ptr::eq(own, scope)) && self.visibility == *visibility
    }

    /// Renders it on the calling thread, for a poll.
    #[must_use]
    pub fn render(&self) -> Option<Arc<Rendered>> {
        Some(self.scope()?.render_for_poll(&self.node_profile, &self.visibility))
    }

    pub(super) fn scope(&self) -> Option<&Scope> {
        self.scopes.get(&self.arch, &self.scheme)
    }

    pub(super) fn visibility(&self) -> &Visibility {
        &self.visibility
    }

    pub(super) fn cached(&self) -> Option<Arc<Rendered>> {
        self.scope()?.cached_full_graph(&self.visibility)
    }
}
