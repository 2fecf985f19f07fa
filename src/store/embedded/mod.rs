//! A private PostgreSQL for one machine: created and started on demand, shared by processes, stopped by the last one.
//!
//! [`binaries`] finds the programs, [`account`] chooses the user that runs them, [`directory`] prepares the folders, [`cluster`]
//! creates, starts and stops the server.

mod account;
mod binaries;
mod cluster;
mod directory;
mod error;

pub use cluster::Cluster;
pub use error::EmbeddedError;
