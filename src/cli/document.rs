//! `lockkeeper document`: a whole stream as a file, to look at and to change by hand.

use super::{
    options::{Common, actor, runtime, with_database},
    output::say,
};
use crate::{
    clock::SystemClock,
    config::Flags,
    domain::{
        product::ProductName,
        stream::{Revision, StreamId, StreamName},
    },
    exchange::documents,
    manage::{Author, Change, ChangeError, Manage, Outcome},
};
use anyhow::{Context, bail};
use clap::{Args, Subcommand};
use std::{path::PathBuf, process::ExitCode, sync::Arc};

/// What can be done with stream documents.
#[derive(Debug, Subcommand)]
pub(super) enum Document {
    /// Prints a stream as it is
    Show(Show),
    /// Makes a stream what a file says, and prints what that changed
    Put(Put),
}

impl Document {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        match self {
            Self::Show(show) => show.run(),
            Self::Put(put) => put.run(),
        }
    }
}

#[derive(Debug, Args)]
pub(super) struct Show {
    #[command(flatten)]
    common: Common,
    /// The stream
    #[arg(long)]
    stream: String,
    /// The product [default: `fcos.default_product`]
    #[arg(long)]
    product: Option<String>,
}

impl Show {
    fn run(self) -> anyhow::Result<ExitCode> {
        let settings = self.common.settings(Flags::default())?;
        let product = match &self.product {
            Some(name) => ProductName::parse(name).context("--product")?,
            None => settings.fcos.product()?,
        };
        let wanted = StreamId { product, stream: StreamName::parse(&self.stream).context("--stream")? };
        let mut states = runtime()?.block_on(with_database(&settings, async |access| {
            access.store().migrate().await?;
            let manage = Manage::new(access.store().clone(), Arc::new(SystemClock));
            Ok(manage.states(|id| *id == wanted).await?)
        }))?;
        let Some(state) = states.pop() else { bail!("there is no stream {wanted}") };
        say(documents::write_at(&state.stream, state.revision).trim_end());
        Ok(ExitCode::SUCCESS)
    }
}

/// What differs from the stream as it is counts as set here: later imports leave it alone. Begin with what `document show`
/// prints: it says its revision, and once somebody has made a newer one it is not taken any more.
#[derive(Debug, Args)]
pub(super) struct Put {
    #[command(flatten)]
    common: Common,
    /// The file
    file: PathBuf,
    /// Why, for the record
    #[arg(long, value_name = "TEXT")]
    reason: String,
    /// Only print what would change
    #[arg(long)]
    dry_run: bool,
    /// Take it whatever revision the stream is at by now: changes made in between are lost
    #[arg(long)]
    force: bool,
}

impl Put {
    fn run(self) -> anyhow::Result<ExitCode> {
        let settings = self.common.settings(Flags::default())?;
        if self.reason.trim().is_empty() {
            bail!("--reason must not be empty");
        }
        let (written, revision) = documents::read_anywhere(&self.file)?;
        let author = Author { actor: actor(), reason: self.reason, request_id: None };
        let change = match (self.force, revision) {
            (true, _) => Change::of(&written.id, &author),
            // What names no revision was made from none: it is a new stream.
            (false, revision) => Change::of(&written.id, &author).from(revision.unwrap_or(Revision(0))),
        };
        let outcome = runtime()?.block_on(with_database(&settings, async |access| {
            access.store().migrate().await?;
            let manage = Manage::new(access.store().clone(), Arc::new(SystemClock));
            let outcome = if self.dry_run {
                manage.preview_document(&written, change).await
            } else {
                manage.put_document(&written, change).await
            };
            outcome.map_err(|error| match error {
                moved @ ChangeError::MovedOn { .. } => anyhow::Error::new(moved).context(format!(
                    "{} was not changed; put what `document show` prints now, or --force it",
                    written.id
                )),
                other => other.into(),
            })
        }))?;
        match outcome {
            Outcome::Unchanged { revision } => {
                say(format!("{}: nothing new, revision {revision} stays", written.id));
            }
            Outcome::Changed { diff, .. } if self.dry_run => {
                say(format!("{}: would change\n{diff}", written.id).trim_end());
            }
            Outcome::Changed { revision, diff } => {
                say(format!("{}: revision {revision}\n{diff}", written.id).trim_end());
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}
