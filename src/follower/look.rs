//! One look at the repository of a stream: what is new becomes releases, and what the look leaves is saved.

use super::{
    looker::{LookError, Looker, MAX_TIME, describe},
    new_tags::{Handled, MAX_NEW, NewTag, Survey, is_older},
    release::{Made, Maker, Unmade},
    schedule::next_look,
};
use crate::{
    domain::{follow::Follow, stream::Stream, tag_order::compare_tags},
    manage::StreamAtRevision,
    registry::{RegistryError, RepositoryReference, TagList},
    store::{
        StoreError,
        followed_tags::{FollowedTag, TagOutcome},
        follows::{DueFollow, FollowState, WaitingTags},
    },
};

/// What a look did, apart from the releases.
#[derive(Default)]
struct Done {
    etag: Option<String>,
    waiting: WaitingTags,
    /// The failure of a tag, after which the others were handled.
    failure: Option<LookError>,
    /// The refusal of the tag that was handled last.
    refusal: Option<String>,
}

/// The largest number of waiting tags that are saved by name.
const MAX_WAITING: usize = 20;

impl Looker {
    /// Looks at the repository of a stream, and saves when to look again.
    ///
    /// # Errors
    /// The database is unavailable.
    pub(super) async fn look(&self, due: &DueFollow) -> Result<(), StoreError> {
        let mut state = self.store.begin_read("follow_state").await?.follow_state(due.key).await?;
        if (state.image.as_deref(), state.tags.as_deref()) != (Some(&due.image), Some(&due.tags)) {
            state =
                FollowState { image: Some(due.image.clone()), tags: Some(due.tags.clone()), ..FollowState::default() };
        }
        let handled = tokio::time::timeout(MAX_TIME, self.handle(due, &mut state)).await;
        let done = match handled.unwrap_or(Err(LookError::Timeout)) {
            Err(LookError::Store(error)) if error.is_unavailable() => return Err(error),
            // What waited before waits on.
            Err(error) => Done { waiting: state.waiting.clone(), failure: Some(error), ..Done::default() },
            Ok(done) => done,
        };
        let Done { etag, waiting, failure, refusal } = done;
        let now = self.manage.timestamp();
        let failure = failure.map(|error| describe(&error));
        if let Some(error) = &failure {
            tracing::warn!(stream = %due.id, image = due.image, error, "followed repository cannot be read now");
        }
        let failures = if failure.is_some() { state.failures.saturating_add(1) } else { 0 };
        let next = FollowState {
            // A list is asked for again until all of its tags are handled.
            etag: etag.filter(|_| failure.is_none() && waiting.count == 0),
            checked_at: Some(now),
            succeeded_at: if failure.is_none() { Some(now) } else { state.succeeded_at },
            next_at: Some(next_look(now, self.interval, failures, &due.id)),
            failures,
            error: failure.or(refusal),
            waiting,
            ..state
        };
        let mut transaction = self.store.begin("save_follow_state").await?;
        transaction.save_follow_state(due, &next).await?;
        transaction.commit().await
    }

    /// Asks the registry what is new, and makes releases of it.
    async fn handle(&self, due: &DueFollow, state: &mut FollowState) -> Result<Done, LookError> {
        let maker = Maker::new(self, due);
        let snapshot = maker.stream().await?;
        // If it was changed since, the next look is due already.
        let Some(follow) = followed(&snapshot.stream, due) else { return Ok(Done::default()) };
        let repository = RepositoryReference::try_from(&follow.image)?;
        let mut handled = self.handled(due, follow).await?;
        let known = state.etag.as_deref().filter(|_| state.followed_since.is_some());
        let selects = |tag: &str| follow.tags.matches(tag);
        let (listed, etag) = match self.registries.tags(&repository, &selects, known).await? {
            TagList::Unchanged => (handled.keys().cloned().collect(), state.etag.clone()),
            TagList::Tags { tags, etag } => (tags, etag),
        };
        let survey = Survey::new(listed, &handled, state.followed_since.is_none());
        if state.followed_since.is_none() {
            self.begin(due, &survey.skipped).await?;
            state.followed_since = Some(self.manage.timestamp());
            handled = self.handled(due, follow).await?;
        }
        let digests = self.registries.digests(&repository, &survey.asked()).await?;
        self.record(due, &survey.first_digests(&digests, &handled)).await?;
        let new = survey.new_tags(&digests, &handled);
        let mut done = self.make_releases(&maker, snapshot, new, &mut handled).await?;
        let later = survey.unhandled.get(MAX_NEW..).unwrap_or_default();
        if !later.is_empty() {
            done.waiting.because.get_or_insert_with(|| format!("a look handles at most {MAX_NEW} tags"));
            done.waiting.count = done.waiting.count.saturating_add(later.len());
            done.waiting.first.extend(later.iter().cloned());
            done.waiting.first.truncate(MAX_WAITING);
        }
        let last = handled.values().filter(|tag| tag.outcome != TagOutcome::Skipped).max_by(|one, other| {
            one.handled_at.cmp(&other.handled_at).then_with(|| compare_tags(&one.tag, &other.tag))
        });
        let refused = last.filter(|tag| tag.outcome == TagOutcome::Refused);
        let refusal = refused.map(|tag| format!("tag {}: {}", tag.tag, tag.error.as_deref().unwrap_or_default()));
        Ok(Done { etag, refusal, ..done })
    }

    /// Makes releases of new tags, in their order, until one is published.
    async fn make_releases(
        &self,
        maker: &Maker<'_>,
        mut snapshot: StreamAtRevision,
        new: Vec<NewTag>,
        handled: &mut Handled,
    ) -> Result<Done, LookError> {
        let mut done = Done::default();
        for new in new {
            let older = is_older(&new.tag, handled.keys());
            match maker.make(&mut snapshot, &new, older).await {
                Ok(Made { outcome, release, error }) => {
                    let (digest, handled_at) = (Some(new.digest), self.manage.timestamp());
                    let tag = FollowedTag { tag: new.tag, digest, handled_at, outcome, release, error };
                    self.record(maker.due, std::slice::from_ref(&tag)).await?;
                    handled.insert(tag.tag.clone(), tag);
                }
                Err(Unmade::Waits(because)) => {
                    done.waiting.first.push(new.tag);
                    done.waiting.count += 1;
                    done.waiting.because = Some(because);
                }
                // The tag was removed meanwhile, or is not complete yet.
                Err(Unmade::Failed(error @ (RegistryError::NotFound(_) | RegistryError::Answer { .. }))) => {
                    done.failure = Some(error.into());
                }
                Err(Unmade::Failed(error)) => {
                    done.failure = Some(error.into());
                    break;
                }
                Err(Unmade::Look(error)) => return Err(error),
            }
        }
        Ok(done)
    }

    /// Returns the tags that were handled and match the pattern.
    async fn handled(&self, due: &DueFollow, follow: &Follow) -> Result<Handled, StoreError> {
        let tags = self.store.begin_read("followed_tags").await?.followed_tags(due.key, &due.image).await?;
        let matching = tags.into_iter().filter(|tag| follow.tags.matches(&tag.tag));
        Ok(matching.map(|tag| (tag.tag.clone(), tag)).collect())
    }

    async fn begin(&self, due: &DueFollow, skipped: &[String]) -> Result<(), StoreError> {
        let mut transaction = self.store.begin("begin_following").await?;
        transaction.begin_following(due.key, &due.image, skipped, self.manage.timestamp()).await?;
        transaction.commit().await
    }

    async fn record(&self, due: &DueFollow, tags: &[FollowedTag]) -> Result<(), StoreError> {
        if tags.is_empty() {
            return Ok(());
        }
        let mut transaction = self.store.begin("record_tags").await?;
        transaction.record_tags(due.key, &due.image, tags).await?;
        transaction.commit().await
    }
}

/// Returns what a stream follows, if it is what the look is for.
fn followed<'a>(stream: &'a Stream, due: &DueFollow) -> Option<&'a Follow> {
    let follow = stream.follow.as_deref()?;
    (follow.image.as_str() == due.image && follow.tags.as_str() == due.tags).then_some(follow)
}
