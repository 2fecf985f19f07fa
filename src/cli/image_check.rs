//! `lockkeeper image check`: asks registries for the images that nodes may be sent to.

use super::{
    auth_files::auth_files,
    options::{Common, runtime, with_database},
    output::{print_error, print_line},
};
use crate::{
    clock::{Clock, SystemClock},
    config::Flags,
    domain::{
        ids::{ProductName, StreamId, StreamName},
        image_check::{ImageAnswer, ImageState},
        payload::PayloadId,
    },
    image_check::{ImageUse, Limits, NeededImages, ask, confirm_gone, needed_images},
    registry::Registries,
    store::{Store, StoreError},
};
use clap::Args;
use serde_json::{Value, json};
use std::{collections::BTreeMap, process::ExitCode, time::Duration};

/// How long registries are asked.
const LIMITS: Limits = Limits { image: Duration::from_mins(2), all: Duration::from_hours(1) };

/// The arguments of `image check`.
#[derive(Debug, Args)]
pub(super) struct Check {
    #[command(flatten)]
    common: Common,
    /// Check the streams of this product only
    #[arg(long)]
    product: Option<ProductName>,
    /// Check streams of this name only
    #[arg(long)]
    stream: Option<StreamName>,
    /// Print the answers about all images as JSON
    #[arg(long)]
    json: bool,
}

/// What registries said about the images that are needed.
struct Checked {
    needed: NeededImages,
    answers: BTreeMap<PayloadId, ImageAnswer>,
}

impl Check {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let settings = self.common.settings(Flags::default())?;
        let registries = Registries::all(&settings.registries, auth_files());
        let checked = runtime()?.block_on(with_database(&settings, async |access| {
            let store = access.store();
            store.migrate().await?;
            let needed = needed_images(store, |id| self.is_selected(id)).await?;
            let images = needed.arches();
            let mut answers = ask(&registries, &images, LIMITS).await;
            confirm_gone(&registries, &images, &mut answers, LIMITS, Duration::ZERO).await;
            if let Err(error) = store_answers(store, &answers).await {
                print_error(&anyhow::Error::new(error).context("the service does not show these results"));
            }
            Ok(Checked { needed, answers })
        }))?;
        if self.json {
            // On one line, in which unsafe characters are escaped as JSON allows.
            print_line(checked.to_json());
        } else {
            checked.print();
        }
        Ok(checked.exit_code())
    }

    fn is_selected(&self, id: &StreamId) -> bool {
        self.product.as_ref().is_none_or(|product| *product == id.product)
            && self.stream.as_ref().is_none_or(|stream| *stream == id.stream)
    }
}

/// Stores what registries said. What this machine cannot ask for may be known to the service: it is not overwritten.
async fn store_answers(store: &Store, answers: &BTreeMap<PayloadId, ImageAnswer>) -> Result<(), StoreError> {
    let known = answers.iter().filter(|(_, answer)| matches!(answer.state, ImageState::Present | ImageState::Gone));
    let mut transaction = store.begin("image_checks").await?;
    transaction.set_image_checks(known, SystemClock.now()).await?;
    transaction.commit().await
}

impl Checked {
    fn count(&self, state: ImageState) -> usize {
        self.answers.values().filter(|answer| answer.state == state).count()
    }

    fn exit_code(&self) -> ExitCode {
        let unknown = self.answers.len() - self.count(ImageState::Present) - self.count(ImageState::Gone);
        match (self.count(ImageState::Gone), unknown) {
            (0, 0) if !self.needed.is_incomplete => ExitCode::SUCCESS,
            (0, _) => ExitCode::from(2),
            _ => ExitCode::FAILURE,
        }
    }

    fn uses(&self, image: &PayloadId) -> &[ImageUse] {
        self.needed.images.get(image).map_or(&[], Vec::as_slice)
    }

    fn print(&self) {
        for (image, answer) in &self.answers {
            if answer.state == ImageState::Present {
                continue;
            }
            let uses = self
                .uses(image)
                .iter()
                .map(|ImageUse { stream, version, arch }| format!("{stream} {version} ({arch})"));
            let uses = uses.collect::<Vec<_>>().join(", ");
            let problem = answer.problem.as_deref().unwrap_or_default();
            print_line(format!("{} {image}: {problem}; nodes are sent to it by {uses}", answer.state.as_str()));
        }
        let (present, gone) = (self.count(ImageState::Present), self.count(ImageState::Gone));
        let unknown = self.answers.len() - present - gone;
        print_line(format!("{} images: {present} present, {gone} gone, {unknown} unknown", self.answers.len()));
        if self.needed.is_incomplete {
            print_line("some streams cannot be read: see `lockkeeper doctor`");
        }
    }

    fn to_json(&self) -> Value {
        let images = self.answers.iter().map(|(image, answer)| {
            let releases = self.uses(image).iter().map(|ImageUse { stream, version, arch }| {
                json!({"product": stream.product.as_str(), "stream": stream.stream.as_str(),
                       "version": version.as_str(), "arch": arch.as_str()})
            });
            json!({"image": image.as_str(), "state": answer.state.as_str(), "problem": answer.problem,
                   "releases": releases.collect::<Vec<_>>()})
        });
        json!({"images": images.collect::<Vec<_>>(), "is_complete": !self.needed.is_incomplete})
    }
}
