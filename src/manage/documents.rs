//! A whole stream written by hand.

use super::change::{Change, ChangeError, Decision, Manage, Outcome};
use crate::domain::{
    edit::{Misstep, by_hand},
    stream::Stream,
};

impl Manage {
    /// Makes a stream what somebody here wrote. What differs is theirs: the next import leaves it alone.
    ///
    /// # Errors
    /// The store failed, the stream has moved on, what was written takes back what cannot be, or breaks a rule.
    pub async fn put_document(&self, written: &Stream, change: Change<'_>) -> Result<Outcome, ChangeError<Misstep>> {
        self.change_stream(change, |present| next(present, written)).await.map(|(outcome, ())| outcome)
    }

    /// What [`Manage::put_document`] would do now.
    ///
    /// # Errors
    /// The same.
    pub async fn preview_document(
        &self,
        written: &Stream,
        change: Change<'_>,
    ) -> Result<Outcome, ChangeError<Misstep>> {
        self.preview(change, |present| next(present, written)).await.map(|(outcome, ())| outcome)
    }
}

/// The upstream documents behind a stream are not for hands to change.
fn next(present: Option<&Stream>, written: &Stream) -> Result<Decision<()>, Misstep> {
    let empty = Stream::empty(written.id.clone());
    let present = present.unwrap_or(&empty);
    let mut stream = by_hand(present, written.clone())?;
    stream.sources.clone_from(&present.sources);
    Ok(Decision { stream, value: () })
}
