//! Events.

use crate::domain::event::{Event, EventKind, EventRollout};
use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

/// The kind of an event.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum EventKindModel {
    /// A stream was changed: it has a new revision.
    Revision,
    /// A rollout of a published release reached a share of 0.01, 0.1, 0.25, 0.5, 0.75 or 1.
    RolloutShare,
    /// A rollout of a published release came to a gate, where it waits until a release manager lets it pass.
    GateWaiting,
    /// An emergency stop of a stream or of a product began.
    StopBegun,
    /// An emergency stop of a stream or of a product was lifted.
    StopEnded,
}

/// An event: the data of a server-sent event, on one line.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({ "id": 1_784_728_800_017_i64, "at": "2026-07-22T20:00:00Z", "kind": "rollout_share", "product": "fedora-coreos",
    "stream": "stable", "release": "44.20260722.3.0", "rollout": 1, "share": 0.25 }))]
pub struct EventModel {
    /// The id of the event; later events have higher ids.
    pub id: i64,
    /// When it happened. Of a share or a gate: when the plan of the rollout reached it, or when the change was made that reached it.
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
    /// What happened.
    pub kind: EventKindModel,
    /// The product.
    pub product: String,
    /// The stream; null if the event concerns a product with all of its streams.
    pub stream: Option<String>,
    /// The revision. Only of `revision`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revision: Option<i64>,
    /// The action that created the revision, as in the audit log: `rollout.pause`. Only of `revision`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub command: Option<String>,
    /// The display name of the actor. Only of `revision`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub actor: Option<String>,
    /// The reason. Only of `revision` and `stop_begun`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The version of the release. Only of `rollout_share` and `gate_waiting`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub release: Option<String>,
    /// The id of the rollout. Only of `rollout_share` and `gate_waiting`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rollout: Option<u32>,
    /// The share that was reached, 0 to 1. Only of `rollout_share`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub share: Option<f64>,
    /// The share, 0 to 1, to which the rollout opens once it has passed the gate. Only of `gate_waiting`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_share: Option<f64>,
}

impl EventModel {
    /// Describes an event.
    #[must_use]
    pub fn new(id: i64, event: Event) -> Self {
        let Event { at, product, stream, kind } = event;
        let empty = Self {
            id,
            at,
            kind: EventKindModel::from(&kind),
            product: product.to_string(),
            stream: stream.map(|stream| stream.to_string()),
            revision: None,
            command: None,
            actor: None,
            reason: None,
            release: None,
            rollout: None,
            share: None,
            next_share: None,
        };
        match kind {
            EventKind::Revision { revision, command, actor, reason } => {
                Self { revision: Some(revision.0), command, actor: Some(actor), reason: Some(reason), ..empty }
            }
            EventKind::RolloutShare { rollout, share } => Self { share: Some(share), ..empty.about(&rollout) },
            EventKind::GateWaiting { rollout, next_share } => {
                Self { next_share: Some(next_share), ..empty.about(&rollout) }
            }
            EventKind::StopBegun { reason } => Self { reason: Some(reason), ..empty },
            EventKind::StopEnded => empty,
        }
    }

    fn about(self, rollout: &EventRollout) -> Self {
        Self { release: Some(rollout.release.to_string()), rollout: Some(rollout.id.number()), ..self }
    }
}

impl EventKindModel {
    /// Returns the value of the field `event` of a server-sent event.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Revision => "revision",
            Self::RolloutShare => "rollout_share",
            Self::GateWaiting => "gate_waiting",
            Self::StopBegun => "stop_begun",
            Self::StopEnded => "stop_ended",
        }
    }
}

impl From<&EventKind> for EventKindModel {
    fn from(kind: &EventKind) -> Self {
        match kind {
            EventKind::Revision { .. } => Self::Revision,
            EventKind::RolloutShare { .. } => Self::RolloutShare,
            EventKind::GateWaiting { .. } => Self::GateWaiting,
            EventKind::StopBegun { .. } => Self::StopBegun,
            EventKind::StopEnded => Self::StopEnded,
        }
    }
}

/// The data of the server-sent event `missed`: events were deleted before the client could get them. Those that are kept follow.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({ "oldest": 1_784_728_800_017_i64 }))]
pub struct MissedEventsModel {
    /// The id of the oldest event that is kept, or of the next one if none is.
    pub oldest: i64,
}
