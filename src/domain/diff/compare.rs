//! The comparison of two states of a stream.

use super::{
    fact::Fact,
    facts::{Listed, facts},
    target::{Name, ReleaseId, Target},
};
use crate::domain::{
    changes::{Changes, Placed},
    ids::Version,
    policy::blocked_update::BlockedUpdate,
    stream::Stream,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

/// The changes from one state to another, in the order of their releases.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Diff(pub Vec<Change>);

/// One change. Without `before` it is an addition, without `after` a removal.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    /// What changed.
    pub target: Target,
    /// The value before the change.
    pub before: Option<Fact>,
    /// The value after the change.
    pub after: Option<Fact>,
}

/// The place of a change in the list: settings first, then the releases in their order, then blocked updates.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Position {
    position: usize,
    name: Name,
}

type Facts = BTreeMap<Target, Fact>;

impl Diff {
    /// Computes the changes from `before` to `after`. Payloads and other details of a release are only compared if the release exists on
    /// both sides.
    #[must_use]
    pub fn between(before: &Stream, after: &Stream) -> Self {
        let compared = Changes::between(before, after);
        let order = order(before, &compared);
        let [mut before, mut after] = by_target([before, after], &compared);
        let kept: BTreeSet<ReleaseId> =
            before.keys().filter(|target| after.contains_key(target)).filter_map(id).collect();
        let targets: BTreeSet<Target> = before.keys().chain(after.keys()).cloned().collect();
        let mut changes = BTreeMap::new();
        for target in targets {
            let (before, after) = (before.remove(&target), after.remove(&target));
            let is_compared = !target.is_detail() || target.release().is_some_and(|release| kept.contains(release));
            if is_compared && differs(before.as_ref(), after.as_ref()) {
                let place = Position { position: position(&order, &target), name: target.name() };
                changes.insert((place, target.clone()), Change { target, before, after });
            }
        }
        Self(changes.into_values().collect())
    }

    /// Returns true if nothing changed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Returns the facts in which two states may differ.
fn by_target(states: [&Stream; 2], compared: &Changes<'_>) -> [Facts; 2] {
    let [before, after] = states;
    let releases: [Vec<Placed<'_>>; 2] = [
        compared.pairs().iter().filter_map(|pair| pair.before).collect(),
        compared.pairs().iter().filter_map(|pair| pair.after).collect(),
    ];
    let has_other_blocked_updates = before.blocked_updates != after.blocked_updates;
    let [old, new] = releases;
    [(before, old), (after, new)].map(|(stream, releases)| {
        let blocked_updates: &[BlockedUpdate] = if has_other_blocked_updates { &stream.blocked_updates } else { &[] };
        let facts = facts(stream, &releases, blocked_updates);
        facts.into_iter().map(|Listed { target, fact }| (target, fact)).collect()
    })
}

/// Returns the release that a target is about, if it is a release.
fn id(target: &Target) -> Option<ReleaseId> {
    match target {
        Target::Release(release) => Some(release.clone()),
        _ => None,
    }
}

/// Returns true if the values differ in what their text shows.
fn differs(before: Option<&Fact>, after: Option<&Fact>) -> bool {
    before != after && before.map(ToString::to_string) != after.map(ToString::to_string)
}

/// Assigns each version its position in the diff, from 1: those that the later state no longer has, and then the others in its order.
fn order(before: &Stream, compared: &Changes<'_>) -> BTreeMap<Version, usize> {
    let old = compared.pairs().iter().filter_map(|pair| pair.before).map(|placed| (placed, 0));
    let new = compared.pairs().iter().filter_map(|pair| pair.after).map(|placed| (placed, before.releases.len()));
    old.chain(new).map(|(placed, first)| (placed.release.version.clone(), first + placed.index + 1)).collect()
}

fn position(order: &BTreeMap<Version, usize>, target: &Target) -> usize {
    match (target, target.release()) {
        (Target::BlockedUpdate { .. }, _) => usize::MAX,
        (_, Some(release)) => order.get(&release.version).copied().unwrap_or_default(),
        (_, None) => 0,
    }
}

/// Writes `+` before an addition, `-` before a removal and `~` before a changed value.
impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { target, before, after } = self;
        match (before, after) {
            (None, Some(after)) => write!(f, "+ {target}: {after}"),
            (Some(before), None) => write!(f, "- {target}: {before}"),
            (before, after) => {
                let [before, after] =
                    [before, after].map(|side| side.as_ref().map(ToString::to_string).unwrap_or_default());
                write!(f, "~ {target}: {before} -> {after}")
            }
        }
    }
}

/// Writes one line per change.
impl fmt::Display for Diff {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|change| writeln!(f, "{change}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::document::{StreamDocument, Strictness};

    fn stream(text: &str) -> Stream {
        let text = format!("format = 1\nproduct = \"os\"\nstream = \"stable\"\norigin = \"local\"\n{text}");
        let document: StreamDocument = toml::from_str(&text).unwrap();
        Stream::from_document(&document, Strictness::Recorded).unwrap().numbered()
    }

    #[test]
    fn changes_are_listed_in_the_order_of_the_releases() {
        let before = stream(
            r#"
            arches = ["x86_64"]
            releases = [
                { version = "2", payloads = [{ arch = "x86_64", scheme = "oci", id = "b" }] },
                { version = "1", barrier = { reason = "keys" }, rollouts = [{ start_share = 0.5 }] },
            ]"#,
        );
        let after = stream(
            r#"
            arches = ["aarch64", "x86_64"]
            mirrors = ["registry.example/os"]
            blocked_updates = [{ first = "2", last = "2", target = "1", reason = "too far" }]
            [protection]
            shortest_rollout = "PT24H"
            canaries = ["lab"]
            freeze_windows = [{ from = "friday 16:00", until = "monday 08:00", zone = "Europe/Berlin", reason = "weekend" }]
            [[releases]]
            version = "2"
            state = "withdrawn"
            notes = "new"
            payloads = [{ arch = "x86_64", scheme = "oci", id = "c" }]
            artifacts = [{ arch = "x86_64", name = "metal.raw", url = "https://builds.example/metal.raw" }]
            [[releases]]
            version = "1"
            dead_end = { reason = "install again", arches = ["x86_64"] }
            suppressed_upstream = ["barrier"]
            rollouts = [{ start_share = 0.5, state = "completed" }]
            [[releases]]
            version = "3"
            payloads = [{ arch = "x86_64", scheme = "oci", id = "d" }]
            "#,
        );
        insta::assert_snapshot!(Diff::between(&before, &after), @"
        + arch aarch64: served
        + canaries: lab
        + freeze window friday 16:00 to monday 08:00 Europe/Berlin: weekend
        + mirror registry.example/os: recognised
        + shortest rollout: PT24H
        ~ release 2: published, age index 0 (local) -> withdrawn, age index 0 (local)
        + release 2, artifact metal.raw for x86_64: https://builds.example/metal.raw
        + release 2, notes: 3 bytes, 11507a0e2f5e
        ~ release 2, x86_64 oci: b -> c
        - release 1, barrier: keys (local)
        + release 1, dead end: install again (on x86_64) (local)
        ~ release 1, rollout 1: from share 0.5 (local) -> from share 0.5 (completed) (local)
        + release 1, upstream barrier: suppressed here
        + release 3: published, age index 2 (local)
        + blocked update 2..=2 to 1: too far (local)
        ");
    }

    #[test]
    fn an_alias_of_another_arch_is_a_change() {
        let alias = |arches: &[&str]| {
            let aliases = arches.iter().map(|arch| format!("{{ arch = \"{arch}\", scheme = \"oci\", id = \"a\" }}"));
            let aliases: Vec<String> = aliases.collect();
            stream(&format!("releases = [{{ version = \"1\", aliases = [{}] }}]", aliases.join(", ")))
        };
        let diff = Diff::between(&alias(&["x86_64"]), &alias(&["aarch64", "x86_64"]));
        assert_eq!(diff.to_string(), "+ release 1, alias a: aarch64 oci (local)\n");
    }
}
