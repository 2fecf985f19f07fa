//! Lists the tags of a repository, and asks what they stand for.

use super::{
    error::RegistryError,
    read::{IMAGE, INDEX, parse},
    reference::is_tag,
    session::{NamedDigest, Session, TagsPage},
    wire::Tags,
};
use crate::domain::hash::ContentHash;
use std::{collections::BTreeMap, time::Duration};
use tokio::time::{Instant, timeout};

/// The largest number of tags of a repository that is followed.
const MAX_TAGS: usize = 20_000;
/// The largest number of pages of a list of tags.
const MAX_PAGES: usize = 200;
/// The longest time for asking for one tag.
pub(super) const MAX_TAG_TIME: Duration = Duration::from_secs(10);
/// The number of tags of a group that fail one after the other before its other tags are not asked for.
const MAX_FAILURES: usize = 3;

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

/// What tags stand for. A tag that is in none of the fields was not asked for.
#[derive(Debug, Default)]
pub struct TagDigests {
    /// The digest of each tag, or why that tag has none.
    pub asked: BTreeMap<String, Result<ContentHash, RegistryError>>,
    /// The failure of the registry that ended the requests.
    pub failure: Option<FailedTag>,
}

/// A tag for which the registry could not be asked.
#[derive(Debug)]
pub struct FailedTag {
    /// The tag.
    pub tag: String,
    /// Why.
    pub error: RegistryError,
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

/// Asks for the digests that tags of the session's repository stand for, until the deadline. A failure that concerns the registry ends the
/// requests, and several failures of tags end those of their group.
pub(super) async fn digests(session: &mut Session<'_>, groups: &[Vec<String>], deadline: Instant) -> TagDigests {
    let mut found = TagDigests::default();
    for group in groups {
        let mut failures = 0;
        for tag in group {
            if Instant::now() >= deadline {
                return found;
            }
            if failures >= MAX_FAILURES {
                break;
            }
            let asked = timeout(MAX_TAG_TIME, digest(session, tag)).await;
            let asked = asked.unwrap_or_else(|_| Err(RegistryError::Timeout(session.repository.registry().to_owned())));
            failures = if matches!(asked, Ok(_) | Err(RegistryError::NotFound(_))) { 0 } else { failures + 1 };
            match asked {
                Err(error) if error.concerns_registry() => {
                    found.failure = Some(FailedTag { tag: tag.clone(), error });
                    return found;
                }
                asked => drop(found.asked.insert(tag.clone(), asked)),
            }
        }
    }
    found
}

/// Asks for the digest that a tag stands for.
async fn digest(session: &mut Session<'_>, tag: &str) -> Result<ContentHash, RegistryError> {
    let accept = format!("{INDEX}, {IMAGE}");
    session.subject = format!("{}:{tag}", session.repository);
    match session.digest(tag, &accept).await? {
        None => Err(RegistryError::NotFound(session.subject.clone())),
        Some(NamedDigest::Known(digest)) => Ok(digest),
        Some(NamedDigest::Unknown) => Ok(ContentHash::from_content(&session.manifest(tag, &accept).await?)),
    }
}
