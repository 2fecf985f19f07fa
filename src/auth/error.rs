//! Why somebody is not believed.

use super::grant::GrantError;
use crate::store::StoreError;
use thiserror::Error;

/// Why somebody is not believed, or a token not given.
#[derive(Debug, Error)]
pub enum AuthError {
    /// It is no token of ours or of an issuer that we know, or it is forged.
    #[error("the token is not one that is taken here")]
    Foreign,
    /// It was good once.
    #[error("the token has expired")]
    Expired,
    /// It will be good.
    #[error("the token is not good yet")]
    NotYet,
    /// It is meant for somebody else.
    #[error("the token is meant for another audience")]
    Audience,
    /// It does not say, in a way that can be recorded, who shows it.
    #[error("the token does not say whose it is")]
    Nameless,
    /// It was taken back.
    #[error("the token was revoked")]
    Revoked,
    /// It cannot be judged now, as the keys of its issuer cannot be had.
    #[error("the keys of the token's issuer cannot be had now")]
    Unreachable,
    /// It could not be signed.
    #[error("the token cannot be signed")]
    Sign(#[source] jsonwebtoken::errors::Error),
    /// It would never be good.
    #[error("a token has to be good for some time")]
    Lifetime,
    /// What the store holds of it cannot be.
    #[error(transparent)]
    Grant(#[from] GrantError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why the settings cannot be followed.
#[derive(Debug, Error)]
pub enum IssuerError {
    /// A role or a pattern is none.
    #[error("setting {setting}: {problem}")]
    Grant {
        /// Which, as in `auth.issuers[0].rules[1].role`.
        setting: String,
        /// What is wrong with it.
        problem: GrantError,
    },
    /// An address is none.
    #[error("setting {setting} is no address")]
    Address {
        /// Which, as in `auth.issuers[0].jwks_url`.
        setting: String,
    },
    /// Nobody can be asked over HTTP.
    #[error("the issuers of tokens cannot be asked")]
    Client(#[source] reqwest::Error),
}
