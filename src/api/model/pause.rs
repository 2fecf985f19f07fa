//! When a rollout stood still.

use crate::manage::read::{Cause, Pause};
use serde::Serialize;
use utoipa::ToSchema;

/// A time in which a rollout stood still.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Pause, example = json!({
    "kind": "pause", "from": "2026-07-22T20:00:00Z", "until": "2026-07-23T08:00:00Z", "seconds": 43200,
    "begun": { "actor": "token:6f1c0f6e-6c1f-4f2e-9b5e-2f4a52a1f6d1", "actor_name": "desk", "reason": "nodes do not come up again" },
    "ended": { "actor": "token:6f1c0f6e-6c1f-4f2e-9b5e-2f4a52a1f6d1", "actor_name": "desk", "reason": "it was the network" }
}))]
pub struct PauseModel {
    /// `pause`, or `gate` while it waited at a gate.
    pub kind: &'static str,
    /// When it began.
    #[schema(format = DateTime)]
    pub from: String,
    /// When it ended; absent if the rollout still stands still.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    pub until: Option<String>,
    /// Its length in seconds; absent if the rollout still stands still.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seconds: Option<i64>,
    /// Who began it, and why; absent for a gate, at which the rollout arrives by itself, and for an emergency stop.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub begun: Option<CauseModel>,
    /// Who ended it, and why; absent if the rollout still stands still.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ended: Option<CauseModel>,
}

/// Who changed a rollout, and why.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Cause)]
pub struct CauseModel {
    /// The id of the actor.
    pub actor: String,
    /// The display name of the actor.
    pub actor_name: String,
    /// The reason that the actor gave.
    pub reason: String,
}

impl PauseModel {
    /// Describes a pause.
    #[must_use]
    pub fn new(pause: &Pause) -> Self {
        let cause = |cause: &Cause| CauseModel {
            actor: cause.actor.id.clone(),
            actor_name: cause.actor.name.clone(),
            reason: cause.reason.clone(),
        };
        Self {
            kind: pause.kind.as_str(),
            from: pause.from.to_string(),
            until: pause.until.map(|until| until.to_string()),
            seconds: pause.until.map(|until| until.since(pause.from)),
            begun: pause.begun.as_ref().map(cause),
            ended: pause.ended.as_ref().map(cause),
        }
    }
}
