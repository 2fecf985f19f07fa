//! `[fcos]`

use super::error::ConfigError;
use crate::domain::ids::ProductName;
use serde::{Deserialize, Serialize};

/// Fedora CoreOS agents.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FcosSettings {
    /// The product that the root paths serve.
    pub default_product: String,
    /// The response to a node that reports an unknown payload.
    pub unknown_payload: UnknownPayload,
    /// The graph for a node that reports a known payload.
    pub view: View,
}

/// The response to a node that reports an unknown payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UnknownPayload {
    /// The full graph.
    Full,
    /// An empty graph.
    Empty,
}

/// The graph for a node that reports a known payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum View {
    /// The node view: the node's release and the releases that it may update to now.
    Node,
    /// The full graph.
    Full,
}

impl Default for FcosSettings {
    fn default() -> Self {
        Self { default_product: "fedora-coreos".into(), unknown_payload: UnknownPayload::Full, view: View::Node }
    }
}

impl FcosSettings {
    pub(super) fn validate(&self) -> Result<(), ConfigError> {
        self.product().map(drop)
    }

    /// Returns the product that the root paths serve.
    ///
    /// # Errors
    /// The name is invalid.
    pub fn product(&self) -> Result<ProductName, ConfigError> {
        ProductName::parse(&self.default_product)
            .map_err(|error| ConfigError::value("fcos.default_product", &error.to_string()))
    }
}
