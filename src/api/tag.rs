//! Entity tags of streams: the stream's revision.

use crate::domain::stream::Revision;

/// Formats the tag of a revision.
pub(super) fn tag(revision: i64) -> String {
    format!("\"{revision}\"")
}

/// Parses the revision of a strong entity tag.
pub(super) fn revision_of(tag: &str) -> Option<Revision> {
    let number = tag.strip_prefix('"')?.strip_suffix('"')?;
    // Only the canonical form: without signs and leading zeros.
    number.parse().ok().filter(|revision: &i64| revision.to_string() == number).map(Revision)
}
