//! Reports of registries: which repositories have changed, and the secret by which a registry proves that it sends them.

use super::{credentials::read_private, error::RegistryError};
use base64::{Engine, engine::general_purpose::STANDARD};
use hmac::{Hmac, KeyInit, Mac};
use http::{HeaderMap, header};
use serde_json::Value;
use sha2::Sha256;
use std::{collections::BTreeSet, fmt, path::Path};
use subtle::ConstantTimeEq;
use thiserror::Error;

/// The secret that registries send with their reports.
#[derive(Clone)]
pub struct WebhookSecret(String);

/// Shows nothing of the secret.
impl fmt::Debug for WebhookSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WebhookSecret")
    }
}

/// What a request proves itself by.
pub enum WebhookProof {
    /// The secret itself: a bearer token, or the password of a user.
    Secret(String),
    /// The HMAC-SHA-256 of the body with the secret as its key.
    Signature(Vec<u8>),
}

/// The error for a report that cannot be understood.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ReportError {
    /// The body is not JSON.
    #[error("the body is not JSON")]
    NotJson,
    /// The body has none of the forms that are known.
    #[error(
        "the body is not a report that is known: expected one of a registry by the distribution specification, or of GitHub, Quay, Docker Hub, Harbor, \
         Azure or Amazon"
    )]
    Unknown,
}

/// The shortest secret, in bytes.
const MIN_SECRET: usize = 16;
/// The header with which GitHub signs.
const SIGNATURE: &str = "x-hub-signature-256";
/// The largest number of repositories of a report.
const MAX_REPOSITORIES: usize = 100;
/// The longest path of a repository, in bytes.
const MAX_PATH: usize = 255;

impl WebhookSecret {
    /// Reads the secret from a file that only its owner can read, without the line end.
    ///
    /// # Errors
    /// The file cannot be read, others can read it, or the secret is too short.
    pub fn from_file(path: &Path) -> Result<Self, RegistryError> {
        let failed = |problem: String| RegistryError::SecretFile { path: path.into(), problem };
        let content = read_private(path).map_err(|error| failed(error.to_string()))?;
        let text = String::from_utf8(content).map_err(|_| failed("is not UTF-8 text".into()))?;
        let secret = text.trim_end_matches(['\r', '\n']);
        if secret.len() < MIN_SECRET || secret.chars().any(char::is_control) {
            return Err(failed(format!("must be one line of at least {MIN_SECRET} bytes")));
        }
        Ok(Self(secret.to_owned()))
    }

    /// Returns true if the request is one of a registry that knows the secret. How long this takes does not depend on how much of a proof is right.
    #[must_use]
    pub fn admits(&self, proof: &WebhookProof, body: &[u8]) -> bool {
        match proof {
            WebhookProof::Secret(given) => given.as_bytes().ct_eq(self.0.as_bytes()).into(),
            WebhookProof::Signature(signature) => Hmac::<Sha256>::new_from_slice(self.0.as_bytes())
                .is_ok_and(|mac| mac.chain_update(body).verify_slice(signature).is_ok()),
        }
    }
}

impl WebhookProof {
    /// Returns what a request proves itself by, if it has exactly one such header.
    #[must_use]
    pub fn from_headers(headers: &HeaderMap) -> Option<Self> {
        let value = |name: &str| {
            let mut values = headers.get_all(name).iter();
            let value = values.next()?.to_str().ok()?;
            values.next().is_none().then_some(value)
        };
        if headers.contains_key(SIGNATURE) {
            return hex(value(SIGNATURE)?.strip_prefix("sha256=")?).map(Self::Signature);
        }
        let (scheme, credentials) = value(header::AUTHORIZATION.as_str())?.split_once(' ')?;
        if scheme.eq_ignore_ascii_case("bearer") {
            return Some(Self::Secret(credentials.trim().into()));
        }
        let decoded = scheme.eq_ignore_ascii_case("basic").then(|| STANDARD.decode(credentials.trim()).ok())??;
        let (_, password) = std::str::from_utf8(&decoded).ok()?.split_once(':')?;
        Some(Self::Secret(password.into()))
    }
}

fn hex(text: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u8>> =
        text.chars().map(|digit| digit.to_digit(16).and_then(|digit| u8::try_from(digit).ok())).collect();
    let digits = digits.filter(|digits| digits.len() == 64)?;
    Some(digits.chunks(2).map(|pair| pair.iter().fold(0, |byte, digit| byte << 4 | digit)).collect())
}

/// Returns the paths of the repositories that a report names, such as `acme/os`, without their registry. A report of what is not a change names none.
///
/// # Errors
/// The body is not a report that is known.
pub fn reported_repositories(body: &[u8]) -> Result<Vec<String>, ReportError> {
    let report: Value = serde_json::from_slice(body).map_err(|_| ReportError::NotJson)?;
    let named = named_in(&report).ok_or(ReportError::Unknown)?;
    let paths: BTreeSet<String> = named.into_iter().filter(|path| !path.is_empty() && path.len() <= MAX_PATH).collect();
    Ok(paths.into_iter().take(MAX_REPOSITORIES).collect())
}

/// Returns what a report names; `None` if it has none of the forms that are known.
fn named_in(report: &Value) -> Option<Vec<String>> {
    let text = |pointer: &str| report.pointer(pointer).and_then(Value::as_str);
    // A registry by the distribution specification: an envelope of events. Pulls change nothing.
    if let Some(events) = report.get("events").and_then(Value::as_array) {
        return Some(events.iter().filter_map(of_event).collect());
    }
    // Azure: a single such event.
    if report.get("target").is_some() {
        return Some(of_event(report).into_iter().collect());
    }
    // GitHub: the owner and the name of the package.
    for package in ["/registry_package", "/package"] {
        if let Some(name) = text(&format!("{package}/name")) {
            let owner = text(&format!("{package}/namespace")).or_else(|| text(&format!("{package}/owner/login")))?;
            return Some(vec![format!("{owner}/{name}").to_ascii_lowercase()]);
        }
    }
    // GitHub: the first request to a new webhook.
    if report.get("hook_id").is_some() && report.get("zen").is_some() {
        return Some(Vec::new());
    }
    // In this order: Harbor, Harbor as a CloudEvent, Docker Hub, Amazon, Quay.
    let places = [
        "/event_data/repository/repo_full_name",
        "/data/repository/repo_full_name",
        "/repository/repo_name",
        "/detail/repository-name",
        "/repository",
    ];
    places.into_iter().find_map(text).map(|name| vec![name.to_owned()])
}

fn of_event(event: &Value) -> Option<String> {
    let is_pull = event.get("action").and_then(Value::as_str) == Some("pull");
    let repository = event.pointer("/target/repository").and_then(Value::as_str);
    repository.filter(|_| !is_pull).map(ToOwned::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;
    use serde_json::json;
    use std::{fs::Permissions, os::unix::fs::PermissionsExt};

    fn read(content: &[u8], mode: u32) -> Result<WebhookSecret, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        std::fs::write(&path, content).unwrap();
        std::fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        WebhookSecret::from_file(&path).map_err(|error| error.to_string().replace(&*path.to_string_lossy(), "FILE"))
    }

    #[test]
    fn a_secret_is_one_line_that_only_its_owner_can_read() {
        assert_eq!(read(b"0123456789abcdef\n", 0o600).unwrap().0, "0123456789abcdef");
        let short = "webhook secret file FILE: must be one line of at least 16 bytes";
        for content in ["", "0123456789abcde\n", "0123456789abcdef\nx"] {
            assert_eq!(read(content.as_bytes(), 0o600).unwrap_err(), short, "{content:?}");
        }
        assert_eq!(read(&[0xff; 20], 0o600).unwrap_err(), "webhook secret file FILE: is not UTF-8 text");
        assert!(read(b"0123456789abcdef", 0o644).unwrap_err().contains("set it to 0600"));
        assert_eq!(format!("{:?}", read(b"0123456789abcdef", 0o600).unwrap()), "WebhookSecret");
    }

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| (http::HeaderName::from_static(name), HeaderValue::from_str(value).unwrap()))
            .collect()
    }

    #[test]
    fn a_request_proves_itself_by_the_secret_or_by_a_signature_of_its_body() {
        let secret = WebhookSecret("the secret of a webhook".into());
        let admits = |pairs: &[(&'static str, &str)], body: &[u8]| {
            WebhookProof::from_headers(&headers(pairs)).is_some_and(|proof| secret.admits(&proof, body))
        };
        // Computed by another program.
        let signature = "sha256=04d496c5fe569af3f3e9675c8c94a38d561be4d109aa8f28e0942bea0ee4b491";
        assert!(admits(&[("x-hub-signature-256", signature)], b"Hello, World!"));
        assert!(!admits(&[("x-hub-signature-256", signature)], b"Hello, World"));
        assert!(!admits(&[("x-hub-signature-256", &signature[..signature.len() - 2])], b"Hello, World!"));
        assert!(!admits(&[("x-hub-signature-256", &signature[7..])], b"Hello, World!"));

        assert!(admits(&[("authorization", "Bearer the secret of a webhook")], b""));
        let basic = |text: &str| format!("Basic {}", STANDARD.encode(text));
        assert!(admits(&[("authorization", &basic("quay:the secret of a webhook"))], b""));
        for wrong in
            ["Bearer", "Bearer x", "Token the secret of a webhook", "Basic x", &basic("quay:x"), &basic("quay")]
        {
            assert!(!admits(&[("authorization", wrong)], b""), "{wrong}");
        }
        assert!(!admits(&[], b""));
        let right = "Bearer the secret of a webhook";
        assert!(!admits(&[("authorization", right), ("authorization", right)], b""));
        // A signature that is wrong is not made up for.
        assert!(!admits(&[("authorization", right), ("x-hub-signature-256", "sha256=00")], b""));
    }

    #[test]
    fn the_repositories_of_known_reports_are_found() {
        let event = |action: &str, name: &str| json!({"action": action, "target": {"repository": name, "tag": "1"}});
        for (report, expected) in [
            (
                json!({"events": [event("push", "acme/os"), event("pull", "acme/tool"), event("push", "acme/os")]}),
                vec!["acme/os"],
            ),
            (json!({"events": []}), vec![]),
            (event("push", "os"), vec!["os"]),
            (json!({"registry_package": {"name": "OS", "namespace": "Acme"}}), vec!["acme/os"]),
            (
                json!({"package": {"name": "os", "owner": {"login": "acme"}}, "repository": {"name": "x"}}),
                vec!["acme/os"],
            ),
            (json!({"zen": "Keep it logically awesome.", "hook_id": 1}), vec![]),
            (json!({"name": "os", "repository": "acme/os", "docker_url": "quay.io/acme/os"}), vec!["acme/os"]),
            (json!({"push_data": {"tag": "1"}, "repository": {"repo_name": "acme/os"}}), vec!["acme/os"]),
            (
                json!({"type": "PUSH_ARTIFACT", "event_data": {"repository": {"repo_full_name": "acme/os"}}}),
                vec!["acme/os"],
            ),
            (json!({"specversion": "1.0", "data": {"repository": {"repo_full_name": "acme/os"}}}), vec!["acme/os"]),
            (json!({"detail-type": "ECR Image Action", "detail": {"repository-name": "acme/os"}}), vec!["acme/os"]),
        ] {
            assert_eq!(reported_repositories(report.to_string().as_bytes()).unwrap(), expected, "{report}");
        }
    }

    #[test]
    fn other_reports_are_rejected_and_long_ones_are_cut() {
        assert_eq!(reported_repositories(b"{"), Err(ReportError::NotJson));
        assert_eq!(reported_repositories("[".repeat(100_000).as_bytes()), Err(ReportError::NotJson));
        for other in ["{}", "[]", "1", r#"{"repository": 1}"#, r#"{"package": {"name": "os"}}"#] {
            assert_eq!(reported_repositories(other.as_bytes()), Err(ReportError::Unknown), "{other}");
        }
        let event = |number: usize| json!({"target": {"repository": format!("acme/{number}")}});
        let many = json!({"events": (0..1000).map(event).collect::<Vec<_>>()});
        assert_eq!(reported_repositories(many.to_string().as_bytes()).unwrap().len(), MAX_REPOSITORIES);
        let long = json!({"events": [{"target": {"repository": "x".repeat(256)}}]});
        assert_eq!(reported_repositories(long.to_string().as_bytes()), Ok(Vec::new()));
    }
}
