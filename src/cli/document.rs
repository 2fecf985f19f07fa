//! `lockkeeper document`: prints a stream as a TOML document, and replaces a stream by an edited one.

use super::{
    options::{Common, identity, runtime, with_database},
    output::{print_document, print_line},
    token::manage,
};
use crate::{
    config::Flags,
    domain::{
        finding::Finding,
        ids::{ProductName, StreamId, StreamName},
        stream::Revision,
    },
    exchange::documents,
    manage::{CommandError, Refusal, Report, Request, commands::documents::PutDocument},
    server::Registry,
};
use anyhow::{Context, bail};
use clap::{Args, Subcommand};
use std::{path::PathBuf, process::ExitCode};

/// The subcommands of `document`.
#[derive(Debug, Subcommand)]
pub(super) enum Document {
    /// Print a stream as a TOML document
    Show(Show),
    /// Replace a stream by an edited document, and print the changes
    ///
    /// Start from the output of `document show`: it contains the revision, and the document is rejected if the stream has changed
    /// since. Values that you change count as local: later imports keep them.
    Put(Put),
}

impl Document {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        match self {
            Self::Show(show) => show.run(),
            Self::Put(put) => put.run(),
        }
    }
}

#[derive(Debug, Args)]
pub(super) struct Show {
    #[command(flatten)]
    common: Common,
    /// Stream to print
    #[arg(long)]
    stream: String,
    #[arg(long, help = format!("Product of the stream [default: `{}`]", Registry::DEFAULT_PRODUCT))]
    product: Option<String>,
}

impl Show {
    fn run(self) -> anyhow::Result<ExitCode> {
        let settings = self.common.settings(Flags::default())?;
        let product = match &self.product {
            Some(name) => ProductName::parse(name).context("--product")?,
            None => Registry::default_product(&settings)?,
        };
        let wanted = StreamId { product, stream: StreamName::parse(&self.stream).context("--stream")? };
        let mut states = runtime()?.block_on(with_database(&settings, async |access| {
            let manage = manage(access, &settings).await?;
            Ok(manage.states(|id| *id == wanted).await?)
        }))?;
        let Some(state) = states.pop() else { bail!("there is no stream {wanted}") };
        print_document(&documents::write_at(&state.stream, state.revision));
        Ok(ExitCode::SUCCESS)
    }
}

#[derive(Debug, Args)]
pub(super) struct Put {
    #[command(flatten)]
    common: Common,
    /// Document to read
    file: PathBuf,
    /// Reason for the change, for the audit log
    #[arg(long, value_name = "TEXT")]
    reason: String,
    /// Print what would change, and change nothing
    #[arg(long)]
    dry_run: bool,
    /// Replace the stream even if it has changed since; those changes are lost
    #[arg(long)]
    force: bool,
    /// Accept warnings; errors still reject the document
    #[arg(long)]
    acknowledge: bool,
}

impl Put {
    fn run(self) -> anyhow::Result<ExitCode> {
        let settings = self.common.settings(Flags::default())?;
        if self.reason.trim().is_empty() {
            bail!("--reason must not be empty");
        }
        let (written, revision) = documents::read_anywhere(&self.file)?;
        let user = identity();
        let request = Request {
            // A document without a revision describes a new stream.
            expected: (!self.force).then_some(revision.unwrap_or(Revision(0))),
            dry_run: self.dry_run,
            acknowledge: self.acknowledge,
            ..Request::new(&user, &self.reason)
        };
        let report = runtime()?.block_on(with_database(&settings, async |access| {
            let manage = manage(access, &settings).await?;
            let id = written.id.clone();
            manage.run(&PutDocument { written }, &request).await.map_err(|error| match error {
                moved @ CommandError::RevisionMismatch { .. } => anyhow::Error::new(moved).context(format!(
                    "{id} was not changed; edit the present output of `document show`, or use --force"
                )),
                CommandError::Refused(Refusal::Dangerous(findings)) => rejected(&findings, "has errors"),
                CommandError::Refused(Refusal::Unacknowledged(findings)) => {
                    rejected(&findings, "has warnings; check them and use --acknowledge")
                }
                other => other.into(),
            })
        }))?;
        print_report(&report);
        Ok(ExitCode::SUCCESS)
    }
}

fn rejected(findings: &[Finding], why: &str) -> anyhow::Error {
    let findings: Vec<String> = findings.iter().map(ToString::to_string).collect();
    anyhow::anyhow!("the document {why}: {}", findings.join("; "))
}

fn print_report(report: &Report) {
    let Report { product, stream, revision, .. } = report;
    let outcome = match (report.changed, report.dry_run) {
        (false, _) => format!("no changes, still revision {revision}"),
        (true, true) => "would change".into(),
        (true, false) => format!("revision {revision}"),
    };
    print_line(format!("{product}/{stream}: {outcome}"));
    report.changes.iter().for_each(print_line);
    for finding in report.findings.iter().flatten() {
        print_line(format!("{product}/{stream}: {finding}"));
    }
}
