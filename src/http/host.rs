//! The `Host` header of HTTP/1 (RFC 9112, section 3.2).

use http::{HeaderMap, Version, header};
use std::net::Ipv6Addr;

/// Returns true if an HTTP/1 request has one `Host` header with a valid value. Before HTTP/1.1, the header may be absent.
#[must_use]
pub fn has_valid_host(version: Version, headers: &HeaderMap) -> bool {
    let mut hosts = headers.get_all(header::HOST).iter();
    match (hosts.next(), hosts.next()) {
        (None, _) => version < Version::HTTP_11,
        (Some(host), None) => is_valid_host(host.as_bytes()),
        (Some(_), Some(_)) => false,
    }
}

/// Returns true if a value is a host with an optional port (RFC 3986, section 3.2). Both may be empty.
#[must_use]
pub fn is_valid_host(value: &[u8]) -> bool {
    if let Some(literal) = value.strip_prefix(b"[") {
        let end = literal.iter().position(|byte| *byte == b']').unwrap_or(literal.len());
        let (address, rest) = literal.split_at(end);
        let address = std::str::from_utf8(address).ok().and_then(|text| text.parse::<Ipv6Addr>().ok());
        return address.is_some() && rest.strip_prefix(b"]").is_some_and(is_port);
    }
    let end = value.iter().position(|byte| *byte == b':').unwrap_or(value.len());
    let (name, port) = value.split_at(end);
    is_name(name) && is_port(port)
}

/// Returns true for a colon and a port, and for empty text.
fn is_port(text: &[u8]) -> bool {
    text.is_empty() || text.strip_prefix(b":").is_some_and(|port| port.iter().all(u8::is_ascii_digit))
}

/// Returns true for a registered name or an IPv4 address.
fn is_name(mut text: &[u8]) -> bool {
    loop {
        text = match text {
            [] => return true,
            [b'%', first, second, rest @ ..] if first.is_ascii_hexdigit() && second.is_ascii_hexdigit() => rest,
            [byte, rest @ ..] if byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=".contains(byte) => rest,
            _ => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    #[test]
    fn hosts_are_names_or_addresses_with_a_port() {
        for valid in [
            "",
            "x",
            "updates.example.org",
            "updates.example.org:8080",
            "updates.example.org:",
            "192.0.2.1:80",
            "[2001:db8::1]",
            "[2001:db8::1]:443",
            "a_b~%2f,c",
            ":80",
        ] {
            assert!(is_valid_host(valid.as_bytes()), "{valid}");
        }
        for invalid in [
            "a b",
            "a/b",
            "user@example.org",
            "a,b c",
            "example.org:http",
            "a:1:2",
            "[2001:db8::1",
            "[2001:db8::1]x",
            "[nonsense]",
            "2001:db8::1",
            "a%2",
            "a%zz",
            "a?b",
            "\u{e4}",
            "a\tb",
        ] {
            assert!(!is_valid_host(invalid.as_bytes()), "{invalid}");
        }
    }

    #[test]
    fn http_1_1_requires_exactly_one_host() {
        let has_valid_host = |version, hosts: &[&'static str]| {
            let mut headers = HeaderMap::new();
            for host in hosts {
                headers.append(header::HOST, HeaderValue::from_static(host));
            }
            super::has_valid_host(version, &headers)
        };
        assert!(has_valid_host(Version::HTTP_11, &["x"]) && has_valid_host(Version::HTTP_11, &[""]));
        assert!(has_valid_host(Version::HTTP_10, &["x"]) && has_valid_host(Version::HTTP_10, &[]));
        for (version, hosts) in [
            (Version::HTTP_11, &[][..]),
            (Version::HTTP_11, &["x", "x"]),
            (Version::HTTP_11, &["x y"]),
            (Version::HTTP_10, &["x", "y"]),
            (Version::HTTP_10, &["x y"]),
        ] {
            assert!(!has_valid_host(version, hosts), "{version:?} {hosts:?}");
        }
    }
}
