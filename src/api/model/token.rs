//! Tokens of our own.

use crate::manage::kept::TokenRow;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A token to be given.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "name": "ci", "role": "publisher", "on": "fedora-coreos/stable", "for": "P30D" }))]
pub struct NewToken {
    /// Whom it is for, as the record will name them.
    pub name: String,
    /// `viewer`, `publisher`, `manager` or `admin`.
    pub role: String,
    /// On which streams: `fedora-coreos/stable`, `fedora-coreos/*` or `*`.
    pub on: String,
    /// For how long, ISO 8601 in days, hours and minutes.
    pub r#for: String,
}

/// A token that was given.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({ "id": "6f1c0f6e-6c1f-4f2e-9b5e-2f4a52a1f6d1", "name": "ci", "role": "publisher",
    "on": "fedora-coreos/stable", "issued_at": "2026-07-22T14:00:00Z", "issued_by": "local:core",
    "expires_at": "2026-08-21T14:00:00Z" }))]
pub struct TokenModel {
    /// Its id, by which it is taken back.
    pub id: String,
    /// Whom it was given to.
    pub name: String,
    /// The role.
    pub role: String,
    /// On which streams.
    pub on: String,
    /// When it was given.
    #[schema(value_type = String, format = DateTime)]
    pub issued_at: Timestamp,
    /// By whom.
    pub issued_by: String,
    /// Until when it is good.
    #[schema(value_type = String, format = DateTime)]
    pub expires_at: Timestamp,
    /// When it was taken back.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub revoked_at: Option<Timestamp>,
}

impl TokenModel {
    /// Of its row.
    #[must_use]
    pub fn of(row: TokenRow) -> Self {
        Self {
            id: row.id,
            name: row.name,
            role: row.role,
            on: row.pattern,
            issued_at: row.issued_at,
            issued_by: row.issued_by,
            expires_at: row.expires_at,
            revoked_at: row.revoked_at,
        }
    }
}

/// A new token. It is shown this once and kept nowhere.
#[derive(Debug, Serialize, ToSchema)]
pub struct GivenToken {
    /// The token; absent where it was only looked at what would be given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
    /// What is known of it.
    pub about: TokenModel,
}
