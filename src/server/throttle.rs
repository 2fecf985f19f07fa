//! The limit on the polls per second from one address.

use crate::{
    config::LimitSettings,
    http::client_addr::{client_address, network},
};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use http::HeaderMap;
use ipnet::IpNet;
use std::{net::IpAddr, sync::Arc, time::Duration};

/// Limits the polls per second from one address.
pub(super) struct Throttle {
    limiter: DefaultKeyedRateLimiter<IpAddr>,
    trusted: Vec<IpNet>,
}

impl Throttle {
    pub(super) fn new(limits: &LimitSettings) -> Option<Arc<Self>> {
        let limiter = RateLimiter::keyed(Quota::per_second(limits.polls_per_address?));
        Some(Arc::new(Self { limiter, trusted: limits.trusted_proxies.clone() }))
    }

    pub(super) fn admits(&self, peer: IpAddr, headers: &HeaderMap) -> bool {
        self.limiter.check_key(&network(client_address(peer, headers, &self.trusted))).is_ok()
    }

    /// Removes addresses that have been idle for a while, periodically.
    pub(super) async fn remove_idle_addresses(&self) {
        let mut ticks = tokio::time::interval(Duration::from_secs(10));
        loop {
            ticks.tick().await;
            self.limiter.retain_recent();
            self.limiter.shrink_to_fit();
        }
    }
}
