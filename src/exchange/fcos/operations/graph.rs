//! `graph fcos`: computes the answer that a node would get at a given time from files.

use crate::{
    catalog::Catalog,
    clock::{Clock, SystemClock},
    config::Settings,
    domain::{
        epoch::Epoch,
        ids::{ProductName, StreamId, StreamName},
    },
    escape::escaped,
    exchange::{Arguments, Graph, fcos::source::GraphFiles},
    files,
    protocol::fcos::{self, FcosPrepare, Query, Refusal, UnknownPayload, View, answer},
    store::State,
};
use anyhow::{Context, bail};
use clap::Args;
use serde::Deserialize;
use std::{
    collections::HashMap,
    io::{BufRead, BufReader, Write},
    path::{Path, PathBuf},
};

/// The maximum length of a line in a file of cases, in bytes.
const MAX_CASE_BYTES: usize = 1 << 20;

/// Print the graph for a Fedora CoreOS node, from upstream's metadata
#[derive(Debug, Args)]
pub(super) struct GraphArguments {
    /// Folder with upstream's layout: prod/streams/<stream>/releases.json and updates/<stream>.json
    #[arg(long, value_name = "DIR", required_unless_present = "releases")]
    from: Option<PathBuf>,
    /// Release index (releases.json), instead of --from
    #[arg(long, value_name = "FILE", requires = "updates", conflicts_with = "from")]
    releases: Option<PathBuf>,
    /// Update policies (updates.json) for the release index
    #[arg(long, value_name = "FILE", requires = "releases")]
    updates: Option<PathBuf>,
    /// Answer many polls: one JSON object per line, with `releases` and `updates` as paths relative to the folder in
    /// --from; `-` reads standard input
    ///
    /// The other fields of an object are `stream`, `basearch`, `oci`, `rollout_wariness`, `node_uuid`, `os_checksum`, `group`,
    /// `platform` and `now`. Prints one answer per line.
    #[arg(long, value_name = "FILE", requires = "from", conflicts_with_all = ["stream", "arch"])]
    cases: Option<PathBuf>,
    /// Stream that the node follows
    #[arg(long, required_unless_present = "cases")]
    stream: Option<String>,
    /// Architecture of the node, such as `x86_64`
    #[arg(long, required_unless_present = "cases")]
    arch: Option<String>,
    /// The node boots from a container image
    #[arg(long)]
    oci: bool,
    /// Position of the node in rollouts, from 0 (first) to 1 (last)
    #[arg(long, value_name = "W", allow_hyphen_values = true)]
    rollout_wariness: Option<String>,
    /// Id of the node; without --rollout-wariness, its hash is the node's position in rollouts
    #[arg(long, value_name = "ID")]
    node_uuid: Option<String>,
    /// Payload that the node runs; limits the graph to the part that this node needs
    #[arg(long, value_name = "PAYLOAD")]
    os_checksum: Option<String>,
    /// Group of the node
    #[arg(long)]
    group: Option<String>,
    /// Platform of the node
    #[arg(long)]
    platform: Option<String>,
    /// Time of the poll, in seconds since 1970 or as RFC 3339 [default: now]
    #[arg(long, value_name = "TIME", value_parser = epoch, allow_hyphen_values = true)]
    at: Option<Epoch>,
}

/// The files of one line in a file of cases. The other fields of the line make up its [`Poll`].
#[derive(Debug, Deserialize)]
struct Case {
    releases: PathBuf,
    updates: PathBuf,
}

/// A poll to answer.
#[derive(Debug, Deserialize)]
struct Poll {
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

impl Arguments<Box<dyn Graph>> for GraphArguments {
    fn prepare(self: Box<Self>, _: &Settings) -> anyhow::Result<Box<dyn Graph>> {
        Ok(self)
    }
}

impl Graph for GraphArguments {
    fn write(self: Box<Self>, out: &mut dyn Write) -> anyhow::Result<()> {
        match (&self.cases, &self.from) {
            (Some(cases), Some(folder)) => {
                let mut input: Box<dyn BufRead> = if cases.as_os_str() == "-" {
                    Box::new(std::io::stdin().lock())
                } else {
                    let file = std::fs::File::open(cases).with_context(|| cases.display().to_string())?;
                    Box::new(BufReader::new(file))
                };
                let mut catalogs = Catalogs::default();
                for number in 1.. {
                    let case = || format!("{}, case {number}", cases.display());
                    let line = files::read_line(&mut input, MAX_CASE_BYTES).with_context(case)?;
                    if line.is_empty() {
                        break;
                    }
                    let answer = catalogs.answer_case(folder, &line).with_context(case)?;
                    writeln!(out, "{}", escaped(&answer))?;
                }
                Ok(())
            }
            _ => match self.answer_one()? {
                Ok(body) => Ok(writeln!(out, "{}", escaped(&body))?),
                Err(refusal) => bail!("{} ({})", refusal, refusal.kind()),
            },
        }
    }
}

impl GraphArguments {
    fn answer_one(self) -> anyhow::Result<Result<String, Refusal>> {
        let (Some(stream), Some(basearch)) = (self.stream, self.arch) else {
            bail!("--stream and --arch are required");
        };
        let files = match (self.releases, self.updates, self.from) {
            (Some(releases), Some(updates), _) => GraphFiles { releases, updates, metadata: None },
            (_, _, Some(folder)) => GraphFiles::below(&folder, &StreamName::parse(&stream).context("--stream")?),
            _ => bail!("--from, or --releases and --updates, is required"),
        };
        let poll = Poll {
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
        poll.answer(&load_catalog(&files, &poll.stream)?)
    }
}

/// Catalogs by the files that they were loaded from: many cases use the same files.
#[derive(Default)]
struct Catalogs(HashMap<(PathBuf, PathBuf, String), Catalog>);

impl Catalogs {
    fn answer_case(&mut self, folder: &Path, line: &[u8]) -> anyhow::Result<String> {
        let Case { releases, updates } = serde_json::from_slice(line)?;
        let poll: Poll = serde_json::from_slice(line)?;
        let key = (releases, updates, poll.stream.clone());
        let catalog = match self.0.entry(key) {
            std::collections::hash_map::Entry::Occupied(entry) => entry.into_mut(),
            std::collections::hash_map::Entry::Vacant(entry) => {
                let (releases, updates, stream) = entry.key();
                let files =
                    GraphFiles { releases: folder.join(releases), updates: folder.join(updates), metadata: None };
                let catalog = load_catalog(&files, stream)?;
                entry.insert(catalog)
            }
        };
        Ok(poll.answer(catalog)?.unwrap_or_else(|refusal| refusal.body()))
    }
}

const PRODUCT: &str = "fedora-coreos";

fn load_catalog(files: &GraphFiles, stream: &str) -> anyhow::Result<Catalog> {
    let id = StreamId { product: ProductName::parse(PRODUCT)?, stream: StreamName::parse(stream).context("stream")? };
    let mut catalog = Catalog::default();
    catalog.insert(State::unstored(files.read(&id)?.stream));
    catalog.prepare(&FcosPrepare::preparers());
    Ok(catalog)
}

impl Poll {
    fn answer(&self, catalog: &Catalog) -> anyhow::Result<Result<String, Refusal>> {
        let settings = fcos::Settings {
            default_product: ProductName::parse(PRODUCT)?,
            unknown_payload: UnknownPayload::Full,
            view: View::Node,
            offer_synthetic: true,
        };
        let parameter = |text: &Option<String>| text.as_ref().map(|text| text.clone().into());
        let query = Query {
            basearch: self.basearch.as_str().into(),
            stream: self.stream.as_str().into(),
            oci: self.oci,
            group: parameter(&self.group),
            platform: parameter(&self.platform),
            os_checksum: parameter(&self.os_checksum),
            node_uuid: parameter(&self.node_uuid),
            rollout_wariness: parameter(&self.rollout_wariness),
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
    Epoch::parse(text).ok_or_else(|| "expected seconds since 1970 or a time such as 2026-07-22T14:00:00Z".into())
}
