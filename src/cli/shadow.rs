//! `lockkeeper shadow`: the service that nodes ask now, and ours, asked the same.

use super::options::{Common, runtime};
use super::output::say;
use crate::{
    clock::{Clock, SystemClock},
    config::{Flags, Settings},
    exchange::fcos::{
        shadow::{Round, Sample, Sides, round},
        source,
    },
};
use anyhow::{Context, bail};
use clap::{Args, value_parser};
use jiff::{SignedDuration, Span, SpanRelativeTo};
use std::process::ExitCode;

/// Asks another service and ours the same, and tells every difference; ends with 1 if there is one, with 2 if there is none, but
/// something could not be compared.
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
    #[arg(long, value_name = "COUNT", default_value_t = 1, value_parser = value_parser!(u32).range(1..))]
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
            let (mut compared, mut telling, mut differences, mut unanswered) = (0, 0, 0, 0);
            for number in 0..self.rounds {
                if number > 0 {
                    tokio::time::sleep(wait.unsigned_abs()).await;
                }
                let round = round(&sides, &self.sample(), SystemClock.now()).await;
                compared += round.compared;
                telling += round.telling;
                differences += round.differences.len();
                unanswered += round.unanswered.len();
                tell(round);
            }
            say(format!(
                "{compared} answers compared in {} rounds, {telling} of them with releases on both sides, {differences} differences",
                self.rounds
            ));
            if telling == 0 {
                say("nothing was compared that has releases: see --stream, --arch and the two addresses".to_owned());
            }
            Ok(match (differences, unanswered == 0 && telling > 0) {
                (0, true) => ExitCode::SUCCESS,
                // That is neither the same nor a difference.
                (0, false) => ExitCode::from(2),
                _ => ExitCode::FAILURE,
            })
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

fn tell(round: Round) {
    for difference in &round.differences {
        say(format!("{:.0} {}: {}", round.at, difference.asked, difference.what));
    }
    for error in round.unanswered {
        say(format!("{:.0} not compared: {:#}", round.at, anyhow::Error::from(error)));
    }
}
