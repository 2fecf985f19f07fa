//! Errors of authentication.

use super::grant::GrantError;
use crate::store::StoreError;
use thiserror::Error;

/// Errors of checking or issuing a token.
#[derive(Debug, Error)]
pub enum AuthError {
    /// The `Authorization` header has no bearer token.
    #[error("the Authorization header has no bearer token")]
    NoBearer,
    /// The token comes from an unknown issuer, or is malformed or forged.
    #[error("token not accepted")]
    NotAccepted,
    /// The token has expired.
    #[error("the token has expired")]
    Expired,
    /// The token's `nbf` is in the future.
    #[error("the token is not valid yet")]
    NotYet,
    /// The token names another audience.
    #[error("the token is for another audience")]
    Audience,
    /// The token has no usable actor claim.
    #[error("the token does not name its holder")]
    NoActor,
    /// The token, or the key that signed it, was revoked.
    #[error("the token was revoked")]
    Revoked,
    /// The key to sign the token with was revoked.
    #[error("signing key {0} was revoked: remove its file to create a new key")]
    KeyRevoked(String),
    /// The token cannot be checked now, since the keys of its issuer are unavailable.
    #[error("the keys of the token's issuer are unavailable")]
    Unreachable,
    /// The token could not be signed.
    #[error("cannot sign the token")]
    Sign(#[source] jsonwebtoken::errors::Error),
    /// The lifetime is too short or too long.
    #[error("invalid token lifetime: it must be at least 1 second and end before the year 10000")]
    Lifetime,
    /// The stored role or pattern of the token is invalid.
    #[error(transparent)]
    Grant(#[from] GrantError),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Errors in the settings of authentication.
#[derive(Debug, Error)]
pub enum IssuerError {
    /// A role or pattern is invalid.
    #[error("setting {setting}: {problem}")]
    Grant {
        /// The setting, such as `auth.issuers[0].rules[1].role`.
        setting: String,
        /// What is wrong with its value.
        problem: GrantError,
    },
    /// An address is invalid.
    #[error("setting {setting} is not a URL")]
    Address {
        /// The setting, such as `auth.issuers[0].jwks_url`.
        setting: String,
    },
    /// The HTTP client cannot be created.
    #[error("cannot create the HTTP client for token issuers")]
    Client(#[source] reqwest::Error),
}
