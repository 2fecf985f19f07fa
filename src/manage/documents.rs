//! A whole stream written by hand.

use super::change::{Author, ChangeError, Decision, Manage, Outcome};
use crate::domain::{diff::Diff, edit::by_hand, stream::Stream};
use std::convert::Infallible;

impl Manage {
    /// Makes a stream what somebody here wrote. What differs is theirs: the next import leaves it alone.
    ///
    /// # Errors
    /// The store failed, or the next state breaks a rule.
    pub async fn put_document(&self, written: &Stream, author: &Author) -> Result<Outcome, ChangeError<Infallible>> {
        let decide = |present: Option<&Stream>| Ok(Decision { stream: next(present, written), value: () });
        self.change_stream(&written.id, author, &[], decide).await.map(|(outcome, ())| outcome)
    }

    /// What [`Manage::put_document`] would change now.
    ///
    /// # Errors
    /// The store failed.
    pub async fn preview_document(&self, written: &Stream) -> Result<Diff, crate::store::StoreError> {
        let present = self.states(|id| *id == written.id).await?.pop().map(|state| state.stream);
        let empty = Stream::empty(written.id.clone());
        Ok(Diff::between(present.as_ref().unwrap_or(&empty), &next(present.as_ref(), written)))
    }
}

/// The upstream documents behind a stream are not for hands to change.
fn next(present: Option<&Stream>, written: &Stream) -> Stream {
    let empty = Stream::empty(written.id.clone());
    let present = present.unwrap_or(&empty);
    let mut next = by_hand(present, written.clone());
    next.sources.clone_from(&present.sources);
    next
}
