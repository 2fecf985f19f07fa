//! `[api]`

use serde::{Deserialize, Serialize};

/// The API for release managers.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ApiSettings {
    /// The role of clients without a token, on all streams; absent: none.
    pub anonymous_role: Option<AnonymousRole>,
}

/// A role for clients without a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AnonymousRole {
    /// May read.
    Viewer,
}
