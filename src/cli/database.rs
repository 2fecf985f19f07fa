//! `lockkeeper database`: migrates and checks the database, and lets other programs use it.

use super::options::{Common, Stop, runtime, with_database};
use super::output::print_line;
use crate::{
    config::Flags,
    domain::stream::Revision,
    store::{Access, StoreError},
};
use anyhow::Context;
use clap::{Args, Subcommand};
use rustix::process::Pid;
use std::{
    ffi::OsString,
    os::unix::process::ExitStatusExt,
    process::{ExitCode, ExitStatus},
};
use tokio::signal::unix::SignalKind;

/// The subcommands of `database`.
#[derive(Debug, Subcommand)]
pub(super) enum Database {
    /// Run a command with `DATABASE_URL` set
    ///
    /// A private PostgreSQL is started if necessary, and runs at least as long as the command.
    Exec(Exec),
    /// Update the database schema
    ///
    /// Safe to run from several machines at once: the migrations run one after the other.
    Migrate(Migrate),
    /// Check that each stream matches its history
    ///
    /// Every revision must be present, and the newest one must equal the stored stream. Exits with 1 if a stream fails the check.
    Check(Check),
}

impl Database {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        match self {
            Self::Exec(exec) => exec.run(),
            Self::Check(check) => check.run(),
            Self::Migrate(migrate) => migrate.run(),
        }
    }
}

#[derive(Debug, Args)]
pub(super) struct Exec {
    #[command(flatten)]
    common: Common,
    /// Command to run, with its arguments
    #[arg(required = true, last = true)]
    command: Vec<OsString>,
}

impl Exec {
    fn run(self) -> anyhow::Result<ExitCode> {
        let settings = self.common.settings(Flags::default())?;
        let Some((program, arguments)) = self.command.split_first() else { return Ok(ExitCode::FAILURE) };
        runtime()?.block_on(async {
            let mut stop = Stop::new()?;
            let access = Access::open(&settings.database, &settings.data_dir).await?;
            let mut command = tokio::process::Command::new(program);
            command.args(arguments).env("DATABASE_URL", access.url());
            let status = wait_for(command, &mut stop).await.with_context(|| program.to_string_lossy().into_owned());
            access.close().await?;
            let status = status?;
            let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal)).unwrap_or(1);
            Ok(ExitCode::from(u8::try_from(code).unwrap_or(1)))
        })
    }
}

/// Runs a command until it ends. Signals are passed on to the command, so that this process can close the database after it.
async fn wait_for(mut command: tokio::process::Command, stop: &mut Stop) -> std::io::Result<ExitStatus> {
    let mut child = command.spawn()?;
    loop {
        let signal = tokio::select! {
            status = child.wait() => return status,
            signal = stop.wait() => signal,
        };
        // A terminal sends an interrupt to both processes: it is not passed on.
        let pid = child.id().and_then(|pid| Pid::from_raw(i32::try_from(pid).ok()?));
        if let Some(pid) = pid.filter(|_| signal != SignalKind::interrupt()) {
            // Fails only if the command has just ended.
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        }
    }
}

#[derive(Debug, Args)]
pub(super) struct Migrate {
    #[command(flatten)]
    common: Common,
}

impl Migrate {
    fn run(self) -> anyhow::Result<ExitCode> {
        let settings = self.common.settings(Flags::default())?;
        runtime()?.block_on(with_database(&settings, async |access| Ok(access.store().migrate().await?)))?;
        print_line("schema is up to date");
        Ok(ExitCode::SUCCESS)
    }
}

#[derive(Debug, Args)]
pub(super) struct Check {
    #[command(flatten)]
    common: Common,
}

impl Check {
    fn run(self) -> anyhow::Result<ExitCode> {
        let settings = self.common.settings(Flags::default())?;
        let results = runtime()?.block_on(with_database(&settings, async |access| Ok(check(access).await?)))?;
        Ok(report(&results))
    }
}

async fn check(access: &Access) -> Result<Vec<(String, Result<Revision, String>)>, StoreError> {
    access.store().migrate().await?;
    let mut transaction = access.store().begin_read("check_database").await?;
    let mut results = Vec::new();
    for head in transaction.heads().await? {
        let records = transaction.revision_records(head.key).await?;
        let gap = (1..).zip(&records).find(|(number, (revision, _))| *number != revision.0);
        let recorded = transaction.revision(head.key, head.revision).await?;
        let rows = transaction.load_stream(&head).await?;
        let problem = match (gap, recorded) {
            (Some((number, _)), _) => Some(format!("revision {number} is missing")),
            (None, _) if records.last().map(|(last, _)| *last) != Some(head.revision) => {
                Some(format!("the history does not end at revision {}", head.revision))
            }
            (None, Some(recorded)) if recorded == rows => None,
            (None, _) => Some(format!("the stored stream differs from revision {}", head.revision)),
        };
        results.push((head.id.to_string(), problem.map_or(Ok(head.revision), Err)));
    }
    transaction.commit().await?;
    Ok(results)
}

fn report(results: &[(String, Result<Revision, String>)]) -> ExitCode {
    for (stream, result) in results {
        match result {
            Ok(revision) => print_line(format!("{stream}: ok, {revision} revisions")),
            Err(problem) => print_line(format!("{stream}: {problem}")),
        }
    }
    let broken = results.iter().any(|(_, result)| result.is_err());
    if broken { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}
