//! `[fcos]`: the section of the configuration.

use super::{Settings, UnknownPayload, View};
use crate::{
    config::{ConfigError, ProtocolSection},
    domain::ids::ProductName,
};
use serde::{Deserialize, Serialize};

/// The settings of Fedora CoreOS agents, as they are configured.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FcosSection {
    /// The product that the root paths serve.
    pub default_product: String,
    /// The response to a node that reports an unknown payload.
    pub unknown_payload: UnknownPayload,
    /// The graph for a node that reports a known payload.
    pub view: View,
}

impl Default for FcosSection {
    fn default() -> Self {
        Self { default_product: "fedora-coreos".into(), unknown_payload: UnknownPayload::Full, view: View::Node }
    }
}

impl ProtocolSection for FcosSection {
    const NAME: &'static str = "fcos";

    fn validate(&self) -> Result<(), ConfigError> {
        self.product().map(drop)
    }
}

impl FcosSection {
    /// The setting that names the product that the root paths serve.
    pub const DEFAULT_PRODUCT: &'static str = "fcos.default_product";

    /// Returns the product that the root paths serve.
    ///
    /// # Errors
    /// The name is invalid.
    pub fn product(&self) -> Result<ProductName, ConfigError> {
        ProductName::parse(&self.default_product)
            .map_err(|error| ConfigError::value(Self::DEFAULT_PRODUCT, &error.to_string()))
    }

    /// Returns the settings of the protocol.
    ///
    /// # Errors
    /// A setting is invalid.
    pub fn settings(&self) -> Result<Settings, ConfigError> {
        Ok(Settings {
            default_product: self.product()?,
            unknown_payload: self.unknown_payload,
            view: self.view,
            // Depends on the listener.
            offer_synthetic: false,
        })
    }
}
