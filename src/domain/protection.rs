//! What keeps a stream from being opened in haste: the least time of a rollout, freeze windows, and the emergency stop.

use super::{
    duration::Minutes,
    epoch::Epoch,
    finding::Finding,
    freeze::{FreezeWindow, frozen},
    opening::openings,
    reason::Reason,
    release::{Release, ReleaseState},
    rollout::Rollout,
    share::OpenShare,
    stream::{Stream, StreamId},
    wariness::Wariness,
};
use thiserror::Error;

/// What a stream is kept from.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Protection {
    /// No rollout may go from nobody to everybody in less.
    pub shortest_rollout: Option<Minutes>,
    /// Times in which nothing is started, resumed or published.
    pub freeze_windows: Vec<FreezeWindow>,
}

/// An emergency stop: nothing opens any further until it is lifted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EmergencyStop {
    /// Since when.
    pub since: Epoch,
    /// Why.
    pub reason: Reason,
}

/// Why a stream is not opened any further now.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Closed {
    /// There was an emergency stop.
    #[error(
        "{stream} has been stopped since {since} ({reason}), and this would open it further: {openings}; lift the stop first"
    )]
    Stopped {
        /// The stream.
        stream: StreamId,
        /// Since when.
        since: Epoch,
        /// Why.
        reason: String,
        /// What would open.
        openings: String,
    },
    /// It is a time in which nothing is opened.
    #[error("{stream} is frozen{} ({reason}), and this would open it further: {openings}", until(*ends))]
    Frozen {
        /// The stream.
        stream: StreamId,
        /// Until when.
        ends: Option<Epoch>,
        /// Why.
        reason: String,
        /// What would open.
        openings: String,
    },
}

fn until(ends: Option<Epoch>) -> String {
    ends.map(|ends| format!(" until {ends}")).unwrap_or_default()
}

/// Sees to it that a stream that is stopped or frozen is not opened any further. What stood before counts: a stop has to be
/// lifted first.
///
/// # Errors
/// It is stopped or frozen, and the next state would open it.
pub fn stays_closed(before: &Stream, after: &Stream, now: Epoch) -> Result<(), Closed> {
    let window = frozen(&before.protection.freeze_windows, now);
    if before.stop.is_none() && window.is_none() {
        return Ok(());
    }
    let openings = openings(before, after, now);
    if openings.is_empty() {
        return Ok(());
    }
    let told: Vec<String> = openings.iter().map(|opening| format!("{} {}", opening.version, opening.what)).collect();
    let (stream, openings) = (before.id.clone(), told.join(", "));
    if let Some(stop) = &before.stop {
        return Err(Closed::Stopped { stream, since: stop.since, reason: stop.reason.as_str().into(), openings });
    }
    let reason = window.map(|window| window.reason.as_str().to_owned()).unwrap_or_default();
    Err(Closed::Frozen { stream, ends: window.and_then(|window| window.ends_after(now)), reason, openings })
}

/// What a change would open in less than the least time: as if the share that is open now had taken its part of that time.
/// Rollouts for groups are left out: canaries may be quick.
#[must_use]
pub fn hasty(before: &Stream, after: &Stream, now: Epoch) -> Vec<Finding> {
    let Some(shortest) = after.protection.shortest_rollout.filter(|_| !before.releases.is_empty()) else {
        return Vec::new();
    };
    let opened = openings(before, after, now);
    let is_opened = |release: &&Release| opened.iter().any(|opening| opening.version == release.version);
    let mut findings = Vec::new();
    for release in after.releases.iter().filter(is_opened) {
        let stood = before.releases.iter().find(|stood| stood.version == release.version);
        let share = stood.filter(|stood| stood.state == ReleaseState::Published).map_or(0.0, |stood| share(stood, now));
        #[expect(clippy::cast_precision_loss, reason = "a part of some minutes")]
        let least = shortest.seconds() as f64 * (1.0 - share);
        let everybody = Wariness::given(1.0);
        let plain = |rollout: &&Rollout| rollout.selector.groups.is_none();
        let begins = |rollout: &Rollout| now.max(rollout.ramp.start());
        let takes = release.rollouts.iter().filter(plain).filter_map(|rollout| {
            Some(rollout.opens_at(everybody, now)?.since(begins(rollout).min(rollout.opens_at(everybody, now)?)))
        });
        let takes = if release.rollouts.is_empty() && release.barrier.is_some() { Some(0) } else { takes.min() };
        #[expect(clippy::cast_precision_loss, reason = "a part of some minutes")]
        if let Some(takes) = takes.filter(|takes| (*takes as f64) + 60.0 < least) {
            let message = format!(
                "would be open to everybody {} min after it begins; the shortest rollout of this stream is {shortest}",
                takes / 60
            );
            findings.push(Finding::error(format!("release {}", release.version), message));
        }
    }
    findings
}

/// The least that is open of a release to those in no group.
fn share(release: &Release, now: Epoch) -> f64 {
    let shares =
        release.rollouts.iter().filter(|rollout| rollout.selector.groups.is_none()).map(|rollout| {
            match rollout.open_share(now) {
                OpenShare::Open(share) => share.clamp(0.0, 1.0),
                OpenShare::Closed => 0.0,
            }
        });
    shares.fold(None, |least: Option<f64>, share| Some(least.map_or(share, |least| least.min(share)))).unwrap_or(0.0)
}
