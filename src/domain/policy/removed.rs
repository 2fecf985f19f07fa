//! Removed barriers and dead ends: changes after which nodes may do what a policy prevented before.

use crate::domain::{
    changes::Changes,
    finding::{Code, Finding},
    release::ReleaseState,
    stream::Stream,
};

/// Returns a warning for each published release that loses its barrier or its dead end.
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
    findings
}
