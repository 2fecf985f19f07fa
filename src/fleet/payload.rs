//! The grammar of payloads, which is strict enough to keep out everything else that a node may send.

use crate::domain::identifier;
use std::net::Ipv4Addr;
use uuid::Uuid;

/// The maximum length of a repository with its host, by the grammar of references.
const MAX_REPOSITORY: usize = 255;
/// The maximum length of a DNS name, and of one of its labels (RFC 1035, section 2.3.4).
const MAX_HOST: usize = 253;
const MAX_LABEL: usize = 63;

/// Returns true for a checksum (64 lower-case hexadecimal digits), and for a pull spec by digest (`host[:port]/path@sha256:` and 64 such
/// digits, by the grammar of container references). The host must be a DNS name, and no part may be a user or a node's id.
pub(super) fn is_payload(text: &str) -> bool {
    match text.split_once('@') {
        None => is_sha256(text),
        Some((repository, digest)) => {
            digest.strip_prefix("sha256:").is_some_and(is_sha256) && is_repository(repository)
        }
    }
}

fn is_sha256(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

fn is_repository(text: &str) -> bool {
    let Some((host, path)) = text.split_once('/') else { return false };
    let (host, port) = match host.split_once(':') {
        Some((host, port)) => (host, Some(port)),
        None => (host, None),
    };
    text.len() <= MAX_REPOSITORY && is_host(host) && port.is_none_or(is_port) && path.split('/').all(is_component)
}

fn is_port(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit()) && text.parse::<u16>().is_ok_and(|port| port > 0)
}

/// Returns true for a DNS name of at least two labels, or `localhost`. Any other single label is the name of a machine.
fn is_host(text: &str) -> bool {
    let is_label = |label: &str| {
        (1..=MAX_LABEL).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
            && !is_id(label)
    };
    // A name whose last label is a number is read as an IPv4 address (URL standard, "ends in a number checker").
    let is_number = |label: &str| {
        let digits = label.strip_prefix("0x").or_else(|| label.strip_prefix("0X"));
        digits.is_some_and(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()))
            || label.bytes().all(|byte| byte.is_ascii_digit())
    };
    let last = text.rsplit('.').next().unwrap_or_default();
    text.len() <= MAX_HOST
        && text.split('.').all(is_label)
        && (text.contains('.') || text == "localhost")
        && !is_number(last)
}

/// Returns true for a path component that is neither an address nor a node's id.
fn is_component(text: &str) -> bool {
    identifier::is_component(text) && text.parse::<Ipv4Addr>().is_err() && !is_id(text)
}

/// Returns true for a UUID or a machine id, which are 128 bits in hexadecimal digits.
fn is_id(text: &str) -> bool {
    Uuid::try_parse(text).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGEST: &str = "5cd9bb2d1a7a5f7a1c9c0f3b8d2e4f60718293a4b5c6d7e8f90a1b2c3d4e5f60";

    #[test]
    fn checksums_and_pull_specs_are_payloads() {
        assert!(is_payload(DIGEST));
        for repository in [
            "quay.io/fedora/fedora-coreos",
            "registry.example.org:5000/os",
            "localhost/os",
            "localhost:5000/a/b/c",
            "Registry.Example.ORG/os",
            "xn--bcher-kva.example/os",
            "registry.k8s.io/a.b_c__d---e/f0",
            "1password.example/os",
            "10.example/os",
        ] {
            assert!(is_payload(&format!("{repository}@sha256:{DIGEST}")), "{repository}");
        }
        let long = format!("a.example/{}", "b".repeat(MAX_REPOSITORY - "a.example/".len()));
        assert!(is_payload(&format!("{long}@sha256:{DIGEST}")));
        assert!(!is_payload(&format!("{long}b@sha256:{DIGEST}")));
    }

    #[test]
    fn nothing_that_may_identify_a_node_is_a_payload() {
        for repository in [
            // Addresses.
            "192.0.2.7/os",
            "192.0.2.7:5000/os",
            "3221225991/os",
            "0xc0000207/os",
            "a.0x7f/os",
            "192.0.2/os",
            "[2001:db8::7]/os",
            "[2001:db8::7]:5000/os",
            "2001:db8::7/os",
            "quay.io/192.0.2.7/os",
            // Users, and what looks like an e-mail address.
            "user@quay.io/os",
            "user:secret@quay.io/os",
            "core@node.example",
            // Names of machines, and ids of nodes.
            "node17/os",
            "node17:5000/os",
            "46d354cf6750611965bb70cbc6c2d868.example/os",
            "46d354cf-6750-6119-65bb-70cbc6c2d868.example/os",
            "quay.io/46d354cf6750611965bb70cbc6c2d868",
            "quay.io/46d354cf-6750-6119-65bb-70cbc6c2d868/os",
        ] {
            assert!(!is_payload(&format!("{repository}@sha256:{DIGEST}")), "{repository}");
        }
        for text in ["46d354cf6750611965bb70cbc6c2d868", "core@node.example", "192.0.2.7", ""] {
            assert!(!is_payload(text), "{text}");
        }
    }

    #[test]
    fn text_that_breaks_the_grammar_is_not_a_payload() {
        for repository in [
            "",
            "/os",
            "quay.io",
            "quay.io/",
            "quay.io//os",
            "quay.io/os/",
            "quay.io/OS",
            "quay.io/os:tag",
            "quay.io/-os",
            "quay.io/os-",
            "quay.io/a..b",
            "quay.io/a___b",
            "quay.io/a._b",
            "quay.io/ö",
            "quay.io/o s",
            "quay.io/o\u{1b}[2Js",
            "quay.io/os\n1\tfedora-coreos/stable",
            "quay.io/o\u{202e}s",
            "quay.io:/os",
            "quay.io:0/os",
            "quay.io:65536/os",
            "quay.io:+80/os",
            "quay..io/os",
            ".quay.io/os",
            "quay.io./os",
            "-quay.io/os",
            "quay_.io/os",
            "https://quay.io/os",
        ] {
            assert!(!is_payload(&format!("{repository}@sha256:{DIGEST}")), "{repository:?}");
        }
        let label = "a".repeat(MAX_LABEL + 1);
        for text in [
            format!("{label}.example/os@sha256:{DIGEST}"),
            format!("quay.io/os@sha512:{DIGEST}{DIGEST}"),
            format!("quay.io/os@sha256:{}", DIGEST.to_uppercase()),
            format!("quay.io/os@sha256:{DIGEST}0"),
            format!("quay.io/os@sha256:{DIGEST}@sha256:{DIGEST}"),
            format!("quay.io/os@{DIGEST}"),
            format!("@sha256:{DIGEST}"),
            DIGEST.to_uppercase(),
            format!("{DIGEST}\n"),
            format!("sha256:{DIGEST}"),
            DIGEST.replace('5', "g"),
        ] {
            assert!(!is_payload(&text), "{text:?}");
        }
    }
}
