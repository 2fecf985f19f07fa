//! Payloads that nodes report and that the polled stream does not have: releases of other streams, or candidates for aliases and mirrors.

use super::payload::is_payload;
use crate::{
    catalog::Catalog,
    domain::{
        base::{BaseRelease, release_to_rebase_to},
        ids::{Arch, ProductName, StreamName},
        located::{Located, ScopeNames, describe_release},
        payload::Scheme,
    },
};
use serde::{Deserialize, Serialize};
use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError, TryLockError},
};

/// The most payloads that are counted one by one.
const MAX_PAYLOADS: usize = 1000;

/// The counts of this process, bounded in number and size.
#[derive(Debug, Default)]
pub struct UnknownPayloads(Mutex<Counts>);

#[derive(Debug, Default)]
struct Counts {
    payloads: HashMap<Key, Count>,
    others: u64,
}

/// The count of one payload. A new payload replaces the one with the lowest rank and takes over its rank: the "space-saving" algorithm for
/// frequent elements. So payloads that are polled more often than the changing rest stay, and so do new ones that keep being polled.
#[derive(Debug, Clone, Copy)]
struct Count {
    polls: u64,
    rank: u64,
}

impl Counts {
    fn count(&mut self, key: Key) {
        if let Some(count) = self.payloads.get_mut(&key) {
            *count = Count { polls: count.polls + 1, rank: count.rank + 1 };
            return;
        }
        let rarest =
            || self.payloads.iter().min_by_key(|(_, count)| count.rank).map(|(key, count)| (key.clone(), *count));
        let mut rank = 1;
        if self.payloads.len() >= MAX_PAYLOADS
            && let Some((rarest, count)) = rarest()
        {
            self.payloads.remove(&rarest);
            self.others += count.polls;
            rank += count.rank;
        }
        self.payloads.insert(key, Count { polls: 1, rank });
    }
}

/// Product, stream, arch, scheme, payload.
type Key = [String; 5];

/// The most releases that are listed for one unknown payload.
const MAX_ELSEWHERE: usize = 8;

/// A payload that no release of the polled scope has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnknownPayload {
    /// The product that was polled.
    pub product: String,
    /// The stream.
    pub stream: String,
    /// The architecture.
    pub arch: String,
    /// The scheme.
    pub scheme: String,
    /// The payload that the nodes run.
    pub payload: String,
    /// The number of polls with it since it was last added to this list. One node may poll several times.
    pub polls: u64,
    /// The releases that have it in other scopes. Such nodes follow the wrong stream, or report the wrong arch or product.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub known_elsewhere: Vec<KnownElsewhere>,
    /// The version to rebase such nodes to, if they run an image of the base of the polled stream.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rebase_to: Option<String>,
}

/// A release that has the payload in another scope than the polled one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KnownElsewhere {
    /// The product.
    pub product: String,
    /// The stream.
    pub stream: String,
    /// The architecture.
    pub arch: String,
    /// The scheme.
    pub scheme: String,
    /// The release.
    pub version: String,
}

impl From<Located> for KnownElsewhere {
    fn from(located: Located) -> Self {
        let Located { stream, version, arch, scheme } = located;
        Self {
            product: stream.product.to_string(),
            stream: stream.stream.to_string(),
            arch: arch.to_string(),
            scheme: scheme.to_string(),
            version: version.to_string(),
        }
    }
}

impl UnknownPayload {
    /// Describes the releases that have it in other scopes, as far as these differ from the polled scope. Returns `None` without such
    /// releases.
    #[must_use]
    pub fn describe_elsewhere(&self) -> Option<String> {
        let polled =
            ScopeNames { product: &self.product, stream: &self.stream, arch: &self.arch, scheme: &self.scheme };
        let releases = self.known_elsewhere.iter().map(|known| {
            let KnownElsewhere { product, stream, arch, scheme, version } = known;
            describe_release(version, ScopeNames { product, stream, arch, scheme }, polled)
        });
        let releases: Vec<String> = releases.collect();
        let rebase = self.rebase_to.as_ref().map(|version| format!("; rebase to {version}")).unwrap_or_default();
        (!releases.is_empty()).then(|| format!("this is {}{rebase}", releases.join(", ")))
    }
}

/// The counts since this process started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unknowns {
    /// The most frequent first.
    pub payloads: Vec<UnknownPayload>,
    /// The number of polls with other payloads: those that do not match the grammar, or that are too rare to be counted one by one.
    pub others: u64,
}

impl UnknownPayloads {
    /// Counts a poll with an unknown payload. The payload is kept only if it matches the grammar, because other text might identify a node.
    pub fn count(&self, product: &str, stream: &str, arch: &str, scheme: &str, payload: &str) {
        let is_kept = is_payload(payload) && is_scope(product, stream, arch, scheme);
        // A poll never waits for a lock. If another poll holds it, this one is not counted.
        let mut counts = match self.0.try_lock() {
            Ok(counts) => counts,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return,
        };
        if is_kept {
            counts.count([product, stream, arch, scheme, payload].map(ToOwned::to_owned));
        } else {
            counts.others += 1;
        }
    }

    /// Returns the counts.
    #[must_use]
    pub fn list(&self) -> Unknowns {
        let counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut payloads: Vec<UnknownPayload> = counts
            .payloads
            .iter()
            .map(|([product, stream, arch, scheme, payload], count)| UnknownPayload {
                product: product.clone(),
                stream: stream.clone(),
                arch: arch.clone(),
                scheme: scheme.clone(),
                payload: payload.clone(),
                polls: count.polls,
                known_elsewhere: Vec::new(),
                rebase_to: None,
            })
            .collect();
        payloads.sort_by(|a, b| b.polls.cmp(&a.polls).then_with(|| a.payload.cmp(&b.payload)));
        Unknowns { payloads, others: counts.others }
    }
}

impl Unknowns {
    /// Adds the releases that have these payloads in other scopes.
    #[must_use]
    pub fn with_releases(mut self, catalog: &Catalog) -> Self {
        for unknown in &mut self.payloads {
            let located = catalog.locate(&unknown.payload);
            unknown.rebase_to = rebase_to(unknown, &located, catalog);
            unknown.known_elsewhere = located.into_iter().take(MAX_ELSEWHERE).map(KnownElsewhere::from).collect();
        }
        self
    }
}

/// Returns the version to rebase nodes to that run an image of the base of the polled stream.
fn rebase_to(unknown: &UnknownPayload, located: &[Located], catalog: &Catalog) -> Option<String> {
    let polled = catalog.stream(&unknown.product, &unknown.stream)?.stream();
    let base = &polled.base.as_ref()?.stream;
    let found = located.iter().find(|located| located.stream == *base)?;
    let entry = catalog.stream(base.product.as_str(), base.stream.as_str())?;
    let from = BaseRelease::find(entry.stream(), &found.version)?;
    let arch = Arch::parse(&unknown.arch).ok()?;
    release_to_rebase_to(polled, &arch, &from).map(|release| release.version.to_string())
}

/// Returns true if these are valid names of a scope, which also bounds their lengths.
fn is_scope(product: &str, stream: &str, arch: &str, scheme: &str) -> bool {
    ProductName::parse(product).is_ok()
        && StreamName::parse(stream).is_ok()
        && Arch::parse(arch).is_ok()
        && Scheme::parse(scheme).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_valid_payloads_are_kept_up_to_the_limit() {
        let unknown = UnknownPayloads::default();
        for invalid in ["", "46d354cf6750611965bb70cbc6c2d868", "x@sha256:00", "@sha256:00", &"z".repeat(64)] {
            unknown.count("os", "stable", "x86_64", "checksum", invalid);
        }
        let checksum = "a".repeat(64);
        unknown.count("o\u{1b}s", "stable", "x86_64", "checksum", &checksum);
        unknown.count("os", "a/b", "x86_64", "checksum", &checksum);
        unknown.count("os", "stable", &"x".repeat(100), "checksum", &checksum);
        unknown.count("os", "stable", "x86_64", "check\tsum", &checksum);
        assert_eq!(unknown.list(), Unknowns { payloads: Vec::new(), others: 9 });
        let payload = |n: usize| format!("{n:064x}");
        let poll = |n: usize| unknown.count("os", "stable", "x86_64", "checksum", &payload(n));
        let flood = || (0..3 * MAX_PAYLOADS).for_each(|n| poll(1_000_000 + n));
        // Payloads that are polled often stay among many that are polled once, whichever comes first.
        (0..9).for_each(|_| poll(5));
        flood();
        (0..20).for_each(|_| poll(6));
        flood();
        let list = unknown.list();
        assert_eq!(list.payloads.len(), MAX_PAYLOADS);
        let polls =
            |n: usize| list.payloads.iter().find(|unknown| unknown.payload == payload(n)).map(|found| found.polls);
        assert_eq!((polls(5), polls(6)), (Some(9), Some(20)));
        let counted: u64 = list.payloads.iter().map(|unknown| unknown.polls).sum();
        assert_eq!(counted + list.others, u64::try_from(9 + 29 + 6 * MAX_PAYLOADS).unwrap());
    }
}
