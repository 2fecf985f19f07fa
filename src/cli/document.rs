//! `lockkeeper document`: prints a stream as a TOML document, and replaces a stream by an edited one or by that of a backup.

use super::{
    change::{Change, stream_id},
    options::{Common, runtime, with_database},
    output::{print_document, print_line},
    token::manage,
};
use crate::{
    config::Flags,
    domain::stream::Revision,
    exchange::documents,
    manage::commands::{documents::PutDocument, restore::RestoreStream},
    operate::backup_stream::read_stream,
    server::Registry,
};
use anyhow::{Context, bail};
use clap::{Args, Subcommand};
use std::{path::PathBuf, process::ExitCode};

/// The subcommands of `document`.
#[derive(Debug, Subcommand)]
pub(super) enum Document {
    /// Print a stream as a TOML document
    Show(Show),
    /// Restore a stream from a backup, and print the changes
    ///
    /// Everything is as it was in the backup, as far as published releases allow: those that were published since are withdrawn.
    Restore(Restore),
    /// Replace a stream by an edited document, and print the changes
    ///
    /// Start from the output of `document show`: it contains the revision, and the document is rejected if the stream has changed
    /// since. Values that you change count as local: later imports keep them.
    Put(Put),
}

impl Document {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        match self {
            Self::Show(show) => show.run(),
            Self::Put(put) => put.run(),
            Self::Restore(restore) => restore.run(),
        }
    }
}

#[derive(Debug, Args)]
pub(super) struct Show {
    #[command(flatten)]
    common: Common,
    /// Stream to print
    #[arg(long)]
    stream: String,
    #[arg(long, help = format!("Product of the stream [default: `{}`]", Registry::DEFAULT_PRODUCT))]
    product: Option<String>,
}

impl Show {
    fn run(self) -> anyhow::Result<ExitCode> {
        let settings = self.common.settings(Flags::default())?;
        let wanted = stream_id(&settings, self.product.as_deref(), &self.stream)?;
        let mut states = runtime()?.block_on(with_database(&settings, async |access| {
            let manage = manage(access, &settings).await?;
            Ok(manage.states(|id| *id == wanted).await?)
        }))?;
        let Some(state) = states.pop() else { bail!("there is no stream {wanted}") };
        print_document(&documents::write_at(&state.stream, state.revision));
        Ok(ExitCode::SUCCESS)
    }
}

#[derive(Debug, Args)]
pub(super) struct Put {
    #[command(flatten)]
    common: Common,
    /// Document to read
    file: PathBuf,
    #[command(flatten)]
    change: Change,
    /// Replace the stream even if it has changed since; those changes are lost
    #[arg(long)]
    force: bool,
}

impl Put {
    fn run(self) -> anyhow::Result<ExitCode> {
        let settings = self.common.settings(Flags::default())?;
        let (written, revision) = documents::read_anywhere(&self.file)?;
        // A document without a revision describes a new stream.
        let expected = (!self.force).then_some(revision.unwrap_or(Revision(0)));
        self.change.run(&settings, &PutDocument { written }, expected)
    }
}

#[derive(Debug, Args)]
pub(super) struct Restore {
    #[command(flatten)]
    common: Common,
    /// Read the backup from this file
    #[arg(long, value_name = "FILE")]
    from: PathBuf,
    /// Stream to restore
    #[arg(long)]
    stream: String,
    #[arg(long, help = format!("Product of the stream [default: `{}`]", Registry::DEFAULT_PRODUCT))]
    product: Option<String>,
    /// Revision to restore [default: the newest in the backup]
    #[arg(long, value_name = "NUMBER")]
    revision: Option<i64>,
    #[command(flatten)]
    change: Change,
}

impl Restore {
    fn run(self) -> anyhow::Result<ExitCode> {
        let settings = self.common.settings(Flags::default())?;
        let id = stream_id(&settings, self.product.as_deref(), &self.stream)?;
        let path = || self.from.display().to_string();
        let (revision, saved) = read_stream(&self.from, &id, self.revision.map(Revision)).with_context(path)?;
        print_line(format!("{}: {id} at revision {revision}", path()));
        self.change.run(&settings, &RestoreStream { saved }, None)
    }
}
