//! `lockkeeper token`: creates, lists and revokes API tokens, for use without an identity provider.

use super::{
    auth_files::auth_files,
    options::{Common, identity, runtime, with_database},
    output::{print_line, print_row},
};
use crate::{
    auth::{Grant, Pattern, Role, SigningKey},
    clock::{Clock, SystemClock},
    config::{Flags, Settings},
    image_check::PublicationCheck,
    manage::{Manage, Request, TokenRequest},
    registry::Registries,
    server::Registry,
    store::Access,
};
use anyhow::Context;
use clap::{Args, Subcommand};
use jiff::{SignedDuration, Span, SpanRelativeTo};
use std::{process::ExitCode, sync::Arc, time::Duration};

/// How long a publication waits for registries.
const PUBLICATION_TIME: Duration = Duration::from_secs(30);

/// The subcommands of `token`.
#[derive(Debug, Subcommand)]
pub(super) enum Token {
    /// Create a token and print it
    ///
    /// The token is not stored and cannot be printed again.
    Create(Create),
    /// List tokens: id, name, role, streams, expiry and state
    List(List),
    /// Revoke a token
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
    /// Role: viewer, publisher, manager or admin
    #[arg(long)]
    role: Role,
    /// The streams on which the role applies: fedora-coreos/stable, fedora-coreos/*, */stable or *
    #[arg(long, value_name = "PATTERN")]
    streams: Pattern,
    /// The lifetime: 30d, 12h, P1Y. The audit log records a lifetime beyond `auth.max_token_lifetime`
    #[arg(long, value_name = "DURATION")]
    expires_in: Span,
    /// Display name of the holder, shown beside the token's id in lists and in the audit log
    #[arg(long)]
    name: String,
    /// Reason for the token, for the audit log
    #[arg(long, value_name = "TEXT", default_value = "issued on the command line")]
    reason: String,
}

impl Create {
    fn run(self) -> anyhow::Result<ExitCode> {
        let settings = self.common.settings(Flags::default())?;
        let lifetime = lifetime(self.expires_in).context("--expires-in")?;
        let key = SigningKey::open(&settings.auth.signing_key(&settings.data_dir))?;
        let wanted = TokenRequest {
            name: &self.name,
            grant: Grant { role: self.role, on: self.streams },
            lifetime,
            max_lifetime: settings.auth.max_token_lifetime,
        };
        let user = identity();
        let (_, token) = runtime()?.block_on(with_database(&settings, async |access| {
            let request = Request::new(&user, &self.reason);
            Ok(manage(access, &settings).await?.create_token(&key, &wanted, &request).await?)
        }))?;
        print_line(token);
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
        let list = runtime()?.block_on(with_database(&settings, async |access| {
            Ok(manage(access, &settings).await?.tokens(&identity()).await?)
        }))?;
        let now = SystemClock.now();
        for token in list {
            let state = match token.revoked_at {
                Some(at) => format!("revoked {}", without_fraction(at)),
                None if token.expires_at < now => "expired".into(),
                None => "valid".into(),
            };
            let until = without_fraction(token.expires_at);
            let used =
                token.last_used_at.map_or_else(|| "never used".into(), |at| format!("used {}", without_fraction(at)));
            print_row(&[&token.id, &token.name, &token.role, &token.pattern, &until, &state, &used]);
        }
        Ok(ExitCode::SUCCESS)
    }
}

#[derive(Debug, Args)]
pub(super) struct Revoke {
    #[command(flatten)]
    common: Common,
    /// Id of the token, as printed by `token list`
    id: String,
    /// Also revoke the valid tokens that it issued, directly or through other tokens
    #[arg(long)]
    with_issued: bool,
    /// Reason for the revocation, for the audit log
    #[arg(long, value_name = "TEXT", default_value = "revoked on the command line")]
    reason: String,
}

impl Revoke {
    fn run(self) -> anyhow::Result<ExitCode> {
        let settings = self.common.settings(Flags::default())?;
        let user = identity();
        let revoked = runtime()?.block_on(with_database(&settings, async |access| {
            let request = Request::new(&user, &self.reason);
            Ok(manage(access, &settings).await?.revoke_token(&self.id, self.with_issued, &request).await?)
        }))?;
        print_line(format!("revoked {}", revoked.token.subject()));
        for token in &revoked.issued {
            let state = if revoked.is_with_issued { "revoked" } else { "still valid" };
            print_line(format!("{state}: {}, issued by this token", token.subject()));
        }
        if !revoked.is_with_issued && !revoked.issued.is_empty() {
            print_line("to revoke them too, revoke each one by its id; --with-issued does so in one step");
        }
        Ok(ExitCode::SUCCESS)
    }
}

pub(super) async fn manage(access: &Access, settings: &Settings) -> anyhow::Result<Manage> {
    access.store().migrate().await?;
    let manage = Manage::new(access.store().clone(), Arc::new(SystemClock), Registry::new(settings)?.dialects());
    let manage = manage.with_max_graph_bytes(settings.limits.graph_bytes);
    if !settings.registries.require_images {
        return Ok(manage);
    }
    let registries = Registries::all(&settings.registries, auth_files());
    Ok(manage.with_required_images(Arc::new(PublicationCheck::new(registries, PUBLICATION_TIME))))
}

pub(super) fn without_fraction(time: jiff::Timestamp) -> String {
    crate::domain::epoch::Epoch::from(time).to_string()
}

/// Converts a span to a duration: months and years are counted from now, and a day has 24 hours.
fn lifetime(span: Span) -> anyhow::Result<SignedDuration> {
    let now = SystemClock.now().to_zoned(jiff::tz::TimeZone::UTC);
    Ok(span.to_duration(SpanRelativeTo::from(&now))?)
}
