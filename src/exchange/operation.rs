//! What the command line can do with a protocol's documents.
//!
//! A protocol describes its operations as an [`Exchange`]: their arguments, and values that do the work. The command line adds the
//! options that all commands have, opens the database, prints, and decides on exit codes.

use crate::{
    config::Settings,
    domain::{
        epoch::Epoch,
        finding::Finding,
        ids::{ProductName, StreamId, StreamName},
    },
    files,
    manage::{Manage, Report, Request},
    store::State,
};
use clap::{ArgMatches, Args, Command};
use futures_util::future::BoxFuture;
use jiff::Timestamp;
use std::{
    io,
    path::{Path, PathBuf},
};

/// The operations of a protocol. Those that it does not have are absent.
pub struct Exchange {
    /// Its name on the command line, such as `import NAME`.
    pub name: &'static str,
    /// Commands to try after the first start.
    pub hints: Hints,
    /// `import NAME`: imports upstream's documents.
    pub import: Option<Operation<Box<dyn Import>>>,
    /// `export NAME`: writes streams in upstream's format.
    pub export: Option<Operation<Export>>,
    /// `graph NAME`: prints the graph that a node would get, computed from files.
    pub graph: Option<Operation<Box<dyn Graph>>>,
    /// `shadow`: compares the answers of two servers.
    pub comparison: Option<Operation<Box<dyn Comparison>>>,
}

/// Examples for `serve --hints`.
pub struct Hints {
    /// The path and query of a poll.
    pub poll: &'static str,
    /// Arguments of `import NAME`.
    pub import: &'static str,
}

/// Arguments that were read, or an error for the user.
type Parsed<T> = Result<Box<dyn Arguments<T>>, clap::Error>;

/// An operation, before its arguments are known.
pub struct Operation<T> {
    add_arguments: fn(Command) -> Command,
    parse: fn(&ArgMatches) -> Parsed<T>,
}

/// The arguments of an operation.
pub trait Arguments<T> {
    /// Returns the operation with these arguments.
    ///
    /// # Errors
    /// An argument or a setting that it depends on is invalid.
    fn prepare(self: Box<Self>, settings: &Settings) -> anyhow::Result<T>;
}

impl<T> Operation<T> {
    /// Describes an operation by the type of its arguments, whose documentation is the description of the command.
    #[must_use]
    pub const fn new<A: Args + Arguments<T> + 'static>() -> Self {
        Self { add_arguments: A::augment_args, parse: |matches| Ok(Box::new(A::from_arg_matches(matches)?)) }
    }

    /// Adds the arguments and the description to a command.
    #[must_use]
    pub fn add_arguments(&self, command: Command) -> Command {
        (self.add_arguments)(command)
    }

    /// Reads the arguments.
    ///
    /// # Errors
    /// An argument is missing or invalid.
    pub fn parse(&self, matches: &ArgMatches) -> Result<Box<dyn Arguments<T>>, clap::Error> {
        (self.parse)(matches)
    }
}

/// An import of one or more streams.
pub trait Import {
    /// Returns the reason for the audit log.
    fn reason(&self) -> String;

    /// Fetches the documents of all streams. Needs no database.
    fn fetch(&self) -> BoxFuture<'_, Vec<Fetched>>;
}

/// The result of fetching the documents of a stream.
pub struct Fetched {
    /// The stream.
    pub id: StreamId,
    /// Its documents, or why they cannot be imported.
    pub documents: anyhow::Result<Box<dyn Documents>>,
}

/// The documents of a stream, read completely.
pub trait Documents: Send {
    /// Imports them. If that fails, nothing of the stream is changed.
    fn import<'a>(
        self: Box<Self>,
        manage: &'a Manage,
        request: &'a Request<'a>,
    ) -> BoxFuture<'a, anyhow::Result<Report>>;
}

/// An export of the streams of a product.
pub struct Export {
    /// The folder to write to.
    pub folder: PathBuf,
    /// The product.
    pub product: ProductName,
    /// The only stream to export, if not all.
    pub stream: Option<StreamName>,
    /// Builds the documents of a stream.
    pub build: fn(&State, Epoch) -> Vec<Exported>,
}

/// A document to write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exported {
    /// The path of the document in upstream's layout.
    pub path: String,
    /// The text.
    pub body: Vec<u8>,
    /// What the format cannot express.
    pub findings: Vec<Finding>,
}

impl Exported {
    /// Writes the document below a folder, atomically.
    ///
    /// # Errors
    /// Returns an error if the folder cannot be written to.
    pub fn write(&self, folder: &Path) -> io::Result<()> {
        let path = folder.join(&self.path);
        std::fs::create_dir_all(path.parent().unwrap_or(folder))?;
        files::replace(&path, 0o666, &self.body)
    }
}

/// Polls to answer from files.
pub trait Graph {
    /// Writes the answers, one per line. Text from the files is escaped.
    ///
    /// # Errors
    /// A file cannot be read, a poll is refused, or `out` fails.
    fn write(self: Box<Self>, out: &mut dyn io::Write) -> anyhow::Result<()>;
}

/// A comparison of two servers that answer the same agents.
pub trait Comparison {
    /// Sends polls to both servers and compares the answers.
    fn run_round<'a>(&'a self, servers: &'a Servers, at: Timestamp) -> BoxFuture<'a, Round>;
}

/// The base URLs of two servers.
#[derive(Debug, Clone)]
pub struct Servers {
    /// The server that nodes use now.
    pub upstream: String,
    /// This service.
    pub local: String,
    /// The HTTP client to poll with.
    pub client: reqwest::Client,
}

/// A difference between two answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// A description of the poll.
    pub poll: String,
    /// What differs.
    pub what: String,
}

/// The result of one round of a comparison.
#[derive(Debug, Default)]
pub struct Round {
    /// When the round began.
    pub at: Timestamp,
    /// The number of compared answers.
    pub compared: usize,
    /// The number of compared answers that had releases from both servers.
    pub with_releases: usize,
    /// What could not be compared to the end, and why.
    pub unanswered: Vec<anyhow::Error>,
    /// The differences.
    pub differences: Vec<Difference>,
}
