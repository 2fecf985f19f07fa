//! Sections of the configuration that protocols bring.

use super::error::ConfigError;
use figment2::{Figment, providers::Serialized};
use serde::{Serialize, de::DeserializeOwned};
use std::collections::BTreeMap;

/// The settings of a protocol, in a section of their own. `Default` has the defaults; unknown keys should be denied.
pub trait ProtocolSection: Default + Serialize + DeserializeOwned {
    /// The name of the section.
    const NAME: &'static str;

    /// Validates the settings.
    ///
    /// # Errors
    /// A setting is invalid; the error names it.
    fn validate(&self) -> Result<(), ConfigError>;
}

/// A section that [`load`](super::load) accepts in addition to the service's own.
#[derive(Debug, Clone, Copy)]
pub struct Section {
    name: &'static str,
    read: fn(Figment) -> Result<toml::Table, ConfigError>,
}

impl Section {
    /// Returns the section of a protocol.
    #[must_use]
    pub const fn new<T: ProtocolSection>() -> Self {
        Self { name: T::NAME, read: read::<T> }
    }

    /// Returns its name.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// Reads and validates the section. Settings that no layer has get their defaults.
    pub(super) fn read(&self, layers: Figment) -> Result<toml::Table, ConfigError> {
        (self.read)(layers)
    }
}

fn read<T: ProtocolSection>(layers: Figment) -> Result<toml::Table, ConfigError> {
    let layers = layers.join(Serialized::default(T::NAME, T::default()));
    // As a map with one section, so that errors have the full path of a key.
    let sections: Result<BTreeMap<String, T>, _> = layers.extract();
    let mut sections = sections.map_err(|error| ConfigError::Layer(Box::new(error)))?;
    let section = sections.remove(T::NAME).unwrap_or_default();
    section.validate()?;
    toml::Table::try_from(&section).map_err(|error| ConfigError::value(T::NAME, &error.to_string()))
}
