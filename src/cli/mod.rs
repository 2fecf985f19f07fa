//! The command line: one file a command. Commands put the house together, and hold no rule.

mod graph;

use clap::{Parser, Subcommand};
use std::process::ExitCode;

/// Tells machines which operating system to boot next.
#[derive(Debug, Parser)]
#[command(name = "lockkeeper", version, about, max_term_width = 100)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Answers as an agent would be answered, from documents alone
    #[command(subcommand)]
    Graph(graph::Graph),
}

/// Runs the command that was asked for.
///
/// # Errors
/// Whatever it failed with, as a chain that reads well.
pub fn run() -> anyhow::Result<ExitCode> {
    match Arguments::parse().command {
        Command::Graph(graph) => graph.run(),
    }
}
