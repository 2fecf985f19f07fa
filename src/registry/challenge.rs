//! Challenges of registries, and the answers of token servers (distribution specification, "Token Authentication").

use http::{HeaderMap, header};
use http_auth::ChallengeRef;
use serde::Deserialize;

/// What a registry asks for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Challenge {
    /// A user name and a password.
    Basic,
    /// A token of another server.
    Bearer {
        /// The URL of that server.
        realm: String,
        /// The name of the registry there.
        service: Option<String>,
    },
}

impl Challenge {
    /// Returns the first challenge that can be answered, tokens before passwords.
    pub(super) fn from_headers(headers: &HeaderMap) -> Option<Self> {
        let values = headers.get_all(header::WWW_AUTHENTICATE).iter().filter_map(|value| value.to_str().ok());
        let challenges: Vec<ChallengeRef<'_>> =
            values.filter_map(|value| http_auth::parse_challenges(value).ok()).flatten().collect();
        let of_scheme = |scheme: &str| challenges.iter().find(|found| found.scheme.eq_ignore_ascii_case(scheme));
        of_scheme("bearer").and_then(bearer).or_else(|| of_scheme("basic").map(|_| Self::Basic))
    }
}

fn bearer(challenge: &ChallengeRef<'_>) -> Option<Challenge> {
    let parameter = |wanted: &str| {
        let found = challenge.params.iter().find(|(name, _)| name.eq_ignore_ascii_case(wanted));
        found.map(|(_, value)| value.to_unescaped())
    };
    Some(Challenge::Bearer { realm: parameter("realm")?, service: parameter("service") })
}

#[derive(Deserialize)]
struct TokenAnswer {
    token: Option<String>,
    access_token: Option<String>,
}

/// Parses the answer of a token server. Its two names mean the same.
pub(super) fn parse_token(body: &[u8]) -> Option<String> {
    let answer: TokenAnswer = serde_json::from_slice(body).ok()?;
    let token = answer.token.or(answer.access_token)?;
    (!token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic())).then_some(token)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn challenge(values: &[&'static str]) -> Option<Challenge> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(header::WWW_AUTHENTICATE, http::HeaderValue::from_static(value));
        }
        Challenge::from_headers(&headers)
    }

    #[test]
    fn tokens_are_preferred_to_passwords() {
        let bearer = |service: Option<&str>| {
            let realm = "https://auth.example/token".into();
            Some(Challenge::Bearer { realm, service: service.map(Into::into) })
        };
        let token = r#"Bearer realm="https://auth.example/token",service="registry.example",scope="x""#;
        assert_eq!(challenge(&[token]), bearer(Some("registry.example")));
        assert_eq!(challenge(&["Basic realm=\"x\"", token]), bearer(Some("registry.example")));
        assert_eq!(challenge(&[r#"bearer realm="https://auth.example/token""#]), bearer(None));
        assert_eq!(challenge(&["Basic realm=\"x\""]), Some(Challenge::Basic));
    }

    #[test]
    fn other_challenges_cannot_be_answered() {
        for value in ["", "Negotiate", "Bearer", "Bearer service=\"x\"", "\"", "Digest realm=\"x\", nonce=\"y\""] {
            assert_eq!(challenge(&[value]), None, "{value:?}");
        }
    }

    #[test]
    fn tokens_are_visible_ascii() {
        assert_eq!(parse_token(br#"{"token": "abc", "expires_in": 300}"#).unwrap(), "abc");
        assert_eq!(parse_token(br#"{"access_token": "abc"}"#).unwrap(), "abc");
        for body in [&b"{}"[..], br#"{"token": ""}"#, br#"{"token": "a\nb"}"#, b"[]", b""] {
            assert_eq!(parse_token(body), None);
        }
    }
}
