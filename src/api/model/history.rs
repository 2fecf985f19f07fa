//! Revisions and audit entries.

use crate::manage::{read::RevisionRecord, records::AuditEntry};
use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

/// A revision of a stream: its actor, time and reason.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({ "revision": 41, "created_at": "2026-07-22T14:00:00Z", "actor": "token:6f1c0f6e-6c1f-4f2e-9b5e-2f4a52a1f6d1",
    "actor_name": "ci", "reason": "release 44.20260722.3.0" }))]
pub struct RevisionModel {
    /// The number of the revision, from 1.
    pub revision: i64,
    /// When the revision was created.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    /// The id of the actor: `token:<token id>`, `https://issuer.example:<subject>` or `local:<user>`.
    pub actor: String,
    /// The actor's display name. Several actors may have the same name; ids are unique.
    pub actor_name: String,
    /// The reason that the actor gave.
    pub reason: String,
    /// The id of the request (`X-Request-Id`); absent if it had none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
}

impl RevisionModel {
    /// Describes a revision.
    #[must_use]
    pub fn new(RevisionRecord { revision, meta }: RevisionRecord) -> Self {
        Self {
            revision: revision.0,
            created_at: meta.made_at,
            actor: meta.actor.id,
            actor_name: meta.actor.name,
            reason: meta.reason,
            request_id: meta.request_id,
        }
    }
}

/// An entry of the audit log: one action.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({ "id": 1207, "at": "2026-07-23T02:00:00Z", "actor": "token:6f1c0f6e-6c1f-4f2e-9b5e-2f4a52a1f6d1",
    "actor_name": "desk", "action": "rollout.pause",
    "product": "fedora-coreos", "stream": "stable", "revision": 42, "subject": "releases/44.20260722.3.0/rollouts/1/pause",
    "reason": "nodes do not come up again" }))]
pub struct AuditEntryModel {
    /// The number of the entry; later entries have higher numbers.
    pub id: i64,
    /// When the action happened.
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
    /// The id of the actor: `token:<token id>`, `https://issuer.example:<subject>` or `local:<user>`.
    pub actor: String,
    /// The actor's display name. Several actors may have the same name; ids are unique.
    pub actor_name: String,
    /// The action, such as `rollout.pause`.
    pub action: String,
    /// The product; absent if the action concerns no product.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub product: Option<String>,
    /// The stream; absent if the action concerns no single stream.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stream: Option<String>,
    /// The revision that the action created; absent if it created none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revision: Option<i64>,
    /// The target of the action: the path below the stream, or a token or signing key. The `place` of a finding is something
    /// else: where a problem is, as text for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// The reason that the actor gave.
    pub reason: String,
    /// The id of the request (`X-Request-Id`); absent if it had none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
}

impl AuditEntryModel {
    /// Describes numbered entries.
    #[must_use]
    pub fn all(entries: Vec<(i64, AuditEntry)>) -> Vec<Self> {
        entries.into_iter().map(|(id, entry)| Self::new(id, entry)).collect()
    }

    fn new(id: i64, entry: AuditEntry) -> Self {
        Self {
            id,
            at: entry.at,
            actor: entry.actor.id,
            actor_name: entry.actor.name,
            action: entry.action,
            product: entry.product,
            stream: entry.stream,
            revision: entry.revision,
            subject: entry.subject,
            reason: entry.reason,
            request_id: entry.request_id,
        }
    }
}
