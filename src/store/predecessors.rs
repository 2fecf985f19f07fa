//! Rows of predecessors.

use super::{
    error::StoreError,
    releases::{Changed, Loaded, origin},
    rows::{StreamKey, parse},
    transaction::Transaction,
};
use crate::domain::policy::predecessors::Predecessors;
use std::collections::BTreeSet;

impl Transaction {
    pub(super) async fn fill_predecessors(&mut self, streams: &[i64], releases: &mut Loaded) -> Result<(), StoreError> {
        let rows = sqlx::query!(
            "-- name: predecessors
            select release_id, older.version, predecessors.origin
            from predecessors join releases as older on older.id = predecessor_id where predecessors.stream_id = any($1)",
            streams
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

    pub(super) async fn save_predecessors(
        &mut self,
        key: StreamKey,
        changed: &[Changed<'_>],
    ) -> Result<(), StoreError> {
        let (mut releases, mut older, mut origins) = (Vec::new(), Vec::new(), Vec::new());
        let changed = changed.iter().filter(|changed| changed.differs(|release| &release.predecessors));
        for Changed { row, release, .. } in changed {
            if let Some(Predecessors { versions, origin }) = release.predecessors.as_deref() {
                for version in versions {
                    releases.push(*row);
                    older.push(version.to_string());
                    origins.push(origin.as_str().to_owned());
                }
            }
        }
        if releases.is_empty() {
            return Ok(());
        }
        // Of releases with the same version, the older one is meant.
        let done = sqlx::query!(
            "-- name: save_predecessors
            insert into predecessors (stream_id, release_id, predecessor_id, origin)
            select $1, listed.release_id, older.id, listed.origin
            from unnest($2::bigint[], $3::text[], $4::text[]) as listed (release_id, version, origin)
            join releases as older on older.stream_id = $1 and older.version = listed.version and older.occurrence = 0",
            key.0,
            &releases,
            &older,
            &origins
        )
        .execute(self.connection())
        .await
        .map_err(StoreError::at("save_predecessors"))?;
        if usize::try_from(done.rows_affected()) == Ok(releases.len()) {
            return Ok(());
        }
        Err(StoreError::corrupt("predecessors", "a version without a release"))
    }
}
