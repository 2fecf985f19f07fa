//! Images that must be there before a release is published: a service can be set to ask registries for them.

use super::refusal::Refusal;
use crate::domain::{
    finding::Finding,
    image_check::{ImageAnswer, publication_findings},
    image_targets::{ImageArches, newly_published_images},
    payload::PayloadId,
    stream::Stream,
};
use futures_util::future::BoxFuture;
use std::{collections::BTreeMap, sync::Arc};

/// Knows which images can be pulled.
pub trait ImageSource: Send + Sync {
    /// Asks for images. Every image gets an answer, in bounded time.
    fn ask<'a>(&'a self, images: &'a ImageArches) -> BoxFuture<'a, BTreeMap<PayloadId, ImageAnswer>>;
}

/// The answers about the images that a command publishes, or none if publications do not require images.
#[derive(Debug, Clone, Default)]
pub struct ImageAnswers(Option<Arc<BTreeMap<PayloadId, ImageAnswer>>>);

impl ImageAnswers {
    /// Wraps the answers about the images that a command publishes: none if it publishes no images.
    pub(super) fn new(answers: BTreeMap<PayloadId, ImageAnswer>) -> Self {
        Self(Some(Arc::new(answers)))
    }

    /// Returns the findings about the images that a change publishes.
    pub(super) fn findings(&self, before: &Stream, after: &Stream) -> Result<Vec<Finding>, Refusal> {
        let Some(answers) = &self.0 else { return Ok(Vec::new()) };
        let mut findings = Vec::new();
        for (image, releases) in newly_published_images(before, after) {
            let changed = || {
                Refusal::State(
                    "the stream changed while registries were asked for its images: repeat the request".into(),
                )
            };
            let answer = answers.get(&image).ok_or_else(changed)?;
            findings.extend(publication_findings(&image, &releases, answer));
        }
        Ok(findings)
    }
}
