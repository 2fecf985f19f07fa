//! Revisions of a stream, and what differs between them.

use super::{
    access::ReadError,
    streams::{StreamAtRevision, StreamReader},
};
use crate::{
    domain::{
        dialect::findings,
        diff::Diff,
        epoch::Epoch,
        stream::{Revision, Stream},
    },
    manage::{
        plan::{Step, new_findings},
        report::Report,
    },
    store::{revisions::RevisionMeta, streams::Head},
};
use std::sync::Arc;

/// A revision of a stream: its actor, time and reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RevisionRecord {
    /// The revision.
    pub revision: Revision,
    /// Its actor, time and reason.
    pub meta: RevisionMeta,
}

impl StreamReader<'_> {
    /// Returns at most `limit` revisions of the stream, newest first, optionally only those before a given one. Returns the newest
    /// revision of the stream, too.
    ///
    /// # Errors
    /// The stream does not exist, or the database failed.
    pub async fn revisions(
        &self,
        before: Option<Revision>,
        limit: i64,
    ) -> Result<(Revision, Vec<RevisionRecord>), ReadError> {
        let mut transaction = self.manage.reading("revisions").await?;
        let Head { key, revision: newest, .. } =
            transaction.head_with_deleted(&self.id).await?.ok_or_else(|| self.no_stream())?;
        let records = transaction.newest_records(key, before, limit).await?;
        Ok((newest, records.into_iter().map(|(revision, meta)| RevisionRecord { revision, meta }).collect()))
    }

    /// Returns one revision of the stream.
    ///
    /// # Errors
    /// The stream or the revision does not exist, or the database failed.
    pub async fn revision(&self, revision: Revision) -> Result<RevisionRecord, ReadError> {
        let before = Revision(revision.0.saturating_add(1));
        let (_, records) = self.revisions(Some(before), 1).await?;
        let record = records.into_iter().find(|record| record.revision == revision);
        record.ok_or_else(|| self.no_revision(revision))
    }

    /// Computes the report of a revision: its changes, and the findings and the impact at the time at which it was created.
    ///
    /// # Errors
    /// The revision does not exist, or the database failed.
    pub async fn report(&self, revision: Revision) -> Result<Report, ReadError> {
        let RevisionRecord { meta, .. } = self.revision(revision).await?;
        let StreamAtRevision { stream: after, .. } = self.at(Some(revision)).await?;
        let before = match Revision(revision.0.saturating_sub(1)) {
            Revision(0) => Arc::new(Stream::empty(self.id.clone())),
            before => self.at(Some(before)).await?.stream,
        };
        let (dialect, now) = (self.dialect().await?, Epoch::from(meta.made_at));
        let step = Step { before: &before, after: &after };
        let (diff, findings) = self
            .manage
            .compute(|| {
                let [old, all] = [&before, &after].map(|state| findings(dialect.as_deref(), state, now));
                (Diff::between(&before, &after), new_findings([&old, &all], step, now))
            })
            .await;
        let impact = self.manage.impact(&before, &after, now).await;
        Ok(Report { changed: true, ..Report::new(&self.id, revision, diff, impact.as_ref(), Some(findings)) })
    }

    /// Returns the changes up to a revision: from the revision before it, or from another one. Revision 0 is an empty stream.
    ///
    /// # Errors
    /// A revision does not exist, or the database failed.
    pub async fn diff(&self, revision: Revision, from: Option<Revision>) -> Result<Diff, ReadError> {
        let StreamAtRevision { stream: after, .. } = self.at(Some(revision)).await?;
        let before = match from.unwrap_or(Revision(revision.0.saturating_sub(1))) {
            Revision(0) => Arc::new(Stream::empty(self.id.clone())),
            from => self.at(Some(from)).await?.stream,
        };
        Ok(self.manage.compute(|| Diff::between(&before, &after)).await)
    }
}
