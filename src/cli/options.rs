//! Code that several commands share: settings, logs, the runtime, signals, and the identity of the local user.

use crate::{
    auth::Identity,
    config::{Flags, LogFormat, Settings, Sources, load},
    domain::actor::is_display_name,
    server::Registry,
    store::Access,
    telemetry::{LogShape, Otlp, TelemetryGuard, start_logs},
};
use anyhow::Context;
use clap::Args;
use std::path::PathBuf;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// The options of every command that reads settings.
#[derive(Debug, Clone, Default, Args)]
pub(super) struct Common {
    /// Configuration file; see lockkeeper.example.toml for all settings
    #[arg(long, value_name = "FILE", env = "LOCKKEEPER_CONFIG")]
    pub(super) config: Option<PathBuf>,
    /// Folder for this machine's data [default: ./.lockkeeper]
    #[arg(long, value_name = "DIR")]
    pub(super) data_dir: Option<PathBuf>,
}

impl Common {
    /// Loads the settings and starts the log.
    pub(super) fn settings(&self, flags: Flags) -> anyhow::Result<Settings> {
        let settings = self.load(flags)?;
        // Short commands send nothing to a collector.
        let _ = start(&settings, None)?;
        Ok(settings)
    }

    /// Loads the settings, and starts the log and the export of logs and traces if a collector is configured.
    pub(super) fn settings_with_telemetry(&self, flags: Flags) -> anyhow::Result<(Settings, TelemetryGuard)> {
        let settings = self.load(flags)?;
        let guard = start(&settings, settings.telemetry.otlp().as_ref())?;
        Ok((settings, guard))
    }

    fn load(&self, flags: Flags) -> anyhow::Result<Settings> {
        let flags = Flags { data_dir: self.data_dir.clone(), ..flags };
        Ok(load(&Sources { file: self.config.clone(), flags }, &Registry::SECTIONS)?)
    }
}

fn start(settings: &Settings, otlp: Option<&Otlp>) -> anyhow::Result<TelemetryGuard> {
    let shape = match settings.log.format {
        LogFormat::Text => LogShape::Text,
        LogFormat::Json => LogShape::Json,
    };
    Ok(start_logs(shape, settings.log.filter.parse().context("log.filter")?, otlp)?)
}

/// Builds the async runtime that a command runs on.
pub(super) fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().context("cannot start the async runtime")
}

/// Returns the identity of the local user, such as `local:core`, for the audit log.
pub(super) fn identity() -> Identity {
    let user =
        ["USER", "LOGNAME"].iter().find_map(|name| std::env::var(name).ok().filter(|user| is_display_name(user)));
    Identity::local(&user.unwrap_or_else(|| format!("uid-{}", rustix::process::getuid().as_raw())))
}

/// The signals that stop a command. They are caught from the moment that this is created.
pub(super) struct Stop(Vec<(SignalKind, Signal)>);

impl Stop {
    pub(super) fn new() -> anyhow::Result<Self> {
        let kinds = [SignalKind::terminate(), SignalKind::interrupt(), SignalKind::hangup()];
        let signals = kinds.into_iter().map(|kind| Ok((kind, signal(kind)?)));
        Ok(Self(signals.collect::<std::io::Result<_>>().context("cannot handle signals")?))
    }

    /// Waits for one of them.
    pub(super) async fn wait(&mut self) -> SignalKind {
        let waiting = self.0.iter_mut().map(|(kind, signal)| {
            Box::pin(async {
                signal.recv().await;
                *kind
            })
        });
        futures_util::future::select_all(waiting).await.0
    }
}

/// Opens the database, runs `work`, and closes the database, also if `work` fails or a signal arrives.
pub(super) async fn with_database<T>(
    settings: &Settings,
    work: impl AsyncFnOnce(&Access) -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    let mut stop = Stop::new()?;
    let access = Access::open(&settings.database, &settings.data_dir).await?;
    let result = tokio::select! {
        result = work(&access) => result,
        _ = stop.wait() => Err(anyhow::anyhow!("stopped by a signal")),
    };
    let closed = access.close().await;
    let value = result?;
    closed?;
    Ok(value)
}
