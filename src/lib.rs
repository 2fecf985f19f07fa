//! Lockkeeper: tells machines which operating system to boot next.
//!
//! The map of the house; `docs/ARCHITECTURE.md` says what lives where and who may import whom.

pub mod domain;
