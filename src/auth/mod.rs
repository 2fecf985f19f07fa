//! Who may do what: roles on patterns of streams, and tokens of our own that prove them.
//!
//! Must not live here: a route, or what needs which role.

mod grant;
mod signing;
mod tokens;

pub use grant::{Grant, GrantError, Identity, Pattern, Role};
pub use signing::{KeyError, SigningKey};
pub use tokens::{AuthError, Tokens};
