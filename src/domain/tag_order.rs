//! The natural order of tags: numbers in them are compared as numbers.

use std::cmp::Ordering;

/// Compares two tags: digits as numbers, everything else byte by byte. Tags whose numbers are equal are ordered by their text, so that only equal
/// tags are equal.
#[must_use]
pub fn compare_tags(one: &str, other: &str) -> Ordering {
    let (mut left, mut right) = (one.as_bytes(), other.as_bytes());
    loop {
        match (left.split_first(), right.split_first()) {
            (None, None) => return one.cmp(other),
            (None, Some(_)) => return Ordering::Less,
            (Some(_), None) => return Ordering::Greater,
            (Some((a, _)), Some((b, _))) if a.is_ascii_digit() && b.is_ascii_digit() => {
                let (number, other_number);
                (number, left) = split_number(left);
                (other_number, right) = split_number(right);
                // Without leading zeros, the longer number is the larger one.
                match number.len().cmp(&other_number.len()).then_with(|| number.cmp(other_number)) {
                    Ordering::Equal => {}
                    unequal => return unequal,
                }
            }
            (Some((a, rest)), Some((b, other_rest))) => match a.cmp(b) {
                Ordering::Equal => (left, right) = (rest, other_rest),
                unequal => return unequal,
            },
        }
    }
}

/// Splits the digits, without leading zeros, from what follows them.
fn split_number(text: &[u8]) -> (&[u8], &[u8]) {
    let end = text.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(text.len());
    let (digits, rest) = text.split_at(end);
    let first = digits.iter().position(|digit| *digit != b'0').unwrap_or(digits.len());
    (digits.get(first..).unwrap_or_default(), rest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn numbers_are_compared_as_numbers() {
        let ordered = [
            "1",
            "1.0",
            "1.9",
            "1.10",
            "9",
            "10",
            "99999999999999999999998",
            "99999999999999999999999",
            "stable",
            "stable-1",
            "stable-02",
            "stable-2",
            "stable-2.1",
            "stable-10",
            "stable-rc",
        ];
        for (index, tag) in ordered.iter().enumerate() {
            for (other_index, other) in ordered.iter().enumerate() {
                assert_eq!(compare_tags(tag, other), index.cmp(&other_index), "{tag} and {other}");
            }
        }
    }

    proptest! {
        #[test]
        fn the_order_is_total(mut tags in proptest::collection::vec("[a0-2.-]{0,5}", 3)) {
            prop_assert_eq!(compare_tags(&tags[0], &tags[1]) == Ordering::Equal, tags[0] == tags[1]);
            prop_assert_eq!(compare_tags(&tags[0], &tags[1]), compare_tags(&tags[1], &tags[0]).reverse());
            tags.sort_by(|one, other| compare_tags(one, other));
            prop_assert_ne!(compare_tags(&tags[0], &tags[2]), Ordering::Greater);
        }
    }
}
