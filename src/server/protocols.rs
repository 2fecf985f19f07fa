//! The registry: the protocols that a service speaks. Adding a protocol adds its folder and a line here.

use crate::{
    config::{ConfigError, Section, Settings},
    domain::{dialect::Dialects, ids::ProductName},
    protocol::{
        ProtocolEntry, dialects,
        fcos::{Fcos, FcosSection},
    },
};
use std::sync::Arc;

/// The protocols of a service.
pub struct Registry(Vec<ProtocolEntry>);

impl Registry {
    /// The sections of the configuration that protocols bring.
    pub const SECTIONS: [Section; 1] = [Section::new::<FcosSection>()];

    /// The setting that names the product that the root paths serve.
    pub const DEFAULT_PRODUCT: &str = FcosSection::DEFAULT_PRODUCT;

    /// Returns the product that the root paths serve.
    ///
    /// # Errors
    /// The setting is invalid.
    pub fn default_product(settings: &Settings) -> Result<ProductName, ConfigError> {
        settings.protocol::<FcosSection>()?.product()
    }

    /// Returns the protocols of a service with these settings. Products that their first stream creates speak the first one.
    ///
    /// # Errors
    /// A setting of a protocol is invalid.
    pub fn new(settings: &Settings) -> Result<Self, ConfigError> {
        Ok(Self(vec![Fcos::entry(settings.protocol::<FcosSection>()?.settings()?)]))
    }

    /// Adds a protocol.
    #[must_use]
    pub fn with(mut self, protocol: ProtocolEntry) -> Self {
        self.0.push(protocol);
        self
    }

    /// Returns all protocols.
    #[must_use]
    pub fn entries(&self) -> &[ProtocolEntry] {
        &self.0
    }

    /// Returns the rules of all protocols.
    #[must_use]
    pub fn dialects(&self) -> Arc<Dialects> {
        Arc::new(dialects(&self.0))
    }
}
