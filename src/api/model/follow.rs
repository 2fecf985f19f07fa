//! What followers know of a stream.

use crate::{
    domain::document::follow_shape::FollowDocument,
    manage::{
        read::FollowStatus,
        records::{FollowedTag, WaitingTags},
    },
};
use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

/// What a stream follows, and what the last looks at its repository found.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({ "follow": { "image": "ghcr.io/acme/os", "tags": "^stable-\\d+$", "as": "publish" },
    "checked_at": "2026-07-22T14:00:00Z", "succeeded_at": "2026-07-22T14:00:00Z", "error": null, "failures": 0,
    "next_at": "2026-07-22T14:05:13Z", "waiting": { "count": 1, "tags": ["stable-13"], "because": "a freeze window is in force until 2026-07-27T06:00:00Z" },
    "handled": [{ "tag": "stable-12", "digest": "sha256:9b2f0a51d2a6c7f1f6b4f1f3a0e5b7c9d1e3f5a7b9c1d3e5f7a9b1c3d5e7f9a1",
        "handled_at": "2026-07-22T14:00:00Z", "outcome": "published", "release": "44.20260722.3.0", "error": null }] }))]
pub struct FollowModel {
    /// The setting; null if the stream follows nothing.
    pub follow: Option<FollowDocument>,
    /// When the last look ended; null if there was none since the setting was changed.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub checked_at: Option<Timestamp>,
    /// When the last look that did not fail ended.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub succeeded_at: Option<Timestamp>,
    /// Why the last look failed, or why the tag that was handled last was refused; null if neither is so.
    pub error: Option<String>,
    /// The number of looks in a row that failed.
    pub failures: u32,
    /// When the next look is due, unless the registry reports a change before.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub next_at: Option<Timestamp>,
    /// The new tags that are not handled yet.
    pub waiting: WaitingTagsModel,
    /// The tags that were handled last, at most 20, the newest first.
    pub handled: Vec<FollowedTagModel>,
}

/// New tags that are not handled yet.
#[derive(Debug, Serialize, ToSchema)]
pub struct WaitingTagsModel {
    /// Their number.
    pub count: usize,
    /// The first of them, at most 20.
    pub tags: Vec<String>,
    /// Why they wait; null if there are none.
    pub because: Option<String>,
}

/// A tag that was handled.
#[derive(Debug, Serialize, ToSchema)]
pub struct FollowedTagModel {
    /// The tag.
    pub tag: String,
    /// What it stood for.
    pub digest: Option<String>,
    /// When it was handled.
    #[schema(value_type = String, format = DateTime)]
    pub handled_at: Timestamp,
    /// `drafted` or `published`: it became a release; `existing`: a release had its image already; `refused`: it cannot become a release.
    pub outcome: &'static str,
    /// The release that has the image.
    pub release: Option<String>,
    /// Why it was refused.
    pub error: Option<String>,
}

impl FollowModel {
    /// Describes what followers know.
    #[must_use]
    pub fn new(status: FollowStatus) -> Self {
        let FollowStatus { follow, state, tags } = status;
        let WaitingTags { first, count, because } = state.waiting;
        Self {
            follow: follow.as_ref().map(FollowDocument::from),
            checked_at: state.checked_at,
            succeeded_at: state.succeeded_at,
            error: state.error,
            failures: state.failures,
            next_at: state.next_at,
            waiting: WaitingTagsModel { count, tags: first, because },
            handled: tags.into_iter().map(FollowedTagModel::new).collect(),
        }
    }
}

impl FollowedTagModel {
    fn new(tag: FollowedTag) -> Self {
        Self {
            tag: tag.tag,
            digest: tag.digest.map(|digest| format!("sha256:{digest}")),
            handled_at: tag.handled_at,
            outcome: tag.outcome.as_str(),
            release: tag.release,
            error: tag.error,
        }
    }
}
