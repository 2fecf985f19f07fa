//! What several commands share: settings, logs, the runtime, and who is at the keyboard.

use crate::store::Access;
use crate::{
    config::{Flags, LogFormat, Settings, Sources, load},
    telemetry::{LogShape, Otlp, Telling, start_logs},
};
use anyhow::Context;
use clap::Args;
use std::path::PathBuf;
use tokio::signal::unix::{Signal, SignalKind, signal};

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
        let settings = self.load(flags)?;
        // Nothing is sent to a collector by what runs for a moment.
        let _ = start(&settings, None)?;
        Ok(settings)
    }

    /// The same for what runs long: what is logged and traced is sent to a collector too, if there is one.
    pub(super) fn told_settings(&self, flags: Flags) -> anyhow::Result<(Settings, Telling)> {
        let settings = self.load(flags)?;
        let telling = start(&settings, settings.telemetry.otlp().as_ref())?;
        Ok((settings, telling))
    }

    fn load(&self, flags: Flags) -> anyhow::Result<Settings> {
        let flags = Flags { data_dir: self.data_dir.clone(), ..flags };
        Ok(load(&Sources { file: self.config.clone(), flags })?)
    }
}

fn start(settings: &Settings, otlp: Option<&Otlp>) -> anyhow::Result<Telling> {
    let shape = match settings.log.format {
        LogFormat::Text => LogShape::Text,
        LogFormat::Json => LogShape::Json,
    };
    Ok(start_logs(shape, settings.log.filter.parse().context("log.filter")?, otlp)?)
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

/// The signals that ask us to stop, heard from the moment that this is made.
pub(super) struct Stop(Vec<(SignalKind, Signal)>);

impl Stop {
    pub(super) fn new() -> anyhow::Result<Self> {
        let kinds = [SignalKind::terminate(), SignalKind::interrupt(), SignalKind::hangup()];
        let signals = kinds.into_iter().map(|kind| Ok((kind, signal(kind)?)));
        Ok(Self(signals.collect::<std::io::Result<_>>().context("signals")?))
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

/// Opens the database for some work, and closes it however that ends, a signal among the ends.
pub(super) async fn with_database<T>(
    settings: &Settings,
    work: impl AsyncFnOnce(&Access) -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    let mut stop = Stop::new()?;
    let access = Access::open(&settings.database, &settings.data_dir).await?;
    let done = tokio::select! {
        done = work(&access) => done,
        _ = stop.wait() => Err(anyhow::anyhow!("stopped by a signal")),
    };
    let closed = access.close().await;
    let done = done?;
    closed?;
    Ok(done)
}
