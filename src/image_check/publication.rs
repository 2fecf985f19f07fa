//! Asks registries for the images that a change publishes.

use super::ask::{Limits, ask};
use crate::{
    domain::{image_check::ImageAnswer, image_targets::ImageArches, payload::PayloadId},
    manage::ImageSource,
    registry::Registries,
};
use futures_util::{FutureExt, future::BoxFuture};
use std::{collections::BTreeMap, time::Duration};

/// Asks registries for the images that a change publishes.
pub struct PublicationCheck {
    registries: Registries,
    limits: Limits,
}

impl PublicationCheck {
    /// Creates a check that takes at most `max_time`.
    #[must_use]
    pub fn new(registries: Registries, max_time: Duration) -> Self {
        Self { registries, limits: Limits { image: max_time, all: max_time } }
    }
}

impl ImageSource for PublicationCheck {
    fn ask<'a>(&'a self, images: &'a ImageArches) -> BoxFuture<'a, BTreeMap<PayloadId, ImageAnswer>> {
        ask(&self.registries, images, self.limits).boxed()
    }
}
