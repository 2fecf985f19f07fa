//! Decides which requests a connection may make, and when it has to be closed.

use super::{
    pool::{Permit, Pool, Refused},
    rejection_slots::{self, Ticket},
    reserved::ReservedRoutes,
};
use crate::telemetry::Metrics;
use std::{
    net::IpAddr,
    sync::{Mutex, MutexGuard, PoisonError},
};

/// The admission of a connection: the client's address and the permit that the connection has.
#[derive(Debug)]
pub(super) struct Admission {
    peer: IpAddr,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    /// The connection has a permit of its listener's pool and may make any request.
    Regular(Permit),
    /// The pool had no permit left. The connection may only make requests to reserved routes.
    Reserved(Reserved),
}

#[derive(Debug)]
struct Reserved {
    pool: Pool,
    refused: Refused,
    metrics: Metrics,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    held: Held,
    /// A request was refused: the connection ends.
    is_refused: bool,
}

#[derive(Debug)]
enum Held {
    /// The connection waits for its first request.
    Ticket(Ticket),
    /// The first request was one to a reserved route.
    Permit(Permit),
}

impl Admission {
    /// Admits a connection that has a permit of its listener's pool.
    pub(super) fn regular(peer: IpAddr, permit: Permit) -> Self {
        Self { peer, kind: Kind::Regular(permit) }
    }

    /// Admits a connection without a regular permit. Its first request decides whether it gets a permit of the reserved pool.
    pub(super) fn reserved(peer: IpAddr, refused: Refused, pool: Pool, ticket: Ticket, metrics: Metrics) -> Self {
        let state = Mutex::new(State { held: Held::Ticket(ticket), is_refused: false });
        Self { peer, kind: Kind::Reserved(Reserved { pool, refused, metrics, state }) }
    }

    /// Returns the client's address, or that of a proxy.
    pub(super) fn peer(&self) -> IpAddr {
        self.peer
    }

    /// Returns true if the connection may make any request.
    pub(super) fn is_regular(&self) -> bool {
        matches!(self.kind, Kind::Regular(_))
    }

    /// Returns true if a request for this path may be answered. Without a regular permit, the first request takes a reserved one.
    pub(super) fn admits(&self, path: &str, routes: Option<&ReservedRoutes>) -> bool {
        match &self.kind {
            Kind::Regular(_) => true,
            Kind::Reserved(reserved) => {
                let is_reserved = routes.is_some_and(|routes| routes.matches(path));
                reserved.admits(self.peer, is_reserved)
            }
        }
    }

    /// Returns true if the connection has to be closed after the current answer.
    pub(super) fn ends_after_answer(&self) -> bool {
        match &self.kind {
            Kind::Regular(permit) => permit.is_crowded(),
            Kind::Reserved(reserved) => {
                let state = reserved.state();
                match &state.held {
                    Held::Ticket(_) => true,
                    Held::Permit(permit) => state.is_refused || permit.is_crowded(),
                }
            }
        }
    }

    /// Waits until a connection without any permit has to be closed. Never returns for others.
    pub(super) async fn expired(&self) {
        if let Kind::Reserved(reserved) = &self.kind
            && let Some(evicted) = reserved.evicted()
        {
            rejection_slots::wait_until_over(&evicted).await;
            if reserved.expires() {
                return;
            }
        }
        std::future::pending::<()>().await;
    }
}

impl Reserved {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn admits(&self, peer: IpAddr, is_reserved: bool) -> bool {
        let mut state = self.state();
        if state.is_refused {
            return false;
        }
        let refused = match (&state.held, is_reserved) {
            (_, false) => self.refused,
            (Held::Permit(_), true) => return true,
            (Held::Ticket(_), true) => match self.pool.acquire(peer) {
                Ok(permit) => {
                    state.held = Held::Permit(permit);
                    return true;
                }
                Err(refused) => refused,
            },
        };
        state.is_refused = true;
        self.metrics.connection_refused(refused.reason());
        false
    }

    fn evicted(&self) -> Option<std::sync::Arc<tokio::sync::Notify>> {
        match &self.state().held {
            Held::Ticket(ticket) => Some(ticket.evicted()),
            Held::Permit(_) => None,
        }
    }

    /// Returns true if the connection still has no permit at the end of its waiting time, and refuses it in that case.
    fn expires(&self) -> bool {
        let mut state = self.state();
        let is_waiting = matches!(state.held, Held::Ticket(_));
        if is_waiting && !std::mem::replace(&mut state.is_refused, true) {
            self.metrics.connection_refused(self.refused.reason());
        }
        is_waiting
    }
}
