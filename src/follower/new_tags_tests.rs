//! Tests of which tags are new.

use super::{
    super::known_tags::tests::{at, digest, handled, known, retried, texts},
    *,
};
use crate::domain::ids::{ProductName, StreamId, StreamName};
use jiff::SignedDuration;

fn survey(listed: &[String], known: &KnownTags, hours: i64) -> Survey {
    let stream = StreamId { product: ProductName::parse("os").unwrap(), stream: StreamName::parse("stable").unwrap() };
    let (now, interval) = (at(hours), SignedDuration::from_mins(5));
    let schedule = RetrySchedule { stream: &stream, now, interval, changed_at: None, is_woken: false };
    Survey::new(listed.to_vec(), known, &schedule)
}

fn digests(numbers: &[(&str, u8)]) -> BTreeMap<String, ContentHash> {
    numbers.iter().map(|(tag, number)| ((*tag).to_owned(), digest(*number))).collect()
}

fn names(new: Vec<NewTag>) -> Vec<String> {
    new.into_iter().map(|new| new.tag).collect()
}

#[test]
fn the_first_look_handles_the_newest_tag_only() {
    let listed = texts(&["v10", "v9", "v8"]);
    let first = survey(&listed, &KnownTags::default(), 0).of_first_look();
    assert_eq!((first.untried, first.skipped), (texts(&["v10"]), texts(&["v8", "v9"])));
    // With another pattern, what was handled stays handled.
    let first = survey(&listed, &known(vec![handled("v10", Some(1))], vec![]), 0).of_first_look();
    assert_eq!((first.untried, first.skipped), (texts(&[]), texts(&["v8", "v9"])));
    assert_eq!(first.checked, ["v10"]);
    let first = survey(&listed, &known(vec![handled("v9", Some(1))], vec![]), 0).of_first_look();
    assert_eq!((first.untried, first.skipped), (texts(&["v10"]), texts(&["v8"])));
    let nothing = survey(&[], &KnownTags::default(), 0).of_first_look();
    assert_eq!(nothing.asked(&KnownTags::default()).concat(), texts(&[]));
}

#[test]
fn later_looks_handle_every_new_tag_in_natural_order() {
    let known = known(vec![handled("v9", Some(1))], vec![]);
    let survey = survey(&texts(&["v11", "v10", "v9", "v8"]), &known, 0);
    assert_eq!((&survey.untried, survey.skipped.len()), (&texts(&["v8", "v10", "v11"]), 0));
    let digests = digests(&[("v8", 8), ("v9", 1), ("v10", 10), ("v11", 11)]);
    assert_eq!(names(survey.new_tags(&digests, &known)), ["v8", "v10", "v11"]);
}

#[test]
fn a_tag_that_moved_is_new_and_one_that_vanished_is_not() {
    let known = known(vec![handled("v1", None), handled("v2", Some(2)), handled("v3", Some(3))], vec![]);
    let survey = survey(&texts(&["v1", "v2", "v3", "v4"]), &known, 0);
    let digests = digests(&[("v1", 1), ("v2", 2), ("v3", 33)]);
    assert_eq!(survey.new_tags(&digests, &known), [NewTag { tag: "v3".into(), digest: digest(33) }]);
    let first = survey.first_digests(&digests, &known);
    assert_eq!(first.iter().map(|tag| (&*tag.tag, tag.digest)).collect::<Vec<_>>(), [("v1", Some(digest(1)))]);
}

#[test]
fn tags_that_fail_do_not_keep_new_ones_out() {
    let listed: Vec<String> = (0..500).map(|number| format!("v{number}")).collect();
    let asked_of = |known: &KnownTags| survey(&listed, known, 1).asked(known);
    let asked = asked_of(&KnownTags::default());
    assert_eq!(asked.each_ref().map(Vec::len), [MAX_NEW, 0, 0, 0]);
    let all = listed.iter().map(|tag| handled(tag, Some(1))).collect();
    let asked = asked_of(&known(all, vec![]));
    assert_eq!((asked.each_ref().map(Vec::len), asked[2][0].as_str()), ([0, 0, MAX_CHECKED, 0], "v499"));
    let failing = listed.iter().take(499).map(|tag| retried(tag, None)).collect();
    let asked = asked_of(&known(vec![], failing));
    assert_eq!((asked.each_ref().map(Vec::len), asked[0][0].as_str()), ([1, MAX_RETRIED, 0, 0], "v499"));
}

#[test]
fn a_tag_is_tried_again_when_it_is_due_or_has_moved() {
    let last = |tag: &str, number, hours: i64| RetriedTag { tried_at: at(hours), ..retried(tag, number) };
    let mut unanswered = last("v1", Some(1), 0);
    unanswered.is_unanswered = true;
    let known = known(
        vec![handled("v5", Some(5))],
        vec![
            unanswered,
            last("v2", Some(2), 10),
            last("v3", Some(3), 10),
            last("v4", None, 10),
            last("v5", Some(6), 0),
        ],
    );
    let survey = survey(&texts(&["v1", "v2", "v3", "v4", "v5", "v6"]), &known, 10);
    // What is due comes first, v4 could not have moved, and v1 has no answer.
    let asked = survey.asked(&known);
    assert_eq!(asked, [texts(&["v6"]), texts(&["v5", "v2", "v3"]), texts(&[]), texts(&["v1"])]);
    assert!(survey.tries(&"v6".into()) && survey.tries(&"v3".into()) && !survey.tries(&"v4".into()));
    let found = digests(&[("v1", 1), ("v2", 2), ("v3", 33), ("v5", 6), ("v6", 6)]);
    // The tag without an answer does not delay the others.
    assert_eq!(names(survey.new_tags(&found, &known)), ["v3", "v5", "v6", "v1"]);
    assert_eq!(survey.moved_back(&found, &known), texts(&[]));
    let back = digests(&[("v5", 5)]);
    assert_eq!((survey.new_tags(&back, &known), survey.moved_back(&back, &known)), (vec![], texts(&["v5"])));
}
