//! `lockkeeper serve`

use super::{
    options::{Common, runtime},
    output::say,
    supervisor,
};
use crate::{clock::SystemClock, config::Flags, server::Service};
use anyhow::Context;
use clap::Args;
use std::{net::SocketAddr, path::PathBuf, process::ExitCode, sync::Arc};
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::oneshot,
};

/// Answers agents and release managers over HTTP until SIGTERM or SIGINT; a second one ends it without waiting for anybody.
#[derive(Debug, Default, Args)]
pub(super) struct Serve {
    #[command(flatten)]
    common: Common,
    /// One address for everything [default: 127.0.0.1:8080]
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<String>,
    /// Stream documents to start an empty store from
    #[arg(long, value_name = "DIR")]
    streams_dir: Option<PathBuf>,
    /// Offer sample payloads on listeners that are not loopback too
    #[arg(long)]
    offer_synthetic: bool,
    /// Once ready, print what to try next
    #[arg(long)]
    hints: bool,
}

impl Serve {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let (settings, _telling) = self.common.told_settings(Flags {
            listen: self.listen,
            streams_dir: self.streams_dir,
            offer_synthetic: self.offer_synthetic,
            ..Flags::default()
        })?;
        let hints = self.hints;
        runtime()?.block_on(async move {
            let mut terminate = signal(SignalKind::terminate()).context("SIGTERM")?;
            let mut interrupt = signal(SignalKind::interrupt()).context("SIGINT")?;
            let service = Service::bind(settings, Arc::new(SystemClock))?;
            let (agents, status) = (service.agents_address(), service.status_address());
            let (stop, stopped) = oneshot::channel();
            let (hurry, hurried) = oneshot::channel();
            let signals = tokio::spawn(async move {
                let mut told = async || {
                    tokio::select! {
                        _ = terminate.recv() => {}
                        _ = interrupt.recv() => {}
                    }
                };
                told().await;
                supervisor::stopping();
                let _ = stop.send(());
                told().await;
                tracing::warn!("told to stop once more: nobody is waited for");
                let _ = hurry.send(());
            });
            let watched = tokio::spawn(supervisor::keep_telling(service.pulse()));
            let ready = move || {
                tracing::info!("ready");
                supervisor::ready();
                if hints {
                    hint(agents, status);
                }
            };
            let until = async |word: oneshot::Receiver<()>| drop(word.await);
            let ended = service.run(until(stopped), until(hurried), ready).await;
            watched.abort();
            signals.abort();
            ended?;
            Ok(ExitCode::SUCCESS)
        })
    }
}

fn hint(agents: Option<SocketAddr>, status: SocketAddr) {
    if let Some(agents) = agents {
        say(format!("  curl 'http://{agents}/v1/graph?basearch=x86_64&stream=stable&rollout_wariness=0.5'"));
    }
    say(format!("  curl http://{status}/healthz/ready"));
    say("  lockkeeper import fcos --from DIR    # in another shell; DIR laid out as Fedora CoreOS's metadata"
        .to_string());
}
