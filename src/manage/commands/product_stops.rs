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
        Ok(ProductState { stop: Some(stop) })
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
        Ok(ProductState { stop: None })
    }

    fn in_stream(&self, stream: &StreamId) -> Option<Box<dyn Command>> {
        Some(Box::new(PauseAtStop { stream: stream.clone() }))
    }
}
