//! Which command was asked for.

use super::{backup, database, doctor, document, export, fleet, graph, import, serve, shadow, token};
use clap::{Parser, Subcommand};
use std::process::ExitCode;

/// Tells machines which operating system to boot next.
#[derive(Debug, Parser)]
#[command(name = "lockkeeper", version, about, max_term_width = 100)]
struct Arguments {
    /// What to do; without a command, serve
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Answers agents and release managers over HTTP
    Serve(serve::Serve),
    /// Takes over what upstream publishes
    #[command(subcommand)]
    Import(import::Import),
    /// Writes the streams in upstream's format
    #[command(subcommand)]
    Export(export::Export),
    /// Answers as an agent would be answered, from documents alone
    #[command(subcommand)]
    Graph(graph::Graph),
    /// Shows a stream as a file, and takes a file for a stream
    #[command(subcommand)]
    Document(document::Document),
    /// Asks a running service what it has seen of the nodes
    #[command(subcommand)]
    Fleet(fleet::Fleet),
    /// Gives, lists and takes back tokens
    #[command(subcommand)]
    Token(token::Token),
    /// Looks at everything that a service needs, and says what to do
    Doctor(doctor::Doctor),
    /// Asks the service on this machine whether it is ready
    Health(doctor::Health),
    /// Asks another service and ours the same, and tells what differs
    Shadow(shadow::Shadow),
    /// Keeps a whole store in one file
    Backup(backup::Backup),
    /// Brings a backup back into an empty database
    Restore(backup::Restore),
    /// Works with the database below the service
    #[command(subcommand)]
    Database(database::Database),
}

/// Runs the command that was asked for.
///
/// # Errors
/// Whatever it failed with, as a chain that reads well.
pub fn run() -> anyhow::Result<ExitCode> {
    match Arguments::parse().command {
        None => serve::Serve::default().run(),
        Some(Command::Serve(serve)) => serve.run(),
        Some(Command::Import(import)) => import.run(),
        Some(Command::Export(export)) => export.run(),
        Some(Command::Graph(graph)) => graph.run(),
        Some(Command::Document(document)) => document.run(),
        Some(Command::Fleet(fleet)) => fleet.run(),
        Some(Command::Token(token)) => token.run(),
        Some(Command::Doctor(doctor)) => doctor.run(),
        Some(Command::Health(health)) => health.run(),
        Some(Command::Shadow(shadow)) => shadow.run(),
        Some(Command::Backup(backup)) => backup.run(),
        Some(Command::Restore(restore)) => restore.run(),
        Some(Command::Database(database)) => database.run(),
    }
}
