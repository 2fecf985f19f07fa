//! The protocols that one service speaks, and which of them answers a request.

use super::{
    Agents, Claim, ClaimClash, Protocol, ProtocolEntry,
    claims::{Match, PathPattern},
};
use crate::{
    catalog::Preparers,
    domain::dialect::{Dialects, OWN_PATHS},
    http::layers::name as name_of,
    telemetry::RouteTimes,
};
use http::{HeaderName, Method};
use std::{collections::BTreeSet, sync::Arc};

/// The protocols that answer on one listener.
pub struct Protocols {
    protocols: Vec<Arc<dyn Protocol>>,
    /// Those of paths that begin with a name come before those that begin with a product, because no product has such a name.
    entries: Vec<Entry>,
}

/// One claim of a protocol.
struct Entry {
    /// The number of the protocol among all.
    number: usize,
    name: &'static str,
    protocol: Arc<dyn Protocol>,
    claim: Claim,
    pattern: PathPattern,
    times: Arc<RouteTimes>,
}

/// A request's claim.
#[derive(Clone, Copy)]
pub struct Claimed<'a> {
    /// The name of the protocol.
    pub name: &'static str,
    /// The protocol.
    pub protocol: &'a dyn Protocol,
    /// The claim.
    pub claim: &'a Claim,
    /// The durations of its requests.
    pub times: &'a RouteTimes,
    /// The segment of the path that names the product, if there is one.
    pub product: Option<&'a str>,
}

/// Returns the rules of protocols, and the product names that their paths use.
#[must_use]
pub fn dialects(entries: &[ProtocolEntry]) -> Dialects {
    let patterns = entries.iter().flat_map(|entry| &entry.claims).map(|claim| PathPattern::new(claim.path));
    let reserved: BTreeSet<String> = patterns.filter_map(|pattern| pattern.first_name().map(Into::into)).collect();
    Dialects::new(entries.iter().map(|entry| entry.dialect.clone()).collect(), reserved)
}

/// Returns what protocols prepare. Products whose protocol is not known speak the first one.
#[must_use]
pub fn preparers(entries: &[ProtocolEntry]) -> Preparers {
    let prepare = |entry: &ProtocolEntry| Some((entry.dialect.name(), entry.prepare.clone()?));
    let default = entries.first().map(|entry| entry.dialect.name());
    Preparers::new(default, entries.iter().filter_map(prepare).collect())
}

impl Protocols {
    /// Builds protocols for one listener.
    ///
    /// # Errors
    /// Two of them claim the same requests, or one claims a path of the service.
    pub fn new(all: &[ProtocolEntry], on: &Agents) -> Result<Self, ClaimClash> {
        let (mut protocols, mut entries): (Vec<Arc<dyn Protocol>>, Vec<Entry>) = (Vec::new(), Vec::new());
        for (number, ProtocolEntry { dialect, claims, build, .. }) in all.iter().enumerate() {
            let protocol = build(on.clone());
            let name = dialect.name();
            for claim in claims {
                let pattern = PathPattern::new(claim.path);
                let clashes = |other: &&Entry| {
                    other.number != number && other.claim.method == claim.method && other.pattern.overlaps(&pattern)
                };
                let clash = |first| ClaimClash { first, second: name, method: claim.method.clone(), path: claim.path };
                if pattern.can_begin_with(&OWN_PATHS) {
                    return Err(clash("the service"));
                }
                if let Some(other) = entries.iter().find(clashes) {
                    return Err(clash(other.name));
                }
                let times = on.metrics.route(name_of(&claim.method), claim.path);
                entries.push(Entry { number, name, protocol: protocol.clone(), claim: claim.clone(), pattern, times });
            }
            protocols.push(protocol);
        }
        entries.sort_by_key(|entry| entry.pattern.first_name().is_none());
        Ok(Self { protocols, entries })
    }

    /// Returns all protocols.
    #[must_use]
    pub fn all(&self) -> &[Arc<dyn Protocol>] {
        &self.protocols
    }

    /// Returns the headers that a prepared answer of any protocol depends on.
    pub fn headers(&self) -> impl Iterator<Item = &HeaderName> {
        self.entries.iter().flat_map(|entry| entry.claim.headers)
    }

    /// Returns the prepared claim of a request.
    #[must_use]
    pub fn prepared<'a>(&'a self, method: &Method, path: &'a str) -> Option<Claimed<'a>> {
        self.entries
            .iter()
            .filter(|entry| entry.claim.is_prepared && entry.claim.method == method)
            .find_map(|entry| Some(entry.claimed(entry.pattern.matches(path)?)))
    }

    /// Returns the protocol that a path belongs to: the one that claims it with this method, or else with another one.
    #[must_use]
    pub fn owner(&self, method: &Method, path: &str) -> Option<Claimed<'_>> {
        let mut matching = self.entries.iter().filter(|entry| entry.pattern.matches_decoded(path));
        let any = matching.clone().next()?;
        let entry = matching.find(|entry| entry.claim.method == method).unwrap_or(any);
        Some(entry.claimed(Match { product: None }))
    }
}

impl Entry {
    fn claimed<'a>(&'a self, found: Match<'a>) -> Claimed<'a> {
        Claimed {
            name: self.name,
            protocol: &*self.protocol,
            claim: &self.claim,
            times: &self.times,
            product: found.product,
        }
    }
}

#[cfg(test)]
#[path = "registry_tests.rs"]
mod tests;
