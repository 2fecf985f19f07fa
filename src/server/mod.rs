//! The composition root: builds the state, mounts the routers, listens, drains. Nobody imports it but the command line.

mod connection;
mod database;
mod error;
mod front;
mod fronts;
mod listen;
mod places;
mod pulse;
mod quick;
mod seed;
mod send;
mod service;
mod status;
mod tls;
mod watch;

pub use error::ServeError;
pub use pulse::Pulse;
pub use service::Service;
