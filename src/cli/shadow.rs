//! `lockkeeper shadow`: compares this service's answers with those of the server that nodes use now.

use super::options::{Common, runtime};
use super::output::print_line;
use crate::{
    clock::{Clock, SystemClock},
    config::{Flags, Settings},
    exchange::{Arguments, Comparison, EXCHANGES, Operation, Round, Servers},
    outbound,
};
use anyhow::{Context, bail};
use clap::{ArgMatches, Args, Command, FromArgMatches, error::ErrorKind, value_parser};
use jiff::{SignedDuration, Span, SpanRelativeTo};
use std::process::ExitCode;

/// The arguments of `shadow`.
#[derive(Args)]
pub(super) struct Shadow {
    #[command(flatten)]
    common: Common,
    /// Base URL of the server that nodes use now
    #[arg(long, value_name = "URL")]
    upstream: String,
    /// Base URL of this service [default: the agents' listener in the settings]
    #[arg(long, value_name = "URL")]
    local: Option<String>,
    #[command(flatten)]
    polls: Polls,
    /// Number of rounds; each uses new node ids
    #[arg(long, value_name = "COUNT", default_value_t = 1, value_parser = value_parser!(u32).range(1..))]
    rounds: u32,
    /// Time between two rounds
    #[arg(long, value_name = "DURATION", default_value = "1m")]
    every: Span,
}

/// The polls to send: arguments of the first protocol whose answers can be compared.
struct Polls(Box<dyn Arguments<Box<dyn Comparison>>>);

fn comparison() -> Option<&'static Operation<Box<dyn Comparison>>> {
    EXCHANGES.iter().find_map(|exchange| exchange.comparison.as_ref())
}

impl Args for Polls {
    fn augment_args(command: Command) -> Command {
        match comparison() {
            Some(comparison) => comparison.add_arguments(command),
            None => command,
        }
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for Polls {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let comparison = comparison().ok_or_else(|| clap::Error::new(ErrorKind::InvalidSubcommand))?;
        Ok(Self(comparison.parse(matches)?))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

impl Shadow {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let settings = self.common.settings(Flags::default())?;
        let local = match &self.local {
            Some(url) => url.clone(),
            None => agents_url(&settings)?,
        };
        let wait = self.every.to_duration(SpanRelativeTo::days_are_24_hours()).context("--every")?;
        if wait < SignedDuration::ZERO {
            bail!("--every must not be negative");
        }
        let comparison = self.polls.0.prepare(&settings)?;
        runtime()?.block_on(async {
            let servers = Servers { upstream: self.upstream.clone(), local, client: outbound::client()? };
            let (mut compared, mut with_releases, mut differences, mut unanswered) = (0, 0, 0, 0);
            for number in 0..self.rounds {
                if number > 0 {
                    tokio::time::sleep(wait.unsigned_abs()).await;
                }
                let round = comparison.run_round(&servers, SystemClock.now()).await;
                compared += round.compared;
                with_releases += round.with_releases;
                differences += round.differences.len();
                unanswered += round.unanswered.len();
                print_round(round);
            }
            print_line(format!(
                "{compared} answers compared in {} rounds, {with_releases} of them with releases from both servers, {differences} differences",
                self.rounds
            ));
            if with_releases == 0 {
                print_line("no answer had releases: check --stream, --arch and the two URLs");
            }
            Ok(match (differences, unanswered == 0 && with_releases > 0) {
                (0, true) => ExitCode::SUCCESS,
                // No answers differ, but the comparison is not complete.
                (0, false) => ExitCode::from(2),
                _ => ExitCode::FAILURE,
            })
        })
    }
}

fn agents_url(settings: &Settings) -> anyhow::Result<String> {
    let address = settings
        .listeners()?
        .agents
        .context("the settings have no listener for agents: use --local to give the URL of this service")?;
    let scheme = if settings.tls.files().is_some() { "https" } else { "http" };
    Ok(format!("{scheme}://{address}"))
}

fn print_round(round: Round) {
    for difference in &round.differences {
        print_line(format!("{:.0} {}: {}", round.at, difference.poll, difference.what));
    }
    for error in round.unanswered {
        print_line(format!("{:.0} not compared: {error:#}", round.at));
    }
}
