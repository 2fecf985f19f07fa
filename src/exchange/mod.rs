//! Import and export: converts documents to streams and streams to documents.
//!
//! Rules about releases, SQL and HTTP routes do not belong here.

pub mod documents;
pub mod fcos;
mod locate;
mod toml_text;
