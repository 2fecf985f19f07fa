//! Rows of predecessors.

use super::{
    error::StoreError,
    releases::{Changed, Loaded, ReleaseKeys, origin},
    rows::{StreamKey, parse},
    transaction::Transaction,
};
use crate::domain::policy::predecessors::Predecessors;
use std::collections::BTreeSet;

impl Transaction {
    pub(super) async fn fill_predecessors(&mut self, key: StreamKey, releases: &mut Loaded) -> Result<(), StoreError> {
        let rows = sqlx::query!(
            "-- name: predecessors
            select release_id, older.version, predecessors.origin
            from predecessors join releases as older on older.id = predecessor_id where predecessors.stream_id = $1",
            key.0
        )
        .fetch_all(self.connection())
        .await
        .map_err(StoreError::at("predecessors"))?;
        for row in rows {
            let origin = origin("predecessors", &row.origin)?;
            let release = releases.get("predecessors", row.release_id)?;
            let predecessors = release
                .predecessors
                .get_or_insert_with(|| Box::new(Predecessors { versions: BTreeSet::new(), origin }));
            predecessors.versions.insert(parse("releases", &row.version)?);
        }
        Ok(())
    }

    pub(super) async fn save_predecessors(&mut self, key: StreamKey, keys: &ReleaseKeys<'_>) -> Result<(), StoreError> {
        let (mut releases, mut older, mut origins) = (Vec::new(), Vec::new(), Vec::new());
        for Changed { row, release, .. } in &keys.changed {
            if let Some(Predecessors { versions, origin }) = release.predecessors.as_deref() {
                for version in versions {
                    let missing = || StoreError::corrupt("predecessors", "a version without a release");
                    releases.push(*row);
                    older.push(keys.row(version).ok_or_else(missing)?);
                    origins.push(origin.as_str().to_owned());
                }
            }
        }
        if releases.is_empty() {
            return Ok(());
        }
        sqlx::query!(
            "-- name: save_predecessors
            insert into predecessors (stream_id, release_id, predecessor_id, origin)
            select $1, * from unnest($2::bigint[], $3::bigint[], $4::text[])",
            key.0,
            &releases,
            &older,
            &origins
        )
        .execute(self.connection())
        .await
        .map(drop)
        .map_err(StoreError::at("save_predecessors"))
    }
}
