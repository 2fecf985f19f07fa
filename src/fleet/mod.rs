//! Counts from polls that help to run releases. Nothing that identifies a node is kept.

mod payload;
mod unknown;

pub use unknown::{KnownElsewhere, UnknownPayload, UnknownPayloads, Unknowns};
