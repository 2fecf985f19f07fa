//! Which tags of a repository are new.

use crate::{
    domain::{hash::ContentHash, tag_order::compare_tags},
    store::followed_tags::FollowedTag,
};
use std::{cmp::Ordering, collections::BTreeMap};

/// The largest number of new tags that one look handles.
pub(super) const MAX_NEW: usize = 10;
/// The number of handled tags, the newest ones, that a look asks whether they have moved.
const MAX_CHECKED: usize = 10;

/// The tags that were handled, by name.
pub(super) type Handled = BTreeMap<String, FollowedTag>;

/// The tags of a repository, compared with those that were handled.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Survey {
    /// The tags that are to be handled, in natural order.
    pub(super) unhandled: Vec<String>,
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
    /// Compares the listed tags with those that were handled. The first look at a repository handles its newest tag only.
    pub(super) fn new(mut listed: Vec<String>, handled: &Handled, is_first_look: bool) -> Self {
        listed.sort_by(|one, other| compare_tags(one, other));
        let newest = listed.last().cloned();
        let (known, mut unhandled): (Vec<String>, Vec<String>) =
            listed.into_iter().partition(|tag| handled.contains_key(tag));
        let mut skipped = Vec::new();
        if is_first_look {
            (unhandled, skipped) = unhandled.into_iter().partition(|tag| newest.as_ref() == Some(tag));
        }
        let checked = known.into_iter().rev().take(MAX_CHECKED).collect();
        Self { unhandled, checked, skipped }
    }

    /// Returns the tags whose digests are to be asked for.
    pub(super) fn asked(&self) -> Vec<String> {
        self.unhandled.iter().take(MAX_NEW).chain(&self.checked).cloned().collect()
    }

    /// Returns the tags that become releases, in natural order: those that were not handled, and those that stand for another digest than then.
    pub(super) fn new_tags(&self, digests: &BTreeMap<String, ContentHash>, handled: &Handled) -> Vec<NewTag> {
        let has_moved = |tag: &String, digest: ContentHash| {
            handled.get(tag).and_then(|known| known.digest).is_none_or(|known| known != digest)
        };
        // The digest of a skipped tag is not known yet: it has not moved.
        let moved = self.checked.iter().filter(|tag| handled.get(*tag).is_some_and(|known| known.digest.is_some()));
        let mut new: Vec<NewTag> = self
            .unhandled
            .iter()
            .take(MAX_NEW)
            .chain(moved)
            .filter_map(|tag| Some(NewTag { tag: tag.clone(), digest: *digests.get(tag)? }))
            .filter(|new| has_moved(&new.tag, new.digest))
            .collect();
        new.sort_by(|one, other| compare_tags(&one.tag, &other.tag));
        new
    }

    /// Returns the skipped tags whose digest was not known, with their digests.
    pub(super) fn first_digests(&self, digests: &BTreeMap<String, ContentHash>, handled: &Handled) -> Vec<FollowedTag> {
        let unknown = self.checked.iter().filter_map(|tag| handled.get(tag)).filter(|known| known.digest.is_none());
        unknown
            .filter_map(|known| Some(FollowedTag { digest: Some(*digests.get(&known.tag)?), ..known.clone() }))
            .collect()
    }
}

/// Returns true if a tag comes before one that was handled.
pub(super) fn is_older<'a>(tag: &str, handled: impl IntoIterator<Item = &'a String>) -> bool {
    handled.into_iter().any(|other| compare_tags(tag, other) == Ordering::Less)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::followed_tags::TagOutcome;
    use jiff::Timestamp;

    fn texts(tags: &[&str]) -> Vec<String> {
        tags.iter().map(|tag| (*tag).to_owned()).collect()
    }

    fn digest(number: u8) -> ContentHash {
        ContentHash([number; 32])
    }

    fn handled(tags: &[(&str, Option<u8>)]) -> Handled {
        let tag = |(tag, number): &(&str, Option<u8>)| {
            let outcome = if number.is_some() { TagOutcome::Drafted } else { TagOutcome::Skipped };
            let tag = FollowedTag {
                tag: (*tag).to_owned(),
                digest: number.map(digest),
                handled_at: Timestamp::UNIX_EPOCH,
                outcome,
                release: None,
                error: None,
            };
            (tag.tag.clone(), tag)
        };
        tags.iter().map(tag).collect()
    }

    #[test]
    fn the_first_look_handles_the_newest_tag_only() {
        let survey = Survey::new(texts(&["v10", "v9", "v8"]), &Handled::new(), true);
        assert_eq!((survey.unhandled, survey.skipped), (texts(&["v10"]), texts(&["v8", "v9"])));
        // With another pattern, what was handled stays handled.
        let survey = Survey::new(texts(&["v10", "v9", "v8"]), &handled(&[("v10", Some(1))]), true);
        assert_eq!((survey.unhandled, survey.skipped), (texts(&[]), texts(&["v8", "v9"])));
        assert_eq!(survey.checked, ["v10"]);
        assert_eq!(Survey::new(Vec::new(), &Handled::new(), true).asked(), texts(&[]));
    }

    #[test]
    fn later_looks_handle_every_new_tag_in_natural_order() {
        let known = handled(&[("v9", Some(1))]);
        let survey = Survey::new(texts(&["v11", "v10", "v9", "v8"]), &known, false);
        assert_eq!((&survey.unhandled, survey.skipped.len()), (&texts(&["v8", "v10", "v11"]), 0));
        let digests = [("v8", 8), ("v9", 1), ("v10", 10), ("v11", 11)];
        let digests = digests.map(|(tag, number)| (tag.to_owned(), digest(number))).into();
        let new: Vec<String> = survey.new_tags(&digests, &known).into_iter().map(|new| new.tag).collect();
        assert_eq!(new, ["v8", "v10", "v11"]);
    }

    #[test]
    fn a_tag_that_moved_is_new_and_one_that_vanished_is_not() {
        let known = handled(&[("v1", None), ("v2", Some(2)), ("v3", Some(3))]);
        let survey = Survey::new(texts(&["v1", "v2", "v3", "v4"]), &known, false);
        let digests = [("v1", 1), ("v2", 2), ("v3", 33)].map(|(tag, number)| (tag.to_owned(), digest(number))).into();
        assert_eq!(survey.new_tags(&digests, &known), [NewTag { tag: "v3".into(), digest: digest(33) }]);
        let first = survey.first_digests(&digests, &known);
        assert_eq!(first.iter().map(|tag| (&*tag.tag, tag.digest)).collect::<Vec<_>>(), [("v1", Some(digest(1)))]);
    }

    #[test]
    fn one_look_asks_for_a_bounded_number_of_tags() {
        let listed: Vec<String> = (0..500).map(|number| format!("v{number}")).collect();
        let known = Handled::from_iter(handled(&[]));
        let survey = Survey::new(listed.clone(), &known, false);
        assert_eq!((survey.asked().len(), survey.unhandled.len()), (MAX_NEW, 500));
        let all: Vec<(&str, Option<u8>)> = listed.iter().map(|tag| (tag.as_str(), Some(1))).collect();
        let survey = Survey::new(listed.clone(), &handled(&all), false);
        assert_eq!((survey.asked().len(), survey.asked()[0].as_str()), (MAX_CHECKED, "v499"));
    }

    #[test]
    fn a_tag_is_older_than_one_that_comes_after_it() {
        let known = texts(&["v9", "v10"]);
        for (tag, expected) in [("v8", true), ("v9", true), ("v10", false), ("v11", false)] {
            assert_eq!(is_older(tag, &known), expected, "{tag}");
        }
        assert!(!is_older("v1", &texts(&[])));
    }
}
