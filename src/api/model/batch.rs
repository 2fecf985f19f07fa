//! Batches: several commands on one stream.

use super::NewRollout;
use serde::Deserialize;
use utoipa::ToSchema;

/// Commands on one stream, which are carried out in their order as one revision.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "commands": [
    { "operation": "pause_rollout", "release": "44.20260708.3.0", "rollout": 1 },
    { "operation": "publish_release", "release": "44.20260722.3.0" }
] }))]
pub struct BatchModel {
    /// The commands, 1 to 100.
    #[schema(min_items = 1, max_items = 100)]
    pub commands: Vec<BatchedCommand>,
}

/// A command of a batch: the id of an operation, with what its path and its body have otherwise.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(tag = "operation", rename_all = "snake_case", deny_unknown_fields)]
pub enum BatchedCommand {
    /// Publish a draft, or a withdrawn release again.
    PublishRelease(BatchedRelease),
    /// Withdraw a release.
    WithdrawRelease(BatchedRelease),
    /// Mark a release as a barrier.
    SetBarrier(BatchedPolicy),
    /// Remove the barrier of a release.
    DeleteBarrier(BatchedRelease),
    /// Mark a release as a dead end.
    SetDeadEnd(BatchedPolicy),
    /// Remove the dead end of a release.
    DeleteDeadEnd(BatchedRelease),
    /// Add a rollout to a release.
    CreateRollout(Box<BatchedNewRollout>),
    /// Start a scheduled rollout now.
    StartRollout(BatchedRollout),
    /// Pause a rollout.
    PauseRollout(BatchedRollout),
    /// Resume a paused rollout.
    ResumeRollout(BatchedRollout),
    /// Open a rollout further: past its gate, or to a higher share.
    AdvanceRollout(BatchedAdvance),
    /// Make the ramp of a rollout end at a share.
    HoldRollout(BatchedHold),
    /// Make a rollout end sooner.
    AccelerateRollout(BatchedAcceleration),
    /// Complete a rollout.
    CompleteRollout(BatchedRollout),
    /// Abort a rollout.
    AbortRollout(BatchedRollout),
    /// Restart an aborted rollout.
    RestartRollout(BatchedRollout),
    /// Pause all rollouts of the stream that would open further.
    PauseRollouts {},
    /// Resume all paused rollouts of the stream.
    ResumeRollouts {},
}

/// A release of the stream.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BatchedRelease {
    /// The version.
    pub release: String,
}

/// A barrier or dead end of a release.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BatchedPolicy {
    /// The version.
    pub release: String,
    /// The reason; must not be blank.
    pub reason: String,
    /// The arches on which it applies. Default: all.
    #[serde(default)]
    pub arches: Option<Vec<String>>,
}

/// A new rollout of a release.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BatchedNewRollout {
    /// The version.
    pub release: String,
    /// The rollout.
    pub rollout: NewRollout,
}

/// A rollout of a release.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BatchedRollout {
    /// The version of the release.
    pub release: String,
    /// The id of the rollout.
    pub rollout: u32,
}

/// How far a rollout opens.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BatchedAdvance {
    /// The version of the release.
    pub release: String,
    /// The id of the rollout.
    pub rollout: u32,
    /// The share, 0 to 1; absent: the rollout passes its gate.
    #[serde(default)]
    pub share: Option<f64>,
    /// The time from now in which the share is reached. Default: at once.
    #[serde(default)]
    pub over: Option<String>,
}

/// Where a rollout ends.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BatchedHold {
    /// The version of the release.
    pub release: String,
    /// The id of the rollout.
    pub rollout: u32,
    /// The share, 0 to 1.
    pub share: f64,
}

/// When a rollout ends.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BatchedAcceleration {
    /// The version of the release.
    pub release: String,
    /// The id of the rollout.
    pub rollout: u32,
    /// The time from now to the end of the ramp.
    pub within: String,
}
