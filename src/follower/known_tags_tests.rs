//! Tests of what is known of the tags of a repository.

use super::*;
use crate::domain::hash::ContentHash;

pub(in crate::follower) fn texts(tags: &[&str]) -> Vec<String> {
    tags.iter().map(|tag| (*tag).to_owned()).collect()
}

pub(in crate::follower) fn digest(number: u8) -> ContentHash {
    ContentHash([number; 32])
}

pub(in crate::follower) fn at(hours: i64) -> Timestamp {
    Timestamp::from_second(hours * 3600).unwrap()
}

/// Returns a tag that was handled at the beginning of time; without a digest, it was skipped.
pub(in crate::follower) fn handled(tag: &str, number: Option<u8>) -> FollowedTag {
    let outcome = if number.is_some() { TagOutcome::Drafted } else { TagOutcome::Skipped };
    FollowedTag {
        tag: tag.to_owned(),
        digest: number.map(digest),
        handled_at: at(0),
        outcome,
        release: None,
        error: None,
        warnings: Vec::new(),
        missing_since: None,
    }
}

fn refused(tag: &str) -> FollowedTag {
    FollowedTag { outcome: TagOutcome::Refused, error: Some("is broken".into()), ..handled(tag, Some(1)) }
}

/// Returns a tag that could not become a release at the beginning of time.
pub(in crate::follower) fn retried(tag: &str, number: Option<u8>) -> RetriedTag {
    RetriedTag {
        tag: tag.to_owned(),
        digest: number.map(digest),
        error: "is refused".into(),
        since: at(0),
        tried_at: at(0),
        tries: 1,
        is_unanswered: false,
    }
}

pub(in crate::follower) fn known(handled: Vec<FollowedTag>, retried: Vec<RetriedTag>) -> KnownTags {
    KnownTags {
        handled: handled.into_iter().map(|tag| (tag.tag.clone(), tag)).collect(),
        retried: retried.into_iter().map(|tag| (tag.tag.clone(), tag)).collect(),
    }
}

#[test]
fn a_tag_is_older_than_a_handled_one_that_comes_after_it() {
    let tags = known(vec![handled("v9", Some(1)), handled("v10", None), refused("v12")], vec![retried("v13", Some(1))]);
    for (tag, expected) in [("v8", true), ("v9", true), ("v10", false), ("v11", false)] {
        assert_eq!(tags.is_older(tag), expected, "{tag}");
    }
    assert!(!KnownTags::default().is_older("v1"));
}

#[test]
fn a_problem_is_shown_until_a_later_tag_becomes_a_release() {
    let problem = |handled: Vec<FollowedTag>, retried: Vec<RetriedTag>| known(handled, retried).last_problem();
    assert_eq!(problem(vec![], vec![]), None);
    assert_eq!(problem(vec![handled("v1", None)], vec![]), None);
    assert_eq!(problem(vec![refused("v1")], vec![]).as_deref(), Some("tag v1: is broken"));
    // In one look, the order of the tags counts.
    assert_eq!(problem(vec![refused("v9"), handled("v10", Some(1))], vec![]), None);
    assert_eq!(
        problem(vec![handled("v9", Some(1))], vec![retried("v10", None)]).as_deref(),
        Some("tag v10: is refused")
    );
    assert_eq!(problem(vec![handled("v10", Some(1))], vec![retried("v9", None)]), None);
    // A handled tag moved, and stands for what is refused.
    assert_eq!(problem(vec![handled("v9", Some(1))], vec![retried("v9", None)]).as_deref(), Some("tag v9: is refused"));
    let later = RetriedTag { since: at(1), tried_at: at(2), ..retried("v9", None) };
    assert_eq!(problem(vec![handled("v10", Some(1))], vec![later.clone()]).as_deref(), Some("tag v9: is refused"));
    let last = FollowedTag { handled_at: at(2), ..handled("v11", Some(1)) };
    assert_eq!(problem(vec![last], vec![later]), None);
}

#[test]
fn tags_that_are_not_listed_are_forgotten_after_a_month_apart_from_the_newest() {
    let all = || vec![handled("v1", Some(1)), handled("v2", None), handled("v3", Some(3))];
    let mut tags = known(all(), vec![retried("v4", None), retried("v5", None)]);
    let first = tags.apply_list(&texts(&["v1", "v5"]), at(0));
    let (missing, not_retried) = (texts(&["v2", "v3"]), texts(&["v4"]));
    assert_eq!(first, ListChanges { missing, not_retried, ..ListChanges::default() });
    assert_eq!(tags.listed(), ["v1"]);
    assert!(tags.apply_list(&texts(&["v1", "v5"]), at(719)).is_empty());

    let later = tags.apply_list(&texts(&["v1", "v5"]), at(720));
    assert_eq!(later, ListChanges { forgotten: texts(&["v2"]), ..ListChanges::default() });
    assert_eq!(tags.handled.keys().collect::<Vec<_>>(), ["v1", "v3"]);
    assert!(tags.is_older("v2"), "the newest tag is known");
    let again = tags.apply_list(&texts(&["v1", "v3", "v5"]), at(1000));
    assert_eq!(again, ListChanges { listed_again: texts(&["v3"]), ..ListChanges::default() });
    assert_eq!(tags.handled["v3"], handled("v3", Some(3)));
}
