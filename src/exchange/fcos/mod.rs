//! Fedora CoreOS's public metadata: fetched, made into streams, merged over what is there.

pub mod export;
pub mod import;
pub mod merge;
pub mod model;
pub mod shadow;
pub mod source;
