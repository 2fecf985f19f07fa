//! `lockkeeper graph`: computes the answer that a node would get at a given time from files.

use super::by_protocol::ByProtocol;
use crate::{config::Settings, exchange};
use clap::Args;
use std::{
    io::{BufWriter, Write},
    process::ExitCode,
};

/// The subcommands of `graph`.
pub(super) type Graph = ByProtocol<Box<dyn exchange::Graph>, NoOptions>;

/// The command reads no settings.
#[derive(Debug, Args)]
pub(super) struct NoOptions {}

impl Graph {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let graph = self.arguments.prepare(&Settings::default())?;
        let mut out = BufWriter::new(std::io::stdout().lock());
        graph.write(&mut out)?;
        out.flush()?;
        Ok(ExitCode::SUCCESS)
    }
}
