//! The rules, as pure functions: streams of releases in, update graphs and decisions out.
//!
//! Belongs here: the domain types, which cannot hold invalid values, one file per policy, and what is computed from them (graph,
//! node view, route, diff, document). Does not belong here: I/O, async, a clock, randomness, HTTP, SQL, or a term that only one agent
//! protocol uses. The time and the node are arguments.

pub mod actor;
pub mod admission;
pub mod artifact;
pub mod base;
pub mod changes;
pub mod description;
pub mod dialect;
pub mod diff;
pub mod document;
pub mod duration;
pub mod edit;
pub mod epoch;
pub mod event;
pub mod finding;
pub mod follow;
pub mod graph;
pub mod hash;
pub mod identifier;
pub mod ids;
pub mod image;
pub mod image_check;
pub mod image_targets;
mod interned;
pub mod located;
pub mod origin;
pub mod payload;
pub mod policy;
pub mod product_preset;
pub mod reason;
pub mod release;
pub mod rollout;
pub mod shared;
pub mod stream;
pub mod tag_order;
pub mod text;

#[cfg(test)]
mod invariants;
#[cfg(test)]
pub(crate) mod samples;
