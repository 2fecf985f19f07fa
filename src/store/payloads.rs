//! Rows of payloads and aliases.

use super::{
    error::StoreError,
    releases::{Changed, Loaded, origin},
    rows::{StreamKey, parse},
    transaction::Transaction,
};
use crate::domain::{
    ids::StreamId,
    located::Located,
    origin::Origin,
    payload::{Payload, PayloadId},
    release::PayloadKey,
};

#[derive(Default)]
struct Columns {
    releases: Vec<i64>,
    arches: Vec<String>,
    schemes: Vec<String>,
    payloads: Vec<String>,
    aliases: Vec<bool>,
    synthetics: Vec<bool>,
    repeateds: Vec<bool>,
    origins: Vec<String>,
}

impl Columns {
    fn push(&mut self, release: i64, key: &PayloadKey, payload: &PayloadId) {
        self.releases.push(release);
        self.arches.push(key.arch.to_string());
        self.schemes.push(key.scheme.to_string());
        self.payloads.push(payload.to_string());
    }

    fn push_flags(&mut self, alias: bool, synthetic: bool, repeated: bool, origin: Origin) {
        self.aliases.push(alias);
        self.synthetics.push(synthetic);
        self.repeateds.push(repeated);
        self.origins.push(origin.as_str().into());
    }
}

impl Transaction {
    /// Returns the releases of all streams that have a payload or an alias, drafts left out.
    ///
    /// # Errors
    /// The database is unavailable, or a row is invalid.
    pub async fn locate_payload(&mut self, payload: &str) -> Result<Vec<Located>, StoreError> {
        let rows = sqlx::query!(
            "-- name: locate_payload
            select products.name as product, streams.name as stream, releases.version, payloads.arch, payloads.scheme
            from payloads
            join releases on releases.id = payloads.release_id
            join streams on streams.id = payloads.stream_id
            join products on products.id = streams.product_id
            where payloads.payload = $1 and releases.state <> 'draft'
            order by products.name, streams.name, releases.position, payloads.arch, payloads.scheme",
            payload
        )
        .fetch_all(self.connection())
        .await
        .map_err(StoreError::at("locate_payload"))?;
        let located = rows.into_iter().map(|row| {
            let stream =
                StreamId { product: parse("payloads", &row.product)?, stream: parse("payloads", &row.stream)? };
            let (arch, scheme) = (parse("payloads", &row.arch)?, parse("payloads", &row.scheme)?);
            Ok(Located { stream, version: parse("payloads", &row.version)?, arch, scheme })
        });
        located.collect()
    }

    pub(super) async fn fill_payloads(&mut self, streams: &[i64], releases: &mut Loaded) -> Result<(), StoreError> {
        let rows = sqlx::query!(
            "-- name: payloads
            select release_id, arch, scheme, payload, alias, synthetic, origin from payloads where stream_id = any($1)",
            streams
        )
        .fetch_all(self.connection())
        .await
        .map_err(StoreError::at("payloads"))?;
        for row in rows {
            let release = releases.get("payloads", row.release_id)?;
            let key = PayloadKey { arch: parse("payloads", &row.arch)?, scheme: parse("payloads", &row.scheme)? };
            let id = parse("payloads", &row.payload)?;
            if row.alias {
                release.aliases.entry(key).or_default().insert(id, origin("payloads", &row.origin)?);
            } else {
                release.payloads.insert(key, Payload { id, synthetic: row.synthetic });
            }
        }
        Ok(())
    }

    pub(super) async fn save_payloads(&mut self, key: StreamKey, changed: &[Changed<'_>]) -> Result<(), StoreError> {
        let mut columns = Columns::default();
        for changed in changed {
            let Some(repeated) = changed.repeated() else { continue };
            let Changed { row, release, .. } = changed;
            for (payload_key, payload) in &release.payloads {
                columns.push(*row, payload_key, &payload.id);
                columns.push_flags(false, payload.synthetic, repeated.contains(payload_key), Origin::Local);
            }
            for (payload_key, ids) in &release.aliases {
                for (id, origin) in ids {
                    columns.push(*row, payload_key, id);
                    columns.push_flags(true, false, false, *origin);
                }
            }
        }
        if columns.releases.is_empty() {
            return Ok(());
        }
        sqlx::query!(
            "-- name: save_payloads
            insert into payloads (stream_id, release_id, arch, scheme, payload, alias, synthetic, repeated, origin)
            select $1, * from unnest($2::bigint[], $3::text[], $4::text[], $5::text[], $6::bool[], $7::bool[], $8::bool[], $9::text[])",
            key.0,
            &columns.releases,
            &columns.arches,
            &columns.schemes,
            &columns.payloads,
            &columns.aliases,
            &columns.synthetics,
            &columns.repeateds,
            &columns.origins,
        )
        .execute(self.connection())
        .await
        .map(drop)
        .map_err(StoreError::at("save_payloads"))
    }
}
