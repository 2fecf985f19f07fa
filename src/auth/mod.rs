//! Authentication and roles: roles on patterns of streams, tokens of this service, and tokens of trusted issuers.
//!
//! Routes, and which role an operation requires, do not live here.

mod authenticator;
mod claims;
mod error;
mod grant;
mod issuers;
mod keys;
mod signing;
mod token_uses;
mod tokens;

pub use authenticator::Authenticator;
pub use error::{AuthError, IssuerError};
pub use grant::{Grant, GrantError, Identity, Pattern, Role};
pub use issuers::Issuers;
pub(crate) use issuers::named_issuer;
pub(crate) use keys::KeySet;
pub use signing::{KeyError, SigningKey};
pub use tokens::{IssuedToken, Tokens, WantedToken, sign};
pub(crate) use tokens::{key_id, verify};
