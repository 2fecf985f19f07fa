//! Stops products and lifts their stops.

use super::stops::PauseAtStop;
use crate::{
    domain::{
        admission::emergency_stop::EmergencyStop,
        epoch::Epoch,
        ids::{ProductName, StreamId},
        reason::Reason,
    },
    manage::{
        command::{Command, ProductCommand, ProductState},
        refusal::Refusal,
        request::Action,
    },
};

/// Stops a product with all its streams, also those that are created or imported later. A stop that is in force already stays as it is.
#[derive(Debug, Clone)]
pub struct StopProduct {
    /// The product.
    pub product: ProductName,
    /// The reason.
    pub reason: Reason,
}

impl ProductCommand for StopProduct {
    fn action(&self) -> Action {
        Action::STOP
    }

    fn product(&self) -> &ProductName {
        &self.product
    }

    fn apply(&self, present: &ProductState, now: Epoch) -> Result<ProductState, Refusal> {
        let stop = present.stop.clone().unwrap_or_else(|| EmergencyStop { since: now, reason: self.reason.clone() });
        Ok(ProductState { stop: Some(stop), ..present.clone() })
    }
}

/// Lifts a product's stop. In each of its streams, rollouts that would open further are paused as of the beginning of the stop.
#[derive(Debug, Clone)]
pub struct LiftProductStop {
    /// The product.
    pub product: ProductName,
}

impl ProductCommand for LiftProductStop {
    fn action(&self) -> Action {
        Action::LIFT_STOP
    }

    fn product(&self) -> &ProductName {
        &self.product
    }

    fn apply(&self, present: &ProductState, _: Epoch) -> Result<ProductState, Refusal> {
        if present.stop.is_none() {
            return Err(Refusal::no_such("emergency stop", format!("of {}", self.product)));
        }
        Ok(ProductState { stop: None, ..present.clone() })
    }

    fn in_stream(&self, stream: &StreamId) -> Option<Box<dyn Command>> {
        Some(Box::new(PauseAtStop { stream: stream.clone() }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manage::testing::{NOW, id, next, reason, stop, stream};
    use crate::{domain::stream::Stream, manage::command::Provenance};

    fn product() -> ProductName {
        id().product
    }

    #[test]
    fn the_first_stop_of_a_product_stays_in_force() {
        let command = StopProduct { product: product(), reason: reason("nodes do not boot") };
        let stopped = command.apply(&ProductState::default(), NOW).unwrap();
        assert_eq!(stopped.stop, Some(EmergencyStop { since: NOW, reason: reason("nodes do not boot") }));
        let earlier = ProductState { stop: Some(stop(-6)), ..ProductState::default() };
        assert_eq!(command.apply(&earlier, NOW), Ok(earlier));
        assert!(command.in_stream(&id()).is_none());
        assert_eq!((command.action(), command.product()), (Action::STOP, &product()));
    }

    #[test]
    fn a_product_stop_is_lifted_once() {
        let command = LiftProductStop { product: product() };
        let stopped = ProductState { stop: Some(stop(-6)), ..ProductState::default() };
        assert_eq!(command.apply(&stopped, NOW), Ok(ProductState::default()));
        let refused = command.apply(&ProductState::default(), NOW).unwrap_err();
        assert_eq!(refused.to_string(), "there is no emergency stop of os");
        assert_eq!((command.action(), command.product()), (Action::LIFT_STOP, &product()));
    }

    #[test]
    fn lifting_a_product_stop_pauses_the_rollouts_of_its_streams() {
        let command = LiftProductStop { product: product() }.in_stream(&id()).unwrap();
        assert_eq!((command.target(), command.action()), (&id(), Action::LIFT_STOP));
        assert!(matches!(command.provenance(), Provenance::Recorded) && !command.lifts_stop());
        let mut stopped = Stream { product_stop: Some(stop(-6)), ..stream() };
        let paused = next(&*command, &stopped);
        stopped.pause_at_stop(NOW);
        assert_ne!(paused, stream());
        assert_eq!(paused, stopped);
    }
}
