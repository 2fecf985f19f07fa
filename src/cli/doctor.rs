//! `lockkeeper doctor` and `lockkeeper health`: how a service is, by its settings.

use super::options::{Common, runtime};
use super::output::say;
use crate::{
    clock::{SharedClock, SystemClock},
    config::Flags,
    operate::{
        doctor::{Grade, examine},
        health,
    },
};
use clap::Args;
use std::{process::ExitCode, sync::Arc};

/// Looks at settings, database, clock, keys, disk and service, and says what to do.
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
            say(finding);
        }
        Ok(code(findings.iter().all(|finding| finding.grade != Grade::Fail)))
    }
}

/// Asks the service that runs by these settings, on this machine, whether it is ready.
#[derive(Debug, Args)]
pub(super) struct Health {
    #[command(flatten)]
    common: Common,
}

impl Health {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let settings = self.common.settings(Flags::default())?;
        let (is_ready, said) = runtime()?.block_on(health::ask(&settings))?;
        say(said.trim());
        Ok(code(is_ready))
    }
}

fn code(is_well: bool) -> ExitCode {
    if is_well { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
