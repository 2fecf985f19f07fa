//! Lockkeeper: a service that answers which operating system a machine boots next.
//!
//! `docs/ARCHITECTURE.md` describes the modules and which module may import which.

pub mod api;
pub mod auth;
pub mod catalog;
pub mod cli;
pub mod clock;
pub mod config;
pub mod domain;
pub mod escape;
pub mod exchange;
pub mod files;
pub mod fleet;
pub mod follower;
#[doc(hidden)]
pub mod fuzzing;
pub mod http;
pub mod image_check;
pub mod manage;
pub mod operate;
pub mod outbound;
pub mod protocol;
pub mod registry;
pub mod server;
pub mod store;
pub mod telemetry;
