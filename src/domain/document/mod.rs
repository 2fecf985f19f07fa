//! A stream as one document, which revisions store and users write.
//!
//! [`shape`] is the format, which is the same in TOML and JSON. [`Stream::from_document`](super::stream::Stream::from_document) checks a document
//! and reports each invalid field. [`Stream::to_document`](super::stream::Stream::to_document) writes equal streams as equal documents.

pub mod base_shape;
mod delta;
mod field_path;
pub mod follow_shape;
pub mod parts;
mod preset;
pub mod preset_shape;
mod read;
mod read_base;
mod read_blocked;
mod read_follow;
mod read_graph_rules;
mod read_payload;
mod read_protection;
mod read_release;
mod read_rollout;
pub mod shape;
mod targets;
mod write;
mod write_base;

pub use delta::DeltaDocument;
pub use field_path::field_path;
pub use read::{MAX_PROBLEMS, Problem, Strictness};
pub use shape::StreamDocument;
pub use write::{artifact, protection, release, rollout, stop};
pub use write_base::{base_policies, built_on};

/// The version of the format that this program reads and writes.
pub const FORMAT: u32 = 1;
