//! Loads settings from all layers.

use super::{error::ConfigError, section::Section, settings::Settings};
use crate::files;
use figment2::{
    Figment, Metadata, Profile, Provider,
    error::Kind,
    providers::{Env, Format, Serialized, Toml},
    value::{Dict, Map},
};
use std::path::{Path, PathBuf};

/// Settings from command line flags.
#[derive(Debug, Clone, Default)]
pub struct Flags {
    /// `--listen`
    pub listen: Option<String>,
    /// `--data-dir`
    pub data_dir: Option<PathBuf>,
    /// `--streams-dir`
    pub streams_dir: Option<PathBuf>,
    /// `--offer-synthetic`
    pub offer_synthetic: bool,
}

/// The sources of settings, in addition to defaults and environment variables.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    /// `--config`
    pub file: Option<PathBuf>,
    /// Settings from command line flags.
    pub flags: Flags,
}

const PREFIX: &str = "LOCKKEEPER_";
/// The largest configuration file, in bytes.
const MAX_BYTES: u64 = 1 << 20;

/// The configuration file, with its path for errors.
struct TomlFile {
    path: PathBuf,
    text: String,
}

impl TomlFile {
    fn read(path: &Path) -> Result<Self, ConfigError> {
        let text = files::read_text(path, MAX_BYTES);
        let text = text.map_err(|source| ConfigError::File { path: path.into(), source })?;
        Ok(Self { path: path.into(), text })
    }
}

impl Provider for TomlFile {
    fn metadata(&self) -> Metadata {
        Metadata::from("TOML file", self.path.as_path())
    }

    fn data(&self) -> figment2::Result<Map<Profile, Dict>> {
        Toml::string(&self.text).data()
    }
}

/// The part of a layer with some of its sections and top-level settings.
struct Part<'a, P> {
    layer: P,
    includes: &'a dyn Fn(&str) -> bool,
}

impl<P: Provider> Provider for Part<'_, P> {
    fn metadata(&self) -> Metadata {
        self.layer.metadata()
    }

    fn data(&self) -> figment2::Result<Map<Profile, Dict>> {
        let mut data = self.layer.data()?;
        for settings in data.values_mut() {
            settings.retain(|name, _| (self.includes)(name));
        }
        Ok(data)
    }
}

/// Loads settings from all layers: defaults, the file, `DATABASE_URL` and `LOCKKEEPER_*` (`__` between the parts of a name), flags.
/// `sections` are those of protocols.
///
/// # Errors
/// A setting is unknown or invalid; the error names it and the layer that it came from.
pub fn load(sources: &Sources, sections: &[Section]) -> Result<Settings, ConfigError> {
    let file = sources.file.as_deref().map(TomlFile::read).transpose()?;
    let add_layers = |mut figment: Figment, includes: &dyn Fn(&str) -> bool| {
        if let Some(file) = &file {
            figment = figment.merge(Part { layer: file, includes });
        }
        figment.merge(Part { layer: database_url(), includes }).merge(Part { layer: variables(), includes })
    };
    let is_protocols = |name: &str| sections.iter().any(|section| section.name() == name);
    let figment = Figment::from(Serialized::defaults(Settings::default()));
    let figment = merge_flags(add_layers(figment, &|name| !is_protocols(name)), &sources.flags);
    let mut settings: Settings =
        figment.extract().map_err(|error| ConfigError::Layer(Box::new(with_sections(error, sections))))?;
    for section in sections {
        let figment = add_layers(Figment::new(), &|name| name == section.name());
        settings.protocols.insert(section.name().into(), section.read(figment)?);
    }
    // Compose files and shells pass an unset variable as an empty one.
    settings.streams_dir = settings.streams_dir.filter(|path| !path.as_os_str().is_empty());
    settings.validate()?;
    Ok(settings)
}

fn database_url() -> Env {
    Env::raw().only(&["DATABASE_URL"]).filter(|_| has_database_url()).map(|_| "database.url".into())
}

fn variables() -> Env {
    Env::prefixed(PREFIX).filter(|key| !is_unrelated(key.as_str())).split("__")
}

fn merge_flags(mut figment: Figment, flags: &Flags) -> Figment {
    let path = |path: &Path| path.to_string_lossy().into_owned();
    for (setting, value) in [
        ("listen", flags.listen.clone()),
        ("data_dir", flags.data_dir.as_deref().map(path)),
        ("streams_dir", flags.streams_dir.as_deref().map(path)),
    ] {
        if let Some(value) = value {
            figment = figment.merge((setting, value));
        }
    }
    if flags.offer_synthetic {
        figment = figment.merge(("offer_synthetic", true));
    }
    figment
}

/// Adds the sections of protocols to what an error about an unknown section or top-level setting expects.
fn with_sections(mut error: figment2::Error, sections: &[Section]) -> figment2::Error {
    if let Kind::UnknownField(name, known) = &error.kind
        && error.path.len() == 1
    {
        let known = known.iter().copied().chain(sections.iter().map(Section::name));
        let known: Vec<String> = known.map(|name| format!("`{name}`")).collect();
        let message = format!("unknown field: found `{name}`, expected `one of {}`", known.join(", "));
        error.kind = Kind::Message(message);
    }
    error
}

fn has_database_url() -> bool {
    std::env::var_os("DATABASE_URL").is_some_and(|url| !url.is_empty())
}

/// Returns true for variables that are not settings: the one that names the file, and those that Kubernetes sets for a service
/// called lockkeeper (`LOCKKEEPER_SERVICE_HOST`, `LOCKKEEPER_PORT`, `LOCKKEEPER_PORT_8080_TCP`, ...).
fn is_unrelated(key: &str) -> bool {
    let key = key.to_ascii_uppercase();
    key == "CONFIG" || key == "PORT" || key.starts_with("PORT_") || key.starts_with("SERVICE_")
}
