//! `lockkeeper shadow`: the service that nodes ask now, and ours, asked the same.

use super::options::{Common, runtime};
use super::output::say;
use crate::{
    clock::{Clock, SystemClock},
    config::{Flags, Settings},
    exchange::fcos::{
        shadow::{Round, Sample, ShadowError, Sides, round},
        source,
    },
};
use anyhow::{Context, bail};
use clap::Args;
use jiff::{SignedDuration, Span, SpanRelativeTo};
use std::process::ExitCode;

/// Asks another service and ours the same, and tells every difference; ends with 1 if there is one, with 2 if one does not answer.
#[derive(Debug, Args)]
pub(super) struct Shadow {
    #[command(flatten)]
    common: Common,
    /// The base URL that nodes ask now
    #[arg(long, value_name = "URL")]
    upstream: String,
    /// The base URL that they will ask [default: the agents' listener of the settings]
    #[arg(long, value_name = "URL")]
    ours: Option<String>,
    /// Which streams; may be given several times
    #[arg(long = "stream", value_name = "STREAM", default_values = ["stable", "testing", "next"])]
    streams: Vec<String>,
    /// Which architectures; may be given several times
    #[arg(long = "arch", value_name = "ARCH", default_values = ["x86_64", "aarch64", "ppc64le", "s390x"])]
    arches: Vec<String>,
    /// How many random node ids ask, besides those who say where they stand
    #[arg(long, value_name = "COUNT", default_value_t = 20)]
    ids: usize,
    /// How often everything is asked, with other ids each time
    #[arg(long, value_name = "COUNT", default_value_t = 1)]
    rounds: u32,
    /// How long to wait between two rounds
    #[arg(long, value_name = "DURATION", default_value = "1m")]
    every: Span,
}

impl Shadow {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let settings = self.common.settings(Flags::default())?;
        let ours = match &self.ours {
            Some(url) => url.clone(),
            None => agents(&settings)?,
        };
        let wait = self.every.to_duration(SpanRelativeTo::days_are_24_hours()).context("--every")?;
        if wait < SignedDuration::ZERO {
            bail!("--every has to be positive");
        }
        runtime()?.block_on(async {
            let sides = Sides { upstream: self.upstream.clone(), ours, client: source::client()? };
            let (mut compared, mut differences) = (0, 0);
            for number in 0..self.rounds {
                if number > 0 {
                    tokio::time::sleep(wait.unsigned_abs()).await;
                }
                match round(&sides, &self.sample(), SystemClock.now()).await {
                    Ok(round) => {
                        tell(&round);
                        compared += round.compared;
                        differences += round.differences.len();
                    }
                    Err(error) => return Ok(unanswered(error)),
                }
            }
            say(format!("{compared} answers compared in {} rounds, {differences} differences", self.rounds));
            Ok(if differences == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
        })
    }

    fn sample(&self) -> Sample {
        let ids = (0..self.ids).map(|_| uuid::Uuid::new_v4().simple().to_string());
        Sample { streams: self.streams.clone(), arches: self.arches.clone(), ids: ids.collect() }
    }
}

fn agents(settings: &Settings) -> anyhow::Result<String> {
    let address = settings
        .listeners()?
        .agents
        .context("agents are not answered by these settings: --ours says where they are")?;
    let scheme = if settings.tls.files().is_some() { "https" } else { "http" };
    Ok(format!("{scheme}://{address}"))
}

fn tell(round: &Round) {
    for difference in &round.differences {
        say(format!("{:.0} {}: {}", round.at, difference.asked, difference.what));
    }
}

/// Nothing was found out: that is neither the same nor a difference.
fn unanswered(error: ShadowError) -> ExitCode {
    say(format!("{:#}", anyhow::Error::from(error)));
    ExitCode::from(2)
}
