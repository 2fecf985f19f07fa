//! Under which payloads and aliases the releases of a stream are known.

use crate::domain::{
    origin::Origin,
    payload::PayloadId,
    release::{PayloadKey, Release},
    stream::Stream,
};
use std::collections::BTreeSet;

/// Returns the payloads and aliases of all releases.
pub(super) fn named_payloads(stream: &Stream) -> BTreeSet<(PayloadKey, PayloadId)> {
    let payloads = |release: &Release| -> Vec<_> {
        release.payloads.iter().map(|(key, payload)| (key.clone(), payload.id.clone())).collect()
    };
    let aliases = |release: &Release| -> Vec<_> {
        release.aliases.iter().flat_map(|(key, ids)| ids.keys().map(|id| (key.clone(), id.clone()))).collect()
    };
    stream.releases.iter().flat_map(|release| payloads(release).into_iter().chain(aliases(release))).collect()
}

/// Returns the aliases that came from upstream.
pub(super) fn upstream_aliases(release: &Release) -> impl Iterator<Item = (&PayloadKey, &PayloadId)> {
    release.aliases.iter().flat_map(|(key, ids)| {
        ids.iter().filter(|(_, origin)| **origin == Origin::Upstream).map(move |(id, _)| (key, id))
    })
}
