//! The images that the nodes of a stream need, and what registries said about them.

use super::{access::ReadError, streams::StreamReader};
use crate::{
    domain::{
        finding::Finding,
        ids::{Arch, Version},
        image_check::{ImageCheck, findings},
        image_targets::image_targets,
        payload::PayloadId,
        stream::Stream,
    },
    manage::manager::Manage,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// An image that the nodes of a stream are sent to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NeededImage {
    /// The image.
    pub image: PayloadId,
    /// The releases that have it.
    pub releases: BTreeSet<(Arch, Version)>,
    /// Its last check, if it was checked.
    pub check: Option<ImageCheck>,
}

impl StreamReader<'_> {
    /// Returns the images that the nodes of the stream are sent to, by name, with the last check of each.
    ///
    /// # Errors
    /// The stream does not exist, or the database failed.
    pub async fn image_checks(&self) -> Result<Vec<NeededImage>, ReadError> {
        let stream = self.present().await?.stream;
        let targets = self.manage.compute(|| image_targets(&stream)).await;
        let mut transaction = self.manage.reading("image_checks").await?;
        let checks = transaction.image_checks(targets.keys()).await?;
        let mut checks: BTreeMap<PayloadId, ImageCheck> =
            checks.into_iter().map(|check| (check.image.clone(), check)).collect();
        let needed =
            targets.into_iter().map(|(image, releases)| NeededImage { check: checks.remove(&image), image, releases });
        Ok(needed.collect())
    }
}

impl Manage {
    /// Returns the findings about images of a stream that are gone.
    pub(super) async fn image_findings(&self, stream: &Arc<Stream>) -> Result<Vec<Finding>, ReadError> {
        let missing = self.reading("missing_images").await?.missing_images().await?;
        if missing.is_empty() {
            return Ok(Vec::new());
        }
        Ok(self.compute(|| findings(&image_targets(stream), &missing)).await)
    }
}
