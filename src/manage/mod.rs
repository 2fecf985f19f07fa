//! What release managers do: commands that change streams and products, and reads.
//!
//! A change is a value, a [`Command`], which the executor authorises, plans, writes and records in one transaction: the API, the
//! command line, the first start and every import use it. HTTP and the catalog do not belong here: commands are applied to rows under
//! the stream's lock.

mod address;
mod command;
pub mod commands;
mod error;
mod events;
mod executor;
mod findings_cache;
mod graph_size;
mod idempotency;
mod image_source;
mod inheritance;
mod inspection;
mod manager;
mod plan;
mod products;
mod publication_images;
pub mod read;
mod refusal;
mod report;
mod report_parts;
mod request;
mod start;
mod stream_cache;
mod tokens;
mod upstream;
mod write;
mod write_queues;

pub use address::{ReleaseAddress, RolloutAddress};
pub use command::{Command, LoadedReads, Need, Next, Present, ProductCommand, ProductState, Provenance, Reads};
pub use error::CommandError;
pub use events::{EventFilter, EventItem, EventReader, EventWriter};
pub use image_source::{ImageAnswers, ImageSource};
pub use manager::Manage;
pub use read::{ReadError, StreamAtRevision};
pub use refusal::Refusal;
pub use report::{ImpactReport, ProductReport, Report, Update};
pub use report_parts::{ChangeReport, ChangeTarget, FindingReport, SeverityReport};
pub use request::{Action, Request};
pub use start::{FirstStream, StartError};
pub use tokens::{RevokedToken, TokenRequest};
pub use upstream::UpstreamDocument;

/// Stored records, for modules that may not import the store.
pub mod records {
    pub use crate::store::{
        StoreError, audit::AuditEntry, followed_tags::FollowedTag, follows::WaitingTags, retried_tags::RetriedTag,
        revisions::RevisionMeta, signing_keys::SigningKeyRow, streams::Head, tokens::TokenRow,
    };
}

#[cfg(test)]
mod testing;
