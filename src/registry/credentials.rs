//! Credentials from auth files of container tools.

use super::{error::RegistryError, reference::RepositoryReference};
use crate::files;
use base64::{Engine, engine::general_purpose::STANDARD};
use serde::Deserialize;
use std::{
    collections::BTreeMap,
    fmt,
    fs::File,
    io,
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::Path,
};

/// A user name and a password.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Credentials {
    pub(super) user: String,
    pub(super) password: String,
}

/// Shows nothing of the credentials.
impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credentials")
    }
}

/// An auth file (`containers-auth.json(5)`). Other parts of it, such as helper programs, are not used.
#[derive(Deserialize)]
struct AuthDocument {
    #[serde(default)]
    auths: BTreeMap<String, Entry>,
}

#[derive(Deserialize)]
struct Entry {
    #[serde(default)]
    auth: Option<String>,
}

const MAX_BYTES: u64 = 1 << 20;

/// Reads the credentials for a repository from an auth file, if it has any. Returns `Ok(None)` for a file that does not exist, unless it is required.
pub(super) fn read(
    path: &Path,
    is_required: bool,
    repository: &RepositoryReference,
) -> Result<Option<Credentials>, RegistryError> {
    let failed = |problem: String| RegistryError::AuthFile { path: path.into(), problem };
    let text = match read_private(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound && !is_required => return Ok(None),
        Err(error) => return Err(failed(error.to_string())),
    };
    // The error of the parser could quote the file.
    let document: AuthDocument =
        serde_json::from_slice(&text).map_err(|_| failed("is not a JSON document with `auths`".into()))?;
    find(&document, repository).map_err(|key| failed(format!("has no base64 of user:password for {key}")))
}

/// Reads a file that only its owner can read.
pub(super) fn read_private(path: &Path) -> io::Result<Vec<u8>> {
    // `NONBLOCK`: opening a pipe must not block.
    let nonblock = i32::try_from(rustix::fs::OFlags::NONBLOCK.bits()).unwrap_or_default();
    let file = File::options().read(true).custom_flags(nonblock).open(path)?;
    let mode = file.metadata()?.mode();
    if mode & 0o077 != 0 {
        let problem = format!("has the mode {:04o}, which other accounts can use; set it to 0600", mode & 0o7777);
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, problem));
    }
    files::read_open(&file, MAX_BYTES)
}

/// Finds the entry for the longest part of the repository's name. The error is the name of an entry that cannot be used.
fn find(document: &AuthDocument, repository: &RepositoryReference) -> Result<Option<Credentials>, String> {
    let named: BTreeMap<&str, &Entry> = document.auths.iter().map(|(key, entry)| (normal_key(key), entry)).collect();
    let name = format!("{}/{}", repository.registry(), repository.path());
    let prefixes = std::iter::successors(Some(&*name), |name| name.rsplit_once('/').map(|(parent, _)| parent));
    for prefix in prefixes {
        let Some(auth) = named.get(prefix).and_then(|entry| entry.auth.as_deref()) else { continue };
        return parse(auth).map(Some).ok_or_else(|| prefix.to_owned());
    }
    Ok(None)
}

/// Returns the registry or repository that an entry is for. Docker writes URLs.
fn normal_key(key: &str) -> &str {
    let key = key.strip_prefix("https://").or_else(|| key.strip_prefix("http://")).unwrap_or(key);
    let key = key.trim_end_matches('/');
    let key = key.strip_suffix("/v1").or_else(|| key.strip_suffix("/v2")).unwrap_or(key);
    if key == "index.docker.io" { "docker.io" } else { key }
}

fn parse(auth: &str) -> Option<Credentials> {
    let text = String::from_utf8(STANDARD.decode(auth).ok()?).ok()?;
    let (user, password) = text.split_once(':')?;
    Some(Credentials { user: user.into(), password: password.into() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::payload::Repository;
    use std::{fs::Permissions, os::unix::fs::PermissionsExt};

    fn repository(name: &str) -> RepositoryReference {
        RepositoryReference::try_from(&Repository::parse(name).unwrap()).unwrap()
    }

    /// Reads the user name for an image from a file with this content and mode.
    fn user(content: &str, mode: u32, image: &str) -> Result<Option<String>, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("auth.json");
        std::fs::write(&path, content).unwrap();
        std::fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        let found = read(&path, true, &repository(image));
        found.map(|found| found.map(|found| found.user)).map_err(|error| error.to_string())
    }

    fn auths(entries: &[(&str, &str)]) -> String {
        let entry = |(name, user): &(&str, &str)| {
            ((*name).to_owned(), serde_json::json!({"auth": STANDARD.encode(format!("{user}:secret"))}))
        };
        serde_json::json!({"auths": entries.iter().map(entry).collect::<serde_json::Map<_, _>>()}).to_string()
    }

    #[test]
    fn the_most_specific_entry_is_used() {
        let file = auths(&[
            ("ghcr.io", "registry"),
            ("ghcr.io/acme", "acme"),
            ("ghcr.io/acme/os", "os"),
            ("https://index.docker.io/v1/", "hub"),
            ("localhost:5000", "local"),
        ]);
        for (image, expected) in [
            ("ghcr.io/acme/os", Some("os")),
            ("ghcr.io/acme/other", Some("acme")),
            ("ghcr.io/acme2/os", Some("registry")),
            ("docker.io/acme/os", Some("hub")),
            ("localhost:5000/os", Some("local")),
            ("localhost:5001/os", None),
            ("quay.io/acme/os", None),
        ] {
            assert_eq!(user(&file, 0o600, image).unwrap().as_deref(), expected, "{image}");
        }
    }

    #[test]
    fn a_file_that_others_can_read_is_refused() {
        let file = auths(&[("ghcr.io", "registry")]);
        for mode in [0o640, 0o604, 0o644, 0o660] {
            let error = user(&file, mode, "ghcr.io/acme/os").unwrap_err();
            assert!(error.contains("set it to 0600"), "{error}");
        }
        assert!(user(&file, 0o400, "ghcr.io/acme/os").unwrap().is_some());
    }

    #[test]
    fn errors_do_not_quote_the_file() {
        let broken = r#"{"auths": {"ghcr.io": {"auth": "c2VjcmV0"}}}"#;
        for content in [broken, r#"{"auths": {"ghcr.io": "c2VjcmV0"}}"#, "c2VjcmV0"] {
            let error = user(content, 0o600, "ghcr.io/acme/os").unwrap_err();
            assert!(!error.contains("c2VjcmV0") && !error.contains("secret"), "{error}");
        }
        let credentials = Credentials { user: "user".into(), password: "secret".into() };
        assert_eq!(format!("{credentials:?}"), "Credentials");
    }

    #[test]
    fn only_a_required_file_must_exist() {
        let (path, image) = (Path::new("/nonexistent/auth.json"), repository("ghcr.io/acme/os"));
        assert_eq!(read(path, false, &image).unwrap(), None);
        assert!(read(path, true, &image).is_err());
    }
}
