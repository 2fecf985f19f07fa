//! Rows of releases, without their dependent rows.

use super::{
    error::StoreError,
    rows::{StreamKey, parse},
    transaction::Transaction,
};
use crate::domain::{
    artifact::Promotion,
    ids::Version,
    origin::Origin,
    release::{PayloadKey, PolicyKind, Release, ReleaseState},
    stream::Stream,
};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

/// The releases of a stream by row id, in the order of the stream.
#[derive(Debug, Default)]
pub(super) struct Loaded {
    order: Vec<i64>,
    releases: HashMap<i64, Release>,
}

impl Loaded {
    /// Returns the release of a row.
    pub(super) fn get(&mut self, table: &'static str, row: i64) -> Result<&mut Release, StoreError> {
        self.releases
            .get_mut(&row)
            .ok_or_else(|| StoreError::corrupt(table, "a row that refers to a release of another stream"))
    }

    /// Returns the releases in the order of the stream.
    pub(super) fn into_values(mut self) -> Vec<Release> {
        self.order.iter().filter_map(|row| self.releases.remove(row)).collect()
    }
}

/// The row ids of a stream's releases after a change, and the releases whose dependent rows must be written again.
#[derive(Debug)]
pub(super) struct ReleaseKeys<'a> {
    /// The releases that changed.
    pub(super) changed: Vec<Changed<'a>>,
    rows: BTreeMap<&'a Version, i64>,
}

/// A release whose dependent rows must be written again.
#[derive(Debug)]
pub(super) struct Changed<'a> {
    /// Its row id.
    pub(super) row: i64,
    /// Its new state.
    pub(super) release: &'a Release,
    /// Its payloads that an older release also has.
    pub(super) repeated: BTreeSet<&'a PayloadKey>,
}

impl ReleaseKeys<'_> {
    /// Returns the row id of a version; if upstream lists it twice, that of the older release.
    pub(super) fn row(&self, version: &Version) -> Option<i64> {
        self.rows.get(version).copied()
    }
}

/// Returns the releases of a stream with their version and occurrence, which identify a row.
fn identified(stream: &Stream) -> Vec<((&Version, i32), &Release)> {
    let column = |occurrence| i32::try_from(occurrence).unwrap_or(i32::MAX);
    stream
        .identified()
        .into_iter()
        .map(|((version, occurrence), release)| ((version, column(occurrence)), release))
        .collect()
}

/// Returns, for each release, the payloads that an older release also has. Only imports from upstream contain these.
pub(super) fn repeated(stream: &Stream) -> Vec<BTreeSet<&PayloadKey>> {
    let mut seen = HashSet::new();
    let mut flags_of = |release: &'_ Release| -> Vec<bool> {
        release.payloads.iter().map(|(key, payload)| !seen.insert((key.clone(), payload.id.clone()))).collect()
    };
    stream
        .releases
        .iter()
        .map(|release| {
            let flags = flags_of(release);
            release.payloads.keys().zip(flags).filter(|(_, repeated)| *repeated).map(|(key, _)| key).collect()
        })
        .collect()
}

impl Transaction {
    pub(super) async fn releases(&mut self, key: StreamKey) -> Result<Loaded, StoreError> {
        let rows = sqlx::query!(
            "-- name: releases
            select id, version, state, origin, cleared, notes, promoted_from_stream, promoted_from_version
            from releases where stream_id = $1 order by position",
            key.0
        )
        .fetch_all(self.connection())
        .await
        .map_err(StoreError::at("releases"))?;
        let mut loaded = Loaded::default();
        for row in rows {
            let state =
                ReleaseState::from_name(&row.state).ok_or_else(|| StoreError::corrupt("releases", &row.state))?;
            let version = parse("releases", &row.version)?;
            let cleared = row.cleared.iter().map(|name| {
                PolicyKind::from_name(name)
                    .ok_or_else(|| StoreError::corrupt("releases", format!("unknown policy {name:?}")))
            });
            let cleared = cleared.collect::<Result<_, _>>()?;
            let published = Release::published(version, origin("releases", &row.origin)?);
            let notes = row.notes.map(|notes| parse("releases", &notes)).transpose()?;
            let promoted_from = match (row.promoted_from_stream, row.promoted_from_version) {
                (Some(stream), Some(version)) => Some(Box::new(Promotion {
                    stream: parse("releases", &stream)?,
                    version: parse("releases", &version)?,
                })),
                _ => None,
            };
            let release = Release { state, suppressed_upstream: cleared, notes, promoted_from, ..published };
            loaded.order.push(row.id);
            loaded.releases.insert(row.id, release);
        }
        Ok(loaded)
    }

    /// Writes the rows of the releases of the next state, and deletes the dependent rows of those that changed.
    pub(super) async fn save_releases<'a>(
        &mut self,
        key: StreamKey,
        before: &Stream,
        after: &'a Stream,
    ) -> Result<ReleaseKeys<'a>, StoreError> {
        let old: HashMap<_, _> = identified(before).into_iter().collect();
        let new = identified(after);
        self.remove_releases(key, &old, &new).await?;
        let mut columns = Columns::default();
        for (position, ((version, occurrence), release)) in new.iter().enumerate() {
            columns.push(version, *occurrence, position, release)?;
        }
        let rows = sqlx::query!(
            "-- name: save_releases
            insert into releases (
                stream_id, version, occurrence, position, state, origin, cleared, notes, promoted_from_stream,
                promoted_from_version
            )
            select $1, version, occurrence, position, state, origin, string_to_array(cleared, ','), notes, stream, promoted
            from unnest(
                $2::text[], $3::integer[], $4::integer[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[],
                $10::text[]
            ) as release (version, occurrence, position, state, origin, cleared, notes, stream, promoted)
            on conflict (stream_id, version, occurrence) do update
            set position = excluded.position, state = excluded.state, origin = excluded.origin,
                cleared = excluded.cleared, notes = excluded.notes,
                promoted_from_stream = excluded.promoted_from_stream,
                promoted_from_version = excluded.promoted_from_version
            returning id, version, occurrence",
            key.0,
            &columns.versions,
            &columns.occurrences,
            &columns.positions,
            &columns.states,
            &columns.origins,
            &columns.cleared,
            &columns.notes as _,
            &columns.promoted_from_streams as _,
            &columns.promoted_from_versions as _,
        )
        .fetch_all(self.connection())
        .await
        .map_err(StoreError::at("save_releases"))?;
        let ids: HashMap<(&str, i32), i64> =
            rows.iter().map(|row| ((row.version.as_str(), row.occurrence), row.id)).collect();
        let row = |identity: &(&Version, i32)| {
            let id = ids.get(&(identity.0.as_str(), identity.1)).copied();
            id.ok_or_else(|| StoreError::corrupt("releases", "a release that was just written is missing"))
        };
        let mut keys = ReleaseKeys { changed: Vec::new(), rows: BTreeMap::new() };
        let repeated_before: HashMap<_, _> =
            identified(before).into_iter().map(|(identity, _)| identity).zip(repeated(before)).collect();
        for ((identity, release), repeated) in new.iter().zip(repeated(after)) {
            let row = row(identity)?;
            keys.rows.entry(identity.0).or_insert(row);
            if old.get(identity) != Some(release) || repeated_before.get(identity) != Some(&repeated) {
                keys.changed.push(Changed { row, release, repeated });
            }
        }
        self.clear_dependents(&keys).await?;
        Ok(keys)
    }

    async fn remove_releases(
        &mut self,
        key: StreamKey,
        old: &HashMap<(&Version, i32), &Release>,
        new: &[((&Version, i32), &Release)],
    ) -> Result<(), StoreError> {
        let remaining: HashSet<_> = new.iter().map(|(identity, _)| identity).collect();
        let (versions, occurrences): (Vec<String>, Vec<i32>) = old
            .keys()
            .filter(|identity| !remaining.contains(identity))
            .map(|(version, occurrence)| (version.to_string(), *occurrence))
            .unzip();
        sqlx::query!(
            "-- name: remove_releases
            delete from releases using unnest($2::text[], $3::integer[]) as gone (version, occurrence)
            where stream_id = $1 and releases.version = gone.version and releases.occurrence = gone.occurrence",
            key.0,
            &versions,
            &occurrences
        )
        .execute(self.connection())
        .await
        .map(drop)
        .map_err(StoreError::at("remove_releases"))
    }

    async fn clear_dependents(&mut self, keys: &ReleaseKeys<'_>) -> Result<(), StoreError> {
        let ids: Vec<i64> = keys.changed.iter().map(|changed| changed.row).collect();
        sqlx::query!(
            "-- name: clear_dependents
            with of_payloads as (delete from payloads where release_id = any($1)),
                of_barriers as (delete from barriers where release_id = any($1)),
                of_dead_ends as (delete from dead_ends where release_id = any($1)),
                of_artifacts as (delete from artifacts where release_id = any($1)),
                of_predecessors as (delete from predecessors where release_id = any($1))
            delete from rollouts where release_id = any($1)",
            &ids
        )
        .execute(self.connection())
        .await
        .map(drop)
        .map_err(StoreError::at("clear_dependents"))
    }
}

#[derive(Default)]
struct Columns {
    versions: Vec<String>,
    occurrences: Vec<i32>,
    positions: Vec<i32>,
    states: Vec<String>,
    origins: Vec<String>,
    cleared: Vec<String>,
    notes: Vec<Option<String>>,
    promoted_from_streams: Vec<Option<String>>,
    promoted_from_versions: Vec<Option<String>>,
}

impl Columns {
    fn push(
        &mut self,
        version: &Version,
        occurrence: i32,
        position: usize,
        release: &Release,
    ) -> Result<(), StoreError> {
        let position = i32::try_from(position).map_err(|error| StoreError::corrupt("releases", error))?;
        self.versions.push(version.to_string());
        self.occurrences.push(occurrence);
        self.positions.push(position);
        self.states.push(release.state.as_str().into());
        self.origins.push(release.origin.as_str().into());
        let cleared: Vec<&str> = release.suppressed_upstream.iter().map(|policy| policy.as_str()).collect();
        self.cleared.push(cleared.join(","));
        self.notes.push(release.notes.as_ref().map(ToString::to_string));
        let from = release.promoted_from.as_ref();
        self.promoted_from_streams.push(from.map(|from| from.stream.to_string()));
        self.promoted_from_versions.push(from.map(|from| from.version.to_string()));
        Ok(())
    }
}

/// Parses the origin in a row.
pub(super) fn origin(table: &'static str, name: &str) -> Result<Origin, StoreError> {
    Origin::from_name(name).ok_or_else(|| StoreError::corrupt(table, format!("unknown origin {name:?}")))
}
