//! The read side: every stream as one immutable value in memory, with the answers already rendered.
//!
//! Polls read this and nothing else. Must not live here: a protocol's words (it is handed a [`Render`]) or a rule.

mod body_file;
mod copy;
mod entry;
mod follower;
mod live;
mod rendered;
mod scope;
mod streams;

pub use body_file::BodyFile;
pub use copy::{CopyError, DiskCopy};
pub use entry::StreamEntry;
pub use follower::{Backoff, Follower, Following};
pub use live::Live;
pub use rendered::{Piece, Render, Rendered};
pub use scope::Scope;
pub use streams::Catalog;
