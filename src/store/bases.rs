//! What streams inherit from their bases, and which streams a stream is the base of.

use super::{
    error::StoreError,
    rows::{StreamKey, parse},
    transaction::Transaction,
};
use crate::domain::{
    base::{Base, BuiltOn, NewerRelease},
    document::{
        self, Problem,
        base_shape::{BasePolicyDocument, BuiltOnDocument},
        parts,
    },
    duration::Minutes,
    ids::StreamId,
    release::Release,
};
use jiff::Timestamp;
use jiff_sqlx::ToSqlx;

/// A stream that may not fall behind its base for longer than some time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BaseLag {
    /// The stream.
    pub stream: StreamId,
    /// What the base has had for longer than that.
    pub newer: Option<NewerRelease>,
}

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

    /// Returns the streams that may not fall behind their bases for longer than some time: all of them, or only one.
    ///
    /// # Errors
    /// The database is unavailable, or a row is invalid.
    pub async fn base_lags(&mut self, only: Option<StreamKey>, now: Timestamp) -> Result<Vec<BaseLag>, StoreError> {
        let rows = sqlx::query!(
            r#"-- name: base_lags
            select products.name as product, derived.name as stream, newer.arch as "arch?", newer.version as "version?",
                newer.made_at as "made_at?: jiff_sqlx::Timestamp"
            from streams as derived join products on products.id = derived.product_id
            left join lateral (
                select build.arch, release.version, revisions.made_at
                from (
                    -- The newest build for each arch.
                    select distinct on (built_on.arch) built_on.arch, built_on.version
                    from releases as own cross join lateral jsonb_to_recordset(own.built_on) as built_on (arch text, version text)
                    where own.stream_id = derived.id and own.state = 'published' and built_on.arch = any(derived.arches)
                    order by built_on.arch, own.position desc
                ) as build
                join releases as base on base.stream_id = derived.base_id and base.version = build.version and base.occurrence = 0
                join releases as release on release.stream_id = derived.base_id and release.state = 'published'
                    and release.position > base.position
                join revisions on revisions.stream_id = derived.base_id and revisions.number = release.first_published_revision
                where exists (
                        select from payloads
                        where payloads.release_id = release.id and payloads.arch = build.arch and not payloads.alias
                    )
                    and revisions.made_at + least(derived.base_lag, 100000000) * interval '1 minute' < $2
                order by revisions.made_at, release.position limit 1
            ) as newer on true
            where derived.base_lag is not null and derived.deleted_revision is null and derived.id = coalesce($1, derived.id)
            order by products.name, derived.name"#,
            only.map(|key| key.0),
            now.to_sqlx() as _
        )
        .fetch_all(self.connection())
        .await
        .map_err(StoreError::at("base_lags"))?;
        let lags = rows.into_iter().map(|row| {
            let stream = StreamId { product: parse("products", &row.product)?, stream: parse("streams", &row.stream)? };
            let newer = match (row.arch, row.version, row.made_at) {
                (Some(arch), Some(version), Some(since)) => Some(NewerRelease {
                    arch: parse("releases", &arch)?,
                    version: parse("releases", &version)?,
                    since: since.to_jiff(),
                }),
                _ => None,
            };
            Ok(BaseLag { stream, newer })
        });
        lags.collect()
    }
}
