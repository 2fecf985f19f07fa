//! The read side: all streams as one immutable value in memory, with prepared answers.
//!
//! Polls read only this. Rules and formats of protocols do not belong here: a protocol passes in what implements [`Prepare`], and gets its
//! [`Prepared`] answers back.

mod body_file;
mod cached_graph;
mod encoding;
mod entry;
mod fragments;
mod full_graphs;
mod graph_cache;
mod handle;
mod hashed_file;
mod known;
mod local_stop;
mod missing;
mod node_profile;
mod prepared;
mod preparer;
mod product;
mod rendered;
mod retry_delay;
mod saver;
mod scope;
mod scopes;
mod snapshot;
mod streams;
mod sync;
mod worker;

pub use body_file::BodyFile;
pub use encoding::{Codecs, Coding, Encode};
pub use entry::StreamEntry;
pub use graph_cache::GraphCache;
pub use handle::{CatalogHandle, LocalStop};
pub use local_stop::LocalStopFile;
pub use missing::MissingGraph;
pub use prepared::{Prepare, Prepared, PreparedScopes, Preparers, ProductView};
pub use preparer::Preparer;
pub use rendered::{NodeFragment, Render, Rendered};
pub use retry_delay::RetryDelay;
pub use scope::Scope;
pub use scopes::StreamScopes;
pub use snapshot::{SnapshotError, SnapshotStore};
pub use streams::Catalog;
pub use sync::{CatalogSync, SyncDeps};
