//! `lockkeeper fleet`: what a running service has seen of the nodes.

use super::options::{Common, runtime};
use super::output::say;
use crate::{config::Flags, fleet::Unknowns};
use anyhow::Context;
use clap::{Args, Subcommand};
use std::process::ExitCode;

/// What can be asked.
#[derive(Debug, Subcommand)]
pub(super) enum Fleet {
    /// Lists payloads that nodes run and no release has, most frequent first
    Unknown(Unknown),
}

impl Fleet {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let Self::Unknown(arguments) = self;
        arguments.run()
    }
}

#[derive(Debug, Args)]
pub(super) struct Unknown {
    #[command(flatten)]
    common: Common,
    /// The service's status address [default: http:// and listeners.status, or listen]
    #[arg(long)]
    url: Option<String>,
}

impl Unknown {
    fn run(self) -> anyhow::Result<ExitCode> {
        let settings = self.common.settings(Flags::default())?;
        let base = match self.url {
            Some(url) => url,
            None => format!("http://{}", settings.listeners()?.status),
        };
        let url = format!("{}/fleet/unknown-payloads", base.trim_end_matches('/'));
        let unknowns = runtime()?.block_on(async {
            let client = crate::exchange::fcos::source::client()?;
            let response = client.get(&url).send().await.with_context(|| url.clone())?.error_for_status()?;
            let text = response.text().await?;
            serde_json::from_str(&text).with_context(|| format!("{url} is not the status address of a service"))
        })?;
        tell(&unknowns);
        Ok(ExitCode::SUCCESS)
    }
}

fn tell(unknowns: &Unknowns) {
    for unknown in &unknowns.payloads {
        let crate::fleet::UnknownPayload { product, stream, arch, scheme, payload, polls } = unknown;
        say(format!("{polls}\t{product}/{stream}\t{arch}\t{scheme}\t{payload}"));
    }
    if unknowns.others > 0 {
        say(format!("{}\tothers, not told apart", unknowns.others));
    }
}
