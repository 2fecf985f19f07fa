//! Documents in and out: what comes from outside becomes streams, and streams become documents again.
//!
//! Must not live here: a rule about releases, SQL, or an HTTP route.

pub mod documents;
pub mod fcos;
mod locate;
mod toml_text;
