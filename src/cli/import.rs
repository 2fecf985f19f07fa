//! `lockkeeper import`: imports upstream's documents. The service may be running.

use super::{
    by_protocol::ByProtocol,
    options::{Common, identity, runtime, with_database},
    output::{print_error, print_line},
    token::manage,
};
use crate::{
    config::{Flags, Settings},
    domain::{finding::Severity, ids::StreamId},
    exchange,
    manage::{Report, Request},
};
use std::process::ExitCode;

/// The exit code for drift.
const DRIFT: u8 = 3;

/// The subcommands of `import`.
pub(super) type Import = ByProtocol<Box<dyn exchange::Import>, Common>;

impl Import {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let settings = self.options.settings(Flags::default())?;
        let import = self.arguments.prepare(&settings)?;
        runtime()?.block_on(run(&settings, &*import))
    }
}

async fn run(settings: &Settings, import: &dyn exchange::Import) -> anyhow::Result<ExitCode> {
    let reason = import.reason();
    let user = identity();
    let request = Request::new(&user, &reason);
    // Fetched before the database is opened: if no stream can be fetched, the database is not needed.
    let fetched = import.fetch().await;
    let (mut failed, mut drifted) = (false, false);
    if fetched.iter().all(|fetched| fetched.documents.is_err()) {
        for exchange::Fetched { id, documents } in fetched {
            if let Err(error) = documents {
                print_failure(&id, error);
            }
        }
        return Ok(ExitCode::FAILURE);
    }
    with_database(settings, async |access| {
        let manage = manage(access, settings).await?;
        for exchange::Fetched { id, documents } in fetched {
            let imported = match documents {
                Ok(documents) => documents.import(&manage, &request).await,
                Err(error) => Err(error),
            };
            match imported {
                Ok(report) => {
                    drifted |= report.findings.iter().flatten().any(|finding| finding.severity == Severity::Drift);
                    print_report(&id, &report);
                }
                Err(error) => {
                    print_failure(&id, error);
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

fn print_report(id: &StreamId, report: &Report) {
    let revision = report.revision;
    if report.changed {
        print_line(format!("{id}: revision {revision}"));
        report.changes.iter().for_each(print_line);
    } else {
        print_line(format!("{id}: no changes, still revision {revision}"));
    }
    for finding in report.findings.iter().flatten() {
        print_line(format!("{id}: {finding}"));
    }
}

fn print_failure(id: &StreamId, error: anyhow::Error) {
    print_error(&error.context(format!("{id} was not imported")));
}
