//! What streams inherit from their bases, and which streams a stream is the base of.

use super::{
    error::StoreError,
    rows::{StreamKey, parse},
    transaction::Transaction,
};
use crate::domain::{
    base::{Base, BuiltOn},
    document::{
        self, Problem,
        base_shape::{BasePolicyDocument, BuiltOnDocument},
        parts,
    },
    duration::Minutes,
    ids::StreamId,
    release::Release,
};

fn invalid(table: &'static str, problems: &[Problem]) -> StoreError {
    let problems: Vec<String> = problems.iter().map(ToString::to_string).collect();
    StoreError::corrupt(table, problems.join("; "))
}

/// Reads on what a release is built.
pub(super) fn built_on(documents: &[BuiltOnDocument]) -> Result<Option<Box<BuiltOn>>, StoreError> {
    parts::built_on(documents).map_err(|problems| invalid("releases", &problems))
}

/// Returns the value of the column for what a release is built on.
pub(super) fn built_on_text(release: &Release) -> Result<Option<String>, StoreError> {
    let text = |built_on: &BuiltOn| serde_json::to_string(&document::built_on(Some(built_on)));
    let text = release.built_on.as_deref().map(text).transpose();
    text.map_err(|error| StoreError::corrupt("releases", error))
}

/// Reads the base of a stream.
pub(super) fn base(
    product: Option<&str>,
    stream: Option<&str>,
    lag: Option<i64>,
    policies: &[BasePolicyDocument],
) -> Result<Option<Box<Base>>, StoreError> {
    let Some((product, stream)) = product.zip(stream) else { return Ok(None) };
    let stream = StreamId { product: parse("products", product)?, stream: parse("streams", stream)? };
    let policies = parts::base_policies(policies).map_err(|problems| invalid("streams", &problems))?;
    let lag = lag.and_then(|minutes| u64::try_from(minutes).ok()).map(Minutes);
    Ok(Some(Box::new(Base { stream, lag, policies })))
}

impl Transaction {
    /// Locks a stream, so that it does not change until this transaction ends, because a stream is about to have it as its base. Several
    /// transactions may hold this lock.
    ///
    /// # Errors
    /// The database is unavailable.
    pub async fn lock_base(&mut self, id: &StreamId) -> Result<(), StoreError> {
        sqlx::query!(
            "-- name: lock_base
            select streams.id from streams join products on products.id = streams.product_id
            where products.name = $1 and streams.name = $2 for share of streams",
            id.product.as_str(),
            id.stream.as_str()
        )
        .fetch_optional(self.connection())
        .await
        .map(drop)
        .map_err(StoreError::at("lock_base"))
    }

    /// Returns the streams that a stream is the base of, by name.
    ///
    /// # Errors
    /// The database is unavailable.
    pub async fn derived_streams(&mut self, base: StreamKey) -> Result<Vec<StreamId>, StoreError> {
        let rows = sqlx::query!(
            "-- name: derived_streams
            select products.name as product, streams.name as stream
            from streams join products on products.id = streams.product_id
            where streams.base_id = $1 order by products.name, streams.name",
            base.0
        )
        .fetch_all(self.connection())
        .await
        .map_err(StoreError::at("derived_streams"))?;
        let id = |product: &str, stream: &str| {
            Ok(StreamId { product: parse("products", product)?, stream: parse("streams", stream)? })
        };
        rows.iter().map(|row| id(&row.product, &row.stream)).collect()
    }
}
