//! Why an image was not read.

use super::address::PrivateAddress;
use std::path::PathBuf;
use thiserror::Error;

/// Why an image was not read. No message contains credentials.
#[derive(Debug, Error)]
pub enum RegistryError {
    /// No registry is allowed.
    #[error("images are not read from registries: the setting registries.allow is empty")]
    NoneAllowed,
    /// The registry is not allowed.
    #[error("{0} is not in the setting registries.allow")]
    NotAllowed(String),
    /// The registry that the reference names has a private address.
    #[error("{}: list the registry in the setting registries.private to allow that", describe(_0))]
    Private(PrivateHost),
    /// There is no such image.
    #[error("the registry has no image {0}")]
    NotFound(String),
    /// The registry refuses to show the image.
    #[error("the registry refuses access to {image}{}", if *.has_credentials { " with the credentials of its auth file" } else { ": there are no credentials for it" })]
    Denied {
        /// The image.
        image: String,
        /// True if credentials were sent.
        has_credentials: bool,
    },
    /// The image cannot become a release.
    #[error("the image {0}")]
    Unusable(String),
    /// The file with credentials cannot be used.
    #[error("auth file {}: {problem}", path.display())]
    AuthFile {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// The file with the secret of webhooks cannot be used.
    #[error("webhook secret file {}: {problem}", path.display())]
    SecretFile {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// A server cannot be reached, or its response broke off.
    #[error("the request to {host} failed")]
    Http {
        /// The server.
        host: String,
        /// The cause, without the URL.
        source: reqwest::Error,
    },
    /// The registry did not answer in time.
    #[error("the registry {0} did not answer in time")]
    Timeout(String),
    /// A server limits requests.
    #[error("{0} answered with the status 429: it limits requests")]
    TooManyRequests(String),
    /// The registry failed for other images of the repository.
    #[error("the registry {0} was not asked, because requests for other images failed")]
    GivenUp(String),
    /// A server sent what it must not send.
    #[error("{host} {problem}")]
    Answer {
        /// The server.
        host: String,
        /// What is wrong.
        problem: String,
    },
    /// The registry has an image whose documents cannot be used, whatever it does: their digest is that of their content.
    #[error("{host} {problem}")]
    Content {
        /// The registry.
        host: String,
        /// What is wrong.
        problem: String,
    },
    /// The registry sends this service to a server with a private address.
    #[error(
        "{by} refers to a private address: {}; list the host in the setting registries.private to allow that",
        describe(host)
    )]
    ToPrivate {
        /// The registry.
        by: String,
        /// The server.
        host: PrivateHost,
    },
}

/// A host with a private address.
#[derive(Debug)]
pub struct PrivateHost(pub(super) PrivateAddress);

fn describe(host: &PrivateHost) -> &PrivateAddress {
    &host.0
}

/// What has to change before the image can be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The request, or what is allowed.
    Request,
    /// The registry.
    Registry,
    /// The settings of this service.
    Settings,
}

impl RegistryError {
    /// Returns what has to change before the image can be read.
    #[must_use]
    pub fn fault(&self) -> Fault {
        match self {
            Self::NoneAllowed
            | Self::NotAllowed(_)
            | Self::Private(_)
            | Self::NotFound(_)
            | Self::Denied { .. }
            | Self::Unusable(_) => Fault::Request,
            Self::AuthFile { .. } | Self::SecretFile { .. } => Fault::Settings,
            Self::Http { .. }
            | Self::Timeout(_)
            | Self::TooManyRequests(_)
            | Self::GivenUp(_)
            | Self::Answer { .. }
            | Self::Content { .. }
            | Self::ToPrivate { .. } => Fault::Registry,
        }
    }

    /// Returns true if other images of the registry cannot be read now, either.
    #[must_use]
    pub fn concerns_registry(&self) -> bool {
        match self {
            Self::NoneAllowed
            | Self::NotAllowed(_)
            | Self::Private(_)
            | Self::AuthFile { .. }
            | Self::SecretFile { .. }
            | Self::Http { .. }
            | Self::Timeout(_)
            | Self::TooManyRequests(_)
            | Self::GivenUp(_) => true,
            Self::NotFound(_)
            | Self::Denied { .. }
            | Self::Unusable(_)
            | Self::Answer { .. }
            | Self::Content { .. }
            | Self::ToPrivate { .. } => false,
        }
    }

    /// Returns the error for callers of the API, who need not know paths of files.
    #[must_use]
    pub fn without_paths(&self) -> String {
        match self {
            Self::AuthFile { problem, .. } => {
                format!("the file of the setting registries.auth_file cannot be read: {problem}")
            }
            Self::SecretFile { problem, .. } => {
                format!("the file of the setting registries.webhook_secret_file cannot be read: {problem}")
            }
            error => error.to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn callers_do_not_get_paths_of_files() {
        let (path, problem) = (PathBuf::from("/etc/secret/auth.json"), String::from("has the mode 0644"));
        let error = RegistryError::AuthFile { path, problem };
        assert!(error.to_string().contains("/etc/secret"), "the log has it");
        let expected = "the file of the setting registries.auth_file cannot be read: has the mode 0644";
        assert_eq!(error.without_paths(), expected);
        let other = RegistryError::Timeout("ghcr.io".into());
        assert_eq!(other.without_paths(), other.to_string());
    }
}
