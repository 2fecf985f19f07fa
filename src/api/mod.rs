//! The REST API for release managers. Handlers extract the request, call `manage` and map the result; rules do not belong here.
//!
//! [`v1`] has one file per resource, [`model`] the bodies, [`openapi`] the description of all operations.

mod body;
mod event_stream;
mod failures;
mod load;
pub mod model;
pub mod openapi;
mod page;
mod parameters;
mod paths;
mod query;
mod refuse;
mod request;
mod respond;
mod state;
mod tag;
pub mod v1;

pub use load::restricts;
pub use state::{Api, ApiParts};

/// The path prefix of all operations.
pub const PREFIX: &str = "/api/v1";
