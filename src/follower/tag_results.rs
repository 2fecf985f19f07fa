//! What a look finds out about tags, in memory and in the database.

use super::{
    known_tags::KnownTags,
    looker::{LookError, Looker, shown},
    new_tags::{MAX_NEW, NewTag, Survey},
    release::{TagHandler, TagResult},
};
use crate::{
    domain::{follow::Follow, hash::ContentHash, tag_order::compare_tags},
    registry::{FailedTag, RegistryError, RepositoryReference, TagDigests},
    store::{
        StoreError, Transaction,
        followed_tags::FollowedTag,
        follows::{DueFollow, WaitingTags},
        retried_tags::RetriedTag,
    },
};
use jiff::Timestamp;
use std::collections::BTreeMap;

/// What a look finds out about tags. It is stored at once: a look that breaks off does not begin anew.
pub(super) struct TagResults<'a> {
    looker: &'a Looker,
    due: &'a DueFollow,
    /// When the look began.
    pub(super) now: Timestamp,
    pub(super) known: KnownTags,
    /// The tags whose time has not come, and why.
    waiting: Vec<String>,
    because: Option<String>,
}

/// A tag that cannot become a release yet.
struct Failure {
    tag: String,
    digest: Option<ContentHash>,
    error: String,
    is_unanswered: bool,
}

/// The digests that a registry said.
pub(super) struct FoundDigests {
    pub(super) digests: BTreeMap<String, ContentHash>,
    /// Why the look fails.
    pub(super) failure: Option<LookError>,
}

/// The largest number of waiting tags that are saved by name.
const MAX_WAITING: usize = 20;
/// The largest number of failed tags that are known.
const MAX_FAILED: u32 = 20_000;

impl<'a> TagResults<'a> {
    /// Loads what is known of the tags that match the pattern of a stream, for a look that began at `now`.
    pub(super) async fn load(
        looker: &'a Looker,
        due: &'a DueFollow,
        follow: &Follow,
        now: Timestamp,
    ) -> Result<Self, StoreError> {
        let mut transaction = looker.store.begin_read("followed_tags").await?;
        let handled = transaction.followed_tags(due.key, &due.image).await?.into_iter();
        let matching = handled.filter(|tag| follow.tags.matches(&tag.tag));
        let retried = transaction.retried_tags(due.key, &due.image, MAX_FAILED).await?.into_iter();
        let known = KnownTags {
            handled: matching.map(|tag| (tag.tag.clone(), tag)).collect(),
            retried: retried.map(|tag| (tag.tag.clone(), tag)).collect(),
        };
        Ok(Self { looker, due, now, known, waiting: Vec::new(), because: None })
    }

    /// Begins anew: what is listed now was there before, apart from the tags of the survey.
    pub(super) async fn begin(&mut self, skipped: &[String]) -> Result<(), StoreError> {
        if let Some(mut transaction) = self.writing("begin_following").await? {
            transaction.begin_following(self.due.key, &self.due.image, skipped, self.now).await?;
            transaction.commit().await?;
        }
        self.known.skip(skipped, self.now);
        Ok(())
    }

    /// Applies a list of tags.
    pub(super) async fn apply_list(&mut self, listed: &[String]) -> Result<(), StoreError> {
        let changes = self.known.apply_list(listed, self.now);
        if changes.is_empty() {
            return Ok(());
        }
        let (key, image) = (self.due.key, &self.due.image);
        let Some(mut transaction) = self.writing("apply_list_of_tags").await? else { return Ok(()) };
        transaction.mark_missing_tags(key, image, &changes.missing, Some(self.now)).await?;
        transaction.mark_missing_tags(key, image, &changes.listed_again, None).await?;
        transaction.forget_tags(key, image, &changes.forgotten).await?;
        transaction.forget_retried_tags(key, image, &changes.not_retried).await?;
        transaction.commit().await
    }

    /// Asks the registry what tags stand for.
    pub(super) async fn ask(
        &mut self,
        repository: &RepositoryReference,
        survey: &Survey,
    ) -> Result<FoundDigests, LookError> {
        let TagDigests { asked, failure } =
            self.looker.registries.digests(repository, &survey.asked(&self.known)).await?;
        // That there is no such image is an answer, too.
        let is_answer = |asked: &Result<_, RegistryError>| matches!(asked, Ok(_) | Err(RegistryError::NotFound(_)));
        let has_answer = asked.values().any(is_answer);
        let (mut digests, mut first_error) = (BTreeMap::new(), None);
        for (tag, asked) in asked {
            match asked {
                Ok(digest) => drop(digests.insert(tag, digest)),
                Err(error) => {
                    first_error.get_or_insert_with(|| format!("tag {tag}: {}", shown(&error)));
                    self.failed_to_ask(survey, tag, &error).await?;
                }
            }
        }
        let no_answer = first_error.filter(|_| !has_answer).map(LookError::NoTag);
        let failure = match failure {
            Some(FailedTag { tag, error }) if is_unanswered(&error) => {
                self.failed_to_ask(survey, tag, &error).await?;
                // It may be the only one.
                if has_answer { None } else { Some(error.into()) }
            }
            Some(FailedTag { error, .. }) => Some(error.into()),
            None => no_answer,
        };
        self.record(&survey.first_digests(&digests, &self.known)).await?;
        self.forget_retried(&survey.moved_back(&digests, &self.known)).await?;
        Ok(FoundDigests { digests, failure })
    }

    async fn failed_to_ask(&mut self, survey: &Survey, tag: String, error: &RegistryError) -> Result<(), StoreError> {
        // A handled tag has not moved, as far as is known.
        if !survey.tries(&tag) {
            return Ok(());
        }
        let is_unanswered = is_unanswered(error);
        self.retry_later(Failure { tag, digest: None, error: shown(error), is_unanswered }).await
    }

    /// Makes releases of new tags, until the registry fails. Returns why the look fails.
    pub(super) async fn make_releases(
        &mut self,
        handler: &mut TagHandler<'_>,
        new: Vec<NewTag>,
    ) -> Result<Option<LookError>, LookError> {
        for new in new {
            let is_older = self.known.is_older(&new.tag);
            let result = handler.handle(&new, is_older).await?;
            let (tag, digest) = (new.tag, Some(new.digest));
            match result {
                TagResult::Handled(tag) => self.record(&[tag]).await?,
                TagResult::Waits(because) => self.wait(tag, because),
                TagResult::Refused(error) => {
                    self.retry_later(Failure { tag, digest, error, is_unanswered: false }).await?;
                }
                TagResult::Unread(error) => {
                    let is_unanswered = is_unanswered(&error);
                    if error.concerns_registry() && !is_unanswered {
                        return Ok(Some(error.into()));
                    }
                    self.retry_later(Failure { tag, digest, error: shown(&error), is_unanswered }).await?;
                    // The other tags wait for the next look. If the registry is down, that one fails.
                    if is_unanswered {
                        return Ok(None);
                    }
                }
            }
        }
        Ok(None)
    }

    /// Returns the tags that wait for their time: those that were not tried, and those that may not be published now.
    pub(super) fn waiting(&self, survey: &Survey) -> WaitingTags {
        let KnownTags { handled, retried } = &self.known;
        let is_left =
            |tag: &&String| !handled.contains_key(*tag) && !retried.contains_key(*tag) && !self.waiting.contains(tag);
        let mut tags: Vec<&String> = survey.untried.iter().filter(is_left).chain(&self.waiting).collect();
        tags.sort_by(|one, other| compare_tags(one, other));
        let left = || format!("a look tries at most {MAX_NEW} new tags, and ends when the registry fails");
        let because = self.because.clone().or_else(|| (!tags.is_empty()).then(left));
        WaitingTags { count: tags.len(), first: tags.into_iter().take(MAX_WAITING).cloned().collect(), because }
    }

    fn wait(&mut self, tag: String, because: String) {
        self.because.get_or_insert(because);
        // Why a tag is tried again is shown already.
        if !self.known.retried.contains_key(&tag) {
            self.waiting.push(tag);
        }
    }

    async fn record(&mut self, tags: &[FollowedTag]) -> Result<(), StoreError> {
        if tags.is_empty() {
            return Ok(());
        }
        if let Some(mut transaction) = self.writing("record_tags").await? {
            transaction.record_tags(self.due.key, &self.due.image, tags).await?;
            transaction.commit().await?;
        }
        for tag in tags {
            self.known.retried.remove(&tag.tag);
            self.known.handled.insert(tag.tag.clone(), tag.clone());
        }
        Ok(())
    }

    async fn retry_later(&mut self, failure: Failure) -> Result<(), StoreError> {
        let Failure { tag, digest, error, is_unanswered } = failure;
        let before = self.known.retried.get(&tag);
        let has_moved = |before: &&RetriedTag| before.digest.is_some() && digest.is_some() && before.digest != digest;
        let before = before.filter(|before| !has_moved(before));
        let since = before.map_or(self.now, |before| before.since);
        let tries = before.map_or(0, |before| before.tries).saturating_add(1);
        if before.is_none_or(|before| before.error != error) {
            let (stream, image) = (&self.due.id, &self.due.image);
            tracing::warn!(%stream, tag, image, error, "tag cannot become a release now");
        }
        let retried = RetriedTag { tag, digest, error, since, tried_at: self.now, tries, is_unanswered };
        if let Some(mut transaction) = self.writing("record_retried_tags").await? {
            transaction.record_retried_tags(self.due.key, &self.due.image, std::slice::from_ref(&retried)).await?;
            transaction.commit().await?;
        }
        self.known.retried.insert(retried.tag.clone(), retried);
        Ok(())
    }

    async fn forget_retried(&mut self, tags: &[String]) -> Result<(), StoreError> {
        if tags.is_empty() {
            return Ok(());
        }
        if let Some(mut transaction) = self.writing("forget_retried_tags").await? {
            transaction.forget_retried_tags(self.due.key, &self.due.image, tags).await?;
            transaction.commit().await?;
        }
        self.known.retried.retain(|tag, _| !tags.contains(tag));
        Ok(())
    }

    async fn writing(&self, name: &'static str) -> Result<Option<Transaction>, StoreError> {
        self.looker.writing(name, self.due).await
    }
}

/// Returns true if a registry did not answer for a tag, and may not answer for it again.
fn is_unanswered(error: &RegistryError) -> bool {
    matches!(error, RegistryError::Http { .. } | RegistryError::Timeout(_))
}
