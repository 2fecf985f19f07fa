//! Limits on the connections of a listener, in total and per client address.

use crate::http::client_addr::{is_within, network};
use dashmap::DashMap;
use ipnet::IpNet;
use std::{net::IpAddr, sync::Arc};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// A limited number of connections. Clones share the limit.
#[derive(Debug, Clone)]
pub(super) struct Pool(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    size: usize,
    permits: Arc<Semaphore>,
    per_address: usize,
    exempt: Vec<IpNet>,
    /// Contains only addresses with open connections, and is therefore never larger than the pool.
    by_address: DashMap<IpAddr, usize>,
}

/// Why a connection gets no permit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refused {
    /// The pool is full.
    Full,
    /// The client address has reached its limit.
    Address,
}

impl Refused {
    /// Returns the value of the metric's label `reason`.
    pub(super) fn reason(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Address => "address",
        }
    }
}

/// A connection's permit of a pool, released when dropped.
#[derive(Debug)]
pub(super) struct Permit {
    pool: Arc<Shared>,
    _acquired: OwnedSemaphorePermit,
    /// The address that the connection is counted under, unless it is exempt.
    address: Option<IpAddr>,
}

impl Pool {
    /// Creates a pool with a limit on all connections and a limit per address. Addresses in `exempt` networks have no limit of their own.
    pub(super) fn new(size: usize, per_address: usize, exempt: &[IpNet]) -> Self {
        let size = size.min(Semaphore::MAX_PERMITS);
        let (permits, by_address) = (Arc::new(Semaphore::new(size)), DashMap::new());
        Self(Arc::new(Shared { size, permits, per_address, exempt: exempt.to_vec(), by_address }))
    }

    /// Acquires a permit for a connection from this address.
    pub(super) fn acquire(&self, peer: IpAddr) -> Result<Permit, Refused> {
        let shared = &self.0;
        let acquired = shared.permits.clone().try_acquire_owned().map_err(|_| Refused::Full)?;
        let mut permit = Permit { pool: shared.clone(), _acquired: acquired, address: None };
        if shared.per_address >= shared.size || is_within(&shared.exempt, peer) {
            return Ok(permit);
        }
        let address = network(peer);
        let mut count = shared.by_address.entry(address).or_insert(0);
        if *count >= shared.per_address {
            return Err(Refused::Address);
        }
        *count += 1;
        drop(count);
        permit.address = Some(address);
        Ok(permit)
    }
}

impl Permit {
    /// Returns true if more than half of the pool is taken.
    pub(super) fn is_crowded(&self) -> bool {
        self.pool.size - self.pool.permits.available_permits() > self.pool.size / 2
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if let Some(address) = self.address {
            self.pool.by_address.remove_if_mut(&address, |_, count| {
                *count = count.saturating_sub(1);
                *count == 0
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_pool_has_as_many_permits_as_its_size() {
        let pool = Pool::new(3, 3, &[]);
        let [one, two, three] = ["192.0.2.1"; 3].map(|peer| pool.acquire(address(peer)).unwrap());
        assert_eq!(pool.acquire(address("192.0.2.2")).unwrap_err(), Refused::Full);
        assert!(one.is_crowded());
        drop((two, three));
        assert!(!one.is_crowded());
        assert!(pool.acquire(address("192.0.2.2")).is_ok());
    }

    #[test]
    fn a_pool_may_be_larger_than_a_semaphore() {
        let pool = Pool::new(usize::MAX, usize::MAX, &[]);
        let permit = pool.acquire(address("192.0.2.1")).unwrap();
        assert!(!permit.is_crowded());
    }

    #[test]
    fn the_limit_per_address_leaves_permits_for_other_addresses() {
        let pool = Pool::new(8, 2, &["10.0.0.0/8".parse().unwrap()]);
        for (same, others) in [
            (["192.0.2.1", "::ffff:192.0.2.1", "192.0.2.1"], "192.0.2.2"),
            (["2001:db8::1", "2001:db8::2", "2001:db8::3:4"], "2001:db8:0:1::1"),
        ] {
            let [one, two, three] = same.map(|peer| pool.acquire(address(peer)));
            assert!(one.is_ok() && two.is_ok());
            assert_eq!(three.unwrap_err(), Refused::Address, "{same:?}");
            assert!(pool.acquire(address(others)).is_ok());
            drop(one);
            assert!(pool.acquire(address(same[0])).is_ok(), "its permit was released");
        }
        let proxied: Vec<_> = (0..8).map(|_| pool.acquire(address("10.1.2.3"))).collect();
        assert!(proxied.iter().all(Result::is_ok), "a trusted proxy has no limit of its own");
        assert_eq!(pool.acquire(address("192.0.2.1")).unwrap_err(), Refused::Full);
        drop(proxied);
        assert_eq!((pool.0.by_address.len(), pool.0.permits.available_permits()), (0, 8), "no address is remembered");
    }
}
