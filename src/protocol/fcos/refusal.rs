//! Error responses to polls, in the shape that agents read: `{"kind", "value"}`.

use http::StatusCode;
use serde::Serialize;
use std::fmt;

/// Why a poll is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// A required parameter is missing or empty.
    Missing(&'static str),
    /// A parameter is repeated.
    Repeated(&'static str),
    /// `oci` is neither `true` nor `false`.
    Oci(String),
    /// `view` is neither `node` nor `full`.
    View(String),
    /// The `Host` header is missing, invalid or given more than once.
    Host,
    /// The product does not exist.
    UnknownProduct(String),
    /// The product has no such stream.
    UnknownStream(String),
    /// The stream has no such architecture.
    UnknownArch(String),
    /// The catalog has not been loaded yet.
    NotReady,
    /// The full graph cannot be rendered now: too many requests are in progress, or rendering failed.
    Unavailable,
    /// The client's address polls too often.
    TooMany,
    /// The stream has placeholder (synthetic) payloads, which are not offered on this listener.
    Synthetic,
}

/// The maximum number of characters of a parameter that an error message repeats.
const MAX_REPEATED: usize = 64;

#[derive(Serialize)]
struct Body {
    kind: &'static str,
    value: String,
}

impl Refusal {
    /// Returns the HTTP status.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        match self {
            Self::Missing(_) | Self::Repeated(_) | Self::Oci(_) | Self::View(_) | Self::Host => StatusCode::BAD_REQUEST,
            Self::UnknownProduct(_) | Self::UnknownStream(_) | Self::UnknownArch(_) => StatusCode::NOT_FOUND,
            Self::TooMany => StatusCode::TOO_MANY_REQUESTS,
            Self::NotReady | Self::Unavailable | Self::Synthetic => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// Returns the seconds after which to try again, if that may help.
    #[must_use]
    pub fn retry_after(&self) -> Option<u16> {
        match self {
            Self::TooMany | Self::Unavailable => Some(1),
            Self::NotReady | Self::Synthetic => Some(10),
            _ => None,
        }
    }

    /// Returns the value of `kind`, which agents use as a metric label.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Missing(_) => "missing_parameter",
            Self::Repeated(_) => "repeated_parameter",
            Self::Oci(_) | Self::View(_) => "invalid_parameter",
            Self::Host => "invalid_host",
            Self::UnknownProduct(_) => "unknown_product",
            Self::UnknownStream(_) => "unknown_stream",
            Self::UnknownArch(_) => "unknown_arch",
            Self::NotReady => "not_ready",
            Self::Unavailable => "unavailable",
            Self::TooMany => "too_many_polls",
            Self::Synthetic => "synthetic_payloads",
        }
    }

    /// Returns the body of the response.
    #[must_use]
    pub fn body(&self) -> String {
        let body = Body { kind: self.kind(), value: self.to_string() };
        // Serializing two strings cannot fail.
        serde_json::to_string(&body).unwrap_or_default()
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing(key) => write!(f, "parameter {key} is missing or empty"),
            Self::Repeated(key) => write!(f, "parameter {key} is given more than once"),
            Self::Oci(value) => write!(f, "parameter oci is {:?}, it has to be true or false", shorten(value)),
            Self::View(value) => write!(f, "parameter view is {:?}, it has to be node or full", shorten(value)),
            Self::Host => f.write_str("the request needs one Host header with a valid value"),
            Self::UnknownProduct(name) => write!(f, "no product {:?} is served here", shorten(name)),
            Self::UnknownStream(name) => write!(f, "no stream {:?} is served here", shorten(name)),
            Self::UnknownArch(name) => write!(f, "the stream is not made for architecture {:?}", shorten(name)),
            Self::NotReady => f.write_str("the releases have not been loaded yet"),
            Self::Unavailable => f.write_str("the full graph cannot be rendered now"),
            Self::TooMany => f.write_str("too many polls come from this address"),
            Self::Synthetic => f.write_str("the stream holds sample payloads, which are offered on loopback alone"),
        }
    }
}

impl std::error::Error for Refusal {}

fn shorten(text: &str) -> String {
    text.chars().take(MAX_REPEATED).collect()
}
