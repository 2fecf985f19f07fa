//! A private PostgreSQL for one machine: found, made, started, shared by the processes that need it, stopped by the last.
//!
//! [`binaries`] finds the programs, [`account`] the user they run as, [`place`] where things lie, [`cluster`] does the rest.

mod account;
mod binaries;
mod cluster;
mod error;
mod place;

pub use cluster::Cluster;
pub use error::EmbeddedError;
