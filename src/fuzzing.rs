//! Access to private parsers for the fuzz targets in `fuzz/` and for `tests/it/fuzz_corpora.rs`. This is not part of the API and may
//! change at any time.
//!
//! Belongs here: thin wrappers. Does not belong here: the assertions of targets, or code that anything else calls.

use crate::{
    auth::{self, AuthError, Identity, Issuers},
    server,
};
use http::HeaderMap;
use jsonwebtoken::Algorithm;
use serde_json::Value;

/// A poll that the fast path accepts.
#[derive(Debug)]
pub struct PlainPoll<'a> {
    /// The path and query.
    pub target: &'a str,
    /// The headers on which the answer depends.
    pub headers: HeaderMap,
    /// True if it is the last request of its connection.
    pub is_last: bool,
}

/// Parses bytes that were read from a connection. `is_traced` is true if the service sends traces.
#[must_use]
pub fn plain_poll(read: &[u8], is_traced: bool) -> Option<PlainPoll<'_>> {
    let (target, headers, is_last) = server::parse_plain_poll(read, is_traced)?;
    Some(PlainPoll { target, headers, is_last })
}

/// Returns the issuer in a token.
#[must_use]
pub fn named_issuer(token: &str) -> Option<String> {
    auth::named_issuer(token)
}

/// Returns the key id in a token that the service issued.
#[must_use]
pub fn key_id(token: &str) -> Option<String> {
    auth::key_id(token).ok()
}

/// Returns the claims of a token that the service issued, if it was signed with this key.
#[must_use]
pub fn own_claims(token: &str, public: &[u8; 32]) -> Option<Value> {
    serde_json::to_value(auth::verify(token, public).ok()?).ok()
}

/// The keys of an issuer.
pub struct KeySet(auth::KeySet);

impl KeySet {
    /// Parses a JSON Web Key Set.
    #[must_use]
    pub fn parse(text: &[u8]) -> Option<Self> {
        serde_json::from_slice(text).ok().map(Self)
    }

    /// Verifies a signature with every key and every algorithm of the key.
    #[must_use]
    pub fn verify_with_each(&self, message: &[u8], signature: &str) -> Vec<(Algorithm, bool)> {
        self.0.verify_with_each(message, signature)
    }

    /// Verifies a token of one of these issuers with these keys.
    ///
    /// # Errors
    /// Fails if the token is not accepted.
    pub fn check(&self, issuers: &Issuers, token: &str) -> Result<Option<Identity>, AuthError> {
        issuers.check_with(token, &self.0)
    }
}
