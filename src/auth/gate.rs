//! Who is there: whoever shows a token, ours or an issuer's, or nobody in particular.

use super::{
    error::{AuthError, IssuerError},
    grant::{ANONYMOUS, Grant, Identity, Pattern, Role},
    issuers::{Issuers, named_issuer},
    tokens::{ISSUER, Tokens},
};
use crate::{
    clock::SharedClock,
    config::{AnonymousRole, ApiSettings, AuthSettings},
    store::Store,
};
use std::sync::Arc;

/// Checks every token.
pub struct Gate {
    tokens: Tokens,
    issuers: Arc<Issuers>,
    anonymous: Option<Identity>,
}

impl Gate {
    /// Of this store and these issuers.
    ///
    /// # Errors
    /// A setting names a role or streams that there are not.
    pub fn of(store: Store, auth: &AuthSettings, api: &ApiSettings, clock: SharedClock) -> Result<Self, IssuerError> {
        let issuers = Arc::new(Issuers::of(auth, &clock)?);
        let anonymous = api.anonymous_role.map(|role| {
            let role = match role {
                AnonymousRole::Viewer => Role::Viewer,
            };
            Identity { actor: ANONYMOUS.into(), grants: vec![Grant { role, on: Pattern::ALL }] }
        });
        Ok(Self { tokens: Tokens::of(store, clock), issuers, anonymous })
    }

    /// Who shows this token? Whom it says it is of decides who checks it.
    ///
    /// # Errors
    /// It is not taken here, is not good now, or cannot be judged now.
    pub async fn check(&self, token: &str) -> Result<Identity, AuthError> {
        if named_issuer(token).as_deref() == Some(ISSUER) {
            return self.tokens.check(token).await;
        }
        self.issuers.check(token).await?.ok_or(AuthError::Foreign)
    }

    /// Who is there that shows no token, if they may do anything.
    #[must_use]
    pub fn anonymous(&self) -> Option<Identity> {
        self.anonymous.clone()
    }

    /// Who vouches for tokens besides us.
    #[must_use]
    pub fn issuers(&self) -> Arc<Issuers> {
        Arc::clone(&self.issuers)
    }

    /// Tokens of our own.
    #[must_use]
    pub fn tokens(&self) -> &Tokens {
        &self.tokens
    }
}
