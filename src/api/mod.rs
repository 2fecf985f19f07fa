//! The REST face of what release managers do: extract, ask `manage`, map. Must not live here: a rule.
//!
//! [`v1`] has one file a resource, [`model`] the shapes, [`openapi`] the description of all of it.

mod ask;
mod body;
pub mod model;
pub mod openapi;
mod page;
mod paths;
mod refuse;
mod respond;
mod state;
mod tag;
pub mod v1;

pub use state::Api;

/// What the paths of all its operations begin with.
pub const PREFIX: &str = "/api/v1";
