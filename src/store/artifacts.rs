//! Rows of the artifacts of releases.

use super::{
    error::StoreError,
    releases::{Changed, Loaded},
    rows::parse,
    transaction::Transaction,
};
use crate::domain::{
    artifact::{Artifact, ArtifactKey},
    hash::ContentHash,
};

#[derive(Default)]
struct Columns {
    releases: Vec<i64>,
    arches: Vec<String>,
    names: Vec<String>,
    urls: Vec<String>,
    hashes: Vec<Option<Vec<u8>>>,
    sizes: Vec<Option<i64>>,
}

impl Transaction {
    pub(super) async fn fill_artifacts(&mut self, streams: &[i64], releases: &mut Loaded) -> Result<(), StoreError> {
        let rows = sqlx::query!(
            "-- name: artifacts
            select release_id, arch, name, url, sha256, size
            from artifacts join releases on releases.id = release_id where stream_id = any($1)",
            streams
        )
        .fetch_all(self.connection())
        .await
        .map_err(StoreError::at("artifacts"))?;
        for row in rows {
            let release = releases.get("artifacts", row.release_id)?;
            let key = ArtifactKey { arch: parse("artifacts", &row.arch)?, name: parse("artifacts", &row.name)? };
            let sha256 = row.sha256.map(<[u8; 32]>::try_from).transpose();
            let sha256 = sha256.map_err(|_| StoreError::corrupt("artifacts", "a hash is not 32 bytes long"))?;
            let size = row.size.map(u64::try_from).transpose();
            let size = size.map_err(|error| StoreError::corrupt("artifacts", error))?;
            let location = parse("artifacts", &row.url)?;
            release.artifacts.insert(key, Artifact { location, sha256: sha256.map(ContentHash), size });
        }
        Ok(())
    }

    pub(super) async fn save_artifacts(&mut self, changed: &[Changed<'_>]) -> Result<(), StoreError> {
        let mut columns = Columns::default();
        let changed = changed.iter().filter(|changed| changed.differs(|release| &release.artifacts));
        for Changed { row, release, .. } in changed {
            for (key, artifact) in &release.artifacts {
                columns.releases.push(*row);
                columns.arches.push(key.arch.to_string());
                columns.names.push(key.name.to_string());
                columns.urls.push(artifact.location.to_string());
                columns.hashes.push(artifact.sha256.map(|hash| hash.0.to_vec()));
                columns.sizes.push(artifact.size.and_then(|size| i64::try_from(size).ok()));
            }
        }
        if columns.releases.is_empty() {
            return Ok(());
        }
        sqlx::query!(
            "-- name: save_artifacts
            insert into artifacts (release_id, arch, name, url, sha256, size)
            select * from unnest($1::bigint[], $2::text[], $3::text[], $4::text[], $5::bytea[], $6::bigint[])",
            &columns.releases,
            &columns.arches,
            &columns.names,
            &columns.urls,
            &columns.hashes as _,
            &columns.sizes as _,
        )
        .execute(self.connection())
        .await
        .map(drop)
        .map_err(StoreError::at("save_artifacts"))
    }
}
