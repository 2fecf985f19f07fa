//! `lockkeeper export`: the streams in upstream's format.

use super::options::{Common, runtime, with_database};
use super::output::say;
use crate::{
    clock::{Clock, SystemClock},
    config::Flags,
    domain::{
        product::ProductName,
        stream::{StreamId, StreamName},
    },
    exchange::fcos::export::{export, write},
    manage::Manage,
};
use anyhow::{Context, ensure};
use clap::{Args, Subcommand};
use std::{path::PathBuf, process::ExitCode, sync::Arc};

/// What can be written.
#[derive(Debug, Subcommand)]
pub(super) enum Export {
    /// Fedora CoreOS's metadata
    Fcos(Fcos),
}

impl Export {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let Self::Fcos(arguments) = self;
        arguments.run()
    }
}

/// Writes the documents that `import fcos` reads. What nobody touched comes out as it came in; nothing is told more open than
/// it is served.
#[derive(Debug, Args)]
pub(super) struct Fcos {
    #[command(flatten)]
    common: Common,
    /// The folder to write to
    #[arg(long, value_name = "DIR")]
    to: PathBuf,
    /// The product [default: `fcos.default_product`]
    #[arg(long)]
    product: Option<String>,
    /// The stream; all of the product if absent
    #[arg(long)]
    stream: Option<String>,
}

impl Fcos {
    fn run(self) -> anyhow::Result<ExitCode> {
        let settings = self.common.settings(Flags::default())?;
        let product = match &self.product {
            Some(name) => ProductName::parse(name).context("--product")?,
            None => settings.fcos.product()?,
        };
        let stream = self.stream.as_deref().map(StreamName::parse).transpose().context("--stream")?;
        let states = runtime()?.block_on(with_database(&settings, async |access| {
            access.store().migrate().await?;
            let manage = Manage::new(access.store().clone(), Arc::new(SystemClock));
            let wanted = |id: &StreamId| id.product == product && stream.as_ref().is_none_or(|name| id.stream == *name);
            Ok(manage.states(wanted).await?)
        }))?;
        ensure!(!states.is_empty(), "there is no such stream");
        for state in &states {
            let source = |kind: &str| state.sources.get(kind).map(AsRef::as_ref);
            for exported in export(&state.stream, state.changed_at, SystemClock.now().into(), source) {
                write(&self.to, &exported).with_context(|| self.to.join(&exported.path).display().to_string())?;
                tell(&exported.path, &exported.findings);
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn tell(path: &str, findings: &[crate::domain::finding::Finding]) {
    say(path);
    for finding in findings {
        say(format!("  {finding}"));
    }
}
