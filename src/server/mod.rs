//! The server: builds the state, mounts the routers, listens, and drains. Only the command line imports it.

#[cfg(test)]
mod accept_loop_tests;
mod activity;
mod admission;
mod agents;
mod connection;
mod database;
mod endpoint;
mod endpoints;
mod error;
mod event_loops;
mod fast_path;
mod listen;
mod local_stop;
mod pool;
mod preface;
mod protocols;
mod rejection_slots;
mod reserved;
mod seed;
mod send;
mod service;
mod status;
mod throttle;
mod tls;
mod watch;

pub use error::ServeError;
pub use event_loops::EventLoopHealth;
pub(crate) use fast_path::parse_plain_poll;
pub use protocols::Registry;
pub use service::Service;
