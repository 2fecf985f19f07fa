//! `[api]`

use serde::{Deserialize, Serialize};

/// The API for release managers.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ApiSettings {
    /// What somebody without a token may do, on all streams; nothing if absent.
    pub anonymous_role: Option<AnonymousRole>,
}

/// What somebody without a token may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AnonymousRole {
    /// Read.
    Viewer,
}
