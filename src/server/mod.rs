//! The composition root: builds the state, mounts the routers, listens, drains. Nobody imports it but the command line.

mod listen;
mod seed;
mod service;
mod status;

pub use service::{ServeError, Service};
