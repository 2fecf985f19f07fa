//! Which tags of a repository are new.

use super::{known_tags::KnownTags, schedule::RetrySchedule};
use crate::{
    domain::{hash::ContentHash, tag_order::compare_tags},
    store::{followed_tags::FollowedTag, retried_tags::RetriedTag},
};
use std::collections::{BTreeMap, BTreeSet};

/// The largest number of new tags that one look tries for the first time.
pub(super) const MAX_NEW: usize = 10;
/// The largest number of tags that one look tries again.
const MAX_RETRIED: usize = 10;
/// The number of handled tags, the newest ones, that a look asks whether they have moved.
const MAX_CHECKED: usize = 10;

/// The tags of a repository, compared with those that are known.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Survey {
    /// The tags that were not tried before, in natural order.
    pub(super) untried: Vec<String>,
    /// The tags that could not become releases yet, and are asked for again.
    pub(super) retried: Vec<String>,
    /// Those of them that are tried again, even if they have not moved.
    due: BTreeSet<String>,
    /// The handled tags that may have moved.
    pub(super) checked: Vec<String>,
    /// The tags that were there before the first look, and are not handled.
    pub(super) skipped: Vec<String>,
}

/// A tag that becomes a release.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct NewTag {
    pub(super) tag: String,
    pub(super) digest: ContentHash,
}

impl Survey {
    /// Compares the listed tags with those that are known.
    pub(super) fn new(mut listed: Vec<String>, known: &KnownTags, schedule: &RetrySchedule<'_>) -> Self {
        listed.sort_by(|one, other| compare_tags(one, other));
        let is_retried = |tag: &String| known.retried.contains_key(tag);
        let others = listed.into_iter().filter(|tag| !is_retried(tag));
        let (handled, untried): (Vec<String>, Vec<String>) = others.partition(|tag| known.handled.contains_key(tag));
        let checked = handled.into_iter().rev().take(MAX_CHECKED).collect();
        let is_due = |tag: &&RetriedTag| schedule.is_due(tag);
        let due: BTreeSet<String> = known.retried.values().filter(is_due).map(|tag| tag.tag.clone()).collect();
        // Without a digest, nothing shows that the tag has moved.
        let mut retried: Vec<&RetriedTag> =
            known.retried.values().filter(|tag| tag.digest.is_some() || due.contains(&tag.tag)).collect();
        retried.sort_by_key(|tag| (!due.contains(&tag.tag), tag.tried_at));
        let retried = retried.into_iter().take(MAX_RETRIED).map(|tag| tag.tag.clone()).collect();
        Self { untried, retried, due, checked, skipped: Vec::new() }
    }

    /// Keeps the newest tag only, at the first look at a repository.
    pub(super) fn of_first_look(self) -> Self {
        let Self { mut untried, checked, .. } = self;
        let newest = untried.pop();
        let is_newest = |tag: &String| checked.first().is_none_or(|known| compare_tags(known, tag).is_lt());
        let (newest, older): (Vec<String>, Vec<String>) = newest.into_iter().partition(is_newest);
        Self { untried: newest, skipped: untried.into_iter().chain(older).collect(), checked, ..self }
    }

    /// Returns the tags whose digests are to be asked for, in groups: a group whose tags fail does not keep the others out. Those for which the
    /// registry did not answer the last time come last.
    pub(super) fn asked(&self, known: &KnownTags) -> [Vec<String>; 4] {
        let untried = self.untried.iter().take(MAX_NEW).cloned().collect();
        let (unanswered, retried) = self.retried.iter().cloned().partition(|tag| is_unanswered(tag, known));
        [untried, retried, self.checked.clone(), unanswered]
    }

    /// Returns true if a tag is asked for because it may become a release, and not only because it may have moved.
    pub(super) fn tries(&self, tag: &String) -> bool {
        self.untried.contains(tag) || self.retried.contains(tag)
    }

    /// Returns the tags that become releases. They are in natural order, apart from those for which the registry did not answer the last time: they
    /// would delay the others again.
    pub(super) fn new_tags(&self, digests: &BTreeMap<String, ContentHash>, known: &KnownTags) -> Vec<NewTag> {
        let found = |tag: &String| Some(NewTag { tag: tag.clone(), digest: *digests.get(tag)? });
        let untried = self.untried.iter().take(MAX_NEW).filter_map(found);
        let retried = self.retried.iter().filter_map(found).filter(|new| {
            let has_moved = known.retried.get(&new.tag).is_some_and(|tag| tag.digest != Some(new.digest));
            (has_moved || self.due.contains(&new.tag)) && !is_handled(new, known)
        });
        // The digest of a skipped tag is not known yet: it has not moved.
        let has_digest = |tag: &&String| known.handled.get(*tag).is_some_and(|tag| tag.digest.is_some());
        let checked = self.checked.iter().filter(has_digest).filter_map(found);
        let moved = checked.filter(|new| !is_handled(new, known));
        let mut new: Vec<NewTag> = untried.chain(retried).chain(moved).collect();
        new.sort_by(|one, other| {
            let by_answer = is_unanswered(&one.tag, known).cmp(&is_unanswered(&other.tag, known));
            by_answer.then_with(|| compare_tags(&one.tag, &other.tag))
        });
        new
    }

    /// Returns the tags that need not be tried again, because they stand again for what they stood for when they were handled.
    pub(super) fn moved_back(&self, digests: &BTreeMap<String, ContentHash>, known: &KnownTags) -> Vec<String> {
        let found = |tag: &String| Some(NewTag { tag: tag.clone(), digest: *digests.get(tag)? });
        self.retried.iter().filter_map(found).filter(|new| is_handled(new, known)).map(|new| new.tag).collect()
    }

    /// Returns the skipped tags whose digest was not known, with their digests.
    pub(super) fn first_digests(&self, digests: &BTreeMap<String, ContentHash>, known: &KnownTags) -> Vec<FollowedTag> {
        let unknown = self.checked.iter().filter_map(|tag| known.handled.get(tag)).filter(|tag| tag.digest.is_none());
        unknown.filter_map(|tag| Some(FollowedTag { digest: Some(*digests.get(&tag.tag)?), ..tag.clone() })).collect()
    }
}

/// Returns true if a tag was handled when it stood for the same image.
fn is_handled(new: &NewTag, known: &KnownTags) -> bool {
    known.handled.get(&new.tag).is_some_and(|tag| tag.digest == Some(new.digest))
}

/// Returns true if the registry did not answer when a tag was last tried.
fn is_unanswered(tag: &str, known: &KnownTags) -> bool {
    known.retried.get(tag).is_some_and(|tag| tag.is_unanswered)
}

#[cfg(test)]
#[path = "new_tags_tests.rs"]
mod tests;
