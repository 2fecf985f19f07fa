//! `lockkeeper backup` and `lockkeeper restore`: the whole database to and from one file.

use super::options::{Common, runtime, with_database};
use super::output::print_line;
use crate::{
    clock::{Clock, SystemClock},
    config::Flags,
    operate::backup::{self, Summary},
};
use anyhow::Context;
use clap::Args;
use std::{
    io::{IsTerminal, Write},
    path::PathBuf,
    process::ExitCode,
};

/// The arguments of `backup`.
#[derive(Debug, Args)]
pub(super) struct Backup {
    #[command(flatten)]
    common: Common,
    /// Write the backup to this file; fails if the file exists
    #[arg(long, value_name = "FILE")]
    to: PathBuf,
}

impl Backup {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let settings = self.common.settings(Flags::default())?;
        let summary = runtime()?.block_on(with_database(&settings, async |access| {
            Ok(backup::write(access.store(), &self.to, SystemClock.now()).await?)
        }))?;
        print_line(format!("{}: backup written: {}", self.to.display(), describe(&summary)));
        Ok(ExitCode::SUCCESS)
    }
}

/// The arguments of `restore`.
#[derive(Debug, Args)]
pub(super) struct Restore {
    #[command(flatten)]
    common: Common,
    /// Read the backup from this file
    #[arg(long, value_name = "FILE")]
    from: PathBuf,
    /// Only verify the checksum of the file; does not open the database
    #[arg(long)]
    check: bool,
}

impl Restore {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let settings = self.common.settings(Flags::default())?;
        let path = || self.from.display().to_string();
        if self.check {
            let summary = backup::check(&self.from).with_context(path)?;
            print_line(format!("{}: backup is intact: {}", path(), describe(&summary)));
            return Ok(ExitCode::SUCCESS);
        }
        let summary = runtime()?.block_on(with_database(&settings, async |access| {
            backup::restore(access.store(), &self.from, &print_progress).await.with_context(path)
        }))?;
        print_line(format!("{}: backup restored: {}", path(), describe(&summary)));
        Ok(ExitCode::SUCCESS)
    }
}

/// Prints the progress of a restore for a person at a terminal.
fn print_progress(table: &str, rows: u64) {
    if std::io::stderr().is_terminal() {
        // A closed standard error does not stop the restore.
        let _ = writeln!(std::io::stderr(), "{table}: {rows} rows");
    }
}

fn describe(summary: &Summary) -> String {
    let Summary { header, tables, rows, left_out, sha256 } = summary;
    let (program, at) = (&header.program, header.made_at);
    let others = match left_out.as_slice() {
        [] => String::new(),
        names => format!("; skipped, not tables of Lockkeeper: {}", names.join(", ")),
    };
    format!("{rows} rows in {tables} tables, created by {program} at {at:.0}, SHA-256 {sha256}{others}")
}
