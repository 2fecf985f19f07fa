//! The rollouts in progress, of all streams.

use super::{
    access::ReadError,
    overview::{LiveRollout, live_rollouts},
    rollouts::RolloutPhase,
};
use crate::{
    auth::Identity,
    domain::ids::{ProductName, StreamId, StreamName},
    manage::manager::Manage,
};

/// Which rollouts are listed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RolloutFilter {
    /// Only those of this product.
    pub product: Option<ProductName>,
    /// Only those of streams with this name.
    pub stream: Option<StreamName>,
    /// Only those in this phase.
    pub phase: Option<RolloutPhase>,
}

impl RolloutFilter {
    fn selects(&self, stream: &StreamId) -> bool {
        self.product.as_ref().is_none_or(|product| *product == stream.product)
            && self.stream.as_ref().is_none_or(|name| *name == stream.stream)
    }
}

impl Manage {
    /// Returns the rollouts in progress of the streams that the caller may read, by stream, those of the newest release first. All are from one
    /// state of the database.
    ///
    /// # Errors
    /// The caller may read no stream of the product that the filter names, or the database failed.
    pub async fn live_rollouts(
        &self,
        caller: &Identity,
        filter: &RolloutFilter,
    ) -> Result<Vec<(StreamId, LiveRollout)>, ReadError> {
        let mut transaction = self.reading("live_rollouts").await?;
        let is_selected = |id: &StreamId| filter.selects(id);
        let streams = self.readable_streams(&mut transaction, caller, filter.product.as_ref(), is_selected).await?;
        let now = self.now();
        let in_phase = |rollout: &LiveRollout| filter.phase.is_none_or(|phase| phase == rollout.status.phase);
        let rollouts = streams.iter().flat_map(|(head, stream)| {
            live_rollouts(stream, now).filter(in_phase).map(|rollout| (head.id.clone(), rollout))
        });
        Ok(rollouts.collect())
    }
}
