//! The layers put together.

use super::{error::ConfigError, settings::Settings};
use figment2::{
    Figment,
    providers::{Env, Format, Serialized, Toml},
};
use std::path::{Path, PathBuf};

/// What flags said.
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

/// Where settings come from besides their defaults.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    /// `--config`
    pub file: Option<PathBuf>,
    /// What flags said.
    pub flags: Flags,
}

const PREFIX: &str = "LOCKKEEPER_";

/// Settings from all layers: defaults, the file, `DATABASE_URL` and `LOCKKEEPER_*` (`__` between the parts of a name), flags.
///
/// # Errors
/// Names the setting that is unknown or wrong, and the layer that it came from.
pub fn load(sources: &Sources) -> Result<Settings, ConfigError> {
    let mut figment = Figment::from(Serialized::defaults(Settings::default()));
    if let Some(path) = &sources.file {
        std::fs::File::open(path).map_err(|source| ConfigError::Missing { path: path.clone(), source })?;
        figment = figment.merge(Toml::file(path).search(false));
    }
    figment = figment
        .merge(Env::raw().only(&["DATABASE_URL"]).filter(|_| has_database_url()).map(|_| "database.url".into()))
        .merge(Env::prefixed(PREFIX).filter(|key| !is_no_setting(key.as_str())).split("__"));
    let flags = &sources.flags;
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
    let mut settings: Settings = figment.extract().map_err(|error| ConfigError::Layer(Box::new(error)))?;
    // Set but empty is how compose files and shells say "not set".
    settings.streams_dir = settings.streams_dir.filter(|path| !path.as_os_str().is_empty());
    settings.validate()?;
    Ok(settings)
}

fn has_database_url() -> bool {
    std::env::var_os("DATABASE_URL").is_some_and(|url| !url.is_empty())
}

/// Kubernetes gives every container variables named after the services around it: a service called lockkeeper would give
/// `LOCKKEEPER_SERVICE_HOST`, `LOCKKEEPER_PORT`, `LOCKKEEPER_PORT_8080_TCP`, ..., which are no settings. Nor is the one that
/// names the file.
fn is_no_setting(key: &str) -> bool {
    let key = key.to_ascii_uppercase();
    key == "CONFIG" || key == "PORT" || key.starts_with("PORT_") || key.starts_with("SERVICE_")
}
