//! `[fcos]`

use super::error::ConfigError;
use crate::domain::product::ProductName;
use serde::{Deserialize, Serialize};

/// Fedora CoreOS agents.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FcosSettings {
    /// The product that the root paths serve.
    pub default_product: String,
    /// What a node gets that runs something unknown.
    pub unknown_payload: UnknownPayload,
    /// Which graph a node gets that says what it runs.
    pub view: View,
}

/// What a node gets that runs something unknown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UnknownPayload {
    /// The whole graph.
    Whole,
    /// A graph of nothing.
    Empty,
}

/// Which graph a node gets that says what it runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum View {
    /// Its own: itself and the releases to which it may go now.
    Node,
    /// The whole graph.
    Full,
}

impl Default for FcosSettings {
    fn default() -> Self {
        Self { default_product: "fedora-coreos".into(), unknown_payload: UnknownPayload::Whole, view: View::Node }
    }
}

impl FcosSettings {
    pub(super) fn validate(&self) -> Result<(), ConfigError> {
        self.product().map(drop)
    }

    /// The product that the root paths serve.
    ///
    /// # Errors
    /// It is no name of a product.
    pub fn product(&self) -> Result<ProductName, ConfigError> {
        ProductName::parse(&self.default_product)
            .map_err(|error| ConfigError::value("fcos.default_product", &error.to_string()))
    }
}
