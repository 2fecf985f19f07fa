//! PostgreSQL: stored data, and the transactions that change it.
//!
//! All SQL lives here, one file per table family, with private row types that become domain types or a typed error. Rules do
//! not live here: the database enforces what it can, and `manage` decides what may change.

pub mod access;
mod artifacts;
pub mod audit;
pub mod bases;
pub mod database;
pub mod dump;
pub mod embedded;
mod error;
pub mod events;
pub mod followed_tags;
pub mod follows;
pub mod health;
pub mod idempotency;
pub mod image_checks;
mod installation;
mod load;
mod payloads;
mod policies;
mod predecessors;
mod presets;
mod products;
mod releases;
pub mod retried_tags;
pub mod revisions;
mod rollouts;
mod rows;
pub mod signal;
pub mod signing_keys;
pub mod state;
pub mod stops;
pub mod streams;
pub mod task_lock;
pub mod tokens;
mod transaction;
pub mod upstream;

pub use access::{Access, AccessError};
pub use database::Store;
pub use error::{Retryable, StoreError};
pub use products::{ProductRecord, PublishedProduct};
pub use rows::StreamKey;
pub use state::{Known, State};
pub use stops::ProductStops;
pub use transaction::{Transaction, retrying};
