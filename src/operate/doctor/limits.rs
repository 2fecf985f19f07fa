//! Checks of limits: clients without an effective limit, and clients that share one.

use super::Finding;
use crate::config::{Listeners, Settings};

pub(super) fn connections(settings: &Settings) -> Finding {
    const WHAT: &str = "connections";
    let limits = &settings.limits;
    let (all, per_address) = (limits.max_connections, limits.agent_connections_per_address());
    if per_address >= all {
        let found =
            format!("one address may use all {all} of limits.max_connections: one client can lock out all others");
        return Finding::warn(
            WHAT,
            found,
            "lower limits.connections_per_address, or remove it for the default of a quarter",
        );
    }
    let found = format!("{all} concurrent, {per_address} from one address");
    // No warning if the operator chose the number.
    let is_chosen = !limits.trusted_proxies.is_empty() || limits.connections_per_address.is_some();
    if is_chosen || settings.listeners().is_ok_and(|listeners| is_local(&listeners)) {
        return Finding::ok(WHAT, found);
    }
    let polls = limits.polls_per_address.map_or_else(
        || "have no limit on polls (limits.polls_per_address)".to_owned(),
        |polls| format!("share {polls} polls/s (limits.polls_per_address)"),
    );
    let found = format!(
        "all clients behind one proxy or NAT share {per_address} connections (limits.connections_per_address), and {polls}"
    );
    let advice = "list the networks of your proxies in limits.trusted_proxies; without a proxy, set \
                  limits.connections_per_address to the number that the largest NAT needs";
    Finding::warn(WHAT, found, advice)
}

/// Returns true if only this machine can connect.
fn is_local(listeners: &Listeners) -> bool {
    listeners.addresses().iter().all(|address| address.ip().to_canonical().is_loopback())
}
