//! `lockkeeper stop --local`: the emergency stop of one machine; needs no database.

use super::{options::Common, output::print_line};
use crate::{
    catalog::{LocalStop, LocalStopFile},
    clock::{Clock, SystemClock},
    config::Flags,
};
use anyhow::{Context, bail};
use clap::Args;
use std::process::ExitCode;

/// The arguments of `stop`.
#[derive(Debug, Args)]
pub(super) struct Stop {
    #[command(flatten)]
    common: Common,
    /// Stop every process that uses the data directory
    #[arg(long, required = true)]
    local: bool,
    /// Lift the stop
    #[arg(long, conflicts_with = "reason")]
    lift: bool,
    /// Reason for the stop, shown in the log and in the readiness check
    #[arg(long, value_name = "TEXT", required_unless_present = "lift")]
    reason: Option<String>,
}

impl Stop {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let settings = self.common.settings(Flags::default())?;
        let file = LocalStopFile::below(&settings.data_dir);
        let at = || file.path().display().to_string();
        if self.lift {
            if !file.remove().with_context(at)? {
                bail!("no local stop is active in {}", settings.data_dir.display());
            }
            print_line(format!("lifted: processes that use {} offer updates again", settings.data_dir.display()));
            return Ok(ExitCode::SUCCESS);
        }
        let reason = self.reason.unwrap_or_default();
        if reason.trim().is_empty() {
            bail!("--reason must not be empty");
        }
        if let Some(active) = file.read().with_context(at)? {
            print_line(format!("already stopped: {}", active.reason));
            return Ok(ExitCode::SUCCESS);
        }
        file.write(&LocalStop { since: Some(SystemClock.now()), reason }).with_context(at)?;
        print_line(format!(
            "stopped: processes that use {} stop offering updates within a second; lift it with `lockkeeper stop --local --lift`",
            settings.data_dir.display()
        ));
        Ok(ExitCode::SUCCESS)
    }
}
