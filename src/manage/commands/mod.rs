//! Every change that a release manager can make, one file per resource.

pub mod all_rollouts;
pub mod artifacts;
pub mod bases;
pub mod batch;
pub mod descriptions;
pub mod documents;
pub mod images;
mod known_payloads;
pub mod payloads;
pub mod policies;
pub mod predecessors;
pub mod presets;
pub mod product_stops;
pub mod products;
pub mod releases;
pub mod restore;
pub mod revert;
pub mod rollout_actions;
pub mod rollouts;
pub mod stops;
pub mod streams;
pub mod undo;

#[cfg(test)]
mod every_command_tests;
#[cfg(test)]
mod rollout_sequences_tests;
