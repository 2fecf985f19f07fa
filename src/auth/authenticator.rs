//! Authenticates API clients by their token, issued by this service or an external issuer, or as anonymous.

use super::{
    error::{AuthError, IssuerError},
    grant::{ANONYMOUS, Grant, Identity, Pattern, Role},
    issuers::{Issuers, named_issuer},
    tokens::{ISSUER, Tokens},
};
use crate::{
    clock::SharedClock,
    config::{AnonymousRole, ApiSettings, AuthSettings},
    domain::actor::Actor,
    store::Store,
};
use std::sync::Arc;

/// Checks the tokens of API clients.
pub struct Authenticator {
    tokens: Tokens,
    issuers: Arc<Issuers>,
    anonymous: Option<Identity>,
}

impl Authenticator {
    /// Creates an authenticator for tokens in this store and of these issuers.
    ///
    /// # Errors
    /// A setting has an invalid role, stream pattern or address.
    pub fn new(store: Store, auth: &AuthSettings, api: &ApiSettings, clock: SharedClock) -> Result<Self, IssuerError> {
        let issuers = Arc::new(Issuers::new(auth, &clock)?);
        let anonymous = api.anonymous_role.map(|role| {
            let role = match role {
                AnonymousRole::Viewer => Role::Viewer,
            };
            let grants = vec![Grant { role, on: Pattern::ALL }];
            Identity { actor: Actor::from_id(ANONYMOUS), grants, expires_at: None }
        });
        Ok(Self { tokens: Tokens::new(store, clock), issuers, anonymous })
    }

    /// Returns the identity that a token proves. Its `iss` claim selects the issuer that checks it.
    ///
    /// # Errors
    /// The token is not accepted, is not valid now, or cannot be checked now.
    pub async fn check(&self, token: &str) -> Result<Identity, AuthError> {
        if named_issuer(token).as_deref() == Some(ISSUER) {
            return self.tokens.check(token).await;
        }
        self.issuers.check(token).await?.ok_or(AuthError::NotAccepted)
    }

    /// Returns the identity of clients without a token, if they have a role.
    #[must_use]
    pub fn anonymous(&self) -> Option<Identity> {
        self.anonymous.clone()
    }

    /// Returns the external issuers.
    #[must_use]
    pub fn issuers(&self) -> Arc<Issuers> {
        Arc::clone(&self.issuers)
    }
}
