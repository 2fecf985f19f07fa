//! One look at the repository of a stream: what is new becomes releases, and what the look leaves is saved.

use super::{
    looker::{LookError, Looker, MAX_TIME, followed},
    new_tags::Survey,
    release::TagHandler,
    schedule::{RetrySchedule, next_look},
    tag_results::{FoundDigests, TagResults},
};
use crate::{
    domain::stream::Stream,
    registry::{RepositoryReference, TagList},
    store::{
        StoreError, Transaction,
        follows::{DueFollow, FollowState},
    },
};
use jiff::Timestamp;

impl Looker {
    /// Looks at the repository of a stream, and saves when to look again.
    ///
    /// # Errors
    /// The database is unavailable.
    pub(super) async fn look(&self, due: &DueFollow) -> Result<(), StoreError> {
        let mut state = self.state(due).await?;
        let looked = tokio::time::timeout(MAX_TIME, self.look_at_tags(due, &mut state)).await;
        let failure = match looked.unwrap_or(Err(LookError::Timeout)) {
            Err(LookError::Store(error)) if error.is_unavailable() => return Err(error),
            looked => looked.err(),
        };
        let now = self.manage.timestamp();
        if let Some(error) = &failure {
            let error = error.logged();
            tracing::warn!(stream = %due.id, image = due.image, error, "followed repository cannot be read now");
            state.etag = None;
            state.failures = state.failures.saturating_add(1);
        } else {
            state.failures = 0;
            state.succeeded_at = Some(now);
        }
        state.error = failure.map(|error| error.shown());
        state.checked_at = Some(now);
        state.next_at = Some(next_look(now, self.interval, state.failures, &due.id));
        let Some(mut transaction) = self.writing("save_follow_state", due).await? else { return Ok(()) };
        transaction.save_follow_state(due, &state).await?;
        transaction.commit().await
    }

    /// Begins a transaction that saves what a look finds. Returns `None` if the stream does not follow that any more.
    pub(super) async fn writing(&self, name: &'static str, due: &DueFollow) -> Result<Option<Transaction>, StoreError> {
        let mut transaction = self.store.begin(name).await?;
        Ok(transaction.lock_follow(due).await?.then_some(transaction))
    }

    /// Returns what the last look left. With another setting, looks begin anew.
    async fn state(&self, due: &DueFollow) -> Result<FollowState, StoreError> {
        let state = self.store.begin_read("follow_state").await?.follow_state(due.key).await?;
        if (state.image.as_deref(), state.tags.as_deref()) == (Some(&due.image), Some(&due.tags)) {
            return Ok(state);
        }
        let (image, tags) = (Some(due.image.clone()), Some(due.tags.clone()));
        let FollowState { published_at, seen_revision, .. } = state;
        Ok(FollowState { image, tags, published_at, seen_revision, ..FollowState::default() })
    }

    /// Asks the registry what is new, and makes releases of it.
    async fn look_at_tags(&self, due: &DueFollow, state: &mut FollowState) -> Result<(), LookError> {
        let mut handler = TagHandler::new(self, due, state).await?;
        let stream = handler.snapshot.stream.clone();
        // If it was changed since, the next look is due already.
        let Some(follow) = followed(&stream, due) else { return Ok(()) };
        let repository = RepositoryReference::try_from(&follow.image)?;
        let is_first = state.followed_since.is_none();
        let mut results = TagResults::load(self, due, follow, handler.now).await?;
        let selects = |tag: &str| follow.tags.matches(tag);
        let etag = state.etag.take().filter(|_| !is_first);
        let listed = match self.registries.tags(&repository, &selects, etag.as_deref()).await? {
            TagList::Unchanged => {
                state.etag = etag;
                results.known.listed()
            }
            TagList::Tags { tags, etag } => {
                state.etag = etag;
                tags
            }
        };
        if is_first {
            // What was tried for another setting is not tried again.
            results.known.retried.clear();
        }
        results.apply_list(&listed).await?;
        let schedule = RetrySchedule {
            stream: &due.id,
            now: results.now,
            interval: self.interval,
            changed_at: self.changed_at(due, &stream).await?,
            is_woken: due.woken_at.is_some(),
        };
        let mut survey = Survey::new(listed, &results.known, &schedule);
        if is_first {
            survey = survey.of_first_look();
            results.begin(&survey.skipped).await?;
            state.followed_since = Some(results.now);
        }
        let FoundDigests { digests, failure } = results.ask(&repository, &survey).await?;
        let failure = match failure {
            Some(error) => Some(error),
            None => results.make_releases(&mut handler, survey.new_tags(&digests, &results.known)).await?,
        };
        state.published_at = handler.published_at;
        state.seen_revision = handler.snapshot.revision;
        state.waiting = results.waiting(&survey);
        state.tag_error = results.known.last_problem();
        // A list is asked for again until all of its tags are handled.
        if state.waiting.count > 0 || !results.known.retried.is_empty() {
            state.etag = None;
        }
        failure.map_or(Ok(()), Err)
    }

    /// Returns when a stream or its base was last changed.
    async fn changed_at(&self, due: &DueFollow, stream: &Stream) -> Result<Option<Timestamp>, StoreError> {
        let mut transaction = self.store.begin_read("changes_of_followed_stream").await?;
        let own = transaction.head(&due.id).await?;
        let base = match &stream.base {
            Some(base) => transaction.head(&base.stream).await?,
            None => None,
        };
        Ok(own.into_iter().chain(base).map(|head| head.changed_at).max())
    }
}
