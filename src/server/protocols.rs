//! The registry: the protocols that a service speaks. Adding a protocol adds its folder and a line here.

use crate::{
    config::{self, ConfigError, Settings},
    domain::dialect::Dialects,
    protocol::{
        ProtocolEntry, dialects,
        fcos::{self, Fcos},
    },
};
use std::sync::Arc;

/// The protocols of a service.
pub struct Registry(Vec<ProtocolEntry>);

impl Registry {
    /// Returns the protocols of a service with these settings. Products that are not recorded with a protocol speak the first one.
    ///
    /// # Errors
    /// A setting of a protocol is invalid.
    pub fn new(settings: &Settings) -> Result<Self, ConfigError> {
        Ok(Self(vec![Fcos::entry(fcos_settings(&settings.fcos)?)]))
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
