//! Entity tags: everything of a stream has the stream's revision.

use crate::domain::stream::Revision;

/// The tag of a revision.
pub(super) fn tag(revision: i64) -> String {
    format!("\"{revision}\"")
}

/// The revision that an entity tag stands for; a weak one stands for none.
pub(super) fn revision_of(tag: &str) -> Option<Revision> {
    let number = tag.strip_prefix('"')?.strip_suffix('"')?;
    // As it is given and not otherwise: no signs, no zeros before.
    number.parse().ok().filter(|revision: &i64| revision.to_string() == number).map(Revision)
}
