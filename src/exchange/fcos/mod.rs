//! Import, export and comparison of Fedora CoreOS's public metadata.

mod error;
pub mod export;
pub mod import;
pub mod merge;
mod metadata;
pub mod model;
mod operations;
pub mod removals;
mod settings;
pub mod shadow;
pub mod source;
mod texts;

pub use operations::EXCHANGE;
