//! Fedora CoreOS: the Cincinnati dialect of Zincati, and the documents that its project publishes.
//!
//! [`wire`] has the shapes of upstream's documents, [`query`] parses polls, [`answer`] decides on the response, and [`render`]
//! formats it. Rules that other protocols share and writes to the database do not belong here.

pub mod answer;
mod dialect;
mod document_routes;
pub mod documents;
pub mod images;
mod json;
mod node_size;
pub mod node_view;
pub mod poll;
mod prepared;
mod protocol;
pub mod query;
pub mod refusal;
pub mod render;
mod represent;
mod routes;
mod section;
pub mod wire;

pub use answer::{Answer, Settings, UnknownPayload, answer};
pub use dialect::FcosDialect;
pub use prepared::{FcosPrepare, FcosPrepared, PreparedStream};
pub use protocol::Fcos;
pub use query::{Query, View};
pub use refusal::Refusal;
pub use render::GraphJson;
pub use section::FcosSection;

/// The name of this protocol.
const NAME: &str = "fedora-coreos";

/// The architectures of Fedora CoreOS. Every stream accepts them, even without releases for them.
pub const ARCHES: [&str; 4] = ["aarch64", "ppc64le", "s390x", "x86_64"];
