//! The rows of payloads and aliases.

use super::{
    error::StoreError,
    releases::{Changed, Loaded, ReleaseKeys},
    rows::{StreamKey, parse},
    transaction::Transaction,
};
use crate::domain::{
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
}

impl Columns {
    fn push(&mut self, release: i64, key: &PayloadKey, payload: &PayloadId) {
        self.releases.push(release);
        self.arches.push(key.arch.to_string());
        self.schemes.push(key.scheme.to_string());
        self.payloads.push(payload.to_string());
    }

    fn marks(&mut self, alias: bool, synthetic: bool, repeated: bool) {
        self.aliases.push(alias);
        self.synthetics.push(synthetic);
        self.repeateds.push(repeated);
    }
}

impl Transaction {
    pub(super) async fn fill_payloads(&mut self, key: StreamKey, releases: &mut Loaded) -> Result<(), StoreError> {
        let rows = sqlx::query!(
            "-- name: payloads
            select release_id, arch, scheme, payload, alias, synthetic from payloads where stream_id = $1",
            key.0
        )
        .fetch_all(self.connection())
        .await
        .map_err(StoreError::at("payloads"))?;
        for row in rows {
            let release = releases.get("payloads", row.release_id)?;
            let key = PayloadKey { arch: parse("payloads", &row.arch)?, scheme: parse("payloads", &row.scheme)? };
            let id = parse("payloads", &row.payload)?;
            if row.alias {
                release.aliases.entry(key).or_default().insert(id);
            } else {
                release.payloads.insert(key, Payload { id, synthetic: row.synthetic });
            }
        }
        Ok(())
    }

    pub(super) async fn save_payloads(&mut self, key: StreamKey, keys: &ReleaseKeys<'_>) -> Result<(), StoreError> {
        let mut columns = Columns::default();
        for Changed { row, release, repeated } in &keys.changed {
            for (payload_key, payload) in &release.payloads {
                columns.push(*row, payload_key, &payload.id);
                columns.marks(false, payload.synthetic, repeated.contains(payload_key));
            }
            for (payload_key, ids) in &release.aliases {
                for id in ids {
                    columns.push(*row, payload_key, id);
                    columns.marks(true, false, false);
                }
            }
        }
        sqlx::query!(
            "-- name: save_payloads
            insert into payloads (stream_id, release_id, arch, scheme, payload, alias, synthetic, repeated)
            select $1, * from unnest($2::bigint[], $3::text[], $4::text[], $5::text[], $6::bool[], $7::bool[], $8::bool[])",
            key.0,
            &columns.releases,
            &columns.arches,
            &columns.schemes,
            &columns.payloads,
            &columns.aliases,
            &columns.synthetics,
            &columns.repeateds,
        )
        .execute(self.connection())
        .await
        .map(drop)
        .map_err(StoreError::at("save_payloads"))
    }
}
