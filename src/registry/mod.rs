//! Reads images from container registries: what a tag or a digest stands for, which tags a repository has, by the pull part of the OCI distribution
//! specification, and whether they still have an image.
//!
//! Registries are not trusted. Addresses, sizes, times and redirects are bounded here, and credentials leave this module for the registry that they
//! are for only. What becomes of an image does not belong here.

mod access;
mod address;
mod challenge;
mod credentials;
mod error;
mod presence;
mod read;
mod reference;
mod registries;
mod session;
mod tags;
mod webhook;
mod wire;

pub use access::AuthFile;
pub use error::{Fault, RegistryError};
pub use presence::{Missing, Presence, WantedImage};
pub use reference::{ImageReference, ReferenceError, RepositoryReference};
pub use registries::Registries;
pub use tags::{FailedTag, TagDigests, TagList};
pub use webhook::{ReportError, WebhookProof, WebhookSecret, reported_repositories};
