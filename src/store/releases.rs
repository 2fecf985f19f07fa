//! Rows of releases, without their dependent rows.

use super::{
    bases,
    error::StoreError,
    rows::{StreamKey, parse, rollout_id},
    transaction::Transaction,
};
use crate::domain::{
    artifact::Promotion,
    changes::{Changes, Pair, Placed},
    document::base_shape::BuiltOnDocument,
    ids::Version,
    origin::Origin,
    payload::PayloadId,
    release::{PayloadKey, PolicyKind, Release, ReleaseState},
    shared::Shared,
    stream::{Revision, Stream},
};
use sqlx::types::Json;
use std::collections::{BTreeSet, HashMap, HashSet};

/// The releases of some streams by row id, in the order of each stream.
#[derive(Debug, Default)]
pub(super) struct Loaded {
    /// The row ids by stream.
    order: HashMap<i64, Vec<i64>>,
    releases: HashMap<i64, Release>,
}

impl Loaded {
    /// Returns the release of a row.
    pub(super) fn get(&mut self, table: &'static str, row: i64) -> Result<&mut Release, StoreError> {
        self.releases
            .get_mut(&row)
            .ok_or_else(|| StoreError::corrupt(table, "a row that refers to a release of another stream"))
    }

    /// Takes the releases of a stream, in its order. Rollouts that an older version has written get their ids.
    pub(super) fn take(&mut self, key: StreamKey) -> Vec<Shared<Release>> {
        let rows = self.order.remove(&key.0).unwrap_or_default();
        let releases = rows.iter().filter_map(|row| self.releases.remove(row));
        releases.map(|release| Shared::from(release.with_numbered_rollouts())).collect()
    }
}

/// A release of which dependent rows must be written again.
#[derive(Debug)]
pub(super) struct Changed<'a> {
    /// Its row id.
    pub(super) row: i64,
    /// Its new state.
    pub(super) release: &'a Release,
    /// Its state before the change.
    before: Option<&'a Release>,
    /// Its payloads that an older release also has, if they are written again.
    repeated: Option<BTreeSet<&'a PayloadKey>>,
}

impl<'a> Changed<'a> {
    /// Returns the payloads that an older release also has, if the payloads and aliases of the release must be written again.
    pub(super) fn repeated(&self) -> Option<&BTreeSet<&'a PayloadKey>> {
        self.repeated.as_ref()
    }

    /// Returns true if its barrier or its dead end must be written again.
    pub(super) fn has_other_policies(&self) -> bool {
        self.differs(|release| &release.barrier) || self.differs(|release| &release.dead_end)
    }

    /// Returns true if a part of the release differs from before the change.
    pub(super) fn differs<T: PartialEq>(&self, part: impl Fn(&Release) -> &T) -> bool {
        self.before.is_none_or(|before| part(before) != part(self.release))
    }
}

/// The number among the releases of a version, as the column has it.
fn column(occurrence: usize) -> i32 {
    i32::try_from(occurrence).unwrap_or(i32::MAX)
}

/// The payloads that an older release of the same state also has, before and after a change. Only imports from upstream contain these.
struct Repeats<'a>([Vec<BTreeSet<&'a PayloadKey>>; 2]);

impl<'a> Repeats<'a> {
    /// Returns the changes between two states: of all releases, if any of them has repeated payloads and that may have changed.
    fn between(before: &'a Stream, after: &'a Stream) -> (Changes<'a>, Self) {
        let changes = Changes::between(before, after);
        let may_differ = |pair: &Pair<'_>| match (pair.before, pair.after) {
            (Some(before), Some(after)) => {
                before.index != after.index || before.release.payloads != after.release.payloads
            }
            _ => true,
        };
        if !changes.pairs().iter().any(may_differ) {
            return (changes, Self([Vec::new(), Vec::new()]));
        }
        let repeats = Self([before, after].map(repeated_payloads));
        if repeats.0.iter().flatten().all(BTreeSet::is_empty) {
            return (changes, repeats);
        }
        (Changes::of_all(before, after), repeats)
    }

    fn after(&self, index: usize) -> BTreeSet<&'a PayloadKey> {
        self.0[1].get(index).cloned().unwrap_or_default()
    }

    /// Returns true if the payloads of a release that older releases also have are others than before.
    fn differ(&self, pair: &Pair<'_>) -> bool {
        let set = |side: usize, placed: Option<Placed<'_>>| {
            placed.and_then(|placed| self.0.get(side)?.get(placed.index)).filter(|set| !set.is_empty())
        };
        set(0, pair.before) != set(1, pair.after)
    }
}

fn repeated_payloads(stream: &Stream) -> Vec<BTreeSet<&PayloadKey>> {
    let mut seen: HashSet<(&PayloadKey, &PayloadId)> = HashSet::new();
    stream
        .releases
        .iter()
        .map(|release| {
            let repeated = release.payloads.iter().filter(|(key, payload)| !seen.insert((*key, &payload.id)));
            repeated.map(|(key, _)| key).collect()
        })
        .collect()
}

impl Transaction {
    pub(super) async fn releases(&mut self, streams: &[i64]) -> Result<Loaded, StoreError> {
        let rows = sqlx::query!(
            "-- name: releases
            select id, stream_id, version, state, origin, cleared, notes, promoted_from_stream, promoted_from_version,
                last_rollout_id, built_on as \"built_on: Json<Vec<BuiltOnDocument>>\"
            from releases where stream_id = any($1) order by position",
            streams
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
            let last_rollout_id = rollout_id(row.last_rollout_id)?;
            let built_on = row.built_on.map(|Json(documents)| bases::built_on(&documents)).transpose()?.flatten();
            let release = Release {
                state,
                suppressed_upstream: cleared,
                notes,
                promoted_from,
                last_rollout_id,
                built_on,
                ..published
            };
            loaded.order.entry(row.stream_id).or_default().push(row.id);
            loaded.releases.insert(row.id, release);
        }
        Ok(loaded)
    }

    /// Writes the rows of the releases that changed or moved with a revision, and deletes the dependent rows of those that changed. Returns the latter.
    pub(super) async fn save_releases<'a>(
        &mut self,
        key: StreamKey,
        before: &'a Stream,
        after: &'a Stream,
        number: Revision,
    ) -> Result<Vec<Changed<'a>>, StoreError> {
        let (changes, repeats) = Repeats::between(before, after);
        self.remove_releases(key, &changes).await?;
        let ids = self.upsert_releases(key, &changes, &repeats, number).await?;
        let mut rewritten = Vec::new();
        for pair in changes.pairs() {
            let has_other_repeats = repeats.differ(pair);
            let Some(Placed { index, occurrence, release }) =
                pair.after.filter(|_| pair.has_changed() || has_other_repeats)
            else {
                continue;
            };
            let row = ids.get(&(release.version.to_string(), column(occurrence))).copied();
            let missing = || StoreError::corrupt("releases", "a release that was just written is missing");
            let has_other_names = pair
                .old_release()
                .is_none_or(|old| (&old.payloads, &old.aliases) != (&release.payloads, &release.aliases));
            let repeated = (has_other_names || has_other_repeats).then(|| repeats.after(index));
            rewritten.push(Changed { row: row.ok_or_else(missing)?, release, before: pair.old_release(), repeated });
        }
        self.clear_dependents(&rewritten).await?;
        Ok(rewritten)
    }

    /// Returns the row ids by version and occurrence.
    async fn upsert_releases(
        &mut self,
        key: StreamKey,
        changes: &Changes<'_>,
        repeats: &Repeats<'_>,
        number: Revision,
    ) -> Result<HashMap<(String, i32), i64>, StoreError> {
        let mut columns = Columns::default();
        for pair in changes.pairs() {
            let Some(Placed { index, occurrence, release }) = pair.after else { continue };
            let has_moved = pair.before.is_none_or(|before| before.index != index);
            if has_moved || pair.has_changed() || repeats.differ(pair) {
                columns.push(&release.version, column(occurrence), index, release)?;
            }
        }
        if columns.versions.is_empty() {
            return Ok(HashMap::new());
        }
        let rows = sqlx::query!(
            "-- name: save_releases
            insert into releases (
                stream_id, version, occurrence, position, state, origin, cleared, notes, promoted_from_stream,
                promoted_from_version, rollout_ids, last_rollout_id, built_on, first_published_revision
            )
            select $1, version, occurrence, position, state, origin, string_to_array(cleared, ','), notes, stream, promoted,
                string_to_array(rollout_ids, ',')::integer[], last_rollout_id, built_on::jsonb,
                case when state <> 'draft' then $14::bigint end
            from unnest(
                $2::text[], $3::integer[], $4::integer[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[],
                $10::text[], $11::text[], $12::integer[], $13::text[]
            ) as release (version, occurrence, position, state, origin, cleared, notes, stream, promoted, rollout_ids,
                last_rollout_id, built_on)
            on conflict (stream_id, version, occurrence) do update
            set position = excluded.position, state = excluded.state, origin = excluded.origin,
                cleared = excluded.cleared, notes = excluded.notes,
                promoted_from_stream = excluded.promoted_from_stream,
                promoted_from_version = excluded.promoted_from_version,
                rollout_ids = excluded.rollout_ids, last_rollout_id = excluded.last_rollout_id,
                built_on = excluded.built_on,
                first_published_revision =
                    coalesce(releases.first_published_revision, excluded.first_published_revision)
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
            &columns.rollout_ids,
            &columns.last_rollout_ids,
            &columns.built_on as _,
            number.0,
        )
        .fetch_all(self.connection())
        .await
        .map_err(StoreError::at("save_releases"))?;
        Ok(rows.into_iter().map(|row| ((row.version, row.occurrence), row.id)).collect())
    }

    async fn remove_releases(&mut self, key: StreamKey, changes: &Changes<'_>) -> Result<(), StoreError> {
        let removed = changes.pairs().iter().filter(|pair| pair.after.is_none()).filter_map(|pair| pair.before);
        let (versions, occurrences): (Vec<String>, Vec<i32>) =
            removed.map(|placed| (placed.release.version.to_string(), column(placed.occurrence))).unzip();
        if versions.is_empty() {
            return Ok(());
        }
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

    async fn clear_dependents(&mut self, changed: &[Changed<'_>]) -> Result<(), StoreError> {
        let rows = |is_cleared: fn(&Changed<'_>) -> bool| -> Vec<i64> {
            let cleared = changed.iter().filter(|changed| changed.before.is_some() && is_cleared(changed));
            cleared.map(|changed| changed.row).collect()
        };
        let payloads = rows(|changed| changed.repeated.is_some());
        let policies =
            rows(|changed| changed.differs(|release| &release.barrier) || changed.differs(|release| &release.dead_end));
        let artifacts = rows(|changed| changed.differs(|release| &release.artifacts));
        let predecessors = rows(|changed| changed.differs(|release| &release.predecessors));
        let rollouts = rows(|changed| changed.differs(|release| &release.rollouts));
        if [&payloads, &policies, &artifacts, &predecessors, &rollouts].into_iter().all(Vec::is_empty) {
            return Ok(());
        }
        sqlx::query!(
            "-- name: clear_dependents
            with of_payloads as (delete from payloads where release_id = any($1)),
                of_barriers as (delete from barriers where release_id = any($2)),
                of_dead_ends as (delete from dead_ends where release_id = any($2)),
                of_artifacts as (delete from artifacts where release_id = any($3)),
                of_predecessors as (delete from predecessors where release_id = any($4))
            delete from rollouts where release_id = any($5)",
            &payloads,
            &policies,
            &artifacts,
            &predecessors,
            &rollouts
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
    rollout_ids: Vec<String>,
    last_rollout_ids: Vec<i32>,
    built_on: Vec<Option<String>>,
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
        let ids: Vec<String> = release.rollouts.iter().map(|rollout| rollout.id.to_string()).collect();
        self.rollout_ids.push(ids.join(","));
        self.built_on.push(bases::built_on_text(release)?);
        let last = i32::try_from(release.last_rollout_id.number());
        self.last_rollout_ids.push(last.map_err(|error| StoreError::corrupt("releases", error))?);
        Ok(())
    }
}

/// Parses the origin in a row.
pub(super) fn origin(table: &'static str, name: &str) -> Result<Origin, StoreError> {
    Origin::from_name(name).ok_or_else(|| StoreError::corrupt(table, format!("unknown origin {name:?}")))
}
