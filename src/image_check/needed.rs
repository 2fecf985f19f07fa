//! The images that the streams of a database need.

use crate::{
    domain::{
        ids::{Arch, StreamId, Version},
        image_targets::{ImageArches, ImageTargets, image_targets},
        payload::PayloadId,
    },
    store::{Store, StoreError},
};
use std::collections::BTreeMap;

/// The images that nodes may be sent to.
#[derive(Debug, Default)]
pub struct NeededImages {
    /// Each image, with the releases that have it.
    pub images: BTreeMap<PayloadId, Vec<ImageUse>>,
    /// True if a stream cannot be read: there may be more images.
    pub is_incomplete: bool,
}

/// A release that has an image on an arch.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ImageUse {
    /// The stream.
    pub stream: StreamId,
    /// The version.
    pub version: Version,
    /// The arch.
    pub arch: Arch,
}

impl NeededImages {
    /// Returns the images with the arches of the nodes that are sent to them.
    #[must_use]
    pub fn arches(&self) -> ImageArches {
        let arches = |uses: &[ImageUse]| uses.iter().map(|image_use| image_use.arch.clone()).collect();
        self.images.iter().map(|(image, uses)| (image.clone(), arches(uses))).collect()
    }

    fn add(&mut self, stream: &StreamId, targets: ImageTargets) {
        for (image, releases) in targets {
            let uses = releases.into_iter().map(|(arch, version)| ImageUse { stream: stream.clone(), version, arch });
            self.images.entry(image).or_default().extend(uses);
        }
    }
}

/// Returns the images that the streams for which `is_selected` returns true need. One stream at a time is in memory.
///
/// # Errors
/// The database is unavailable.
pub async fn needed_images(store: &Store, is_selected: impl Fn(&StreamId) -> bool) -> Result<NeededImages, StoreError> {
    let mut needed = NeededImages::default();
    let mut transaction = store.begin_read("needed_images").await?;
    for head in transaction.heads().await? {
        if !is_selected(&head.id) {
            continue;
        }
        match transaction.load_stream(&head).await {
            Ok(stream) => match tokio::task::spawn_blocking(move || image_targets(&stream)).await {
                Ok(targets) => needed.add(&head.id, targets),
                // It panicked, which is logged.
                Err(_) => needed.is_incomplete = true,
            },
            // The catalog reports it, and serves an older revision.
            Err(StoreError::Corrupt { .. }) => needed.is_incomplete = true,
            Err(error) => return Err(error),
        }
    }
    Ok(needed)
}
