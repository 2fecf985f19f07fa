//! What is known of the tags of a repository.

use crate::{
    domain::tag_order::compare_tags,
    store::{
        followed_tags::{FollowedTag, TagOutcome},
        retried_tags::RetriedTag,
    },
};
use jiff::{SignedDuration, Timestamp};
use std::{
    cmp::Ordering,
    collections::{BTreeMap, BTreeSet},
};

/// How long a tag is remembered after the registry listed it for the last time. A registry that loses its list for a while does not make old tags new.
const MEMORY: SignedDuration = SignedDuration::from_hours(30 * 24);

/// The tags of a repository that match the pattern, as far as looks have come across them.
#[derive(Debug, Default)]
pub(super) struct KnownTags {
    /// The tags that were handled, by name.
    pub(super) handled: BTreeMap<String, FollowedTag>,
    /// The tags that could not become releases yet, by name. A handled tag that moved can be among them.
    pub(super) retried: BTreeMap<String, RetriedTag>,
}

/// What a list of tags changes.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct ListChanges {
    /// Handled tags that it does not name any more.
    pub(super) missing: Vec<String>,
    /// Handled tags that it names again.
    pub(super) listed_again: Vec<String>,
    /// Handled tags that were missing for long enough to be forgotten.
    pub(super) forgotten: Vec<String>,
    /// Tags that would be tried again, and are not named.
    pub(super) not_retried: Vec<String>,
}

impl ListChanges {
    pub(super) fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl KnownTags {
    /// Returns the tags that were listed when all of them were handled.
    pub(super) fn listed(&self) -> Vec<String> {
        let listed = self.handled.values().filter(|tag| tag.missing_since.is_none());
        listed.map(|tag| tag.tag.clone()).collect()
    }

    /// Returns true if a tag comes before one that was handled. A tag that was refused says nothing about what nodes run.
    pub(super) fn is_older(&self, tag: &str) -> bool {
        self.newest().is_some_and(|newest| compare_tags(tag, newest) == Ordering::Less)
    }

    fn newest(&self) -> Option<&str> {
        let counting = self.handled.values().filter(|tag| tag.outcome != TagOutcome::Refused);
        counting.map(|tag| tag.tag.as_str()).max_by(|one, other| compare_tags(one, other))
    }

    /// Returns why the newest of the tags that were last handled, or first failed, became no release.
    pub(super) fn last_problem(&self) -> Option<String> {
        let handled = self.handled.values().filter(|tag| tag.outcome != TagOutcome::Skipped);
        let handled = handled.map(|tag| (tag.handled_at, &tag.tag, tag.error.as_ref()));
        let retried = self.retried.values().map(|tag| (tag.since, &tag.tag, Some(&tag.error)));
        let last = handled.chain(retried).max_by(|(at, tag, error), (other_at, other, other_error)| {
            let by_tag = || compare_tags(tag, other).then(error.is_some().cmp(&other_error.is_some()));
            at.cmp(other_at).then_with(by_tag)
        });
        let (_, tag, error) = last?;
        error.map(|error| format!("tag {tag}: {error}"))
    }

    /// Adds tags that were there before the first look.
    pub(super) fn skip(&mut self, tags: &[String], now: Timestamp) {
        let skipped = |tag: &String| FollowedTag {
            tag: tag.clone(),
            digest: None,
            handled_at: now,
            outcome: TagOutcome::Skipped,
            release: None,
            error: None,
            warnings: Vec::new(),
            missing_since: None,
        };
        self.handled.extend(tags.iter().map(|tag| (tag.clone(), skipped(tag))));
    }

    /// Applies a list of tags, and returns what it changes. The newest tag is never forgotten: what comes before it could lead nodes back.
    pub(super) fn apply_list(&mut self, listed: &[String], now: Timestamp) -> ListChanges {
        let listed: BTreeSet<&String> = listed.iter().collect();
        let newest = self.newest().map(ToOwned::to_owned);
        let mut changes = ListChanges::default();
        for tag in self.handled.values_mut() {
            match (listed.contains(&tag.tag), tag.missing_since) {
                (true, None) => {}
                (true, Some(_)) => {
                    tag.missing_since = None;
                    changes.listed_again.push(tag.tag.clone());
                }
                (false, None) => {
                    tag.missing_since = Some(now);
                    changes.missing.push(tag.tag.clone());
                }
                (false, Some(since)) => {
                    if now.duration_since(since) >= MEMORY && newest.as_ref() != Some(&tag.tag) {
                        changes.forgotten.push(tag.tag.clone());
                    }
                }
            }
        }
        changes.not_retried = self.retried.keys().filter(|tag| !listed.contains(tag)).cloned().collect();
        for tag in &changes.forgotten {
            self.handled.remove(tag);
        }
        self.retried.retain(|tag, _| listed.contains(tag));
        changes
    }
}

#[cfg(test)]
#[path = "known_tags_tests.rs"]
pub(super) mod tests;
