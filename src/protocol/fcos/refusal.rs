//! Answers that are no graph, in the shape that the agent reads: `{"kind", "value"}`.

use http::StatusCode;
use serde::Serialize;
use std::fmt;

/// Why a poll gets no graph.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// A parameter that every poll needs is missing or empty.
    Missing(&'static str),
    /// A parameter stands there twice.
    Repeated(&'static str),
    /// `oci` is neither `true` nor `false`.
    Oci(String),
    /// `view` is neither `node` nor `full`.
    View(String),
    /// No such product.
    UnknownProduct(String),
    /// The product has no such stream.
    UnknownStream(String),
    /// The stream does not know this arch.
    UnknownArch(String),
    /// The store has not been read yet.
    NotReady,
    /// Too many polls come from one address.
    TooMany,
    /// The stream has placeholders for payloads, which are not offered on this listener.
    Synthetic,
}

/// The most characters of a request that an answer repeats.
const MOST_REPEATED: usize = 64;

#[derive(Serialize)]
struct Body {
    kind: &'static str,
    value: String,
}

impl Refusal {
    /// The status of the answer.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        match self {
            Self::Missing(_) | Self::Repeated(_) | Self::Oci(_) | Self::View(_) => StatusCode::BAD_REQUEST,
            Self::UnknownProduct(_) | Self::UnknownStream(_) | Self::UnknownArch(_) => StatusCode::NOT_FOUND,
            Self::TooMany => StatusCode::TOO_MANY_REQUESTS,
            Self::NotReady | Self::Synthetic => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// In how many seconds to try again, where that may help.
    #[must_use]
    pub fn retry_after(&self) -> Option<u16> {
        match self {
            Self::TooMany => Some(1),
            Self::NotReady | Self::Synthetic => Some(10),
            _ => None,
        }
    }

    /// The word for it, which the agent uses as a metric's label.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Missing(_) => "missing_parameter",
            Self::Repeated(_) => "repeated_parameter",
            Self::Oci(_) | Self::View(_) => "invalid_parameter",
            Self::UnknownProduct(_) => "unknown_product",
            Self::UnknownStream(_) => "unknown_stream",
            Self::UnknownArch(_) => "unknown_arch",
            Self::NotReady => "not_ready",
            Self::TooMany => "too_many_polls",
            Self::Synthetic => "synthetic_payloads",
        }
    }

    /// The answer's body.
    #[must_use]
    pub fn body(&self) -> String {
        let body = Body { kind: self.kind(), value: self.to_string() };
        // Two strings always serialize.
        serde_json::to_string(&body).unwrap_or_default()
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing(key) => write!(f, "parameter {key} is missing or empty"),
            Self::Repeated(key) => write!(f, "parameter {key} is given more than once"),
            Self::Oci(value) => write!(f, "parameter oci is {:?}, it has to be true or false", start_of(value)),
            Self::View(value) => write!(f, "parameter view is {:?}, it has to be node or full", start_of(value)),
            Self::UnknownProduct(name) => write!(f, "no product {:?} is served here", start_of(name)),
            Self::UnknownStream(name) => write!(f, "no stream {:?} is served here", start_of(name)),
            Self::UnknownArch(name) => write!(f, "the stream is not made for architecture {:?}", start_of(name)),
            Self::NotReady => f.write_str("the releases have not been loaded yet"),
            Self::TooMany => f.write_str("too many polls come from this address"),
            Self::Synthetic => f.write_str("the stream holds sample payloads, which are offered on loopback alone"),
        }
    }
}

impl std::error::Error for Refusal {}

fn start_of(text: &str) -> String {
    text.chars().take(MOST_REPEATED).collect()
}
