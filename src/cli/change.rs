//! Changes to a stream by local commands: their options, and their reports.

use super::{
    options::{identity, runtime, with_database},
    output::print_line,
    token::manage,
};
use crate::{
    config::Settings,
    domain::{
        finding::Finding,
        ids::{ProductName, StreamId, StreamName},
        stream::Revision,
    },
    manage::{Command, CommandError, Refusal, Report, Request},
    server::Registry,
};
use anyhow::{Context, bail};
use clap::Args;
use std::process::ExitCode;

/// Returns the stream of a product, which is the default product unless it is given.
pub(super) fn stream_id(settings: &Settings, product: Option<&str>, stream: &str) -> anyhow::Result<StreamId> {
    let product = match product {
        Some(name) => ProductName::parse(name).context("--product")?,
        None => Registry::default_product(settings)?,
    };
    Ok(StreamId { product, stream: StreamName::parse(stream).context("--stream")? })
}

/// The options of every change.
#[derive(Debug, Args)]
pub(super) struct Change {
    /// Reason for the change, for the audit log
    #[arg(long, value_name = "TEXT")]
    reason: String,
    /// Print what would change, and change nothing
    #[arg(long)]
    dry_run: bool,
    /// Accept warnings; errors still reject the change
    #[arg(long)]
    acknowledge: bool,
}

impl Change {
    /// Returns true if nothing is changed.
    pub(super) fn is_preview(&self) -> bool {
        self.dry_run
    }

    /// Executes a command, and prints its report.
    pub(super) fn run(
        &self,
        settings: &Settings,
        command: &dyn Command,
        expected: Option<Revision>,
    ) -> anyhow::Result<ExitCode> {
        if self.reason.trim().is_empty() {
            bail!("--reason must not be empty");
        }
        let user = identity();
        let request = Request {
            expected,
            dry_run: self.dry_run,
            acknowledge: self.acknowledge,
            ..Request::new(&user, &self.reason)
        };
        let report = runtime()?.block_on(with_database(settings, async |access| {
            let manage = manage(access, settings).await?;
            let id = command.target();
            manage.run(command, &request).await.map_err(|error| match error {
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
    anyhow::anyhow!("the change {why}: {}", findings.join("; "))
}

fn print_report(report: &Report) {
    let Report { product, stream, revision, .. } = report;
    let outcome = match (report.changed, report.dry_run) {
        (false, _) => format!("no changes, still revision {revision}"),
        (true, true) => "would change".into(),
        (true, false) => format!("revision {revision}"),
    };
    print_line(format!("{product}/{stream}: {outcome}"));
    if let Some(version) = &report.existing {
        print_line(format!("release {version} has this image already"));
    }
    report.changes.iter().for_each(print_line);
    for finding in report.findings.iter().flatten() {
        print_line(format!("{product}/{stream}: {finding}"));
    }
}
