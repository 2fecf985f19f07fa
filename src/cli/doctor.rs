//! `lockkeeper doctor` and `lockkeeper health`: how a service is, by its settings.

use super::options::{Common, runtime};
use super::output::say;
use crate::{
    clock::{SharedClock, SystemClock},
    config::Flags,
    operate::{
        doctor::{Grade, examine},
        health::{self, Question},
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
    /// Ask only whether it lives: for whoever restarts what does not
    #[arg(long)]
    live: bool,
}

impl Health {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let settings = self.common.settings(Flags::default())?;
        let question = if self.live { Question::Live } else { Question::Ready };
        let (is_so, said) = runtime()?.block_on(health::ask(&settings, question))?;
        say(said.trim());
        Ok(code(is_so))
    }
}

fn code(is_well: bool) -> ExitCode {
    if is_well { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
