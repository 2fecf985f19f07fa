//! Why a read fails.

use crate::{
    auth::{Identity, Role},
    store::StoreError,
};
use std::fmt::Display;
use thiserror::Error;

/// Why a read fails.
#[derive(Debug, Error)]
pub enum ReadError {
    /// The caller is anonymous and lacks the role: a token may have it.
    #[error("requires a bearer token")]
    Unauthenticated,
    /// The caller lacks the role.
    #[error("requires role `{role}` on {on}")]
    Denied {
        /// The required role.
        role: Role,
        /// Where the role is required, such as `` `fedora-coreos/stable` ``.
        on: String,
    },
    /// The thing does not exist, or the caller may not know that it does.
    #[error("{0}")]
    NotFound(String),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl ReadError {
    /// Fails for a role that the caller lacks.
    pub(in crate::manage) fn denied(caller: &Identity, role: Role, on: impl Display) -> Self {
        if caller.is_known() { Self::Denied { role, on: on.to_string() } } else { Self::Unauthenticated }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::actor::Actor;

    #[test]
    fn an_anonymous_caller_is_asked_for_a_token() {
        let denied = |id: &str| {
            let caller = Identity { actor: Actor::from_id(id), grants: Vec::new(), expires_at: None };
            ReadError::denied(&caller, Role::Viewer, "`os/stable`").to_string()
        };
        assert_eq!(denied("token:1"), "requires role `viewer` on `os/stable`");
        assert_eq!(denied("anonymous"), "requires a bearer token");
    }
}
