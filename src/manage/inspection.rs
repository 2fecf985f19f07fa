//! What is computed for a command before its stream is locked: a plan, which is used if nothing changes until then, and the plan's impact.

use super::{
    command::{Command, LoadedReads, Provenance},
    image_source::ImageAnswers,
    manager::Manage,
    plan::{Loaded, Plan, plan},
    request::Request,
};
use crate::{
    domain::{
        admission::impact::{Impact, compute_impact},
        epoch::Epoch,
        product_preset::ProductPresets,
        stream::Stream,
    },
    store::streams::Head,
};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};

/// The time limit for computing an impact, the wait for its turn included.
const IMPACT_DEADLINE: Duration = Duration::from_secs(2);

/// What was computed for a command before its stream is locked.
pub(super) struct Inspected {
    /// The head that it was planned on.
    head: Head,
    /// The presets that it was planned with.
    presets: ProductPresets,
    /// The base that it was planned with.
    base: Option<Arc<Stream>>,
    pub(super) plan: Plan,
    pub(super) impact: Option<Impact>,
}

impl Inspected {
    /// Returns true if the command was planned on this state, and with the same presets and base: only then is its plan valid.
    pub(super) fn is_of(&self, loaded: &Loaded) -> bool {
        let is_same_base = match (&self.base, &loaded.read.base) {
            (Some(base), Some(other)) => Arc::ptr_eq(base, other),
            (base, other) => base.is_none() && other.is_none(),
        };
        (&self.head, &self.presets) == (&loaded.head, &loaded.read.presets)
            && is_same_base
            && loaded.stream.as_ref().is_none_or(|present| Arc::ptr_eq(present, &self.plan.before))
    }
}

impl Manage {
    /// Computes the impact of a command. Returns `None` if none is reported, or if the command would be refused now: the attempt under
    /// the lock reports why.
    pub(super) async fn inspect(
        &self,
        command: &dyn Command,
        request: &Request<'_>,
        images: ImageAnswers,
    ) -> Option<Inspected> {
        if command.action().is_restrictive || !matches!(command.provenance(), Provenance::Local) {
            return None;
        }
        let loaded = self.read_loaded(command, images).await.ok()?;
        let plan = self.compute(|| plan(command, request, &loaded, self.clock().now())).await.ok()?;
        let impact = match &plan.next {
            None => Some(Impact::default()),
            Some(next) => self.impact(&plan.before, &next.stream, self.now()).await,
        };
        let LoadedReads { presets, base, .. } = loaded.read;
        Some(Inspected { head: loaded.head, presets, base, plan, impact })
    }

    /// Computes what a change does to nodes: off the runtime, one change at a time, and within a time limit.
    pub(super) async fn impact(&self, before: &Stream, after: &Stream, now: Epoch) -> Option<Impact> {
        let deadline = Instant::now() + IMPACT_DEADLINE;
        let is_over = move || Instant::now() >= deadline;
        self.compute(|| compute_impact(before, after, now, &is_over)).await
    }
}
