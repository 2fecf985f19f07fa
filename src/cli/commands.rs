//! The list of commands, and the entry point that runs one of them.

use super::{
    backup, database, doctor, document, export, fleet, graph, image, import, key, output::print_error, serve, shadow,
    stop, token,
};
use clap::{CommandFactory, Parser, Subcommand};
use std::process::ExitCode;

// The description comes from Cargo.toml.
#[derive(Parser)]
#[command(name = "lockkeeper", version, about, max_term_width = 100)]
struct Arguments {
    /// Command to run; `serve` if none is given
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Run the service: serve nodes and release managers over HTTP
    ///
    /// SIGTERM or SIGINT stops it after the open requests are answered; a second signal stops it at once.
    Serve(serve::Serve),
    /// Import release metadata that upstream publishes
    #[command(subcommand)]
    Import(import::Import),
    /// Export streams in upstream's metadata format
    #[command(subcommand)]
    Export(export::Export),
    /// Print the update graph that a node would get, computed from files
    ///
    /// Needs neither a running service nor a database.
    #[command(subcommand)]
    Graph(graph::Graph),
    /// Print a stream as a TOML document, or replace a stream by an edited document
    #[command(subcommand)]
    Document(document::Document),
    /// Make releases of images in container registries, or check that the images are still there
    #[command(subcommand)]
    Image(image::Image),
    /// Show what a running service knows about its nodes
    #[command(subcommand)]
    Fleet(fleet::Fleet),
    /// Create, list and revoke API tokens
    #[command(subcommand)]
    Token(token::Token),
    /// List and revoke the keys that sign API tokens
    #[command(subcommand)]
    Key(key::Key),
    /// Stop offering updates from this machine; works without the database
    ///
    /// Every process that uses this data directory stops offering updates within a second. To stop a stream or a product on
    /// every replica, use the API: `POST .../emergency-stop`.
    Stop(stop::Stop),
    /// Check everything that the service needs, and print what to fix
    ///
    /// Checks settings, database, clock, keys, disk and the running service. Exits with 1 if a check fails.
    Doctor(doctor::Doctor),
    /// Check whether the service on this machine is ready
    ///
    /// Exits with 0 if it is, and with 1 if it is not.
    Health(doctor::Health),
    /// Compare this service's answers with another server's
    ///
    /// Sends the same polls to both servers and prints each difference. Exits with 0 if all answers are equal, with 1 if some
    /// differ, and with 2 if none differ but some could not be compared or none had releases.
    Shadow(shadow::Shadow),
    /// Back up the whole database to one file
    ///
    /// The backup has the history, the audit log and the records of tokens. It contains no secrets.
    Backup(backup::Backup),
    /// Restore a backup into an empty database
    Restore(backup::Restore),
    /// Migrate or check the database, or run a command with access to it
    #[command(subcommand)]
    Database(database::Database),
}

/// Runs the command in the process's arguments, and prints its error if it fails.
#[must_use]
pub fn run() -> ExitCode {
    dispatch(Arguments::parse().command).unwrap_or_else(|error| {
        print_error(&error);
        ExitCode::FAILURE
    })
}

/// Returns all commands with their arguments.
#[must_use]
pub fn command() -> clap::Command {
    Arguments::command()
}

fn dispatch(command: Option<Command>) -> anyhow::Result<ExitCode> {
    match command {
        None => serve::Serve::default().run(),
        Some(Command::Serve(serve)) => serve.run(),
        Some(Command::Import(import)) => import.run(),
        Some(Command::Export(export)) => export.run(),
        Some(Command::Graph(graph)) => graph.run(),
        Some(Command::Document(document)) => document.run(),
        Some(Command::Image(image)) => image.run(),
        Some(Command::Fleet(fleet)) => fleet.run(),
        Some(Command::Token(token)) => token.run(),
        Some(Command::Key(key)) => key.run(),
        Some(Command::Stop(stop)) => stop.run(),
        Some(Command::Doctor(doctor)) => doctor.run(),
        Some(Command::Health(health)) => health.run(),
        Some(Command::Shadow(shadow)) => shadow.run(),
        Some(Command::Backup(backup)) => backup.run(),
        Some(Command::Restore(restore)) => restore.run(),
        Some(Command::Database(database)) => database.run(),
    }
}
