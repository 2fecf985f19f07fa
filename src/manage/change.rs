//! One change to one stream.

use crate::{
    clock::SharedClock,
    domain::{
        diff::Diff,
        document::{Problem, Strictness},
        epoch::Epoch,
        hash::ContentHash,
        protection::{Closed, stays_closed},
        stream::{Revision, Stream, StreamId},
    },
    store::{LostRace, Store, StoreError, Transaction, audit::Act, retrying, revisions::Record},
};
use jiff::{SignedDuration, Timestamp};
use thiserror::Error;

/// Makes changes.
#[derive(Clone)]
pub struct Manage {
    store: Store,
    clock: SharedClock,
}

/// Who makes a change, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Author {
    /// Who, such as `local:core`.
    pub actor: String,
    /// Why.
    pub reason: String,
    /// The request by which it is made.
    pub request_id: Option<String>,
}

/// A change to be made: where, by whom, and to what.
#[derive(Debug, Clone, Copy)]
pub struct Change<'a> {
    stream: &'a StreamId,
    author: &'a Author,
    documents: &'a [KeptDocument],
    expected: Option<Revision>,
    action: &'static str,
    subject: Option<&'a str>,
}

impl<'a> Change<'a> {
    /// A change to whatever state the stream is in.
    #[must_use]
    pub fn of(stream: &'a StreamId, author: &'a Author) -> Self {
        Self { stream, author, documents: &[], expected: None, action: "stream.change", subject: None }
    }

    /// What it is called in the record.
    #[must_use]
    pub fn as_action(self, action: &'static str) -> Self {
        Self { action, ..self }
    }

    /// What of the stream it is about.
    #[must_use]
    pub fn about(self, subject: &'a str) -> Self {
        Self { subject: Some(subject).filter(|subject| !subject.is_empty()), ..self }
    }

    /// The next state refers to these.
    #[must_use]
    pub fn with_documents(self, documents: &'a [KeptDocument]) -> Self {
        Self { documents, ..self }
    }

    /// Only if the stream still is at this revision; 0 is one that does not exist yet.
    #[must_use]
    pub fn from(self, expected: Revision) -> Self {
        Self { expected: Some(expected), ..self }
    }
}

/// A stream's next state, and whatever else the decision brings to light.
#[derive(Debug, Clone, PartialEq)]
pub struct Decision<T> {
    /// The next state.
    pub stream: Stream,
    /// What the caller wants to know.
    pub value: T,
}

/// An upstream document that the next state refers to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptDocument {
    /// The hash of its content.
    pub hash: ContentHash,
    /// The document.
    pub content: Vec<u8>,
}

impl KeptDocument {
    /// Names a document by its content.
    #[must_use]
    pub fn new(content: Vec<u8>) -> Self {
        Self { hash: ContentHash::of(&content), content }
    }
}

/// What came of a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The stream is in that state already.
    Unchanged {
        /// Its newest revision.
        revision: Revision,
    },
    /// A new revision was made, and is durable.
    Changed {
        /// The new revision.
        revision: Revision,
        /// What it changed.
        diff: Diff,
    },
}

/// Why a change was not made. Nothing was changed then.
#[derive(Debug, Error)]
pub enum ChangeError<E: std::error::Error + 'static> {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The decision was not to.
    #[error(transparent)]
    Refused(E),
    /// The stream was changed since somebody looked at it.
    #[error("the stream is at revision {found}, and the change was made from {}", seen(*expected))]
    MovedOn {
        /// The revision that they looked at.
        expected: Revision,
        /// The newest one.
        found: Revision,
    },
    /// It is a time in which the stream is not opened any further.
    #[error(transparent)]
    Closed(Closed),
    /// The next state breaks a rule of streams.
    #[error("the stream would be left in a state that cannot be: {}", list(_0))]
    Broken(Vec<Problem>),
}

impl<E: std::error::Error + 'static> LostRace for ChangeError<E> {
    fn lost_a_race(&self) -> bool {
        matches!(self, Self::Store(error) if error.lost_a_race())
    }
}

fn seen(revision: Revision) -> String {
    if revision == Revision(0) { "none".into() } else { format!("revision {revision}") }
}

fn list(problems: &[Problem]) -> String {
    problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

impl Manage {
    /// Makes changes to this store.
    #[must_use]
    pub fn new(store: Store, clock: SharedClock) -> Self {
        Self { store, clock }
    }

    /// The time.
    #[must_use]
    pub fn now(&self) -> Epoch {
        self.clock.now().into()
    }

    pub(super) fn clock(&self) -> &SharedClock {
        &self.clock
    }

    pub(super) fn store(&self) -> &Store {
        &self.store
    }

    /// Changes a stream: `decide` is given its present state (none if it does not exist) under its lock, and may be asked
    /// again if the database lost the race.
    ///
    /// # Errors
    /// The store failed, the stream has moved on, the decision was not to, or the next state breaks a rule. Nothing was changed
    /// then.
    pub async fn change_stream<T, E: std::error::Error + 'static>(
        &self,
        change: Change<'_>,
        decide: impl Fn(Option<&Stream>) -> Result<Decision<T>, E>,
    ) -> Result<(Outcome, T), ChangeError<E>> {
        let attempt = async || {
            let mut transaction = self.store.begin("change_stream").await?;
            let changed = self.change_in(&mut transaction, change, &|present, _| decide(present)).await?;
            if let (Outcome::Changed { .. }, _) = changed {
                transaction.announce().await?;
                transaction.commit().await?;
            }
            Ok(changed)
        };
        retrying("change_stream", attempt).await
    }

    /// What a change would do, without doing it: all its checks are made.
    ///
    /// # Errors
    /// As those of [`Manage::change_stream`].
    pub async fn preview<T, E: std::error::Error + 'static>(
        &self,
        change: Change<'_>,
        decide: impl Fn(Option<&Stream>) -> Result<Decision<T>, E>,
    ) -> Result<(Outcome, T), ChangeError<E>> {
        // Dropping the transaction takes all of it back.
        let attempt = async || {
            let mut transaction = self.store.begin("preview").await?;
            self.change_in(&mut transaction, change, &|present, _| decide(present)).await
        };
        retrying("preview", attempt).await
    }

    /// Starts a store that has no stream from these: all of them or none. Was it so?
    ///
    /// # Errors
    /// The store failed, or one of them breaks a rule.
    pub async fn start_from(
        &self,
        streams: &[Stream],
        author: &Author,
    ) -> Result<bool, ChangeError<std::convert::Infallible>> {
        let start = async || {
            let mut transaction = self.store.begin("start_store").await?;
            transaction.lock_all_streams().await?;
            if streams.is_empty() || !transaction.heads().await?.is_empty() {
                return Ok(false);
            }
            for stream in streams {
                let decide = |_: Option<&Stream>, _| Ok(Decision { stream: stream.clone(), value: () });
                self.change_in(&mut transaction, Change::of(&stream.id, author), &decide).await?;
            }
            transaction.announce().await?;
            transaction.commit().await?;
            Ok(true)
        };
        retrying("start_store", start).await
    }

    /// One change within a transaction that somebody else commits.
    pub(super) async fn change_in<T, E: std::error::Error + 'static>(
        &self,
        transaction: &mut Transaction,
        change: Change<'_>,
        decide: &impl Fn(Option<&Stream>, Timestamp) -> Result<Decision<T>, E>,
    ) -> Result<(Outcome, T), ChangeError<E>> {
        let Change { stream: id, author, documents, expected, action, subject } = change;
        let head = transaction.lock_stream(id).await?;
        if let Some(expected) = expected.filter(|expected| *expected != head.revision) {
            return Err(ChangeError::MovedOn { expected, found: head.revision });
        }
        let present = match head.revision {
            Revision(0) => None,
            _ => Some(transaction.load_stream(&head).await?),
        };
        // Later than the change before, whatever the clocks of other processes say, and however long the lock was waited for: time
        // tells histories apart, and nothing is undone by being done earlier than it was.
        let just_after = head.changed_at.saturating_add(SignedDuration::from_micros(1)).unwrap_or(head.changed_at);
        let now = self.clock.now().max(just_after);
        let Decision { stream: next, value } = decide(present.as_ref(), now).map_err(ChangeError::Refused)?;
        if present.as_ref() == Some(&next) {
            return Ok((Outcome::Unchanged { revision: head.revision }, value));
        }
        // What revisions hold must read back as it was.
        Stream::from_document(&next.to_document(), Strictness::Recorded).map_err(ChangeError::Broken)?;
        let before = present.unwrap_or_else(|| Stream::empty(id.clone()));
        stays_closed(&before, &next, now.into()).map_err(ChangeError::Closed)?;
        let revision = Revision(head.revision.0 + 1);
        transaction.save_stream(head.key, &before, &next, revision).await?;
        for document in documents {
            transaction.keep_document(document.hash, &document.content).await?;
        }
        let record = Record {
            made_at: now,
            actor: author.actor.clone(),
            reason: author.reason.clone(),
            request_id: author.request_id.clone(),
        };
        transaction.record_revision(head.key, revision, &next, &record).await?;
        let act = Act {
            at: now,
            actor: record.actor,
            action: action.into(),
            product: Some(id.product.to_string()),
            stream: Some(id.stream.to_string()),
            revision: Some(revision.0),
            subject: subject.map(Into::into),
            reason: record.reason,
            request_id: record.request_id,
        };
        transaction.record_act(&act).await?;
        Ok((Outcome::Changed { revision, diff: Diff::between(&before, &next) }, value))
    }
}
