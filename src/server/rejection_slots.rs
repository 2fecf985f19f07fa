//! Connections without a permit. They wait until they are answered with a rejection, or for their first request, which may be one to a
//! reserved route.

use crate::http::client_addr::{is_within, network};
use ipnet::IpNet;
use std::{
    collections::BTreeMap,
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::sync::Notify;

/// The maximum number of waiting connections per listener.
pub(super) const MAX_WAITING: usize = 256;
/// The maximum time that a connection waits.
pub(super) const IO_TIMEOUT: Duration = Duration::from_secs(1);

/// A limited number of waiting connections. A new connection is always accepted: the one that has waited longest is evicted for it. A
/// client that sends its request at once therefore gets an answer, however many connections others open without sending a request.
#[derive(Debug, Clone)]
pub(super) struct RejectionSlots(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    size: usize,
    per_address: usize,
    exempt: Vec<IpNet>,
    waiting: Mutex<Waiting>,
}

#[derive(Debug, Default)]
struct Waiting {
    next: u64,
    /// In order of arrival.
    tickets: BTreeMap<u64, (Option<IpAddr>, Arc<Notify>)>,
}

/// A waiting connection. It stops waiting when this is dropped.
#[derive(Debug)]
pub(super) struct Ticket {
    rejection_slots: Arc<Shared>,
    number: u64,
    evicted: Arc<Notify>,
}

impl RejectionSlots {
    /// Creates slots with a limit on all connections and a limit per address. Addresses in `exempt` networks have no limit of their own.
    pub(super) fn new(size: usize, per_address: usize, exempt: &[IpNet]) -> Self {
        Self(Arc::new(Shared { size, per_address, exempt: exempt.to_vec(), waiting: Mutex::default() }))
    }

    /// Adds a waiting connection. If a limit is reached, evicts the oldest connection of the same address, or else the oldest of all.
    pub(super) fn enter(&self, peer: IpAddr) -> Ticket {
        let shared = &self.0;
        let address = (!is_within(&shared.exempt, peer)).then(|| network(peer));
        let evicted = Arc::new(Notify::new());
        let mut waiting = shared.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let of_address = |waiting: &Waiting| {
            let same = waiting.tickets.iter().filter(|(_, (other, _))| address.is_some() && *other == address);
            let mut same = same.map(|(number, _)| *number);
            let oldest = same.next();
            oldest.filter(|_| 1 + same.count() >= shared.per_address)
        };
        let of_all =
            |waiting: &Waiting| waiting.tickets.keys().next().copied().filter(|_| waiting.tickets.len() >= shared.size);
        if let Some(number) = of_address(&waiting).or_else(|| of_all(&waiting))
            && let Some((_, evicted)) = waiting.tickets.remove(&number)
        {
            evicted.notify_one();
        }
        let number = waiting.next;
        waiting.next += 1;
        waiting.tickets.insert(number, (address, evicted.clone()));
        drop(waiting);
        Ticket { rejection_slots: shared.clone(), number, evicted }
    }
}

impl Ticket {
    /// Returns the notification that this connection is evicted.
    pub(super) fn evicted(&self) -> Arc<Notify> {
        self.evicted.clone()
    }
}

/// Waits until a connection has waited long enough or is evicted.
pub(super) async fn wait_until_over(evicted: &Notify) {
    tokio::select! {
        () = evicted.notified() => {}
        () = tokio::time::sleep(IO_TIMEOUT) => {}
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.rejection_slots.waiting.lock().unwrap_or_else(PoisonError::into_inner).tickets.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;

    fn is_evicted(ticket: &Ticket) -> bool {
        ticket.evicted.notified().now_or_never().is_some()
    }

    #[test]
    fn the_oldest_connection_is_evicted() {
        let rejection_slots = RejectionSlots::new(3, 3, &[]);
        let enter = |host: u8| rejection_slots.enter(IpAddr::from([192, 0, 2, host]));
        let [one, two, three] = [1, 2, 3].map(enter);
        drop(two);
        let four = enter(4);
        assert!(![&one, &three, &four].into_iter().any(is_evicted), "there was room");
        let five = enter(5);
        assert!(is_evicted(&one) && ![&three, &four, &five].into_iter().any(is_evicted));
        drop(one);
        let six = enter(6);
        assert!(is_evicted(&three) && ![&four, &five, &six].into_iter().any(is_evicted));
    }

    #[test]
    fn an_address_at_its_limit_evicts_its_own_oldest_connection() {
        let rejection_slots = RejectionSlots::new(8, 2, &["10.0.0.0/8".parse().unwrap()]);
        let enter = |address: &str| rejection_slots.enter(address.parse().unwrap());
        let other = enter("192.0.2.1");
        let [one, two, three] = ["2001:db8::1", "2001:db8::2", "2001:db8::3"].map(enter);
        assert!(is_evicted(&one) && ![&other, &two, &three].into_iter().any(is_evicted));
        let proxied = ["10.0.0.1"; 3].map(enter);
        assert!(!proxied.iter().any(is_evicted), "a trusted proxy has no limit of its own");
        drop((other, one, two, three, proxied));
        assert!(rejection_slots.0.waiting.lock().unwrap().tickets.is_empty());
    }
}
