//! Random streams, half of which have a base.

use super::{Base, BasePolicy, BasePolicyKind, BaseRelease, BuiltOn, PolicyStatus};
use crate::domain::{
    duration::Minutes,
    ids::{Arch, ProductName, StreamId, StreamName, Version},
    reason::Reason,
    samples,
    stream::Stream,
};
use fastrand::Rng;
use proptest::prelude::*;
use std::collections::BTreeSet;

/// The number of releases of the base.
const RELEASES: u32 = 8;

/// Generates any stream that a stored document can describe.
pub(crate) fn stream() -> impl Strategy<Value = Stream> {
    (samples::stream(), any::<u64>(), any::<bool>()).prop_map(|(stream, seed, has_base)| {
        if has_base { with_base(stream, &mut Rng::with_seed(seed)) } else { stream }
    })
}

fn base_release(age: u32) -> BaseRelease {
    BaseRelease { version: Version::parse(&format!("44.{age}")).unwrap(), age }
}

fn with_base(mut stream: Stream, rng: &mut Rng) -> Stream {
    let arches: BTreeSet<Arch> = stream.known_arches().into_iter().cloned().collect();
    let mut policies = Vec::new();
    for age in 0..RELEASES {
        for kind in BasePolicyKind::ALL {
            let status = |arch: &Arch| (arch.clone(), PolicyStatus::ALL[arch.as_str().len() % 3]);
            let arches: std::collections::BTreeMap<_, _> = arches.iter().filter(|_| rng.bool()).map(status).collect();
            if rng.u8(..3) == 0 && !arches.is_empty() {
                let reason = Reason::new("keys").unwrap();
                policies.push(BasePolicy { release: base_release(age), kind: *kind, reason, arches });
            }
        }
    }
    for release in &mut stream.releases {
        let arches = release.payloads.keys().map(|key| key.arch.clone());
        let built_on: BuiltOn = arches.map(|arch| (arch, base_release(rng.u32(..RELEASES)))).collect();
        release.built_on = (!built_on.is_empty()).then(|| Box::new(built_on));
    }
    let (product, name) = (ProductName::parse("base").unwrap(), StreamName::parse("stable").unwrap());
    let lag = rng.bool().then_some(Minutes(90));
    stream.base = Some(Box::new(Base { stream: StreamId { product, stream: name }, lag, policies }));
    stream
}
