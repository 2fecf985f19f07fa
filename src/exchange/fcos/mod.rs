//! Fedora CoreOS's public metadata.

pub mod model;
pub mod source;
