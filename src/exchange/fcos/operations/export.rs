//! `export fcos`

use super::product;
use crate::{
    config::Settings,
    domain::ids::StreamName,
    exchange::{Arguments, Export, fcos::export::export},
};
use anyhow::Context;
use clap::Args;
use std::path::PathBuf;

/// Export Fedora CoreOS metadata
///
/// Writes the documents that `import fcos` reads. Values that were not changed locally are exported exactly as imported, and
/// an exported rollout never admits more nodes than the service does.
#[derive(Debug, Args)]
pub(super) struct ExportArguments {
    /// Folder to write to
    #[arg(long, value_name = "DIR")]
    to: PathBuf,
    /// Product to export [default: `fcos.default_product`]
    #[arg(long)]
    product: Option<String>,
    /// Stream to export [default: all streams of the product]
    #[arg(long)]
    stream: Option<String>,
}

impl Arguments<Export> for ExportArguments {
    fn prepare(self: Box<Self>, settings: &Settings) -> anyhow::Result<Export> {
        Ok(Export {
            product: product(self.product.as_deref(), settings)?,
            stream: self.stream.as_deref().map(StreamName::parse).transpose().context("--stream")?,
            folder: self.to,
            build: |state, now| {
                let source = |kind: &str| state.sources.get(kind).map(AsRef::as_ref);
                export(&state.stream, state.changed_at, now, source)
            },
        })
    }
}
