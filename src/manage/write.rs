//! Writes the next state of a stream: its rows, its revision and its audit entry.

use super::{
    command::{Command, Provenance},
    error::CommandError,
    plan::NextState,
    request::Request,
};
use crate::{
    domain::stream::{Revision, Stream},
    store::{
        Transaction,
        audit::AuditEntry,
        revisions::{RevisionContent, RevisionMeta},
        streams::Head,
    },
};
use jiff::Timestamp;

/// A state and the one that follows it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Step<'a> {
    pub(super) before: &'a Stream,
    pub(super) next: &'a NextState,
    /// The time of the new revision.
    pub(super) at: Timestamp,
}

/// Writes a planned command to its locked stream. Returns the new head.
pub(super) async fn write(
    transaction: &mut Transaction,
    command: &dyn Command,
    request: &Request<'_>,
    head: &Head,
    step: Step<'_>,
) -> Result<Head, CommandError> {
    let Step { before, next, at } = step;
    let revision = Revision(head.revision.0 + 1);
    if !head.exists() {
        transaction.revive_product(&head.id.product, at).await?;
    }
    transaction.save_stream(head.key, before, &next.stream, revision).await?;
    if command.deletes() {
        transaction.mark_deleted(head.key, revision).await?;
    }
    if let Provenance::Upstream(documents) = command.provenance() {
        for document in documents {
            transaction.keep_document(document.hash, &document.content).await?;
        }
    }
    let meta = RevisionMeta {
        made_at: at,
        actor: request.caller.actor.clone(),
        reason: request.reason.into(),
        request_id: request.request_id.map(Into::into),
    };
    let content = RevisionContent { stream: &next.stream, delta: &next.delta };
    transaction.record_revision(head.key, revision, content, &meta).await?;
    let entry = AuditEntry {
        product: Some(head.id.product.to_string()),
        stream: Some(head.id.stream.to_string()),
        revision: Some(revision.0),
        subject: Some(request.subject).filter(|subject| !subject.is_empty()).map(Into::into),
        ..request.audit_entry(command.action(), at)
    };
    transaction.record_audit_entry(&entry).await?;
    // The database keeps whole microseconds.
    let changed_at = Timestamp::from_microsecond(at.as_microsecond()).unwrap_or(at);
    Ok(Head { revision, changed_at, is_deleted: command.deletes(), ..head.clone() })
}
