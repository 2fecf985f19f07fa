//! Fedora CoreOS: the Cincinnati dialect of Zincati, and the documents that its project publishes.
//!
//! [`wire`] has the shapes of upstream's documents, [`query`] what an agent asks, [`answer`] decides, [`render`] writes the
//! answer. Must not live here: rules that other protocols share, or writing to the store.

pub mod answer;
pub mod document_routes;
pub mod documents;
pub mod images;
pub mod node_view;
pub mod poll;
pub mod query;
pub mod refusal;
pub mod render;
mod represent;
pub mod routes;
pub mod wire;

pub use answer::{Answer, Settings, UnknownPayload, answer};
pub use query::{Query, View};
pub use refusal::Refusal;
pub use render::GraphJson;

/// The arches that Fedora CoreOS exists for: known to every stream, with or without releases.
pub const ARCHES: [&str; 4] = ["aarch64", "ppc64le", "s390x", "x86_64"];
