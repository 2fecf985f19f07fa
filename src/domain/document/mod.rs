//! A stream as one document: what revisions keep, and what people write by hand.
//!
//! [`shape`] is the format itself, the same in TOML and in JSON. [`Stream::from_document`](super::stream::Stream::from_document) checks it and names each field
//! that is wrong; [`Stream::to_document`](super::stream::Stream::to_document) writes it, equal streams as equal documents.

pub mod parts;
mod read;
mod read_protection;
mod read_release;
mod read_rollout;
pub mod shape;
mod write;

pub use read::{Problem, Strictness};
pub use shape::StreamDocument;
pub use write::{artifact, protection, release, rollout};

/// The version of the format that this program reads and writes.
pub const FORMAT: u32 = 1;
