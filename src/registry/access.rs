//! Which registries may be read, and with which credentials.

use super::{
    credentials::{self, Credentials},
    error::RegistryError,
    reference::RepositoryReference,
};
use crate::config::HostPattern;
use reqwest::Url;
use std::path::PathBuf;

/// Which registries may be read, and with which credentials.
#[derive(Debug)]
pub(super) struct Access {
    /// The registries that may be named; `None` if any may be.
    pub(super) allow: Option<Vec<HostPattern>>,
    pub(super) private: Vec<HostPattern>,
    pub(super) auth_files: Vec<AuthFile>,
}

/// A file with credentials.
#[derive(Debug, Clone)]
pub struct AuthFile {
    /// Its path.
    pub path: PathBuf,
    /// True if it must exist.
    pub is_required: bool,
}

impl Access {
    /// Checks that the registry of a repository may be named.
    pub(super) fn check(&self, repository: &RepositoryReference) -> Result<(), RegistryError> {
        match &self.allow {
            Some(allow) if allow.is_empty() => Err(RegistryError::NoneAllowed),
            Some(allow) if !allow.iter().any(|pattern| pattern.matches(repository.named_url())) => {
                Err(RegistryError::NotAllowed(repository.registry().to_owned()))
            }
            _ => Ok(()),
        }
    }

    /// Returns true if the host of a URL may have a private address. Without a list, a registry may have one that the caller `names`; hosts
    /// that registries refer to may not.
    pub(super) fn allows_private(&self, url: &Url, names: &RepositoryReference) -> bool {
        let is_trusted = self.allow.is_none() && url.origin() == names.url().origin();
        is_trusted || self.private.iter().any(|pattern| pattern.matches(url))
    }

    /// Reads the credentials for a repository: those of the first file that has an entry for it.
    pub(super) fn credentials(&self, repository: &RepositoryReference) -> Result<Option<Credentials>, RegistryError> {
        for AuthFile { path, is_required } in &self.auth_files {
            if let Some(found) = credentials::read(path, *is_required, repository)? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }
}
