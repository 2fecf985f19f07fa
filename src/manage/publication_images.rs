//! Asks for the images that a command publishes, before its stream is locked.

use super::{
    command::{Command, Provenance},
    error::CommandError,
    image_source::ImageAnswers,
    manager::Manage,
    plan::plan,
    request::Request,
};
use crate::domain::image_targets::{ImageArches, newly_published_images};
use std::collections::{BTreeMap, BTreeSet};

impl Manage {
    /// Asks for the images that a command would publish now, if publications require that. No lock waits for the answers.
    pub(super) async fn ask_for_images(
        &self,
        command: &dyn Command,
        request: &Request<'_>,
    ) -> Result<ImageAnswers, CommandError> {
        let Some(source) = self.images() else { return Ok(ImageAnswers::default()) };
        if command.action().is_restrictive || !matches!(command.provenance(), Provenance::Local) {
            return Ok(ImageAnswers::default());
        }
        let loaded = self.read_loaded(command, ImageAnswers::default()).await?;
        // Findings do not refuse it yet: those about images are reported with all others.
        let preview = Request { dry_run: true, ..*request };
        let plan = self.compute(|| plan(command, &preview, &loaded, self.timestamp())).await?;
        let published = plan.next.iter().flat_map(|next| newly_published_images(&plan.before, &next.stream));
        let arches = |releases: BTreeSet<_>| releases.into_iter().map(|(arch, _)| arch).collect();
        let images: ImageArches = published.map(|(image, releases)| (image, arches(releases))).collect();
        let answers = if images.is_empty() { BTreeMap::new() } else { source.ask(&images).await };
        Ok(ImageAnswers::new(answers))
    }
}
