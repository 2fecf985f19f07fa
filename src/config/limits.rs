//! `[limits]`

use super::error::{ConfigError, positive};
use ipnet::IpNet;
use jiff::SignedDuration;
use serde::{Deserialize, Serialize};
use std::num::NonZeroU32;

/// What clients may take.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LimitSettings {
    /// The most connections at a time; whoever comes then is told to come back later. Beyond half of it, polls are answered and
    /// their connections closed.
    pub max_connections: usize,
    /// The most requests, other than polls, that are worked on at a time; more get 503.
    pub max_requests: usize,
    /// The most bytes of a request's head.
    pub head_bytes: usize,
    /// The most bytes of a request's body.
    pub body_bytes: usize,
    /// The most bytes of a whole stream document that somebody puts.
    pub document_bytes: usize,
    /// How long a client may take to send a request's head, and a connection may lie idle.
    pub head_timeout: SignedDuration,
    /// How long an answer may take.
    pub answer_timeout: SignedDuration,
    /// The most polls a second from one address; no limit if absent.
    pub polls_per_address: Option<NonZeroU32>,
    /// Networks of proxies whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<IpNet>,
}

impl Default for LimitSettings {
    fn default() -> Self {
        Self {
            max_connections: 10_000,
            max_requests: 1000,
            head_bytes: 16 * 1024,
            body_bytes: 64 * 1024,
            document_bytes: 16 * 1024 * 1024,
            head_timeout: SignedDuration::from_secs(30),
            answer_timeout: SignedDuration::from_secs(30),
            polls_per_address: None,
            trusted_proxies: Vec::new(),
        }
    }
}

/// What a request line of the longest poll needs, and what hyper takes at least.
const LEAST_HEAD_BYTES: usize = 8 * 1024;

impl LimitSettings {
    pub(super) fn validate(&self) -> Result<(), ConfigError> {
        if self.max_connections == 0 {
            return Err(ConfigError::value("limits.max_connections", "has to be at least 1"));
        }
        if self.max_requests == 0 {
            return Err(ConfigError::value("limits.max_requests", "has to be at least 1"));
        }
        if self.head_bytes < LEAST_HEAD_BYTES {
            return Err(ConfigError::value("limits.head_bytes", "has to be at least 8192"));
        }
        positive("limits.head_timeout", self.head_timeout)?;
        positive("limits.answer_timeout", self.answer_timeout)
    }
}
