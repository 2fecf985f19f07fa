//! Removed barriers and dead ends: changes after which nodes may do what a policy prevented before.

use crate::domain::{
    finding::Finding,
    release::{Release, ReleaseState},
    stream::Stream,
};
use std::collections::BTreeMap;

/// Returns a warning for each published release that loses its barrier or its dead end.
#[must_use]
pub fn findings(before: &Stream, after: &Stream) -> Vec<Finding> {
    let known: BTreeMap<_, _> = before.identified().into_iter().collect();
    let is_published = |release: &Release| release.state == ReleaseState::Published;
    let mut findings = Vec::new();
    for (identity, release) in after.identified() {
        let Some(before) = known.get(&identity).filter(|before| is_published(before) && is_published(release)) else {
            continue;
        };
        let mut report_removed = |was_set: bool, is_set: bool, message: &str| {
            if was_set && !is_set {
                findings.push(Finding::warning(format!("release {}", release.version), message));
            }
        };
        report_removed(
            before.barrier.is_some(),
            release.barrier.is_some(),
            "is no longer a barrier: nodes may skip it",
        );
        report_removed(
            before.dead_end.is_some(),
            release.dead_end.is_some(),
            "is no longer a dead end: nodes may update from it",
        );
    }
    findings
}
