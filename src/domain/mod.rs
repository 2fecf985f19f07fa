//! The rules, pure: streams of releases in, update graphs and decisions out.
//!
//! Lives here: the vocabulary as types that cannot hold a bad value, one file a policy, and what follows from them (graph,
//! node view, route, difference, document). Must not live here: I/O, async, a clock, randomness, HTTP, SQL, or a word that
//! only one agent's protocol uses. The time and the node are arguments.

pub mod arch;
pub mod artifact;
pub mod barrier;
pub mod blocked;
pub mod dead_end;
pub mod diff;
pub mod document;
pub mod duration;
pub mod edit;
pub mod epoch;
pub mod finding;
pub mod freeze;
pub mod graph;
pub mod hash;
pub mod lint;
pub mod opening;
pub mod origin;
pub mod payload;
pub mod preset;
pub mod product;
pub mod protection;
pub mod ramp;
pub mod reach;
pub mod reason;
pub mod release;
pub mod rollout;
pub mod route;
pub mod selector;
pub mod share;
pub mod standing;
pub mod stream;
pub mod text;
pub mod version;
pub mod wariness;

#[cfg(test)]
mod laws;
#[cfg(test)]
pub(crate) mod samples;
