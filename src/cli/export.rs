//! `lockkeeper export`: writes streams in upstream's metadata format.

use super::options::{Common, runtime, with_database};
use super::output::print_line;
use crate::{
    clock::{Clock, SystemClock},
    config::Flags,
    domain::ids::{ProductName, StreamId, StreamName},
    exchange::fcos::export::{export, write},
    manage::Manage,
    server::Registry,
};
use anyhow::{Context, ensure};
use clap::{Args, Subcommand};
use std::{path::PathBuf, process::ExitCode, sync::Arc};

/// The formats that can be exported.
#[derive(Debug, Subcommand)]
pub(super) enum Export {
    /// Export Fedora CoreOS metadata
    ///
    /// Writes the documents that `import fcos` reads. Values that were not changed locally are exported exactly as imported, and
    /// an exported rollout never admits more nodes than the service does.
    Fcos(Fcos),
}

impl Export {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let Self::Fcos(arguments) = self;
        arguments.run()
    }
}

#[derive(Debug, Args)]
pub(super) struct Fcos {
    #[command(flatten)]
    common: Common,
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

impl Fcos {
    fn run(self) -> anyhow::Result<ExitCode> {
        let settings = self.common.settings(Flags::default())?;
        let product = match &self.product {
            Some(name) => ProductName::parse(name).context("--product")?,
            None => Registry::default_product(&settings)?,
        };
        let stream = self.stream.as_deref().map(StreamName::parse).transpose().context("--stream")?;
        let states = runtime()?.block_on(with_database(&settings, async |access| {
            access.store().migrate().await?;
            let manage = Manage::new(access.store().clone(), Arc::new(SystemClock));
            let wanted = |id: &StreamId| id.product == product && stream.as_ref().is_none_or(|name| id.stream == *name);
            Ok(manage.states(wanted).await?)
        }))?;
        match &stream {
            Some(stream) => ensure!(!states.is_empty(), "there is no stream {product}/{stream}"),
            None => ensure!(!states.is_empty(), "product {product} has no streams"),
        }
        for state in &states {
            let source = |kind: &str| state.sources.get(kind).map(AsRef::as_ref);
            for exported in export(&state.stream, state.changed_at, SystemClock.now().into(), source) {
                write(&self.to, &exported).with_context(|| self.to.join(&exported.path).display().to_string())?;
                print_findings(&exported.path, &exported.findings);
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn print_findings(path: &str, findings: &[crate::domain::finding::Finding]) {
    print_line(path);
    for finding in findings {
        print_line(format!("  {finding}"));
    }
}
