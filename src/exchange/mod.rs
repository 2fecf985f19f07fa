//! Import and export: converts documents to streams and streams to documents.
//!
//! Rules about releases, SQL and HTTP routes do not belong here.

pub mod documents;
pub mod fcos;
mod locate;
mod operation;
mod registry;
mod toml_text;

pub use operation::{
    Arguments, Comparison, Difference, Documents, Exchange, Export, Exported, Fetched, Graph, Hints, Import, Operation,
    Round, Servers,
};
pub use registry::EXCHANGES;
