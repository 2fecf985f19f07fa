//! The caller.

use crate::auth::{Grant, Identity};
use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

/// The caller of a request.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({ "actor": "token:6f1c0f6e-6c1f-4f2e-9b5e-2f4a52a1f6d1", "name": "ci",
    "roles": [{ "role": "publisher", "streams": "fedora-coreos/stable" }], "expires_at": "2026-08-21T14:00:00Z" }))]
pub struct CallerModel {
    /// The id of the actor, as the audit log has it; `anonymous` without a token.
    pub actor: String,
    /// The display name of the actor.
    pub name: String,
    /// The roles of the caller. A role includes those below it: `viewer`, `publisher`, `manager`, `admin`.
    pub roles: Vec<RoleModel>,
    /// When the token expires; absent without a token.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub expires_at: Option<Timestamp>,
}

/// A role, and the streams on which it applies.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({ "role": "publisher", "streams": "fedora-coreos/stable" }))]
pub struct RoleModel {
    /// The role: `viewer`, `publisher`, `manager` or `admin`.
    pub role: &'static str,
    /// The streams on which the role applies: `fedora-coreos/stable`, `fedora-coreos/*`, `*/stable` or `*`.
    pub streams: String,
}

impl CallerModel {
    /// Describes a caller.
    #[must_use]
    pub fn new(Identity { actor, grants, expires_at }: &Identity) -> Self {
        let role = |Grant { role, on }: &Grant| RoleModel { role: role.as_str(), streams: on.to_string() };
        Self {
            actor: actor.id.clone(),
            name: actor.name.clone(),
            roles: grants.iter().map(role).collect(),
            expires_at: *expires_at,
        }
    }
}
