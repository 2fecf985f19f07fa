//! `lockkeeper serve`: runs the service.

use super::{
    options::{Common, runtime},
    output::print_line,
    supervisor,
};
use crate::{
    clock::SystemClock,
    config::Flags,
    exchange::{EXCHANGES, Exchange},
    server::Service,
};
use anyhow::Context;
use clap::Args;
use std::{net::SocketAddr, path::PathBuf, process::ExitCode, sync::Arc};
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::oneshot,
};

/// The arguments of `serve`.
#[derive(Debug, Default, Args)]
pub(super) struct Serve {
    #[command(flatten)]
    common: Common,
    /// Address to listen on, for nodes, API and status [default: 127.0.0.1:8080]
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<String>,
    /// Folder with stream documents to seed an empty database
    #[arg(long, value_name = "DIR")]
    streams_dir: Option<PathBuf>,
    /// Offer placeholder (synthetic) payloads on every address, not only on loopback
    #[arg(long)]
    offer_synthetic: bool,
    /// Print commands to try once the service is ready
    #[arg(long)]
    hints: bool,
}

impl Serve {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let (settings, _telemetry) = self.common.settings_with_telemetry(Flags {
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
            let (stop, stop_requested) = oneshot::channel();
            let (force_shutdown, shutdown_forced) = oneshot::channel();
            let signals = tokio::spawn(async move {
                let mut stop_signal = async || {
                    tokio::select! {
                        _ = terminate.recv() => {}
                        _ = interrupt.recv() => {}
                    }
                };
                stop_signal().await;
                supervisor::notify_stopping();
                let _ = stop.send(());
                stop_signal().await;
                tracing::warn!("second stop signal received, exiting without draining");
                let _ = force_shutdown.send(());
            });
            let watchdog = tokio::spawn(supervisor::feed_watchdog(service.event_loops()));
            let ready = move || {
                tracing::info!("ready");
                supervisor::notify_ready();
                if hints {
                    print_hints(agents, status);
                }
            };
            let received = async |request: oneshot::Receiver<()>| drop(request.await);
            let result = service.run(received(stop_requested), received(shutdown_forced), ready).await;
            watchdog.abort();
            signals.abort();
            result?;
            Ok(ExitCode::SUCCESS)
        })
    }
}

fn print_hints(agents: Option<SocketAddr>, status: SocketAddr) {
    if let Some(agents) = agents {
        for exchange in EXCHANGES {
            print_line(format!("  curl 'http://{agents}{}'", exchange.hints.poll));
        }
    }
    print_line(format!("  curl http://{status}/healthz/ready"));
    for Exchange { name, hints, .. } in EXCHANGES {
        print_line(format!("  lockkeeper import {name} {}    # in another shell", hints.import));
    }
}
