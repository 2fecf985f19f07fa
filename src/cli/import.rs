//! `lockkeeper import`: imports upstream's documents. The service may be running.

use super::options::{Common, identity, runtime, with_database};
use super::output::{print_error, print_line};
use crate::{
    clock::SystemClock,
    config::{Flags, Settings},
    domain::{
        finding::Severity,
        ids::{ProductName, StreamId, StreamName},
    },
    exchange::fcos::{
        import::{ImportError, fetch, import},
        source::Location,
    },
    manage::{Manage, Report, Request},
    server::Registry,
};
use anyhow::Context;
use clap::{Args, Subcommand};
use std::{process::ExitCode, sync::Arc};

/// The exit code for drift.
const DRIFT: u8 = 3;

/// The subcommands of `import`.
#[derive(Debug, Subcommand)]
pub(super) enum Import {
    /// Import Fedora CoreOS metadata, or anything with the same layout
    ///
    /// Each stream is imported completely or not at all, and local values are kept. A stream is not imported if upstream no longer
    /// lists published releases, arches or payloads. The message lists them.
    ///
    /// Exit code: 0 if all streams are now as upstream has them, 3 if something needs attention (`drift`), 1 if a stream was not
    /// imported.
    Fcos(Fcos),
}

impl Import {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let Self::Fcos(arguments) = self;
        arguments.run()
    }
}

#[derive(Debug, Args)]
pub(super) struct Fcos {
    #[command(flatten)]
    common: Common,
    /// Folder or URL with upstream's layout: prod/streams/<stream>/releases.json, updates/<stream>.json,
    /// streams/<stream>.json, release-notes/<stream>.yml (the last two may be missing)
    #[arg(long, value_name = "DIR|URL")]
    from: String,
    /// Product of the imported streams [default: `fcos.default_product`]
    #[arg(long)]
    product: Option<String>,
    /// Stream to import [default: all streams of a folder; next, stable and testing of a URL]
    #[arg(long)]
    stream: Option<String>,
    /// Withdraw releases that upstream no longer lists. Arches and payloads that it no longer lists are kept
    #[arg(long)]
    allow_removals: bool,
    /// Reason for the change, for the audit log [default: "imported from DIR|URL"]
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
}

impl Fcos {
    fn run(self) -> anyhow::Result<ExitCode> {
        let settings = self.common.settings(Flags::default())?;
        let product = match &self.product {
            Some(name) => ProductName::parse(name).context("--product")?,
            None => Registry::default_product(&settings)?,
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
        let reason = self.reason.clone().unwrap_or_else(|| format!("imported from {}", self.from));
        let user = identity();
        let request = Request::new(&user, &reason);
        // Fetched before the database is opened: if no stream can be fetched, the database is not needed.
        let mut fetched = Vec::new();
        for id in &ids {
            fetched.push(fetch(&location, id).await);
        }
        let (mut failed, mut drifted) = (false, false);
        if fetched.iter().all(Result::is_err) {
            for (id, error) in ids.iter().zip(fetched.into_iter().filter_map(Result::err)) {
                print_failure(id, error.into());
            }
            return Ok(ExitCode::FAILURE);
        }
        with_database(&settings, async |access| {
            access.store().migrate().await?;
            let manage = Manage::new(access.store().clone(), Arc::new(SystemClock));
            for (id, fetched) in ids.iter().zip(fetched) {
                let imported = match fetched {
                    Ok(fetched) => import(&manage, fetched, self.allow_removals, &request).await,
                    Err(error) => Err(error.into()),
                };
                match imported {
                    Ok(report) => {
                        drifted |= report.findings.iter().any(|finding| finding.severity == Severity::Drift);
                        print_report(id, &report);
                    }
                    Err(error) => {
                        print_failure(id, error);
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

fn print_report(id: &StreamId, report: &Report) {
    let revision = report.revision;
    if report.changed {
        print_line(format!("{id}: revision {revision}"));
        report.changes.iter().for_each(print_line);
    } else {
        print_line(format!("{id}: no changes, still revision {revision}"));
    }
    for finding in &report.findings {
        print_line(format!("{id}: {finding}"));
    }
}

fn print_failure(id: &StreamId, error: ImportError) {
    print_error(&anyhow::Error::new(error).context(format!("{id} was not imported")));
}
