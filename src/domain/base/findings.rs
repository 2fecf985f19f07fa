//! What should be looked at in a stream with a base.

use super::{Base, BasePolicyKind, BaseRelease, PolicyStatus};
use crate::domain::{
    finding::{Code, Finding},
    ids::{Arch, Version},
    policy::blocked_update::BlockedUpdate,
    release::{Release, ReleaseState},
    stream::Stream,
};
use jiff::Timestamp;

/// Returns warnings that follow from the stream itself: barriers and dead ends that the base no longer has, and releases that are built on a dead
/// end.
#[must_use]
pub fn findings(stream: &Stream) -> Vec<Finding> {
    let Some(base) = stream.base.as_deref() else { return Vec::new() };
    removed(stream, base).chain(built_on_dead_ends(stream, base)).collect()
}

fn removed<'a>(stream: &'a Stream, base: &'a Base) -> impl Iterator<Item = Finding> + 'a {
    let is_removed = |status: &PolicyStatus| *status == PolicyStatus::Removed;
    let removed = base.policies.iter().filter(move |policy| policy.arches.values().any(is_removed));
    removed.map(|policy| {
        let (kind, version) = (policy.kind.words(), &policy.release.version);
        let message = format!(
            "{} no longer has the {kind} {version}, which still counts here until a manager removes it",
            base.stream
        );
        Finding::warning(Code::BasePolicyRemoved, format!("stream {}", stream.id.stream), message)
    })
}

fn built_on_dead_ends<'a>(stream: &'a Stream, base: &'a Base) -> impl Iterator<Item = Finding> + 'a {
    let published = stream.aged().filter(|(_, release)| release.state == ReleaseState::Published);
    published.filter_map(|(_, release)| {
        let built_on = release.built_on.as_ref()?;
        let is_dead_end =
            |(arch, on): &(&Arch, &BaseRelease)| base.reason_for(BasePolicyKind::DeadEnd, arch, on).is_some();
        let (arch, on) = built_on.iter().find(is_dead_end)?;
        let message =
            format!("is built on the dead end {} of {} for {arch}: no update leaves it", on.version, base.stream);
        Some(Finding::warning(Code::BuiltOnDeadEnd, format!("release {}", release.version), message))
    })
}

/// A release of a base that a stream has nothing for on an arch: no release of it is built on that one or on a newer one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewerRelease {
    /// The arch.
    pub arch: Arch,
    /// The version in the base.
    pub version: Version,
    /// Since when the base has it.
    pub since: Timestamp,
}

/// Returns warnings that follow from the present state of the base: that it is stopped, that it blocks an update that the stream may offer, and that
/// it has had a newer release for longer than the stream allows.
#[must_use]
pub fn findings_about_base(stream: &Stream, base: &Stream, newer: Option<&NewerRelease>) -> Vec<Finding> {
    let place = || format!("stream {}", stream.id.stream);
    let mut findings = Vec::new();
    if let Some(stop) = base.active_stop() {
        let message = format!("its base {} is stopped since {}: {}", base.id, stop.since, stop.reason.as_str());
        findings.push(Finding::warning(Code::BaseStopped, place(), message));
    }
    if let Some(NewerRelease { arch, version, since }) = newer {
        let lag = stream.base.as_ref().and_then(|base| base.lag).map(|lag| lag.to_string()).unwrap_or_default();
        let message = format!(
            "its base {} has had {version} since {since:.0}, which is longer than {lag}, and no release for {arch} is built on it or a newer one",
            base.id
        );
        findings.push(Finding::warning(Code::BaseLag, place(), message));
    }
    findings.extend(base.blocked_updates.iter().filter_map(|blocked| blocked_by_base(stream, base, blocked)));
    findings
}

fn blocked_by_base(stream: &Stream, base: &Stream, blocked: &BlockedUpdate) -> Option<Finding> {
    let age = |version: &Version| BaseRelease::find(base, version).map(|release| release.age);
    let (first, last, target) = (age(&blocked.first)?, age(&blocked.last)?, age(&blocked.target)?);
    let is_on = |release: &Release, ages: std::ops::RangeInclusive<u32>| {
        let built_on = release.built_on.iter().flat_map(|built_on| built_on.iter());
        built_on.into_iter().any(|(arch, on)| blocked.applies_to(arch) && ages.contains(&on.age))
    };
    let has_source = stream.aged().any(|(_, release)| is_on(release, first..=last));
    let is_target = |release: &Release| release.state == ReleaseState::Published && is_on(release, target..=target);
    let (_, found) = stream.aged().find(|(_, release)| has_source && is_target(release))?;
    let message = format!(
        "is built on {}, to which {} blocks updates from {} to {}: {}",
        blocked.target,
        base.id,
        blocked.first,
        blocked.last,
        blocked.reason.as_str()
    );
    Some(Finding::warning(Code::BaseUpdateBlocked, format!("release {}", found.version), message))
}
