//! What followers know of a stream.

use super::{access::ReadError, streams::StreamReader};
use crate::{
    domain::{follow::Follow, tag_order::compare_tags},
    manage::{manager::Manage, records::StoreError},
    store::{followed_tags::FollowedTag, follows::FollowState, retried_tags::RetriedTag},
};

/// What a stream follows, and what the last looks at its repository found.
#[derive(Debug, Clone)]
pub struct FollowStatus {
    /// What it follows, if anything.
    pub follow: Option<Follow>,
    /// What the last look left. Without one since the setting was changed, nothing.
    pub state: FollowState,
    /// The tags that were handled last, the newest first.
    pub tags: Vec<FollowedTag>,
    /// The tags that could not become releases yet, first those that could not for the shortest time.
    pub retried: Vec<RetriedTag>,
}

/// The number of handled tags that are shown, and of those that are tried again.
const MAX_TAGS: u32 = 20;

impl StreamReader<'_> {
    /// Returns what followers know of the stream.
    ///
    /// # Errors
    /// The stream does not exist, or the database failed.
    pub async fn follow_status(&self) -> Result<FollowStatus, ReadError> {
        let mut transaction = self.manage.reading("follow_status").await?;
        let head = transaction.head(&self.id).await?.ok_or_else(|| self.no_stream())?;
        let stream = self.manage.load_stream(&mut transaction, &head).await?;
        let Some(follow) = stream.follow.as_deref().cloned() else {
            let state = FollowState::default();
            return Ok(FollowStatus { follow: None, state, tags: Vec::new(), retried: Vec::new() });
        };
        let image = follow.image.as_str();
        let state = transaction.follow_state(head.key).await?;
        let is_present = state.image.as_deref() == Some(image) && state.tags.as_deref() == Some(follow.tags.as_str());
        let mut tags = transaction.recent_followed_tags(head.key, image, MAX_TAGS).await?;
        let by_time = |tag: &FollowedTag, other: &FollowedTag| tag.handled_at.cmp(&other.handled_at);
        tags.sort_by(|tag, other| by_time(other, tag).then_with(|| compare_tags(&other.tag, &tag.tag)));
        let (state, retried) = if is_present {
            (state, transaction.retried_tags(head.key, image, MAX_TAGS).await?)
        } else {
            (FollowState::default(), Vec::new())
        };
        Ok(FollowStatus { follow: Some(follow), state, tags, retried })
    }
}

impl Manage {
    /// Makes looks at repositories with these paths due, in any registry. Returns the number of streams that follow them.
    ///
    /// # Errors
    /// The database is unavailable.
    pub async fn wake_follows(&self, paths: &[String]) -> Result<u64, StoreError> {
        if paths.is_empty() {
            return Ok(0);
        }
        self.store().wake_follows(paths, self.timestamp()).await
    }
}
