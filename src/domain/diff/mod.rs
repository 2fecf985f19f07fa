//! The differences between two states of a stream: typed changes, and their text.
//!
//! Belongs here: what a change is about ([`Target`]), its value on either side ([`Fact`]), and the comparison. Does not belong here: what
//! a change does to nodes (`admission::impact`), or its form in JSON.

mod compare;
mod fact;
mod facts;
mod target;

pub use compare::{Change, Diff};
pub use fact::Fact;
pub use target::{ReleaseId, Target};
