//! Lists the tags of a repository, and asks what they stand for.

use super::{
    error::RegistryError,
    read::{IMAGE, INDEX, parse},
    reference::is_tag,
    session::{NamedDigest, Session, TagsPage},
    wire::Tags,
};
use crate::domain::hash::ContentHash;
use std::collections::BTreeMap;

/// The largest number of tags of a repository that is followed.
const MAX_TAGS: usize = 20_000;
/// The largest number of pages of a list of tags.
const MAX_PAGES: usize = 200;

/// The tags of a repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TagList {
    /// They are the ones that are known.
    Unchanged,
    /// Those that were selected.
    Tags {
        /// Their names.
        tags: Vec<String>,
        /// The entity tag of the list, with which it need not be sent again.
        etag: Option<String>,
    },
}

/// Lists the tags of the session's repository that `selects` returns true for.
pub(super) async fn list(
    session: &mut Session<'_>,
    selects: &(dyn Fn(&str) -> bool + Send + Sync),
    known: Option<&str>,
) -> Result<TagList, RegistryError> {
    let (mut selected, mut listed) = (Vec::new(), 0_usize);
    let (mut page, mut known, mut list_etag) = (None, known, None);
    for number in 0..MAX_PAGES {
        let (content, next, etag) = match session.tags(page.as_ref(), known.take()).await? {
            TagsPage::Unchanged => return Ok(TagList::Unchanged),
            TagsPage::Content { content, next, etag } => (content, next, etag),
        };
        let Tags { tags } = parse(session, "list of tags", &content)?;
        let tags = tags.unwrap_or_default();
        listed = listed.saturating_add(tags.len());
        if listed > MAX_TAGS {
            break;
        }
        // What is not a tag cannot be asked for.
        selected.extend(tags.into_iter().filter(|tag| is_tag(tag) && selects(tag)));
        if number == 0 && next.is_none() {
            // The entity tag of a first page says nothing about later ones.
            list_etag = etag;
        }
        if next.is_none() {
            selected.sort();
            selected.dedup();
            return Ok(TagList::Tags { tags: selected, etag: list_etag });
        }
        page = next;
    }
    Err(session
        .wrong(format!("lists more than {MAX_TAGS} tags of {}, or on more than {MAX_PAGES} pages", session.subject)))
}

/// Returns the digests that tags of the session's repository stand for.
pub(super) async fn digests(
    session: &mut Session<'_>,
    tags: &[String],
) -> Result<BTreeMap<String, ContentHash>, RegistryError> {
    let accept = format!("{INDEX}, {IMAGE}");
    let mut digests = BTreeMap::new();
    for tag in tags {
        let digest = match session.digest(tag, &accept).await? {
            None => continue,
            Some(NamedDigest::Known(digest)) => digest,
            Some(NamedDigest::Unknown) => match session.manifest(tag, &accept).await {
                Ok(content) => ContentHash::from_content(&content),
                Err(RegistryError::NotFound(_)) => continue,
                Err(error) => return Err(error),
            },
        };
        digests.insert(tag.clone(), digest);
    }
    Ok(digests)
}
