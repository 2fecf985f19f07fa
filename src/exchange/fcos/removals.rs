//! Releases, arches and payloads that upstream published and no longer lists. An import is refused because of them or, if removals are
//! allowed, withdraws such releases. Their payloads are kept, because nodes run them.

use crate::domain::{
    finding::{Code, Finding},
    ids::{Arch, Version},
    origin::Origin,
    policy::blocked_update::BlockedUpdate,
    reason::Reason,
    release::{PayloadKey, Release, ReleaseState},
    stream::Stream,
};
use std::collections::{BTreeMap, BTreeSet};

/// The most names of each kind in a refusal.
const MAX_NAMES: usize = 20;

/// How an import handles removals.
#[derive(Debug, Clone, Copy, Default)]
pub struct Removals<'a> {
    /// What upstream listed at the last import. If unknown, the present stream is used.
    pub listed: Option<&'a Stream>,
    /// True if releases that upstream no longer lists are withdrawn, false if the import is refused.
    pub are_allowed: bool,
}

/// Published releases, arches and payloads that upstream no longer lists.
#[derive(Debug, Default)]
pub(super) struct Vanished {
    releases: BTreeSet<Identity>,
    /// Arches that vanished from listed releases, in upstream's order.
    arches: Vec<(Version, Arch)>,
    /// Payloads that vanished from arches that still have others.
    payloads: Vec<(Version, PayloadKey)>,
    /// Names of the releases in upstream's order, for messages.
    names: Vec<String>,
    /// Releases that upstream listed before and whose state was set here: they stay as they are.
    local: Vec<Version>,
}

/// A version, and how many times upstream lists it before.
type Identity = (Version, usize);

impl Vanished {
    /// Compares what upstream lists with what was published. Withdrawn releases may vanish: they are not offered.
    pub(super) fn between(present: &Stream, incoming: &Stream, listed: Option<&Stream>) -> Self {
        let theirs: BTreeMap<_, _> = incoming.identified().into_iter().collect();
        // What upstream listed is known, or the release comes from upstream.
        let was_listed = |release: &Release| listed.is_some() || release.origin == Origin::Upstream;
        let before: BTreeMap<_, _> = listed.unwrap_or(present).identified().into_iter().collect();
        let mut vanished = Self::default();
        let published = |release: &Release| release.state == ReleaseState::Published;
        for (identity, release) in present.identified().into_iter().filter(|(_, release)| published(release)) {
            match (theirs.get(&identity), before.get(&identity).filter(|_| was_listed(release))) {
                (None, _) if release.origin == Origin::Upstream => vanished.add_release(identity.0, identity.1),
                (None, Some(_)) => vanished.local.push(release.version.clone()),
                (Some(now), Some(before)) => {
                    let blocks = |arch: &Arch| {
                        let of_release = |blocked: &&BlockedUpdate| blocked.target == release.version;
                        let blocked = present.blocked_updates.iter().filter(of_release);
                        blocked
                            .filter(|blocked| blocked.origin == Origin::Upstream)
                            .any(|blocked| blocked.applies_to(arch))
                    };
                    vanished.add_payloads(release, before, now, blocks);
                }
                _ => {}
            }
        }
        vanished
    }

    fn add_release(&mut self, version: &Version, times: usize) {
        self.releases.insert((version.clone(), times));
        self.names.push(match times {
            0 => version.to_string(),
            times => format!("{version} (listed again, {})", times + 1),
        });
    }

    /// Adds the payloads that vanished from a release. Arches on which an earlier removal blocks it are left out.
    fn add_payloads(&mut self, release: &Release, before: &Release, now: &Release, blocks: impl Fn(&Arch) -> bool) {
        let arches: BTreeSet<&Arch> = now.payloads.keys().map(|key| &key.arch).collect();
        let is_gone = |key: &&PayloadKey| release.payloads.contains_key(*key) && !now.payloads.contains_key(*key);
        for key in before.payloads.keys().filter(is_gone) {
            let arch = (release.version.clone(), key.arch.clone());
            if arches.contains(&key.arch) {
                self.payloads.push((release.version.clone(), key.clone()));
            } else if !self.arches.contains(&arch) && !blocks(&key.arch) {
                self.arches.push(arch);
            }
        }
    }

    /// Returns why an import without `--allow-removals` is refused, or `None` if nothing has vanished.
    pub(super) fn refusal(&self) -> Option<Finding> {
        let arches: Vec<String> = self.arches.iter().map(|(version, arch)| format!("{version} on {arch}")).collect();
        let payload = |(version, key): &(Version, PayloadKey)| format!("{version} on {} {}", key.arch, key.scheme);
        let payloads: Vec<String> = self.payloads.iter().map(payload).collect();
        let parts = [("release", &self.names), ("arch", &arches), ("payload", &payloads)];
        let parts: Vec<String> = parts.into_iter().filter_map(|(what, names)| format_count(what, names)).collect();
        let (last, others) = parts.split_last()?;
        let all = if others.is_empty() { last.clone() } else { format!("{} and {last}", others.join(", ")) };
        let message = format!(
            "upstream no longer lists {all}, published before; make sure that its documents are complete, then use \
             --allow-removals, which withdraws such releases and keeps their payloads"
        );
        Some(Finding::error(Code::RemovalRefused, "releases.json", message))
    }

    /// Withdraws a release that has vanished. It keeps its position, payloads and policies.
    pub(super) fn withdraw(&self, version: &Version, times: usize, release: &mut Release, findings: &mut Vec<Finding>) {
        if self.releases.contains(&(version.clone(), times)) {
            release.state = ReleaseState::Withdrawn;
            let message = "upstream no longer lists it; it was withdrawn and its payloads are kept";
            findings.push(Finding::warning(Code::ReleaseRemoved, format!("release {}", release.version), message));
        }
    }

    /// Blocks updates to releases on arches that have vanished from them. Nodes on such a release still get updates.
    pub(super) fn block_updates(&self, stream: &mut Stream, findings: &mut Vec<Finding>) {
        for (version, arch) in &self.arches {
            let blocked = blocked_update(stream, version, arch);
            let message = match blocked {
                Some(_) => format!(
                    "upstream no longer lists it on {arch}; updates to it are blocked there, and its payloads are kept"
                ),
                None => format!("upstream no longer lists it on {arch}; its payloads are kept"),
            };
            findings.push(Finding::warning(Code::ArchRemoved, format!("release {version}"), message));
            stream.blocked_updates.extend(blocked);
        }
        for version in &self.local {
            let message = "upstream no longer lists it; it stays published, because its state was set here";
            findings.push(Finding::drift(Code::ReleaseRemoved, format!("release {version}"), message));
        }
        for (version, key) in &self.payloads {
            let message = format!(
                "upstream no longer lists its {} payload on {}; the payload is kept and still offered",
                key.scheme, key.arch
            );
            findings.push(Finding::warning(Code::PayloadRemoved, format!("release {version}"), message));
        }
    }
}

/// Formats a count and the first names, or returns `None` without names.
fn format_count(what: &str, names: &[String]) -> Option<String> {
    let plural = match (names.len(), what) {
        (0, _) => return None,
        (1, _) => "",
        (_, "arch") => "es",
        _ => "s",
    };
    let first: Vec<&str> = names.iter().take(MAX_NAMES).map(String::as_str).collect();
    let more = names.len().saturating_sub(MAX_NAMES);
    let more = if more == 0 { String::new() } else { format!(" and {more} more") };
    Some(format!("{} {what}{plural} ({}{more})", names.len(), first.join(", ")))
}

/// Returns a block of all updates to a release on an arch, or `None` if the release is the oldest or such a block exists.
fn blocked_update(stream: &Stream, version: &Version, arch: &Arch) -> Option<BlockedUpdate> {
    let position = stream.position_of(version)?;
    let (first, last) = (stream.releases.first()?, stream.releases.get(position.checked_sub(1)?)?);
    let blocked = BlockedUpdate {
        first: first.version.clone(),
        last: last.version.clone(),
        target: version.clone(),
        reason: Reason::new(&format!("upstream no longer lists it on {arch}")).ok()?,
        arches: Some([arch.clone()].into()),
        origin: Origin::Upstream,
    };
    let exists = stream.blocked_updates.iter().any(|other| other.blocks_same(&blocked));
    (!exists).then_some(blocked)
}

/// Reports releases and arches that upstream had removed and lists again. Imports never publish them again.
pub(super) fn relisted(present: &Stream, incoming: &Stream, findings: &mut Vec<Finding>) {
    let theirs: BTreeMap<_, _> = incoming.identified().into_iter().collect();
    let drift =
        |version: &Version, message: String| Finding::drift(Code::ListedAgain, format!("release {version}"), message);
    for (identity, release) in present.identified() {
        let Some(now) = theirs.get(&identity) else { continue };
        let version = &release.version;
        if is_removed(release) {
            let message = format!(
                "upstream lists it again after removing it; it stays withdrawn until it is published here (POST \
                 /api/v1/products/{}/streams/{}/releases/{version}/publish, or `lockkeeper document put`)",
                present.id.product, present.id.stream
            );
            findings.push(drift(version, message));
        }
        let blocked = present.blocked_updates.iter();
        let blocked = blocked.filter(|blocked| blocked.target == *version && blocked.origin == Origin::Upstream);
        let arches: BTreeSet<&Arch> = blocked.flat_map(|blocked| blocked.arches.iter().flatten()).collect();
        for arch in arches.into_iter().filter(|arch| now.payloads.keys().any(|key| key.arch == **arch)) {
            let message = format!(
                "upstream lists it on {arch} again after removing it there; updates to it stay blocked there until the blocked \
                 update is deleted here"
            );
            findings.push(drift(version, message));
        }
    }
}

/// Returns true if a release was withdrawn because upstream no longer listed it. A local withdrawal changes the origin.
pub(super) fn is_removed(release: &Release) -> bool {
    release.state == ReleaseState::Withdrawn && release.origin == Origin::Upstream
}
