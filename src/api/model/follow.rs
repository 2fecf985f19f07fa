//! What followers know of a stream.

use crate::{
    domain::document::follow_shape::FollowDocument,
    manage::{
        read::FollowStatus,
        records::{FollowedTag, RetriedTag, WaitingTags},
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
    "retried": [],
    "handled": [{ "tag": "stable-12", "digest": "sha256:9b2f0a51d2a6c7f1f6b4f1f3a0e5b7c9d1e3f5a7b9c1d3e5f7a9b1c3d5e7f9a1",
        "handled_at": "2026-07-22T14:00:00Z", "outcome": "published", "release": "44.20260722.3.0", "error": null, "warnings": [] }] }))]
pub struct FollowModel {
    /// The setting; null if the stream follows nothing.
    pub follow: Option<FollowDocument>,
    /// When the last look ended; null if there was none since the setting was changed.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub checked_at: Option<Timestamp>,
    /// When the last look that did not fail ended.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub succeeded_at: Option<Timestamp>,
    /// Why the last look failed, or why the newest of the tags that were tried last became no release; null if neither is so.
    pub error: Option<String>,
    /// The number of looks in a row that failed.
    pub failures: u32,
    /// When the next look is due, unless the registry reports a change before.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub next_at: Option<Timestamp>,
    /// The new tags whose time has not come.
    pub waiting: WaitingTagsModel,
    /// The new tags that could not become releases yet, at most 20, first those that could not for the shortest time. They are tried again.
    pub retried: Vec<RetriedTagModel>,
    /// The tags that were handled last, at most 20, the newest first.
    pub handled: Vec<FollowedTagModel>,
}

/// New tags whose time has not come.
#[derive(Debug, Serialize, ToSchema)]
pub struct WaitingTagsModel {
    /// Their number.
    pub count: usize,
    /// The first of them, at most 20.
    pub tags: Vec<String>,
    /// Why they wait; null if there are none.
    pub because: Option<String>,
}

/// A tag that could not become a release yet.
#[derive(Debug, Serialize, ToSchema)]
pub struct RetriedTagModel {
    /// The tag.
    pub tag: String,
    /// What it stood for; null if the registry did not say.
    pub digest: Option<String>,
    /// Why it could not become a release.
    pub error: String,
    /// When it first could not.
    #[schema(value_type = String, format = DateTime)]
    pub since: Timestamp,
    /// When it was last tried.
    #[schema(value_type = String, format = DateTime)]
    pub tried_at: Timestamp,
}

/// A tag that was handled.
#[derive(Debug, Serialize, ToSchema)]
pub struct FollowedTagModel {
    /// The tag.
    pub tag: String,
    /// What it stood for.
    pub digest: Option<String>,
    /// When the look began that handled it.
    #[schema(value_type = String, format = DateTime)]
    pub handled_at: Timestamp,
    /// `drafted` or `published`: it became a release; `existing`: a release had its image already; `refused`: its image cannot become a release.
    pub outcome: &'static str,
    /// The release that has the image.
    pub release: Option<String>,
    /// Why it was refused.
    pub error: Option<String>,
    /// The warnings that its release had when it was made, at most 5.
    pub warnings: Vec<String>,
}

impl FollowModel {
    /// Describes what followers know.
    #[must_use]
    pub fn new(status: FollowStatus) -> Self {
        let FollowStatus { follow, state, tags, retried } = status;
        let WaitingTags { first, count, because } = state.waiting;
        Self {
            follow: follow.as_ref().map(FollowDocument::from),
            checked_at: state.checked_at,
            succeeded_at: state.succeeded_at,
            error: state.error.or(state.tag_error),
            failures: state.failures,
            next_at: state.next_at,
            waiting: WaitingTagsModel { count, tags: first, because },
            retried: retried.into_iter().map(RetriedTagModel::new).collect(),
            handled: tags.into_iter().map(FollowedTagModel::new).collect(),
        }
    }
}

impl RetriedTagModel {
    fn new(tag: RetriedTag) -> Self {
        Self {
            tag: tag.tag,
            digest: tag.digest.map(|digest| format!("sha256:{digest}")),
            error: tag.error,
            since: tag.since,
            tried_at: tag.tried_at,
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
            warnings: tag.warnings,
        }
    }
}
