//! Rollouts.

use crate::domain::{
    document::{
        release as document_of,
        shape::{RolloutDocument, SelectorDocument, StepDocument},
    },
    duration::Minutes,
    epoch::Epoch,
    preset::Preset,
    release::Release,
    rollout::{Rollout, RolloutState},
    share::OpenShare,
    wariness::Wariness,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A rollout of a release.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({
    "id": 1, "state": "running", "open_share": 0.25, "fully_open_at": "2026-07-24T14:00:00Z",
    "start": "2026-07-22T14:00:00Z", "start_share": 0.0, "duration": "PT48H", "end_share": 1.0, "origin": "local"
}))]
pub struct RolloutModel {
    /// Its number, from 1, in the order in which the release's rollouts are tried on a node.
    pub id: usize,
    /// `scheduled`, `running`, `paused`, `completed` or `aborted`.
    pub state: &'static str,
    /// The share of the nodes that it is for that it lets in now; absent where it is closed to all, wariness 0 too.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub open_share: Option<f64>,
    /// When it lets in everybody, if nobody touches it; absent if never, or if it does already.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    pub fully_open_at: Option<String>,
    /// Which nodes it is for; all if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub selector: Option<SelectorDocument>,
    /// When it starts; absent counts as 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    pub start: Option<String>,
    /// The share at its start; absent counts as 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start_share: Option<f64>,
    /// How long it takes from there to the end share, ISO 8601.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duration: Option<String>,
    /// Where the line ends.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub end_share: Option<f64>,
    /// Shares from given times on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub steps: Option<Vec<StepDocument>>,
    /// The instant whose share it keeps, where it is paused.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    pub paused_at: Option<String>,
    /// Who set it: `upstream`, `git` or `local`.
    pub origin: &'static str,
}

impl RolloutModel {
    /// Those of a release, at a time.
    #[must_use]
    pub fn all(release: &Release, now: Epoch) -> Vec<Self> {
        let documents = document_of(release).rollouts;
        let rollouts = release.rollouts.iter().zip(documents).zip(1..);
        rollouts.map(|((rollout, document), id)| Self::of(id, rollout, document, now)).collect()
    }

    fn of(id: usize, rollout: &Rollout, document: RolloutDocument, now: Epoch) -> Self {
        let open_share = match rollout.open_share(now) {
            OpenShare::Open(share) => Some(share),
            OpenShare::Closed => None,
        };
        let fully_open_at = rollout.opens_at(Wariness::given(1.0), now).filter(|at| *at > now);
        Self {
            id,
            state: state(rollout, now),
            open_share,
            fully_open_at: fully_open_at.map(|at| at.to_string()),
            end_share: document.duration.as_ref().map(|_| document.end_share.unwrap_or(1.0)),
            selector: document.selector,
            start: document.start,
            start_share: document.start_share,
            duration: document.duration,
            steps: document.steps,
            paused_at: document.paused_at,
            origin: rollout.origin.as_str(),
        }
    }
}

pub(super) fn state(rollout: &Rollout, now: Epoch) -> &'static str {
    match rollout.state {
        RolloutState::Active if now < rollout.ramp.start() => "scheduled",
        RolloutState::Active => "running",
        state => state.as_str(),
    }
}

/// A rollout to be made: by a preset, or a start share alone, or with `duration` a line to `end_share`, or `steps`.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "preset": "linear-48h", "start": "2026-07-22T14:00:00Z" }))]
pub struct NewRollout {
    /// A ramp that people use: `linear-48h`, `week`, `emergency-3h`; then nothing else is said of the ramp but its start.
    #[serde(default)]
    pub preset: Option<String>,
    /// Which nodes it is for; all if absent.
    #[serde(default)]
    pub selector: Option<SelectorDocument>,
    /// When it starts, RFC 3339 in whole seconds; now if absent.
    #[serde(default)]
    pub start: Option<String>,
    /// The share at its start, 0 to 1; 0 if absent. Nodes of wariness 0 are let in before.
    #[serde(default)]
    pub start_share: Option<f64>,
    /// How long it takes from there to the end share, ISO 8601 in whole minutes (`PT48H`).
    #[serde(default)]
    pub duration: Option<String>,
    /// Where the line ends, 0 to 1; 1 if absent.
    #[serde(default)]
    pub end_share: Option<f64>,
    /// Shares from given times after the start on, in their order.
    #[serde(default)]
    pub steps: Option<Vec<StepDocument>>,
    /// The number that it gets, before those that have it or a higher one; the last if absent.
    #[serde(default)]
    pub before: Option<usize>,
}

impl NewRollout {
    /// As documents have it, started now unless another time is given.
    #[must_use]
    pub fn to_document(&self, now: Epoch) -> RolloutDocument {
        RolloutDocument {
            selector: self.selector.clone(),
            start: Some(self.start.clone().unwrap_or_else(|| now.to_string())),
            start_share: self.start_share,
            duration: self.duration.clone(),
            end_share: self.end_share,
            steps: self.steps.clone(),
            state: None,
            paused_at: None,
            origin: None,
        }
    }

    /// Is anything said of the ramp but its start?
    #[must_use]
    pub fn says_a_ramp(&self) -> bool {
        self.start_share.is_some() || self.duration.is_some() || self.end_share.is_some() || self.steps.is_some()
    }
}

/// Come to the end sooner.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "within": "PT6H" }))]
pub struct AccelerateModel {
    /// The time to the end of the ramp from now, ISO 8601 in whole minutes; less than what is left.
    pub within: String,
}

impl AccelerateModel {
    /// The time.
    ///
    /// # Errors
    /// It is none.
    pub fn within(&self) -> Result<Minutes, crate::domain::duration::DurationError> {
        Minutes::parse(&self.within)
    }
}

/// Go no further than a share.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "share": 0.5 }))]
pub struct HoldModel {
    /// The share, 0 to 1: ahead of what is open, and before the end.
    #[schema(minimum = 0, maximum = 1)]
    pub share: f64,
}

/// A ramp that people use.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({ "name": "linear-48h", "description": "from nobody to everybody in 48 hours, in a straight line",
    "start_share": 0.0, "duration": "PT48H" }))]
pub struct PresetModel {
    /// Its name.
    pub name: &'static str,
    /// What it does.
    pub description: &'static str,
    /// The share at its start.
    pub start_share: f64,
    /// How long it takes, where it is a line.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duration: Option<String>,
    /// Its steps, where it has some.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub steps: Option<Vec<StepDocument>>,
}

impl PresetModel {
    /// Every preset.
    #[must_use]
    pub fn all() -> Vec<Self> {
        Preset::ALL.into_iter().map(Self::of).collect()
    }

    fn of(preset: Preset) -> Self {
        let document = crate::domain::document::rollout(&preset.rollout(Epoch(0)));
        Self {
            name: preset.as_str(),
            description: preset.description(),
            start_share: document.start_share.unwrap_or(0.0),
            duration: document.duration,
            steps: document.steps,
        }
    }
}
