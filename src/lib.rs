//! Lockkeeper: tells machines which operating system to boot next.
//!
//! The map of the house; `docs/ARCHITECTURE.md` says what lives where and who may import whom.

pub mod api;
pub mod auth;
pub mod catalog;
pub mod cli;
pub mod clock;
pub mod config;
pub mod domain;
pub mod exchange;
pub mod fleet;
pub mod http;
pub mod manage;
pub mod operate;
pub mod protocol;
pub mod server;
pub mod store;
pub mod telemetry;
