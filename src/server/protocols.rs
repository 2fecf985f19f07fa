//! The registry: the protocols that a service speaks. Adding a protocol adds its folder and a line here.

use crate::{
    catalog::Render,
    config::{ConfigError, Section, Settings},
    domain::ids::ProductName,
    protocol::{
        Agents, Protocol,
        fcos::{Fcos, FcosSection, GraphJson},
    },
};
use std::sync::Arc;

/// Builds a protocol on what it answers from.
pub type BuildProtocol = Box<dyn Fn(Agents) -> Arc<dyn Protocol> + Send + Sync>;

/// The protocols of a service, before it has a catalog.
pub struct Registry {
    pub(super) render: Arc<dyn Render>,
    pub(super) entries: Vec<BuildProtocol>,
}

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

    /// Returns the protocols of a service with these settings.
    ///
    /// # Errors
    /// A setting of a protocol is invalid.
    pub fn new(settings: &Settings) -> Result<Self, ConfigError> {
        let fcos = settings.protocol::<FcosSection>()?.settings()?;
        let entries: Vec<BuildProtocol> = vec![Box::new(move |on| Arc::new(Fcos::new(on, fcos.clone())))];
        Ok(Self { render: Arc::new(GraphJson), entries })
    }

    /// Adds a protocol.
    #[must_use]
    pub fn with(mut self, protocol: BuildProtocol) -> Self {
        self.entries.push(protocol);
        self
    }
}
