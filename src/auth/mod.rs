//! Who may do what: roles on patterns of streams, tokens of our own that prove them, and tokens of issuers that we trust.
//!
//! Must not live here: a route, or what needs which role.

mod claims;
mod error;
mod gate;
mod grant;
mod issuers;
mod keys;
mod signing;
mod tokens;

pub use error::{AuthError, IssuerError};
pub use gate::Gate;
pub use grant::{Grant, GrantError, Identity, Pattern, Role};
pub use issuers::Issuers;
pub use signing::{KeyError, SigningKey};
pub use tokens::Tokens;
