//! `lockkeeper import`: takes over what upstream publishes, beside a running service or without one.

use super::options::{Common, actor, runtime, with_database};
use super::output::say;
use crate::{
    clock::SystemClock,
    config::{Flags, Settings},
    domain::{
        finding::Severity,
        product::ProductName,
        stream::{StreamId, StreamName},
    },
    exchange::fcos::{
        import::{ImportError, Report, fetch, import},
        source::Location,
    },
    manage::{Author, Manage, Outcome},
};
use anyhow::Context;
use clap::{Args, Subcommand};
use std::{process::ExitCode, sync::Arc};

/// The exit code that tells of drift.
const DRIFT: u8 = 3;

/// What can be taken over.
#[derive(Debug, Subcommand)]
pub(super) enum Import {
    /// Fedora CoreOS's metadata, or anything laid out like it
    Fcos(Fcos),
}

impl Import {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let Self::Fcos(arguments) = self;
        arguments.run()
    }
}

/// Makes upstream's documents the state of the streams. Each stream is imported whole or not at all; what was set here stays.
///
/// Exits with 0 if upstream's state is now ours, 3 if something set here differs from it and stays, 1 if a stream was not
/// imported.
#[derive(Debug, Args)]
pub(super) struct Fcos {
    #[command(flatten)]
    common: Common,
    /// A folder or an address laid out as upstream's: prod/streams/<stream>/releases.json, updates/<stream>.json,
    /// streams/<stream>.json, release-notes/<stream>.yml (the last two may be missing)
    #[arg(long, value_name = "DIR|URL")]
    from: String,
    /// The product that they become streams of [default: `fcos.default_product`]
    #[arg(long)]
    product: Option<String>,
    /// The stream; all that are there if absent (of an address: next, stable and testing)
    #[arg(long)]
    stream: Option<String>,
    /// Why, for the record
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
}

impl Fcos {
    fn run(self) -> anyhow::Result<ExitCode> {
        let settings = self.common.settings(Flags::default())?;
        let product = match &self.product {
            Some(name) => ProductName::parse(name).context("--product")?,
            None => settings.fcos.product()?,
        };
        let location = Location::parse(&self.from)?;
        let streams = match &self.stream {
            Some(name) => vec![StreamName::parse(name).context("--stream")?],
            None => location.streams()?,
        };
        let ids = streams.into_iter().map(|stream| StreamId { product: product.clone(), stream }).collect();
        runtime()?.block_on(self.import(settings, location, ids))
    }

    async fn import(self, settings: Settings, location: Location, ids: Vec<StreamId>) -> anyhow::Result<ExitCode> {
        let reason = self.reason.unwrap_or_else(|| format!("imported from {}", self.from));
        let author = Author { actor: actor(), reason, request_id: None };
        // Documents that cannot be read are told before any database is touched.
        let mut fetched = Vec::new();
        for id in &ids {
            fetched.push(fetch(&location, id).await);
        }
        let (mut failed, mut drifted) = (false, false);
        if fetched.iter().all(Result::is_err) {
            for (id, error) in ids.iter().zip(fetched.into_iter().filter_map(Result::err)) {
                tell_failure(id, &error.into());
            }
            return Ok(ExitCode::FAILURE);
        }
        with_database(&settings, async |access| {
            access.store().migrate().await?;
            let manage = Manage::new(access.store().clone(), Arc::new(SystemClock));
            for (id, fetched) in ids.iter().zip(fetched) {
                let imported = match fetched {
                    Ok(fetched) => import(&manage, id, &author, &fetched).await,
                    Err(error) => Err(error.into()),
                };
                match imported {
                    Ok(report) => {
                        drifted |= report.findings.iter().any(|finding| finding.severity == Severity::Drift);
                        tell(id, &report);
                    }
                    Err(error) => {
                        tell_failure(id, &error);
                        failed = true;
                    }
                }
            }
            Ok(())
        })
        .await?;
        Ok(match (failed, drifted) {
            (true, _) => ExitCode::FAILURE,
            (false, true) => ExitCode::from(DRIFT),
            (false, false) => ExitCode::SUCCESS,
        })
    }
}

fn tell(id: &StreamId, report: &Report) {
    match &report.outcome {
        Outcome::Unchanged { revision } => say(format!("{id}: nothing new, revision {revision} stays")),
        Outcome::Changed { revision, diff } => say(format!("{id}: revision {revision}\n{diff}").trim_end()),
    }
    for finding in &report.findings {
        say(format!("{id}: {finding}"));
    }
}

#[expect(clippy::print_stderr, reason = "where a command says why it failed")]
fn tell_failure(id: &StreamId, error: &ImportError) {
    let chain: Vec<String> = std::iter::successors(Some(error as &dyn std::error::Error), |error| error.source())
        .map(ToString::to_string)
        .collect();
    eprintln!("lockkeeper: {id} was not imported: {}", chain.join(": "));
}
