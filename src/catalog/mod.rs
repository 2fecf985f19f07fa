//! The read side: every stream as one immutable value in memory, with the answers already rendered.
//!
//! Polls read this and nothing else. Must not live here: a protocol's words (it is handed a [`Render`]) or a rule.

mod entry;
mod live;
mod rendered;
mod streams;

pub use entry::{Scope, StreamEntry};
pub use live::{Follower, Live};
pub use rendered::{Render, Rendered};
pub use streams::Catalog;
