//! Issued tokens.

use super::access::ReadError;
use crate::{
    auth::{Identity, Role},
    manage::manager::Manage,
    store::tokens::TokenRow,
};

impl Manage {
    /// Returns the issued tokens on whose streams the caller is an admin, the newest first, with expired and revoked ones.
    ///
    /// # Errors
    /// The caller is an admin of no stream, or the database failed.
    pub async fn tokens(&self, caller: &Identity) -> Result<Vec<TokenRow>, ReadError> {
        if !caller.has_anywhere(Role::Admin) {
            return Err(ReadError::denied(caller, Role::Admin, "at least one stream"));
        }
        let mut tokens = self.reading("tokens").await?.tokens().await?;
        tokens.retain(|token| is_visible(caller, token));
        Ok(tokens)
    }

    /// Returns an issued token.
    ///
    /// # Errors
    /// The caller is an admin of no stream, there is no such token that the caller may see, or the database failed.
    pub async fn token(&self, caller: &Identity, id: &str) -> Result<TokenRow, ReadError> {
        let found = self.tokens(caller).await?.into_iter().find(|token| token.id == id);
        found.ok_or_else(|| ReadError::NotFound(format!("token {id} does not exist, or you may not read it")))
    }
}

/// Returns true if the caller is an admin of all streams of a token.
pub(in crate::manage) fn is_visible(caller: &Identity, token: &TokenRow) -> bool {
    token.pattern.parse().is_ok_and(|on| caller.may_on_all(Role::Admin, &on))
}
