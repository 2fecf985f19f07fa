//! Loads streams: from their rows, many at a time, or from an earlier state and what changed since then.

use super::{
    bases,
    error::StoreError,
    rows::{parse, parse_all},
    state::{Known, State},
    streams::Head,
    transaction::Transaction,
};
use crate::domain::{
    admission::{emergency_stop::EmergencyStop, protection::Protection},
    document::{
        Problem, base_shape::BasePolicyDocument, follow_shape::FollowDocument, parts, shape::ProtectionDocument,
    },
    epoch::Epoch,
    follow::Follow,
    ids::StreamId,
    policy::graph_rules::{EdgeRule, GraphRules, Identity, NewestTargets, TargetLimit},
    reason::Reason,
    rollout::preset::Preset,
    stream::Stream,
};
use sqlx::types::Json;
use std::collections::HashMap;

/// The number of streams whose rows are read together. More would take more memory at a time, fewer more queries.
const STREAMS_AT_A_TIME: usize = 16;

impl Transaction {
    /// Loads a stream: from an earlier state and what changed since then, or else from its rows.
    ///
    /// # Errors
    /// The database is unavailable, or a row is invalid.
    pub async fn load_stream_from(&mut self, head: &Head, earlier: Option<&Known>) -> Result<Stream, StoreError> {
        if let Some(earlier) = earlier
            && let Some(stream) = self.follow(head, earlier).await?
        {
            return Ok(Stream { product_stop: self.product_stop(&head.id.product).await?, ..stream });
        }
        self.load_stream(head).await
    }

    /// Loads a stream from its rows.
    ///
    /// # Errors
    /// The database is unavailable, or a row is invalid.
    pub async fn load_stream(&mut self, head: &Head) -> Result<Stream, StoreError> {
        let stream = self.load_streams(std::slice::from_ref(head)).await?.pop();
        stream.ok_or_else(|| StoreError::corrupt("streams", "a stream that has a revision is missing"))
    }

    /// Loads streams at their newest revisions, many at a time. Calls `failed` for each stream with an invalid row, and leaves it out.
    ///
    /// # Errors
    /// The database is unavailable.
    pub async fn load_states(
        &mut self,
        heads: &[Head],
        mut failed: impl FnMut(&Head, StoreError),
    ) -> Result<Vec<State>, StoreError> {
        let mut states = Vec::with_capacity(heads.len());
        for heads in heads.chunks(STREAMS_AT_A_TIME) {
            match self.load_streams(heads).await {
                Ok(streams) => {
                    for (head, stream) in heads.iter().zip(streams) {
                        match self.state_of(head, stream, None).await {
                            Err(error @ StoreError::Corrupt { .. }) => failed(head, error),
                            state => states.push(state?),
                        }
                    }
                }
                // One of them has an invalid row.
                Err(StoreError::Corrupt { .. }) => {
                    for head in heads {
                        match self.load_state(head, None).await {
                            Err(error @ StoreError::Corrupt { .. }) => failed(head, error),
                            state => states.push(state?),
                        }
                    }
                }
                Err(error) => return Err(error),
            }
        }
        Ok(states)
    }

    /// Loads streams from their rows, in the given order.
    async fn load_streams(&mut self, heads: &[Head]) -> Result<Vec<Stream>, StoreError> {
        let keys: Vec<i64> = heads.iter().map(|head| head.key.0).collect();
        let rows = sqlx::query!(
            "-- name: stream_settings
            select streams.id, streams.arches, streams.mirrors, streams.edge_rule, streams.identity, streams.newest_targets,
                streams.default_rollout, streams.description, streams.protection as \"protection: Json<ProtectionDocument>\",
                streams.stopped_since, streams.stopped_because, streams.base_lag,
                (select base.name from streams as base where base.id = streams.base_id) as base_stream,
                (select products.name from streams as base join products on products.id = base.product_id
                    where base.id = streams.base_id) as base_product,
                streams.follow as \"follow: Json<FollowDocument>\",
                streams.base_policies as \"base_policies: Json<Vec<BasePolicyDocument>>\"
            from streams
            where streams.id = any($1)",
            &keys
        )
        .fetch_all(self.connection())
        .await
        .map_err(StoreError::at("stream_settings"))?;
        let mut settings: HashMap<i64, _> = rows.into_iter().map(|row| (row.id, row)).collect();
        let mut releases = self.releases(&keys).await?;
        self.fill_payloads(&keys, &mut releases).await?;
        self.fill_policies(&keys, &mut releases).await?;
        self.fill_predecessors(&keys, &mut releases).await?;
        self.fill_rollouts(&keys, &mut releases).await?;
        self.fill_artifacts(&keys, &mut releases).await?;
        let mut blocked_updates = self.blocked_updates(&keys).await?;
        let mut sources = self.sources(&keys).await?;
        let stops = self.product_stops().await?;
        let mut streams = Vec::with_capacity(heads.len());
        for Head { key, id, .. } in heads {
            let missing = || StoreError::corrupt("streams", "a stream that has a revision is missing");
            let row = settings.remove(&key.0).ok_or_else(missing)?;
            let stream = Stream {
                description: row.description.as_deref().map(|text| parse("streams", text)).transpose()?,
                rules: graph_rules(&row.edge_rule, &row.identity, row.newest_targets)?,
                protection: protection(row.protection)?,
                default_rollout: row.default_rollout.as_deref().map(preset).transpose()?,
                base: bases::base(
                    row.base_product.as_deref(),
                    row.base_stream.as_deref(),
                    row.base_lag,
                    row.base_policies.as_ref().map(|Json(policies)| policies.as_slice()).unwrap_or_default(),
                )?,
                follow: row.follow.as_ref().map(follow).transpose()?,
                stop: stop(row.stopped_since, row.stopped_because.as_deref())?,
                product_stop: stops.active.get(&id.product).cloned(),
                arches: parse_all("streams", &row.arches)?,
                mirrors: parse_all("streams", &row.mirrors)?,
                blocked_updates: blocked_updates.remove(&key.0).unwrap_or_default(),
                sources: sources.remove(&key.0).unwrap_or_default(),
                releases: releases.take(*key),
                id: StreamId::clone(id),
            };
            // At once: what the next stream needs while it is loaded then fits where this one was.
            streams.push(stream.compacted());
        }
        Ok(streams)
    }
}

fn preset(name: &str) -> Result<Preset, StoreError> {
    Preset::from_name(name).ok_or_else(|| StoreError::corrupt("streams", format!("unknown preset {name:?}")))
}

fn stop(since: Option<i64>, because: Option<&str>) -> Result<Option<EmergencyStop>, StoreError> {
    let Some((since, because)) = since.zip(because) else { return Ok(None) };
    let reason = Reason::new(because).map_err(|error| StoreError::corrupt("streams", error))?;
    Ok(Some(EmergencyStop { since: Epoch(since), reason }))
}

fn graph_rules(edge_rule: &str, identity: &str, newest_targets: Option<i16>) -> Result<GraphRules, StoreError> {
    let unknown = |name: &str| StoreError::corrupt("streams", format!("unknown graph rule {name:?}"));
    let targets = newest_targets.map_or(Ok(TargetLimit::All), |number| {
        let newest = u16::try_from(number).ok().and_then(NewestTargets::new);
        newest.map(TargetLimit::Newest).ok_or_else(|| StoreError::corrupt("streams", format!("{number} targets")))
    })?;
    Ok(GraphRules {
        edge_rule: EdgeRule::from_name(edge_rule).ok_or_else(|| unknown(edge_rule))?,
        identity: Identity::from_name(identity).ok_or_else(|| unknown(identity))?,
        targets,
    })
}

fn protection(document: Option<Json<ProtectionDocument>>) -> Result<Protection, StoreError> {
    let Some(Json(document)) = document else { return Ok(Protection::default()) };
    parts::protection(&document).map_err(|problems| corrupt(&problems))
}

fn follow(Json(document): &Json<FollowDocument>) -> Result<Box<Follow>, StoreError> {
    parts::follow(document).map(Box::new).map_err(|problems| corrupt(&problems))
}

fn corrupt(problems: &[Problem]) -> StoreError {
    let problems: Vec<String> = problems.iter().map(ToString::to_string).collect();
    StoreError::corrupt("streams", problems.join("; "))
}
