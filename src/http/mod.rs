//! What every HTTP face shares: entity tags, problem documents, the request log, limits. It knows no resource.

pub mod access;
pub mod certificate;
pub mod client_addr;
pub mod encoding;
pub mod etag;
pub mod layers;
pub mod problem;
