//! Tokens of this service.

use crate::manage::{RevokedToken, records::TokenRow};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A token to issue.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "name": "ci", "role": "publisher", "streams": "fedora-coreos/stable", "expires_in": "P30D" }))]
pub struct NewToken {
    /// The display name of the token's holder: 1 to 255 bytes, without control, bidirectional or separator characters. Several
    /// tokens may have the same name; the audit log has the token's id, too.
    pub name: String,
    /// The role: `viewer`, `publisher`, `manager` or `admin`.
    pub role: String,
    /// The streams on which the role applies: one stream (`fedora-coreos/stable`), all streams of a product (`fedora-coreos/*`),
    /// the streams of one name in all products (`*/stable`) or all streams (`*`).
    pub streams: String,
    /// The lifetime, an ISO 8601 duration in days, hours and minutes (`P30D`, `PT1H`); at most `auth.max_token_lifetime`, 90 days
    /// by default.
    pub expires_in: String,
}

/// The metadata of an issued token.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({ "id": "6f1c0f6e-6c1f-4f2e-9b5e-2f4a52a1f6d1", "name": "ci", "role": "publisher",
    "streams": "fedora-coreos/stable", "issued_at": "2026-07-22T14:00:00Z", "issued_by": "local:core",
    "expires_at": "2026-08-21T14:00:00Z" }))]
pub struct TokenModel {
    /// The id, for showing and revoking the token.
    pub id: String,
    /// The display name of the token's holder.
    pub name: String,
    /// The role: `viewer`, `publisher`, `manager` or `admin`.
    pub role: String,
    /// The streams on which the role applies: `fedora-coreos/stable`, `fedora-coreos/*`, `*/stable` or `*`.
    pub streams: String,
    /// When the token was issued.
    #[schema(value_type = String, format = DateTime)]
    pub issued_at: Timestamp,
    /// The id of the actor that issued the token.
    pub issued_by: String,
    /// When the token expires.
    #[schema(value_type = String, format = DateTime)]
    pub expires_at: Timestamp,
    /// When the token was revoked; absent if it was not.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub revoked_at: Option<Timestamp>,
    /// When the token was last used, to the minute; absent if it was not.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub last_used_at: Option<Timestamp>,
}

impl TokenModel {
    /// Describes a token.
    #[must_use]
    pub fn new(row: TokenRow) -> Self {
        Self {
            id: row.id,
            name: row.name,
            role: row.role,
            streams: row.pattern,
            issued_at: row.issued_at,
            issued_by: row.issued_by,
            expires_at: row.expires_at,
            revoked_at: row.revoked_at,
            last_used_at: row.last_used_at,
        }
    }
}

/// A revoked token.
#[derive(Debug, Serialize, ToSchema)]
pub struct RevokedTokenModel {
    /// The metadata of the token.
    pub metadata: TokenModel,
    /// The valid tokens that it issued, directly or through other tokens.
    pub issued_tokens: Vec<TokenModel>,
    /// True if the issued tokens were revoked, too (`with_issued=true`).
    pub with_issued: bool,
}

impl RevokedTokenModel {
    /// Builds the answer to a revocation.
    #[must_use]
    pub fn new(revoked: RevokedToken) -> Self {
        Self {
            metadata: TokenModel::new(revoked.token),
            issued_tokens: revoked.issued.into_iter().map(TokenModel::new).collect(),
            with_issued: revoked.is_with_issued,
        }
    }
}

/// A new token. The token itself is not stored.
#[derive(Debug, Serialize, ToSchema)]
pub struct IssuedTokenModel {
    /// The token, to send as `Authorization: Bearer`; absent in a dry run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
    /// The metadata of the token.
    pub metadata: TokenModel,
}
