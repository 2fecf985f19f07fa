//! Removed barriers and dead ends: changes after which nodes may do what a policy prevented before.

use crate::domain::{
    base::{BasePolicy, BasePolicyKind},
    changes::Changes,
    finding::{Code, Finding},
    ids::Arch,
    release::ReleaseState,
    stream::Stream,
};

/// Returns a warning for each published release that loses its barrier or its dead end, and for each that the stream no longer inherits from its base.
#[must_use]
pub fn findings(before: &Stream, after: &Stream) -> Vec<Finding> {
    let mut findings = Vec::new();
    for pair in Changes::between(before, after).changed() {
        let published = pair.new_release().filter(|release| release.state == ReleaseState::Published);
        let Some((before, release)) = pair.old_published_release().zip(published) else { continue };
        let mut report_removed = |code: Code, was_set: bool, is_set: bool, message: &str| {
            if was_set && !is_set {
                findings.push(Finding::warning(code, format!("release {}", release.version), message));
            }
        };
        report_removed(
            Code::BarrierRemoved,
            before.barrier.is_some(),
            release.barrier.is_some(),
            "is no longer a barrier: nodes may skip it",
        );
        report_removed(
            Code::DeadEndRemoved,
            before.dead_end.is_some(),
            release.dead_end.is_some(),
            "is no longer a dead end: nodes may update from it",
        );
    }
    findings.extend(no_longer_inherited(before, after));
    findings
}

/// Returns a warning for each barrier and dead end of the base that counted for a stream with releases, and no longer does.
fn no_longer_inherited(before: &Stream, after: &Stream) -> Vec<Finding> {
    let is_published = before.releases.iter().any(|release| release.state == ReleaseState::Published);
    let Some(base) = before.base.as_deref().filter(|_| is_published) else { return Vec::new() };
    let after = after.base.as_deref().filter(|after| after.stream == base.stream);
    let lost = base.policies.iter().filter_map(|policy| {
        let is_it =
            |other: &&BasePolicy| (&other.release.version, other.kind) == (&policy.release.version, policy.kind);
        let kept = after.and_then(|after| after.policies.iter().find(is_it));
        let is_lost = |arch: &&Arch| !kept.is_some_and(|kept| kept.counts_on(arch));
        let arches: Vec<&str> = policy.counting_arches().filter(is_lost).map(Arch::as_str).collect();
        (!arches.is_empty()).then(|| (policy, arches.join(", ")))
    });
    let place = || format!("stream {}", before.id.stream);
    let finding = |(policy, arches): (&BasePolicy, String)| {
        let (code, effect) = match policy.kind {
            BasePolicyKind::Barrier => (Code::BarrierRemoved, "nodes may skip it"),
            BasePolicyKind::DeadEnd => (Code::DeadEndRemoved, "nodes may update from it"),
        };
        let (kind, version) = (policy.kind.words(), &policy.release.version);
        Finding::warning(
            code,
            place(),
            format!("the {kind} {version} of {} no longer counts on {arches}: {effect}", base.stream),
        )
    };
    lost.map(finding).collect()
}
