//! Checks of references: arches and schemes that a policy names but the stream does not have, identifiers of the wrong form, and names
//! that cannot be part of a URL path. A policy with a dangling reference would have no effect, and nodes would skip it.

use crate::domain::{
    changes::{Changes, Placed},
    document::Problem,
    finding::{Code, Finding},
    identifier::FormError,
    ids::Arch,
    payload::{PayloadId, Scheme},
    release::{PayloadKey, Release},
    rollout::Rollout,
    stream::Stream,
};
use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    fmt::Display,
};

/// A reference to an arch or scheme that the stream does not have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dangling {
    /// The policy or selector that contains it, independent of its position in lists.
    user: String,
    /// Its path in the document and a message.
    pub problem: Problem,
}

/// Returns the arches and schemes that policies and selectors name but the stream does not have.
#[must_use]
pub fn dangling(stream: &Stream) -> Vec<Dangling> {
    let all = Changes::of_all(stream, stream);
    dangling_in(stream, &Known::new(stream), all.pairs().iter().filter_map(|pair| pair.after))
}

fn dangling_in<'a>(stream: &Stream, known: &Known, releases: impl Iterator<Item = Placed<'a>>) -> Vec<Dangling> {
    let mut found = Found(Vec::new());
    for Placed { index, occurrence, release } in releases.filter(|placed| names_scopes(placed.release)) {
        let (path, user) = (format!("releases[{index}]"), format!("{} {occurrence}", release.version));
        check_release(release, &path, &user, known, &mut found);
    }
    for (index, blocked) in stream.blocked_updates.iter().enumerate() {
        let user = format!("{} {} {}", blocked.first, blocked.last, blocked.target);
        found.check(format!("blocked_updates[{index}].arches"), &user, blocked.arches.as_ref(), &known.arches, "arch");
    }
    found.0
}

/// Returns a problem for each dangling reference that a change adds.
fn new_dangling(before: &Stream, after: &Stream, changes: &Changes<'_>) -> Vec<Problem> {
    let [old_known, known] = [before, after].map(Known::new);
    let [old, new] = if old_known == known {
        // Only releases that changed can have other references.
        [
            dangling_in(before, &known, changes.changed().filter_map(|pair| pair.before)),
            dangling_in(after, &known, changes.changed().filter_map(|pair| pair.after)),
        ]
    } else {
        [dangling(before), dangling(after)]
    };
    let known: BTreeSet<String> = old.into_iter().map(|dangling| dangling.user).collect();
    new.into_iter().filter(|dangling| !known.contains(&dangling.user)).map(|dangling| dangling.problem).collect()
}

/// Returns a problem for each dangling reference, malformed identifier and unusable name that a change adds. Those that existed before
/// are accepted.
#[must_use]
pub fn unusable(before: &Stream, after: &Stream) -> Vec<Problem> {
    let changes = Changes::between(before, after);
    let mut problems = new_dangling(before, after, &changes);
    let old = changes.changed().flat_map(|pair| pair.before.map(malformed).unwrap_or_default());
    let known: BTreeSet<_> = old.map(|malformed| (malformed.key, malformed.id)).collect();
    let new = changes.changed().flat_map(|pair| pair.after.map(malformed).unwrap_or_default());
    let new = new.filter(|malformed| !known.contains(&(malformed.key, malformed.id)));
    problems.extend(new.map(|malformed| Problem { path: malformed.path, message: malformed.error.to_string() }));
    for (Placed { index, release, .. }, old) in changes.added_or_changed() {
        if old.is_none() && !release.version.is_path_segment() && before.position_of(&release.version).is_none() {
            let message =
                format!("is {:?}, which cannot be part of a URL path; choose another", release.version.as_str());
            problems.push(Problem { path: format!("releases[{index}].version"), message });
        }
    }
    problems
}

/// Returns the same problems as warnings, for imports, which are not rejected for them.
#[must_use]
pub fn findings(before: &Stream, after: &Stream) -> Vec<Finding> {
    let problems = unusable(before, after).into_iter();
    problems.map(|problem| Finding::warning(Code::UnusableName, problem.path, problem.message)).collect()
}

/// A payload or an alias whose id does not have the form of its scheme.
struct Malformed<'a> {
    path: String,
    key: &'a PayloadKey,
    id: &'a PayloadId,
    error: FormError,
}

/// Returns the malformed payloads and aliases of a release. Placeholder (synthetic) payloads may have any form.
fn malformed(Placed { index, release, .. }: Placed<'_>) -> Vec<Malformed<'_>> {
    let mut found = Vec::new();
    let real = release.payloads.iter().filter(|(_, payload)| !payload.synthetic);
    let payloads = real.map(|(key, payload)| ("payloads", key, &payload.id));
    let aliases = release.aliases.iter().flat_map(|(key, ids)| ids.keys().map(move |id| ("aliases", key, id)));
    for (list, key, id) in payloads.chain(aliases) {
        if let Err(error) = key.scheme.check(id) {
            found.push(Malformed { path: format!("releases[{index}].{list}"), key, id, error });
        }
    }
    found
}

#[derive(PartialEq)]
struct Known {
    arches: BTreeSet<Arch>,
    schemes: BTreeSet<Scheme>,
}

impl Known {
    /// Collects the arches that the stream serves, and the arches and schemes of all releases, drafts included. `checksum` and `oci` are
    /// always known, because they may be named before their first payload.
    fn new(stream: &Stream) -> Self {
        let keys: HashSet<_> = stream.releases.iter().flat_map(|release| release.payloads.keys()).collect();
        let arches = stream.arches.iter().chain(keys.iter().map(|key| &key.arch)).cloned().collect();
        let usual = [Scheme::checksum(), Scheme::oci()].into_iter();
        Self { arches, schemes: usual.chain(keys.iter().map(|key| key.scheme.clone())).collect() }
    }
}

/// Returns true if a policy or selector of the release names arches or schemes.
fn names_scopes(release: &Release) -> bool {
    let selects = |rollout: &Rollout| rollout.selector.arches.is_some() || rollout.selector.schemes.is_some();
    release.barrier.is_some() || release.dead_end.is_some() || release.rollouts.iter().any(selects)
}

fn check_release(release: &Release, path: &str, user: &str, known: &Known, found: &mut Found) {
    let policies: BTreeMap<&str, Option<&BTreeSet<Arch>>> = [
        ("barrier", release.barrier.as_ref().and_then(|barrier| barrier.arches.as_ref())),
        ("dead_end", release.dead_end.as_ref().and_then(|dead_end| dead_end.arches.as_ref())),
    ]
    .into();
    for (policy, arches) in policies {
        found.check(format!("{path}.{policy}.arches"), &format!("{user} {policy}"), arches, &known.arches, "arch");
    }
    for (number, rollout) in release.rollouts.iter().enumerate() {
        let (path, user) = (format!("{path}.rollouts[{number}].selector"), format!("{user} rollout"));
        found.check(format!("{path}.arches"), &user, rollout.selector.arches.as_ref(), &known.arches, "arch");
        found.check(format!("{path}.schemes"), &user, rollout.selector.schemes.as_ref(), &known.schemes, "scheme");
    }
}

struct Found(Vec<Dangling>);

impl Found {
    fn check<T: Ord + Display>(
        &mut self,
        path: String,
        user: &str,
        named: Option<&BTreeSet<T>>,
        known: &BTreeSet<T>,
        what: &str,
    ) {
        let Some(name) = named.into_iter().flatten().find(|name| !known.contains(name)) else { return };
        let available: Vec<String> = known.iter().map(ToString::to_string).collect();
        let available = if available.is_empty() { "none".into() } else { available.join(", ") };
        let message = format!("names {what} `{name}`, which the stream does not have; it has {available}");
        self.0.push(Dangling { user: format!("{user} {what} {name}"), problem: Problem { path, message } });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{
        ids::Version, origin::Origin, payload::Payload, policy::barrier::Barrier, reason::Reason,
        rollout::preset::Preset, samples,
    };

    fn arches(names: &[&str]) -> BTreeSet<Arch> {
        names.iter().map(|name| Arch::parse(name).unwrap()).collect()
    }

    fn stream() -> Stream {
        let mut release = Release::published(Version::parse("1").unwrap(), Origin::Local);
        let key = PayloadKey { arch: Arch::parse("x86_64").unwrap(), scheme: Scheme::oci() };
        let payload = Payload { id: samples::payload_id("payload", 1, &key.arch, &key.scheme), synthetic: false };
        release.payloads.insert(key, payload);
        release.barrier = Some(Box::new(Barrier {
            reason: Reason::new("keys").unwrap(),
            arches: Some(arches(&["x86_64"])),
            origin: Origin::Local,
        }));
        Stream { releases: vec![release.into()], ..Stream::empty(samples::id()) }
    }

    fn messages(before: &Stream, after: &Stream) -> Vec<String> {
        unusable(before, after).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn unknown_arches_and_schemes_are_reported() {
        let good = stream();
        let none = Stream::empty(good.id.clone());
        assert_eq!(messages(&none, &good), Vec::<String>::new());
        let mut wrong = good.clone();
        wrong.releases[0].barrier.as_mut().unwrap().arches = Some(arches(&["amd64"]));
        let mut rollout = Preset::Linear48h.rollout(crate::domain::epoch::Epoch(0));
        rollout.selector.schemes = Some([Scheme::parse("ocl").unwrap()].into());
        wrong.releases[0].rollouts = vec![rollout];
        assert_eq!(
            messages(&none, &wrong),
            [
                "releases[0].barrier.arches: names arch `amd64`, which the stream does not have; it has x86_64",
                "releases[0].rollouts[0].selector.schemes: names scheme `ocl`, which the stream does not have; it has checksum, oci",
            ]
        );
        // Dangling references that existed before are accepted, and an arch may be added together with its reference.
        assert_eq!(messages(&wrong, &wrong), Vec::<String>::new());
        let mut joined = wrong.clone();
        joined.releases[0].rollouts.clear();
        joined.arches = arches(&["amd64"]);
        assert_eq!(messages(&none, &joined), Vec::<String>::new());
        // An arch cannot be removed while it is referenced.
        assert_eq!(messages(&joined, &Stream { arches: BTreeSet::new(), ..joined.clone() }).len(), 1);
    }

    #[test]
    fn new_malformed_identifiers_are_reported() {
        let mut wrong = stream();
        let payload = wrong.releases[0].payloads.iter_mut().next().unwrap().1;
        payload.id = PayloadId::parse("quay.io/fedora/fedora-coreos:stable").unwrap();
        let found = messages(&stream(), &wrong);
        assert!(
            found[0].starts_with("releases[0].payloads: ") && found[0].contains("host[:port]/path@sha256:"),
            "{found:?}"
        );
        assert_eq!(messages(&wrong, &wrong), Vec::<String>::new());
        wrong.releases[0].payloads.iter_mut().next().unwrap().1.synthetic = true;
        assert_eq!(messages(&stream(), &wrong), Vec::<String>::new());
    }

    #[test]
    fn new_names_that_cannot_be_in_a_url_path_are_reported() {
        let mut stream = stream();
        stream.releases[0].version = Version::parse("..").unwrap();
        let found = messages(&Stream::empty(stream.id.clone()), &stream);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].starts_with("releases[0].version: "), "{found:?}");
        assert_eq!(unusable(&stream, &stream), []);
    }
}
