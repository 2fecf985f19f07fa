//! The protocols of agents, one folder each: they parse requests and render answers.
//!
//! Protocols do not know each other. Outside of this module, only the exchange of documents knows a protocol's formats.

pub mod fcos;
