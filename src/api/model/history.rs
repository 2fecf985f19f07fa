//! Revisions and the record of acts.

use crate::{
    domain::stream::Revision,
    manage::kept::{Act, Record},
};
use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

/// Who made a revision of a stream, when and why.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({ "revision": 41, "made_at": "2026-07-22T14:00:00Z", "actor": "token:ci", "reason": "release 44.20260722.3.0" }))]
pub struct RevisionModel {
    /// Its number, from 1.
    pub revision: i64,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    pub made_at: Timestamp,
    /// By whom: `token:ci`, `https://issuer.example:somebody`, `local:core`.
    pub actor: String,
    /// Why.
    pub reason: String,
    /// The request by which it was made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
}

impl RevisionModel {
    /// Of its record.
    #[must_use]
    pub fn of((revision, record): (Revision, Record)) -> Self {
        Self {
            revision: revision.0,
            made_at: record.made_at,
            actor: record.actor,
            reason: record.reason,
            request_id: record.request_id,
        }
    }
}

/// Something that was done.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({ "id": 1207, "at": "2026-07-23T02:00:00Z", "actor": "token:desk", "action": "rollout.pause",
    "product": "fedora-coreos", "stream": "stable", "revision": 42, "subject": "releases/44.20260722.3.0/rollouts/1/pause",
    "reason": "nodes do not come up again" }))]
pub struct ActModel {
    /// Its number; later ones are higher.
    pub id: i64,
    /// When.
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
    /// Who.
    pub actor: String,
    /// What was done.
    pub action: String,
    /// The product that it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub product: Option<String>,
    /// The stream that it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stream: Option<String>,
    /// The revision that came of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revision: Option<i64>,
    /// What it was done to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// Why.
    pub reason: String,
    /// The request by which it was done.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
}

impl ActModel {
    /// Of its row.
    #[must_use]
    pub fn of((id, act): (i64, Act)) -> Self {
        Self {
            id,
            at: act.at,
            actor: act.actor,
            action: act.action,
            product: act.product,
            stream: act.stream,
            revision: act.revision,
            subject: act.subject,
            reason: act.reason,
            request_id: act.request_id,
        }
    }
}
