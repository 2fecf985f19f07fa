//! Streams: their present state, earlier revisions, and findings.

use super::access::ReadError;
use crate::{
    auth::{Identity, Role},
    domain::{
        base::{NewerRelease, findings_about_base},
        dialect::{Dialect, findings},
        finding::Finding,
        ids::{StreamId, StreamName},
        release::{Release, ReleaseState},
        stream::{Revision, Stream},
    },
    manage::manager::Manage,
    store::{State, StoreError, streams::Head},
};
use std::sync::Arc;

/// A stream at one of its revisions.
#[derive(Debug, Clone)]
pub struct StreamAtRevision {
    /// The revision.
    pub revision: Revision,
    /// The stream at that revision.
    pub stream: Arc<Stream>,
}

impl StreamAtRevision {
    /// Returns the newest published release.
    #[must_use]
    pub fn newest(&self) -> Option<&Release> {
        let newest = self.stream.aged().rfind(|(_, release)| release.state == ReleaseState::Published);
        newest.map(|(_, release)| release)
    }
}

/// The reads of a stream, for a caller who may read it. The stream need not exist.
#[derive(Clone)]
pub struct StreamReader<'a> {
    pub(super) manage: &'a Manage,
    pub(super) caller: &'a Identity,
    pub(super) id: StreamId,
}

impl Manage {
    /// Returns the reads of a stream.
    ///
    /// # Errors
    /// The caller may not read the stream.
    pub fn stream_reader<'a>(&'a self, caller: &'a Identity, id: StreamId) -> Result<StreamReader<'a>, ReadError> {
        if caller.may(Role::Viewer, &id) {
            return Ok(StreamReader { manage: self, caller, id });
        }
        Err(ReadError::denied(caller, Role::Viewer, format_args!("`{id}`")))
    }

    /// Returns the newest state of every stream that `filter` selects, with its upstream documents, in one consistent read. For
    /// imports and local commands, which have access to the database.
    ///
    /// # Errors
    /// The database is unavailable, or a row is corrupt.
    pub async fn states(&self, filter: impl Fn(&StreamId) -> bool) -> Result<Vec<State>, StoreError> {
        let mut transaction = self.reading("states").await?;
        let heads = transaction.heads().await?.into_iter().filter(|head| filter(&head.id));
        let heads: Vec<Head> = heads.collect();
        let mut corrupt = None;
        let states = transaction.load_states(&heads, |_, error| corrupt = Some(error)).await?;
        corrupt.map_or(Ok(states), Err)
    }
}

impl<'a> StreamReader<'a> {
    /// Returns the reads of another stream of the product.
    ///
    /// # Errors
    /// The caller may not read it.
    pub fn beside(&self, stream: &StreamName) -> Result<StreamReader<'a>, ReadError> {
        self.manage.stream_reader(self.caller, StreamId { stream: stream.clone(), ..self.id.clone() })
    }
}

impl StreamReader<'_> {
    /// Returns the present state of the stream.
    ///
    /// # Errors
    /// The stream does not exist, or the database failed.
    pub async fn present(&self) -> Result<StreamAtRevision, ReadError> {
        let mut transaction = self.manage.reading("stream").await?;
        let head = transaction.head(&self.id).await?.ok_or_else(|| self.no_stream())?;
        let stream = self.manage.load_stream(&mut transaction, &head).await?;
        Ok(StreamAtRevision { revision: head.revision, stream })
    }

    /// Returns the state of the stream at a revision, or without one its present state.
    ///
    /// # Errors
    /// The stream or the revision does not exist, or the database failed.
    pub async fn at(&self, revision: Option<Revision>) -> Result<StreamAtRevision, ReadError> {
        let Some(revision) = revision else { return self.present().await };
        let mut transaction = self.manage.reading("revision").await?;
        let stream = match transaction.head_with_deleted(&self.id).await? {
            Some(head) => transaction.revision(head.key, revision).await?,
            None => None,
        };
        let stream = stream.ok_or_else(|| self.no_revision(revision))?;
        Ok(StreamAtRevision { revision, stream: Arc::new(stream) })
    }

    /// Returns the lint findings of the stream, in the order of its releases, and then those about images that are gone.
    ///
    /// # Errors
    /// The stream does not exist, or the database failed.
    pub async fn findings(&self) -> Result<Vec<Finding>, ReadError> {
        let StreamAtRevision { stream, .. } = self.present().await?;
        let (dialect, now) = (self.dialect().await?, self.manage.now());
        let base = self.base_of(&stream).await?;
        let newer = self.newer_in_base(&stream).await?;
        let all = || {
            let about_base = base.iter().flat_map(|base| findings_about_base(&stream, base, newer.as_ref()));
            findings(dialect.as_deref(), &stream, now).into_iter().chain(about_base).collect()
        };
        let mut found: Vec<Finding> = self.manage.compute(all).await;
        found.extend(self.manage.image_findings(&stream).await?);
        Ok(found)
    }

    /// Returns the present state of the base of a stream.
    pub(super) async fn base_of(&self, stream: &Stream) -> Result<Option<Arc<Stream>>, ReadError> {
        let Some(base) = &stream.base else { return Ok(None) };
        let mut transaction = self.manage.reading("base").await?;
        match transaction.head(&base.stream).await? {
            Some(head) => Ok(Some(self.manage.load_stream(&mut transaction, &head).await?)),
            None => Ok(None),
        }
    }

    /// Returns what the base of a stream has had for longer than the stream allows.
    async fn newer_in_base(&self, stream: &Stream) -> Result<Option<NewerRelease>, ReadError> {
        if stream.base.as_ref().is_none_or(|base| base.lag.is_none()) {
            return Ok(None);
        }
        let mut transaction = self.manage.reading("base_lag").await?;
        let Some(head) = transaction.head(&self.id).await? else { return Ok(None) };
        let lags = transaction.base_lags(Some(head.key), self.manage.timestamp()).await?;
        Ok(lags.into_iter().find_map(|lag| lag.newer))
    }

    /// Returns the protocol of the product, if this service speaks it.
    pub(super) async fn dialect(&self) -> Result<Option<Arc<dyn Dialect>>, ReadError> {
        let mut transaction = self.manage.reading("protocol").await?;
        Ok(self.manage.dialect(&mut transaction, &self.id.product).await?)
    }

    pub(super) fn no_stream(&self) -> ReadError {
        ReadError::NotFound(format!("there is no stream {}", self.id))
    }

    pub(super) fn no_revision(&self, revision: Revision) -> ReadError {
        ReadError::NotFound(format!("there is no revision {revision} of {}", self.id))
    }
}
