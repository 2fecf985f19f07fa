//! Follows container registries: new tags of the repositories that streams follow become releases.
//!
//! One process at a time looks, and at each stream by a timer, or when a registry reports a change. Which tags are new is decided here; what a
//! release needs is decided by the command that creates it. A registry that fails delays its own streams only, and a tag that fails no other tag.

mod known_tags;
mod look;
mod looker;
mod new_tags;
mod process;
mod release;
mod schedule;
mod tag_results;

pub use process::Follower;
