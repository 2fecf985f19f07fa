//! `lockkeeper graph`: the answer that an agent would get, from documents alone, at any time.

use crate::{
    catalog::Catalog,
    clock::{Clock, SystemClock},
    domain::{
        epoch::Epoch,
        product::ProductName,
        stream::{StreamId, StreamName},
    },
    exchange::fcos::source::GraphFiles,
    protocol::fcos::{GraphJson, Query, Refusal, Settings, UnknownPayload, View, answer},
    store::State,
};
use anyhow::{Context, bail};
use clap::{Args, Subcommand};
use serde::Deserialize;
use std::{
    collections::HashMap,
    io::{BufRead, BufReader, BufWriter, Write},
    path::PathBuf,
    process::ExitCode,
};

/// The protocols whose answers can be had.
#[derive(Debug, Subcommand)]
pub(super) enum Graph {
    /// Fedora CoreOS, from upstream's metadata
    Fcos(Box<Fcos>),
}

impl Graph {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let Self::Fcos(arguments) = self;
        arguments.run()
    }
}

#[derive(Debug, Args)]
pub(super) struct Fcos {
    /// A folder laid out as upstream's: prod/streams/<stream>/releases.json and updates/<stream>.json
    #[arg(long, value_name = "DIR", required_unless_present = "releases")]
    from: Option<PathBuf>,
    /// A release index, instead of a folder
    #[arg(long, value_name = "FILE", requires = "updates", conflicts_with = "from")]
    releases: Option<PathBuf>,
    /// The policies that go with the release index
    #[arg(long, value_name = "FILE", requires = "releases")]
    updates: Option<PathBuf>,
    /// One JSON question a line instead of the options below, for which `releases` and `updates` name files below DIR;
    /// one answer a line comes back. `-` reads standard input
    #[arg(long, value_name = "FILE", requires = "from", conflicts_with_all = ["stream", "arch"])]
    cases: Option<PathBuf>,
    /// The stream
    #[arg(long, required_unless_present = "cases")]
    stream: Option<String>,
    /// The architecture, such as `x86_64`
    #[arg(long, required_unless_present = "cases")]
    arch: Option<String>,
    /// The node was booted from a container image
    #[arg(long)]
    oci: bool,
    /// The node's place in rollouts, 0 (first) to 1 (last)
    #[arg(long, value_name = "W", allow_hyphen_values = true)]
    rollout_wariness: Option<String>,
    /// The node's id, whose hash is its place in rollouts if none is given
    #[arg(long, value_name = "ID")]
    node_uuid: Option<String>,
    /// What the node runs; with it, the answer is the node's own view
    #[arg(long, value_name = "PAYLOAD")]
    os_checksum: Option<String>,
    /// The node's group
    #[arg(long)]
    group: Option<String>,
    /// The node's platform
    #[arg(long)]
    platform: Option<String>,
    /// When, in seconds since 1970 or as RFC 3339; now if absent
    #[arg(long, value_name = "EPOCH", value_parser = epoch, allow_hyphen_values = true)]
    at: Option<Epoch>,
}

/// The files of a question in a file of cases; what else stands on the line is the question, or ignored.
#[derive(Debug, Deserialize)]
struct Case {
    releases: PathBuf,
    updates: PathBuf,
}

#[derive(Debug, Deserialize)]
struct Question {
    stream: String,
    basearch: String,
    #[serde(default)]
    oci: bool,
    rollout_wariness: Option<String>,
    node_uuid: Option<String>,
    os_checksum: Option<String>,
    group: Option<String>,
    platform: Option<String>,
    now: Option<i64>,
}

impl Fcos {
    fn run(self) -> anyhow::Result<ExitCode> {
        let mut out = BufWriter::new(std::io::stdout().lock());
        match (&self.cases, &self.from) {
            (Some(cases), Some(folder)) => {
                let input: Box<dyn BufRead> = if cases.as_os_str() == "-" {
                    Box::new(std::io::stdin().lock())
                } else {
                    let file = std::fs::File::open(cases).with_context(|| cases.display().to_string())?;
                    Box::new(BufReader::new(file))
                };
                let mut catalogs = Catalogs::default();
                for (number, line) in input.lines().enumerate() {
                    let answer =
                        catalogs.answer_case(folder, &line?).with_context(|| format!("case {}", number + 1))?;
                    writeln!(out, "{answer}")?;
                }
                out.flush()?;
                Ok(ExitCode::SUCCESS)
            }
            _ => match self.answer_one()? {
                Ok(body) => {
                    writeln!(out, "{body}")?;
                    out.flush()?;
                    Ok(ExitCode::SUCCESS)
                }
                Err(refusal) => bail!("{} ({})", refusal, refusal.kind()),
            },
        }
    }

    fn answer_one(self) -> anyhow::Result<Result<String, Refusal>> {
        let (Some(stream), Some(basearch)) = (self.stream, self.arch) else {
            bail!("--stream and --arch are needed");
        };
        let files = match (self.releases, self.updates, self.from) {
            (Some(releases), Some(updates), _) => GraphFiles { releases, updates, metadata: None },
            (_, _, Some(folder)) => GraphFiles::below(&folder, &StreamName::parse(&stream).context("--stream")?),
            _ => bail!("--from, or --releases and --updates, are needed"),
        };
        let question = Question {
            stream,
            basearch,
            oci: self.oci,
            rollout_wariness: self.rollout_wariness,
            node_uuid: self.node_uuid,
            os_checksum: self.os_checksum,
            group: self.group,
            platform: self.platform,
            now: self.at.map(|at| at.0),
        };
        question.answer(&catalog(&files, &question.stream)?)
    }
}

/// Catalogs by the files that they were made from: cases ask many questions of the same.
#[derive(Default)]
struct Catalogs(HashMap<(PathBuf, PathBuf, String), Catalog>);

impl Catalogs {
    fn answer_case(&mut self, folder: &std::path::Path, line: &str) -> anyhow::Result<String> {
        let Case { releases, updates } = serde_json::from_str(line)?;
        let question: Question = serde_json::from_str(line)?;
        let key = (releases, updates, question.stream.clone());
        let catalog = match self.0.entry(key) {
            std::collections::hash_map::Entry::Occupied(entry) => entry.into_mut(),
            std::collections::hash_map::Entry::Vacant(entry) => {
                let (releases, updates, stream) = entry.key();
                let files =
                    GraphFiles { releases: folder.join(releases), updates: folder.join(updates), metadata: None };
                let catalog = catalog(&files, stream)?;
                entry.insert(catalog)
            }
        };
        Ok(question.answer(catalog)?.unwrap_or_else(|refusal| refusal.body()))
    }
}

const PRODUCT: &str = "fedora-coreos";

fn catalog(files: &GraphFiles, stream: &str) -> anyhow::Result<Catalog> {
    let id = StreamId { product: ProductName::parse(PRODUCT)?, stream: StreamName::parse(stream).context("stream")? };
    let mut catalog = Catalog::default();
    catalog.insert(State::unstored(files.read(&id)?.stream), &GraphJson);
    Ok(catalog)
}

impl Question {
    fn answer(&self, catalog: &Catalog) -> anyhow::Result<Result<String, Refusal>> {
        let settings = Settings {
            default_product: ProductName::parse(PRODUCT)?,
            unknown_payload: UnknownPayload::Whole,
            view: View::Node,
            offer_synthetic: true,
        };
        let told = |text: &Option<String>| text.as_ref().map(|text| text.clone().into());
        let query = Query {
            basearch: self.basearch.as_str().into(),
            stream: self.stream.as_str().into(),
            oci: self.oci,
            group: told(&self.group),
            platform: told(&self.platform),
            os_checksum: told(&self.os_checksum),
            node_uuid: told(&self.node_uuid),
            rollout_wariness: told(&self.rollout_wariness),
            view: None,
        };
        let now = self.now.map_or_else(|| SystemClock.now().into(), Epoch);
        let answer = match answer(catalog, &settings, PRODUCT, &query, now) {
            Ok(answer) => answer,
            Err(refusal) => return Ok(Err(refusal)),
        };
        Ok(Ok(String::from_utf8(answer.body().to_vec())?))
    }
}

fn epoch(text: &str) -> Result<Epoch, String> {
    Epoch::parse(text).ok_or_else(|| "not a number of seconds, nor a time such as 2026-07-22T14:00:00Z".into())
}
