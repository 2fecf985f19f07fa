//! The protection of a stream: the shortest rollout, and freeze windows.

use super::freeze_window::FreezeWindow;
use crate::domain::{duration::Minutes, rollout::selector::Label};
use std::collections::BTreeSet;

/// Limits on how fast and when a stream may be opened.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Protection {
    /// A share `s` may be open no sooner than `s` times this duration after a rollout first opened. Up to 5 % is always allowed.
    pub shortest_rollout: Option<Minutes>,
    /// Groups whose rollouts are exempt from `shortest_rollout`.
    pub canaries: BTreeSet<Label>,
    /// Times in which nothing is started, stepped, resumed or published.
    pub freeze_windows: Vec<FreezeWindow>,
}
