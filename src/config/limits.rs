//! `[limits]`

use super::error::{ConfigError, positive};
use ipnet::IpNet;
use jiff::SignedDuration;
use serde::{Deserialize, Serialize};
use std::num::NonZeroU32;

/// Limits on clients.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LimitSettings {
    /// The largest number of concurrent connections of agents; further ones get 503. Above half of it, each connection is closed
    /// after one response.
    pub max_connections: usize,
    /// The largest number of concurrent connections of release managers and probes. On a listener without agents this is the total;
    /// on a shared one it is the number reserved for them.
    pub manager_connections: usize,
    /// The largest number of concurrent connections from one address (IPv6: from one /64). Absent: a quarter of the listener's
    /// connections. Networks in `trusted_proxies` are exempt.
    pub connections_per_address: Option<NonZeroU32>,
    /// The largest number of concurrent requests other than polls; further ones get 503.
    pub max_requests: usize,
    /// The largest request head, in bytes, at least 8192.
    pub head_bytes: usize,
    /// The largest request body, in bytes.
    pub body_bytes: usize,
    /// The largest stream document that can be uploaded, in bytes.
    pub document_bytes: usize,
    /// The largest size of all request bodies in memory together, in bytes; further ones get 503.
    pub bodies_bytes: usize,
    /// The most bytes of full graphs of all streams that are cached, not counting their encodings. Others are rendered when they are
    /// requested. A single one that is larger is cached.
    pub cached_graphs_bytes: usize,
    /// The most bytes of full graphs and documents in gzip and zstd that are held at a time; what does not fit is sent unencoded.
    pub encodings_bytes: usize,
    /// The largest full graph that a change may lead to, in bytes.
    pub graph_bytes: usize,
    /// The largest number of concurrent event streams; further ones get 503.
    pub event_streams: usize,
    /// The number of events that are kept.
    pub events: u32,
    /// How long a client may take to send a request head, and how long a connection may be idle.
    pub head_timeout: SignedDuration,
    /// How long a response may take.
    pub answer_timeout: SignedDuration,
    /// Whether plain polls are read without hyper. If not, hyper reads all requests.
    pub fast_path: bool,
    /// The largest number of polls per second from one address; absent: unlimited.
    pub polls_per_address: Option<NonZeroU32>,
    /// Networks of trusted proxies: their `X-Forwarded-For` header is used, and `connections_per_address` does not apply to them.
    pub trusted_proxies: Vec<IpNet>,
}

impl Default for LimitSettings {
    fn default() -> Self {
        Self {
            max_connections: 10_000,
            manager_connections: 256,
            connections_per_address: None,
            max_requests: 1000,
            head_bytes: 16 * 1024,
            body_bytes: 64 * 1024,
            document_bytes: 16 * 1024 * 1024,
            bodies_bytes: 64 * 1024 * 1024,
            cached_graphs_bytes: 32 * 1024 * 1024,
            encodings_bytes: 64 * 1024 * 1024,
            graph_bytes: 32 * 1024 * 1024,
            event_streams: 64,
            events: 10_000,
            head_timeout: SignedDuration::from_secs(30),
            answer_timeout: SignedDuration::from_secs(30),
            fast_path: true,
            polls_per_address: None,
            trusted_proxies: Vec::new(),
        }
    }
}

/// Enough for the request line of the longest poll; also hyper's minimum.
const MIN_HEAD_BYTES: usize = 8 * 1024;

/// Enough for a stream of a hundred releases.
const MIN_GRAPH_BYTES: usize = 64 * 1024;

fn quarter(connections: usize) -> usize {
    (connections / 4).max(1)
}

impl LimitSettings {
    /// Returns the largest number of connections from one address to a listener for agents.
    #[must_use]
    pub fn agent_connections_per_address(&self) -> usize {
        self.configured_per_address().unwrap_or_else(|| quarter(self.max_connections))
    }

    /// Returns the largest number of connections from one address, out of `connections` for managers and probes or in a queue. It is
    /// at most a quarter, since `connections_per_address` is chosen for agents, which have many more connections.
    #[must_use]
    pub fn other_connections_per_address(&self, connections: usize) -> usize {
        let max = quarter(connections);
        self.configured_per_address().map_or(max, |configured| configured.min(max))
    }

    fn configured_per_address(&self) -> Option<usize> {
        self.connections_per_address.map(|max| usize::try_from(max.get()).unwrap_or(usize::MAX))
    }

    pub(super) fn validate(&self) -> Result<(), ConfigError> {
        if self.max_connections == 0 {
            return Err(ConfigError::value("limits.max_connections", "must be at least 1"));
        }
        if self.manager_connections == 0 {
            return Err(ConfigError::value("limits.manager_connections", "must be at least 1"));
        }
        if self.max_requests == 0 {
            return Err(ConfigError::value("limits.max_requests", "must be at least 1"));
        }
        if self.head_bytes < MIN_HEAD_BYTES {
            return Err(ConfigError::value("limits.head_bytes", "must be at least 8192"));
        }
        if self.bodies_bytes < self.body_bytes.max(self.document_bytes) {
            let message = "must be at least limits.body_bytes and limits.document_bytes";
            return Err(ConfigError::value("limits.bodies_bytes", message));
        }
        if self.graph_bytes < MIN_GRAPH_BYTES {
            return Err(ConfigError::value("limits.graph_bytes", "must be at least 65536"));
        }
        if self.events == 0 {
            return Err(ConfigError::value("limits.events", "must be at least 1"));
        }
        positive("limits.head_timeout", self.head_timeout)?;
        positive("limits.answer_timeout", self.answer_timeout)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_address_gets_a_quarter_by_default() {
        let limits = |max_connections, per_address| LimitSettings {
            max_connections,
            connections_per_address: NonZeroU32::new(per_address),
            ..LimitSettings::default()
        };
        for (max_connections, per_address, for_agents, for_managers) in
            [(10_000, 0, 2500, 64), (2, 0, 1, 64), (10_000, 20, 20, 20), (10_000, 5000, 5000, 64)]
        {
            let limits = limits(max_connections, per_address);
            let limits = (limits.agent_connections_per_address(), limits.other_connections_per_address(256));
            assert_eq!(limits, (for_agents, for_managers));
        }
        assert_eq!(LimitSettings::default().other_connections_per_address(1), 1);
    }
}
