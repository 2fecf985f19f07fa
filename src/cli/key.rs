//! `lockkeeper key`: lists and revokes the keys that sign this service's tokens.

use super::{
    options::{Common, identity, runtime, with_database},
    output::{print_line, print_row},
    token::{manage, without_fraction},
};
use crate::{config::Flags, manage::Request};
use clap::{Args, Subcommand};
use std::process::ExitCode;

/// The subcommands of `key`.
#[derive(Debug, Subcommand)]
pub(super) enum Key {
    /// List signing keys: id, first use, number of valid tokens, and state
    List(List),
    /// Revoke a signing key and every token that it signed
    ///
    /// The file with the private key is kept. Remove it to have the next token create a new key.
    Revoke(Revoke),
}

impl Key {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        match self {
            Self::List(list) => list.run(),
            Self::Revoke(revoke) => revoke.run(),
        }
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
        let keys = runtime()?.block_on(with_database(&settings, async |access| {
            Ok(manage(access, &settings).await?.signing_keys().await?)
        }))?;
        for key in keys {
            let state = key.revoked_at.map_or_else(|| "valid".into(), |at| format!("revoked {}", without_fraction(at)));
            print_row(&[
                &key.kid,
                &without_fraction(key.added_at),
                &format!("{} valid tokens", key.live_tokens),
                &state,
            ]);
        }
        Ok(ExitCode::SUCCESS)
    }
}

#[derive(Debug, Args)]
pub(super) struct Revoke {
    #[command(flatten)]
    common: Common,
    /// Id of the key, as printed by `key list`
    #[arg(value_name = "ID")]
    kid: String,
    /// Reason for the revocation, for the audit log
    #[arg(long, value_name = "TEXT")]
    reason: String,
}

impl Revoke {
    fn run(self) -> anyhow::Result<ExitCode> {
        let settings = self.common.settings(Flags::default())?;
        let user = identity();
        let tokens = runtime()?.block_on(with_database(&settings, async |access| {
            let request = Request::new(&user, &self.reason);
            Ok(manage(access, &settings).await?.revoke_signing_key(&self.kid, &request).await?)
        }))?;
        print_line(format!("revoked {} and {tokens} valid tokens signed with it", self.kid));
        Ok(ExitCode::SUCCESS)
    }
}
