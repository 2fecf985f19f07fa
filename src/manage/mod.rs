//! What release managers do. Each operation checks, writes, records and announces in one transaction.
//!
//! [`change`] is the only way to change a stream: the API, the command line and every import call it. HTTP, SQL and the catalog
//! do not belong here: decisions are made on rows under the stream's lock.

pub mod change;
mod edit;
mod idempotency;
pub mod policies;
pub mod read;
mod refusal;
mod releases;
mod report;
mod request;
mod rollouts;
mod stops;
mod streams;
mod tokens;
mod write_queues;

pub use change::{Author, Change, ChangeError, Decision, Manage, Outcome, UpstreamDocument};
pub use edit::Edited;
pub use read::StreamAtRevision;
pub use refusal::EditError;
pub use refusal::Refusal;
pub use releases::Promoted;
pub use report::{ImpactReport, ProductStopReport, Report, Update};
pub use request::{Action, Request};
pub use rollouts::{RolloutAddress, Verb};
pub use tokens::{RevokedToken, TokenRequest};

/// Stored records, for modules that may not import the store.
pub mod records {
    pub use crate::store::{
        StoreError,
        audit::{AuditEntry, AuditFilter},
        revisions::RevisionMeta,
        signing_keys::SigningKeyRow,
        streams::Head,
        tokens::TokenRow,
    };
}
