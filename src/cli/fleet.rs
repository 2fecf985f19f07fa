//! `lockkeeper fleet`: what a running service has counted from polls.

use super::options::{Common, runtime};
use super::output::print_row;
use crate::{config::Flags, fleet::Unknowns, outbound};
use anyhow::Context;
use clap::{Args, Subcommand};
use std::process::ExitCode;

/// The maximum size of a list. The thousand payloads of a service take far less.
const MAX_BYTES: usize = 16 << 20;

/// The subcommands of `fleet`.
#[derive(Debug, Subcommand)]
pub(super) enum Fleet {
    /// List unknown payloads that nodes report, most frequent first, with the stream that has each, if any
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
    /// Base URL of the service's status listener [default: http:// and listeners.status, or listen]
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
            let response = outbound::client()?.get(&url).send().await.with_context(|| url.clone())?;
            let answer = outbound::body(response.error_for_status()?, MAX_BYTES).await.with_context(|| url.clone())?;
            serde_json::from_slice(&answer).with_context(|| format!("{url} is not the status listener of a service"))
        })?;
        print_unknowns(&unknowns);
        Ok(ExitCode::SUCCESS)
    }
}

fn print_unknowns(unknowns: &Unknowns) {
    for unknown in &unknowns.payloads {
        let crate::fleet::UnknownPayload { product, stream, arch, scheme, payload, polls, .. } = unknown;
        let (stream, known) = (format!("{product}/{stream}"), unknown.describe_elsewhere());
        let mut values: Vec<&dyn std::fmt::Display> = vec![polls, &stream, arch, scheme, payload];
        values.extend(known.as_ref().map(|known| known as &dyn std::fmt::Display));
        print_row(&values);
    }
    if unknowns.others > 0 {
        print_row(&[&unknowns.others, &"other payloads"]);
    }
}
