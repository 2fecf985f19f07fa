//! `lockkeeper doctor` and `lockkeeper health`: checks of a service, found by its settings.

use super::options::{Common, runtime};
use super::output::print_line;
use crate::{
    clock::{SharedClock, SystemClock},
    config::Flags,
    operate::{
        doctor::{Grade, examine},
        health::{self, Probe},
    },
};
use clap::Args;
use std::{process::ExitCode, sync::Arc};

/// The arguments of `doctor`.
#[derive(Debug, Args)]
pub(super) struct Doctor {
    #[command(flatten)]
    common: Common,
}

impl Doctor {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let settings = self.common.settings(Flags::default())?;
        let clock: SharedClock = Arc::new(SystemClock);
        let findings = runtime()?.block_on(examine(&settings, &clock));
        for finding in &findings {
            print_line(format!("{:<5} {}: {}", finding.grade.as_str(), finding.what, finding.found));
            if !finding.advice.is_empty() {
                print_line(format!("      fix: {}", finding.advice));
            }
        }
        Ok(exit_code(findings.iter().all(|finding| finding.grade != Grade::Fail)))
    }
}

/// The arguments of `health`.
#[derive(Debug, Args)]
pub(super) struct Health {
    #[command(flatten)]
    common: Common,
    /// Only check that the process is alive; for supervisors that restart it
    #[arg(long)]
    live: bool,
}

impl Health {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let settings = self.common.settings(Flags::default())?;
        let probe = if self.live { Probe::Live } else { Probe::Ready };
        let (is_ok, response) = runtime()?.block_on(health::probe(&settings, probe))?;
        print_line(response.trim());
        Ok(exit_code(is_ok))
    }
}

fn exit_code(is_ok: bool) -> ExitCode {
    if is_ok { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
