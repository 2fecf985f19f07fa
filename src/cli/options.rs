//! What several commands share: settings, logs, the runtime, and who is at the keyboard.

use crate::{
    config::{Flags, LogFormat, Settings, Sources, load},
    telemetry::{LogShape, start_logs},
};
use anyhow::Context;
use clap::Args;
use std::path::PathBuf;

/// Where settings come from.
#[derive(Debug, Clone, Default, Args)]
pub(super) struct Common {
    /// A configuration file; lockkeeper.example.toml documents what may stand in it
    #[arg(long, value_name = "FILE", env = "LOCKKEEPER_CONFIG")]
    pub(super) config: Option<PathBuf>,
    /// Where this machine's own data is kept [default: ./.lockkeeper]
    #[arg(long, value_name = "DIR")]
    pub(super) data_dir: Option<PathBuf>,
}

impl Common {
    /// The settings; logs start by them.
    pub(super) fn settings(&self, flags: Flags) -> anyhow::Result<Settings> {
        let flags = Flags { data_dir: self.data_dir.clone(), ..flags };
        let settings = load(&Sources { file: self.config.clone(), flags })?;
        let shape = match settings.log.format {
            LogFormat::Text => LogShape::Text,
            LogFormat::Json => LogShape::Json,
        };
        start_logs(shape, settings.log.filter.parse().context("log.filter")?);
        Ok(settings)
    }
}

/// What commands run on.
pub(super) fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().context("the runtime does not start")
}

/// Who is at the keyboard, for the record: `local:core`.
pub(super) fn actor() -> String {
    let user = ["USER", "LOGNAME"].iter().find_map(|name| std::env::var(name).ok().filter(|user| !user.is_empty()));
    let user = user.unwrap_or_else(|| format!("uid-{}", rustix::process::getuid().as_raw()));
    format!("local:{user}")
}
