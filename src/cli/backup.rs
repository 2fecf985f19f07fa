//! `lockkeeper backup` and `lockkeeper restore`: a whole store in one file, and back.

use super::options::{Common, runtime, with_database};
use super::output::say;
use crate::{
    clock::{Clock, SystemClock},
    config::Flags,
    operate::backup::{self, Summary},
};
use anyhow::Context;
use clap::Args;
use std::{path::PathBuf, process::ExitCode};

/// Keeps a store: history, audit and tokens' records; no secrets are in it.
#[derive(Debug, Args)]
pub(super) struct Backup {
    #[command(flatten)]
    common: Common,
    /// The file to be made; one that is there already is not written over
    #[arg(long, value_name = "FILE")]
    to: PathBuf,
}

impl Backup {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let settings = self.common.settings(Flags::default())?;
        let summary = runtime()?.block_on(with_database(&settings, async |access| {
            Ok(backup::write(access.store(), &self.to, SystemClock.now()).await?)
        }))?;
        say(format!("{} was made: {}", self.to.display(), told(&summary)));
        Ok(ExitCode::SUCCESS)
    }
}

/// Brings a backup back.
#[derive(Debug, Args)]
pub(super) struct Restore {
    #[command(flatten)]
    common: Common,
    /// The backup
    #[arg(long, value_name = "FILE")]
    from: PathBuf,
    /// Hold the file against its checksum, and change nothing
    #[arg(long)]
    check: bool,
}

impl Restore {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let settings = self.common.settings(Flags::default())?;
        let named = || self.from.display().to_string();
        if self.check {
            let summary = backup::check(&self.from).with_context(named)?;
            say(format!("{} is whole: {}", named(), told(&summary)));
            return Ok(ExitCode::SUCCESS);
        }
        let summary = runtime()?.block_on(with_database(&settings, async |access| {
            backup::restore(access.store(), &self.from).await.with_context(named)
        }))?;
        say(format!("{} was restored: {}", named(), told(&summary)));
        Ok(ExitCode::SUCCESS)
    }
}

fn told(summary: &Summary) -> String {
    let Summary { header, tables, rows, left_out, sha256 } = summary;
    let (program, at) = (&header.program, header.made_at);
    let others = match left_out.as_slice() {
        [] => String::new(),
        names => format!("; left out, as no tables of ours: {}", names.join(", ")),
    };
    format!("{rows} rows of {tables} tables, made by {program} at {at:.0}, SHA-256 {sha256}{others}")
}
