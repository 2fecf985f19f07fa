//! The registry: the protocols that a service speaks. Adding a protocol adds its folder and a line here.

use crate::{
    catalog::Render,
    config::{self, ConfigError, Settings},
    protocol::{
        Agents, Protocol,
        fcos::{self, Fcos, GraphJson},
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
    /// Returns the protocols of a service with these settings.
    ///
    /// # Errors
    /// A setting of a protocol is invalid.
    pub fn new(settings: &Settings) -> Result<Self, ConfigError> {
        let fcos = fcos_settings(&settings.fcos)?;
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

fn fcos_settings(settings: &config::FcosSettings) -> Result<fcos::Settings, ConfigError> {
    Ok(fcos::Settings {
        default_product: settings.product()?,
        unknown_payload: match settings.unknown_payload {
            config::UnknownPayload::Full => fcos::UnknownPayload::Full,
            config::UnknownPayload::Empty => fcos::UnknownPayload::Empty,
        },
        view: match settings.view {
            config::View::Node => fcos::View::Node,
            config::View::Full => fcos::View::Full,
        },
        // Depends on the listener.
        offer_synthetic: false,
    })
}
