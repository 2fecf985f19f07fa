//! A change to one stream: the only way to change a stream.

use super::write_queues::{ReadTransaction, WriteQueues, off_the_runtime};
use crate::telemetry::Metrics;
use crate::{
    clock::SharedClock,
    domain::{
        actor::Actor,
        admission::{
            bounds::exceeded,
            check::{AdmissionError, check_admission},
            emergency_stop::EmergencyStop,
        },
        diff::Diff,
        document::{Problem, Strictness},
        epoch::Epoch,
        hash::ContentHash,
        ids::StreamId,
        policy::references::unusable,
        rollout::first_opening::{keep_first_openings, record_first_openings},
        stream::{Revision, Stream},
    },
    store::{
        Retryable, Store, StoreError, Transaction, audit::AuditEntry, retrying, revisions::RevisionMeta, streams::Head,
    },
};
use jiff::{SignedDuration, Timestamp};
use std::sync::Arc;
use thiserror::Error;

/// Reads and changes streams, tokens and signing keys. Clones share its queues.
#[derive(Clone)]
pub struct Manage {
    store: Store,
    clock: SharedClock,
    write_queues: Arc<WriteQueues>,
}

/// The author of a change, and the reason for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Author {
    /// The actor.
    pub actor: Actor,
    /// The reason, for the audit log.
    pub reason: String,
    /// The id of the request that makes the change.
    pub request_id: Option<String>,
}

/// A change to make: to which stream, by which author, from which revision.
#[derive(Debug, Clone, Copy)]
pub struct Change<'a> {
    stream: &'a StreamId,
    author: &'a Author,
    documents: &'a [UpstreamDocument],
    expected: Option<Revision>,
    action: &'static str,
    subject: Option<&'a str>,
    lifts_stop: bool,
}

impl<'a> Change<'a> {
    /// Creates a change to a stream at any revision.
    #[must_use]
    pub fn new(stream: &'a StreamId, author: &'a Author) -> Self {
        Self {
            stream,
            author,
            documents: &[],
            expected: None,
            action: "stream.change",
            subject: None,
            lifts_stop: false,
        }
    }

    /// Allows the change to lift the stream's emergency stop. Without it, the stop stays in force.
    #[must_use]
    pub(super) fn lifting_the_stop(self, lifts_stop: bool) -> Self {
        Self { lifts_stop, ..self }
    }

    /// Sets the name of the action for the audit log.
    #[must_use]
    pub fn as_action(self, action: &'static str) -> Self {
        Self { action, ..self }
    }

    /// Sets the subject for the audit log: the part of the stream that changes.
    #[must_use]
    pub fn about(self, subject: &'a str) -> Self {
        Self { subject: Some(subject).filter(|subject| !subject.is_empty()), ..self }
    }

    /// Adds the upstream documents that the next state refers to.
    #[must_use]
    pub fn with_documents(self, documents: &'a [UpstreamDocument]) -> Self {
        Self { documents, ..self }
    }

    /// Checks that the stream is at the expected revision.
    pub(super) fn check_revision<E: std::error::Error + 'static>(&self, head: &Head) -> Result<(), ChangeError<E>> {
        match self.expected.filter(|expected| *expected != head.revision) {
            Some(expected) => Err(ChangeError::RevisionMismatch { expected, found: head.revision }),
            None => Ok(()),
        }
    }

    /// Makes the change conditional on the stream's revision; 0 is the revision of a stream that does not exist yet.
    #[must_use]
    pub fn from(self, expected: Revision) -> Self {
        Self { expected: Some(expected), ..self }
    }
}

/// A stream's next state, and a value for the caller.
#[derive(Debug, Clone, PartialEq)]
pub struct Decision<T> {
    /// The next state.
    pub stream: Stream,
    /// The value for the caller.
    pub value: T,
}

/// An upstream document that the next state refers to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpstreamDocument {
    /// The hash of its content.
    pub hash: ContentHash,
    /// The document.
    pub content: Vec<u8>,
}

impl UpstreamDocument {
    /// Hashes a document.
    #[must_use]
    pub fn new(content: Vec<u8>) -> Self {
        Self { hash: ContentHash::from_content(&content), content }
    }
}

/// The result of a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The stream was in that state already.
    Unchanged {
        /// Its newest revision.
        revision: Revision,
    },
    /// The stream has a new revision. It is durable once the transaction has been committed.
    Changed {
        /// The new revision.
        revision: Revision,
        /// The differences to the revision before.
        diff: Diff,
    },
}

/// Why a change was not made. Nothing was changed.
#[derive(Debug, Error)]
pub enum ChangeError<E: std::error::Error + 'static> {
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The decision refused the change.
    #[error(transparent)]
    Refused(E),
    /// The stream is at another revision than the change expects.
    #[error("{}", describe_conflict(*expected, *found))]
    RevisionMismatch {
        /// The revision that the change expects.
        expected: Revision,
        /// The newest revision.
        found: Revision,
    },
    /// The change would offer more during an emergency stop or a freeze window.
    #[error(transparent)]
    Admission(AdmissionError),
    /// The next state breaks a rule of streams.
    #[error("the change would make the stream invalid: {}", list(_0))]
    Invalid(Vec<Problem>),
}

impl<E: std::error::Error + 'static> Retryable for ChangeError<E> {
    fn is_retryable(&self) -> bool {
        matches!(self, Self::Store(error) if error.is_retryable())
    }
}

/// The outcome of planning a change.
pub(super) enum Plan<T> {
    /// The stream is in that state already.
    Same(T),
    /// The stream gets a new state.
    Next(Box<Planned<T>>),
}

/// A checked next state.
pub(super) struct Planned<T> {
    pub(super) before: Stream,
    pub(super) next: Stream,
    pub(super) value: T,
    now: Timestamp,
}

/// Keeps emergency stops in force unless the change lifts them: documents and imports cannot end one. A new stop begins now at
/// the latest.
fn keep_stops(before: &Stream, next: &mut Stream, lifts_stop: bool, now: Epoch) {
    next.product_stop.clone_from(&before.product_stop);
    if before.stop.is_some() && !lifts_stop {
        next.stop.clone_from(&before.stop);
    }
    if let Some(stop) = next.stop.as_mut().filter(|_| before.stop.is_none()) {
        stop.since = stop.since.min(now);
    }
}

fn describe_conflict(expected: Revision, found: Revision) -> String {
    match (expected, found) {
        (_, Revision(0)) => "the stream does not exist".into(),
        (Revision(0), found) => format!("the stream exists already, at revision {found}"),
        (Revision(..0), found) => format!("the stream is at revision {found}, which If-Match does not name"),
        (expected, found) => format!("the stream is at revision {found}, expected revision {expected}"),
    }
}

fn list(problems: &[Problem]) -> String {
    problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

impl Manage {
    /// Creates the write side of a store.
    #[must_use]
    pub fn new(store: Store, clock: SharedClock) -> Self {
        let write_queues = Arc::new(WriteQueues::new(&store));
        Self { store, clock, write_queues }
    }

    /// Returns the time.
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

    /// Returns the metrics of the store.
    #[must_use]
    pub fn metrics(&self) -> &Metrics {
        self.store.metrics()
    }

    pub(super) fn write_queues(&self) -> &WriteQueues {
        &self.write_queues
    }

    pub(super) async fn reading(&self, name: &'static str) -> Result<ReadTransaction, StoreError> {
        self.write_queues.read(&self.store, name).await
    }

    /// Runs long computations off the runtime, one at a time.
    pub async fn compute<T>(&self, work: impl FnOnce() -> T) -> T {
        self.write_queues.compute(work).await
    }

    /// Changes a stream. Under the stream's lock, `decide` gets the present state (`None` if the stream does not exist). It is
    /// called again if the transaction has to be repeated after a race.
    ///
    /// # Errors
    /// The database failed, the stream is at another revision, the decision refused the change, or the next state breaks a rule.
    /// Nothing was changed.
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

    /// Creates the first streams of an empty store, all or none. Returns false if there are streams already, or none to create.
    ///
    /// # Errors
    /// The database failed, or a stream breaks a rule.
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
                let none = Stream::empty(stream.id.clone());
                let problems: Vec<Problem> =
                    exceeded(&none, stream).into_iter().chain(unusable(&none, stream)).collect();
                if !problems.is_empty() {
                    return Err(ChangeError::Invalid(problems));
                }
                let decide = |_: Option<&Stream>, _| Ok(Decision { stream: stream.clone(), value: () });
                self.change_in(&mut transaction, Change::new(&stream.id, author), &decide).await?;
            }
            transaction.announce().await?;
            transaction.commit().await?;
            Ok(true)
        };
        retrying("start_store", start).await
    }

    /// Computes the next state of a stream and makes every check that needs no write.
    pub(super) fn plan<T, E: std::error::Error + 'static>(
        &self,
        change: &Change<'_>,
        (head, present, product_stop): (&Head, Option<Stream>, Option<EmergencyStop>),
        decide: &impl Fn(Option<&Stream>, Timestamp) -> Result<Decision<T>, E>,
    ) -> Result<Plan<T>, ChangeError<E>> {
        // Clocks of other processes may be ahead: revisions of a stream still have increasing times.
        let just_after = head.changed_at.saturating_add(SignedDuration::from_micros(1)).unwrap_or(head.changed_at);
        let now = self.clock.now().max(just_after);
        let Decision { stream: mut next, value } = decide(present.as_ref(), now).map_err(ChangeError::Refused)?;
        let empty = || Stream { product_stop: product_stop.clone(), ..Stream::empty(head.id.clone()) };
        let before = present.clone().unwrap_or_else(empty);
        keep_stops(&before, &mut next, change.lifts_stop, now.into());
        keep_first_openings(&before, &mut next);
        if present.as_ref() == Some(&next) {
            return Ok(Plan::Same(value));
        }
        // Plan time is frozen during a stop: no rollout opens for the first time.
        record_first_openings(&before, &mut next, before.plan_time(now.into()));
        // A stored revision must parse to the same state.
        Stream::from_document(&next.to_document(), Strictness::Recorded).map_err(ChangeError::Invalid)?;
        check_admission(&before, &next, now.into()).map_err(ChangeError::Admission)?;
        Ok(Plan::Next(Box::new(Planned { before, next, value, now })))
    }

    /// Makes one change within a transaction that the caller commits.
    pub(super) async fn change_in<T, E: std::error::Error + 'static>(
        &self,
        transaction: &mut Transaction,
        change: Change<'_>,
        decide: &impl Fn(Option<&Stream>, Timestamp) -> Result<Decision<T>, E>,
    ) -> Result<(Outcome, T), ChangeError<E>> {
        let Change { stream: id, author, documents, action, subject, .. } = change;
        let head = transaction.lock_stream(id).await?;
        change.check_revision(&head)?;
        let (present, product_stop) = match head.revision {
            Revision(0) => (None, transaction.product_stop(&id.product).await?),
            _ => (Some(transaction.load_stream(&head).await?), None),
        };
        let planned = off_the_runtime(|| self.plan(&change, (&head, present, product_stop), decide))?;
        let Planned { before, next, value, now } = match planned {
            Plan::Same(value) => return Ok((Outcome::Unchanged { revision: head.revision }, value)),
            Plan::Next(planned) => *planned,
        };
        let revision = Revision(head.revision.0 + 1);
        transaction.save_stream(head.key, &before, &next, revision).await?;
        for document in documents {
            transaction.keep_document(document.hash, &document.content).await?;
        }
        let record = RevisionMeta {
            made_at: now,
            actor: author.actor.clone(),
            reason: author.reason.clone(),
            request_id: author.request_id.clone(),
        };
        transaction.record_revision(head.key, revision, &next, &record).await?;
        let entry = AuditEntry {
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
        transaction.record_audit_entry(&entry).await?;
        Ok((Outcome::Changed { revision, diff: Diff::between(&before, &next) }, value))
    }
}
