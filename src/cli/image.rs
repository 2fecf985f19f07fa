//! `lockkeeper image`: makes releases of images in registries, and checks that registries still have them.

use super::{
    auth_files::auth_files,
    change::{Change, stream_id},
    image_check::Check,
    options::{Common, runtime},
    output::print_line,
};
use crate::{
    config::Flags,
    domain::{ids::Version, origin::Origin, release::Release, rollout::preset::Preset},
    manage::commands::{
        images::{AddImage, version_of},
        rollouts::{NamedPreset, RolloutPlan},
    },
    registry::{ImageReference, Registries},
    server::Registry,
};
use anyhow::Context;
use clap::{Args, Subcommand};
use std::process::ExitCode;

/// The subcommands of `image`.
#[derive(Debug, Subcommand)]
pub(super) enum Image {
    /// Make a release of an image, and print the changes
    ///
    /// The release gets the image's digest on each arch of the stream. If a release has this image already, nothing changes, and the exit
    /// code is 0: a pipeline can repeat the command.
    Add(Box<Add>),
    /// Check that registries still have the images that nodes may be sent to
    ///
    /// Asks for each image of each release to which an update leads, held back or not, and in the mirrors, too. Stores what it finds, so that the
    /// service shows it. Exits with 0 if all images are there, with 1 if some are gone, and with 2 if none is known to be gone but some could not
    /// be asked for.
    Check(Check),
}

impl Image {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        match self {
            Self::Add(add) => add.run(),
            Self::Check(check) => check.run(),
        }
    }
}

#[derive(Debug, Args)]
pub(super) struct Add {
    #[command(flatten)]
    common: Common,
    /// Image, by tag or digest: ghcr.io/acme/os:stable
    #[arg(value_name = "REF")]
    image: ImageReference,
    /// Stream that gets the release
    #[arg(long)]
    stream: String,
    #[arg(long, help = format!("Product of the stream [default: `{}`]", Registry::DEFAULT_PRODUCT))]
    product: Option<String>,
    /// Version of the release [default: the image's label org.opencontainers.image.version]
    #[arg(long)]
    version: Option<String>,
    /// Preset of the service or of the product [default: the stream's default rollout, or with --publish linear-48h]
    #[arg(long, value_name = "PRESET")]
    rollout: Option<String>,
    /// Release of the stream's base that the image is built on [default: what its labels say]
    #[arg(long, value_name = "VERSION")]
    built_on: Option<String>,
    /// Publish the release at once
    #[arg(long)]
    publish: bool,
    #[command(flatten)]
    change: Change,
}

impl Add {
    fn run(self) -> anyhow::Result<ExitCode> {
        let settings = self.common.settings(Flags::default())?;
        let id = stream_id(&settings, self.product.as_deref(), &self.stream)?;
        let given = self.version.as_deref().map(Version::parse).transpose().context("--version")?;
        let rollouts: Vec<RolloutPlan> = self.rollout.as_deref().map(plan).transpose()?.into_iter().collect();
        let registries = Registries::all(&settings.registries, auth_files());
        let image = runtime()?.block_on(registries.read(&self.image))?;
        let version = version_of(&image, given.as_ref())?;
        if self.change.is_preview() {
            for (arch, id) in image.payload_ids()? {
                print_line(format!("{arch}: {id}"));
            }
        }
        let draft = Release { notes: image.notes(None)?, ..Release::published(version, Origin::Local) };
        let command = AddImage {
            stream: id,
            image,
            draft,
            is_labelled: given.is_none(),
            rollouts,
            is_published: self.publish,
            fallback: Some(Preset::Linear48h),
            built_on: self.built_on.as_deref().map(Version::parse).transpose().context("--built-on")?,
        };
        self.change.run(&settings, &command, None)
    }
}

fn plan(preset: &str) -> anyhow::Result<RolloutPlan> {
    let preset = NamedPreset::from_name(preset).with_context(|| format!("--rollout: {preset:?} is not a preset"))?;
    Ok(RolloutPlan::from_preset(preset))
}
