//! HTTP building blocks of all listeners: entity tags, problem documents, the access log, limits. They know no resource.

pub mod access;
pub mod certificate;
pub mod client_addr;
pub mod encoding;
pub mod etag;
pub mod host;
pub mod layers;
pub mod problem;
