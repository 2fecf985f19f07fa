//! The revisions of streams: every state, with its actor, time and reason.

use super::{
    error::StoreError,
    rows::{StreamKey, actor},
    state::Known,
    streams::Head,
    transaction::Transaction,
};
use crate::domain::{
    actor::Actor,
    document::{DeltaDocument, Problem, StreamDocument, Strictness},
    hash::ContentHash,
    stream::{Revision, SourceKind, Stream},
};
use jiff::Timestamp;
use jiff_sqlx::ToSqlx;
use serde::Serialize;
use sqlx::types::Json;
use std::collections::{BTreeMap, HashMap};

/// The actor, time and reason of a revision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RevisionMeta {
    /// When it was created.
    pub made_at: Timestamp,
    /// The actor that created it.
    pub actor: Actor,
    /// The reason.
    pub reason: String,
    /// The id of the request that created it.
    pub request_id: Option<String>,
}

/// The state of a stream at a revision, as it is stored.
#[derive(Debug, Clone, Copy)]
pub struct RevisionContent<'a> {
    /// The state.
    pub stream: &'a Stream,
    /// Its difference to the state before it. The first revision of a stream is stored without.
    pub delta: &'a DeltaDocument,
}

/// After this many revisions with deltas, the whole stream is stored again.
const COPY_INTERVAL: i64 = 128;
/// With more revisions than this between two states, reading all rows is faster than applying every delta.
const MAX_DELTAS: i64 = 64;

/// Returns true if the whole stream is to be stored in addition to the delta of this revision.
#[must_use]
pub fn needs_copy(number: Revision) -> bool {
    number.0.rem_euclid(COPY_INTERVAL) == 0
}

/// A revision, and how it came about.
#[derive(Debug)]
pub struct RevisionChange {
    /// Its number.
    pub number: Revision,
    /// When it was created.
    pub made_at: Timestamp,
    /// The action that created it, as in the audit log.
    pub action: Option<String>,
    /// The actor.
    pub actor: Actor,
    /// The reason.
    pub reason: String,
    /// The difference to the revision before it; `None` if it stores the whole stream.
    pub delta: Option<DeltaDocument>,
}

/// What a revision changed.
struct Delta {
    number: Revision,
    made_at: Timestamp,
    /// `None` if the revision stores the whole stream.
    document: Option<DeltaDocument>,
}

fn invalid(problems: &[Problem]) -> StoreError {
    let problems: Vec<String> = problems.iter().map(ToString::to_string).collect();
    StoreError::corrupt("revisions", problems.join("; "))
}

/// Returns the text of a document. A parameter of sqlx's `Json` would pass through `jsonb`, which has no negative zero.
fn json_text(document: &impl Serialize) -> Result<String, StoreError> {
    serde_json::to_string(document).map_err(|error| StoreError::corrupt("revisions", error))
}

impl Transaction {
    /// Records the current state of a stream as a revision.
    ///
    /// # Errors
    /// The database is unavailable, or the revision already exists.
    pub async fn record_revision(
        &mut self,
        key: StreamKey,
        number: Revision,
        content: RevisionContent<'_>,
        record: &RevisionMeta,
    ) -> Result<(), StoreError> {
        let is_first = number == Revision(1);
        sqlx::query!(
            "-- name: record_revision
            insert into revisions (stream_id, number, made_at, actor, actor_name, reason, request_id, document, delta)
            values ($1, $2, $3, $4, $5, $6, $7, $8::text::json, $9::text::json)",
            key.0,
            number.0,
            record.made_at.to_sqlx() as _,
            record.actor.id,
            record.actor.name,
            record.reason,
            record.request_id,
            is_first.then(|| json_text(&content.stream.to_document())).transpose()?,
            (!is_first).then(|| json_text(content.delta)).transpose()?,
        )
        .execute(self.connection())
        .await
        .map_err(StoreError::at("record_revision"))?;
        if content.stream.sources.is_empty() {
            return Ok(());
        }
        let (kinds, hashes): (Vec<String>, Vec<Vec<u8>>) =
            content.stream.sources.iter().map(|(kind, hash)| (kind.to_string(), hash.0.to_vec())).unzip();
        sqlx::query!(
            "-- name: record_revision_sources
            insert into revision_sources (stream_id, number, kind, hash)
            select $1, $2, kind, hash from unnest($3::text[], $4::bytea[]) as source (kind, hash)",
            key.0,
            number.0,
            &kinds,
            &hashes,
        )
        .execute(self.connection())
        .await
        .map(drop)
        .map_err(StoreError::at("record_revision_sources"))
    }

    /// Stores the whole stream at a revision, from which later revisions are read faster. It may be stored already.
    ///
    /// # Errors
    /// The database is unavailable, or there is no such revision.
    pub async fn keep_copy(&mut self, key: StreamKey, number: Revision, stream: &Stream) -> Result<(), StoreError> {
        sqlx::query!(
            "-- name: keep_copy
            insert into revision_copies (stream_id, number, document) values ($1, $2, $3::text::json) on conflict do nothing",
            key.0,
            number.0,
            json_text(&stream.to_document())?,
        )
        .execute(self.connection())
        .await
        .map(drop)
        .map_err(StoreError::at("keep_copy"))
    }

    /// Returns the state of a stream at a revision, or `None` if there is no such revision. Rollouts from before they had ids have those of their
    /// order.
    ///
    /// # Errors
    /// The database is unavailable, or the revision is corrupt.
    pub async fn revision(&mut self, key: StreamKey, number: Revision) -> Result<Option<Stream>, StoreError> {
        Ok(self.revision_as_stored(key, number).await?.map(Stream::numbered))
    }

    /// Like [`Transaction::revision`], but rollouts from before they had ids have none: to be written again, each keeps that of the present
    /// rollout that it became.
    ///
    /// # Errors
    /// The database is unavailable, or the revision is corrupt.
    pub async fn revision_as_stored(&mut self, key: StreamKey, number: Revision) -> Result<Option<Stream>, StoreError> {
        let row = sqlx::query!(
            r#"-- name: revision
            select number as "number!", document as "document!: Json<StreamDocument>" from (
                (select number, document from revisions
                    where stream_id = $1 and number <= $2 and document is not null order by number desc limit 1)
                union all
                (select number, document from revision_copies
                    where stream_id = $1 and number <= $2 order by number desc limit 1)
            ) as whole order by number desc limit 1"#,
            key.0,
            number.0
        )
        .fetch_optional(self.connection())
        .await
        .map_err(StoreError::at("revision"))?;
        let Some(row) = row else { return Ok(None) };
        let Json(document) = row.document;
        let mut stream =
            Stream::from_document(&document, Strictness::Recorded).map_err(|problems| invalid(&problems))?;
        let mut reached = Revision(row.number);
        for Delta { number, document, .. } in self.deltas(key, Revision(row.number + 1), number).await? {
            let missing = || StoreError::corrupt("revisions", format!("revision {number} has no content"));
            stream = stream.with_delta(&document.ok_or_else(missing)?).map_err(|problems| invalid(&problems))?;
            reached = number;
        }
        Ok((reached == number).then_some(stream))
    }

    /// Returns what revisions changed, in their order.
    async fn deltas(&mut self, key: StreamKey, first: Revision, last: Revision) -> Result<Vec<Delta>, StoreError> {
        let rows = sqlx::query!(
            r#"-- name: deltas
            select number, made_at as "made_at: jiff_sqlx::Timestamp", delta as "delta: Json<DeltaDocument>"
            from revisions where stream_id = $1 and number between $2 and $3 order by number"#,
            key.0,
            first.0,
            last.0
        )
        .fetch_all(self.connection())
        .await
        .map_err(StoreError::at("deltas"))?;
        let delta = rows.into_iter().map(|row| Delta {
            number: Revision(row.number),
            made_at: row.made_at.to_jiff(),
            document: row.delta.map(|Json(delta)| delta),
        });
        Ok(delta.collect())
    }

    /// Returns the state of a stream at its head from an earlier state and the deltas since then. Returns `None` if the earlier state does not
    /// belong to this history, as after a restored backup, or if a revision in between has no delta.
    ///
    /// # Errors
    /// The database is unavailable, or a stored document is invalid.
    pub(super) async fn follow(&mut self, head: &Head, known: &Known) -> Result<Option<Stream>, StoreError> {
        let distance = head.revision.0 - known.revision.0;
        if known.revision == Revision(0) || !(1..=MAX_DELTAS).contains(&distance) {
            return Ok(None);
        }
        let mut deltas = self.deltas(head.key, known.revision, head.revision).await?.into_iter();
        if deltas.next().is_none_or(|first| first.number != known.revision || first.made_at != known.changed_at) {
            return Ok(None);
        }
        let mut stream: Option<Stream> = None;
        let mut reached = known.revision;
        for Delta { number, document, .. } in deltas {
            let Some(delta) = document else { return Ok(None) };
            stream = Some(
                stream.as_ref().unwrap_or(&known.stream).with_delta(&delta).map_err(|problems| invalid(&problems))?,
            );
            reached = number;
        }
        Ok(stream.filter(|_| reached == head.revision))
    }

    /// Returns the revisions from `first` to `last` with what they changed and the actions that created them, in their order.
    ///
    /// # Errors
    /// The database is unavailable, or a stored document is invalid.
    pub async fn revision_changes(
        &mut self,
        key: StreamKey,
        first: Revision,
        last: Revision,
    ) -> Result<Vec<RevisionChange>, StoreError> {
        let rows = sqlx::query!(
            r#"-- name: revision_changes
            select revisions.number, made_at as "made_at: jiff_sqlx::Timestamp", revisions.actor, revisions.actor_name,
                revisions.reason, delta as "delta: Json<DeltaDocument>",
                (select action from audit where audit.product = products.name and audit.stream = streams.name
                    and audit.revision = revisions.number order by audit.id desc limit 1) as action
            from revisions
            join streams on streams.id = stream_id
            join products on products.id = product_id
            where stream_id = $1 and number between $2 and $3 order by number"#,
            key.0,
            first.0,
            last.0
        )
        .fetch_all(self.connection())
        .await
        .map_err(StoreError::at("revision_changes"))?;
        let changes = rows.into_iter().map(|row| RevisionChange {
            number: Revision(row.number),
            made_at: row.made_at.to_jiff(),
            action: row.action,
            actor: actor(row.actor, row.actor_name),
            reason: row.reason,
            delta: row.delta.map(|Json(delta)| delta),
        });
        Ok(changes.collect())
    }

    /// Returns true if a revision was created in a later second than each of the hundred before it, so that its time identifies it.
    ///
    /// # Errors
    /// The database is unavailable.
    pub async fn has_unique_second(&mut self, key: StreamKey, number: Revision) -> Result<bool, StoreError> {
        if number == Revision(1) {
            return Ok(true);
        }
        sqlx::query_scalar!(
            r#"-- name: has_a_second_of_its_own
            select not exists (
                select from (
                    select made_at from revisions where stream_id = $1 and number < $2 order by number desc limit 100
                ) as before
                where made_at >= date_trunc('second', this.made_at)
            ) as "own!"
            from revisions as this where stream_id = $1 and number = $2"#,
            key.0,
            number.0
        )
        .fetch_one(self.connection())
        .await
        .map_err(StoreError::at("has_a_second_of_its_own"))
    }

    /// Returns the metadata of all revisions, oldest first.
    ///
    /// # Errors
    /// The database is unavailable.
    pub async fn revision_records(&mut self, key: StreamKey) -> Result<Vec<(Revision, RevisionMeta)>, StoreError> {
        let rows = sqlx::query!(
            r#"-- name: revision_records
            select number, made_at as "made_at: jiff_sqlx::Timestamp", actor, actor_name, reason, request_id
            from revisions where stream_id = $1 order by number"#,
            key.0
        )
        .fetch_all(self.connection())
        .await
        .map_err(StoreError::at("revision_records"))?;
        let record = rows.into_iter().map(|row| {
            let record = RevisionMeta {
                made_at: row.made_at.to_jiff(),
                actor: actor(row.actor, row.actor_name),
                reason: row.reason,
                request_id: row.request_id,
            };
            (Revision(row.number), record)
        });
        Ok(record.collect())
    }

    /// Returns the metadata of at most `limit` revisions, newest first, optionally only those before a given one.
    ///
    /// # Errors
    /// The database is unavailable.
    pub async fn newest_records(
        &mut self,
        key: StreamKey,
        before: Option<Revision>,
        limit: i64,
    ) -> Result<Vec<(Revision, RevisionMeta)>, StoreError> {
        let rows = sqlx::query!(
            r#"-- name: newest_records
            select number, made_at as "made_at: jiff_sqlx::Timestamp", actor, actor_name, reason, request_id
            from revisions where stream_id = $1 and ($2::bigint is null or number < $2)
            order by number desc limit $3"#,
            key.0,
            before.map(|before| before.0),
            limit,
        )
        .fetch_all(self.connection())
        .await
        .map_err(StoreError::at("newest_records"))?;
        let record = rows.into_iter().map(|row| {
            let record = RevisionMeta {
                made_at: row.made_at.to_jiff(),
                actor: actor(row.actor, row.actor_name),
                reason: row.reason,
                request_id: row.request_id,
            };
            (Revision(row.number), record)
        });
        Ok(record.collect())
    }

    /// Returns the upstream documents of the newest revisions of some streams, by stream.
    pub(super) async fn sources(
        &mut self,
        streams: &[i64],
    ) -> Result<HashMap<i64, BTreeMap<SourceKind, ContentHash>>, StoreError> {
        let rows = sqlx::query!(
            "-- name: sources
            select stream_id, kind, hash from revision_sources
            join streams on streams.id = stream_id and streams.revision = number where stream_id = any($1)",
            streams
        )
        .fetch_all(self.connection())
        .await
        .map_err(StoreError::at("sources"))?;
        let mut sources: HashMap<i64, BTreeMap<SourceKind, ContentHash>> = HashMap::new();
        for row in rows {
            let corrupt = |problem: String| StoreError::corrupt("revision_sources", problem);
            let kind = SourceKind::parse(&row.kind).map_err(|error| corrupt(error.to_string()))?;
            let hash = row.hash.try_into().map_err(|_| corrupt("a hash is not 32 bytes long".into()))?;
            sources.entry(row.stream_id).or_default().insert(kind, ContentHash(hash));
        }
        Ok(sources)
    }
}
