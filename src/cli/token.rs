//! `lockkeeper token`: tokens for who has no identity provider.

use super::{
    options::{Common, actor, runtime, with_database},
    output::say,
};
use crate::{
    auth::{Grant, Pattern, Role, SigningKey, Tokens},
    clock::{Clock, SystemClock},
    config::Flags,
    store::Access,
};
use anyhow::{Context, bail};
use clap::{Args, Subcommand};
use jiff::{SignedDuration, Span, SpanRelativeTo};
use std::{process::ExitCode, sync::Arc};

/// What can be done with tokens.
#[derive(Debug, Subcommand)]
pub(super) enum Token {
    /// Gives somebody a token, and prints it, this once
    Create(Create),
    /// Lists the tokens that were given: id, name, role, streams, end, and whether it is good
    List(List),
    /// Takes a token back, for good
    Revoke(Revoke),
}

impl Token {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        match self {
            Self::Create(create) => create.run(),
            Self::List(list) => list.run(),
            Self::Revoke(revoke) => revoke.run(),
        }
    }
}

#[derive(Debug, Args)]
pub(super) struct Create {
    #[command(flatten)]
    common: Common,
    /// What they may do: viewer, publisher, manager or admin
    #[arg(long)]
    role: Role,
    /// On which streams: fedora-coreos/stable, fedora-coreos/*, or *
    #[arg(long, value_name = "PATTERN")]
    on: Pattern,
    /// For how long: 30d, 12h, P1Y
    #[arg(long = "for", value_name = "DURATION")]
    lifetime: Span,
    /// Whom it is for, as the record will name them [default: the role and the streams]
    #[arg(long)]
    name: Option<String>,
}

impl Create {
    fn run(self) -> anyhow::Result<ExitCode> {
        let settings = self.common.settings(Flags::default())?;
        let lifetime = lifetime(self.lifetime).context("--for")?;
        let key = SigningKey::open(&settings.auth.signing_key(&settings.data_dir))?;
        let grant = Grant { role: self.role, on: self.on };
        let name = self.name.unwrap_or_else(|| format!("{} on {}", grant.role, grant.on));
        if name.trim().is_empty() {
            bail!("--name must not be empty");
        }
        let token = runtime()?.block_on(with_database(&settings, async |access| {
            Ok(tokens(access).await?.give(&key, &name, &grant, lifetime, &actor()).await?)
        }))?;
        say(token);
        Ok(ExitCode::SUCCESS)
    }
}

#[derive(Debug, Args)]
pub(super) struct List {
    #[command(flatten)]
    common: Common,
}

impl List {
    fn run(self) -> anyhow::Result<ExitCode> {
        let settings = self.common.settings(Flags::default())?;
        let list =
            runtime()?.block_on(with_database(&settings, async |access| Ok(tokens(access).await?.list().await?)))?;
        let now = SystemClock.now();
        for token in list {
            let state = match token.revoked_at {
                Some(at) => format!("revoked {}", whole(at)),
                None if token.expires_at < now => "expired".into(),
                None => "good".into(),
            };
            let until = whole(token.expires_at);
            say(format!("{}\t{}\t{}\t{}\t{until}\t{state}", token.id, token.name, token.role, token.pattern));
        }
        Ok(ExitCode::SUCCESS)
    }
}

#[derive(Debug, Args)]
pub(super) struct Revoke {
    #[command(flatten)]
    common: Common,
    /// Its id, as `token list` shows it
    id: String,
}

impl Revoke {
    fn run(self) -> anyhow::Result<ExitCode> {
        let settings = self.common.settings(Flags::default())?;
        let done = runtime()?.block_on(with_database(&settings, async |access| {
            Ok(tokens(access).await?.revoke(&self.id, &actor()).await?)
        }))?;
        if !done {
            bail!("there is no such token, or it was revoked before");
        }
        Ok(ExitCode::SUCCESS)
    }
}

async fn tokens(access: &Access) -> anyhow::Result<Tokens> {
    access.store().migrate().await?;
    Ok(Tokens::of(access.store().clone(), Arc::new(SystemClock)))
}

fn whole(time: jiff::Timestamp) -> String {
    crate::domain::epoch::Epoch::from(time).to_string()
}

/// A day has 24 hours here, and months and years are those that begin now.
fn lifetime(span: Span) -> anyhow::Result<SignedDuration> {
    let now = SystemClock.now().to_zoned(jiff::tz::TimeZone::UTC);
    Ok(span.to_duration(SpanRelativeTo::from(&now))?)
}
