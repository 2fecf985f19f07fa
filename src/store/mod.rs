//! PostgreSQL: what is kept, and the transactions in which it changes.
//!
//! All SQL lives here, one file a table family, with private row types that become domain types or a typed error. Must not
//! live here: a rule. The database enforces what it can; what may change, `manage` decides.

pub mod access;
mod artifacts;
pub mod audit;
pub mod database;
pub mod dump;
pub mod embedded;
mod error;
pub mod health;
pub mod idempotency;
mod installation;
mod payloads;
mod policies;
mod releases;
pub mod revisions;
mod rollouts;
mod rows;
pub mod signal;
pub mod state;
pub mod streams;
pub mod tokens;
mod transaction;
pub mod upstream;

pub use access::{Access, AccessError};
pub use database::Store;
pub use error::{LostRace, StoreError};
pub use rows::StreamKey;
pub use state::State;
pub use transaction::{Transaction, retrying};
