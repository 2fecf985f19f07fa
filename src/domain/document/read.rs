//! Parsing of documents. Every invalid field is reported.

use super::{
    FORMAT,
    shape::{PolicyDocument, ReleaseDocument, StreamDocument},
};
use crate::domain::{
    duration::Minutes,
    epoch::Epoch,
    hash::ContentHash,
    ids::{Arch, StreamId},
    origin::Origin,
    payload::PayloadId,
    policy::{barrier::Barrier, dead_end::DeadEnd, references::dangling},
    reason::Reason,
    release::{PayloadKey, PolicyKind, Release, ReleaseState},
    rollout::share::Share,
    shared::Shared,
    stream::Stream,
};
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fmt,
    str::FromStr,
};

/// How strictly a document is checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Strictness {
    /// For documents from files and the API: every value must be valid.
    Strict,
    /// For stored revisions: values that were imported from upstream are accepted.
    Recorded,
}

/// An invalid field of a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The path of the field, such as `releases[3].barrier.reason`.
    pub path: String,
    /// What is wrong, and what is expected.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path, self.message)
    }
}

impl Stream {
    /// Parses the stream that a document describes.
    ///
    /// # Errors
    /// Returns a problem for each invalid field, at most [`MAX_PROBLEMS`].
    pub fn from_document(document: &StreamDocument, strictness: Strictness) -> Result<Self, Vec<Problem>> {
        let mut reader = Reader::new(strictness, Origin::Git);
        let stream = reader.stream(document);
        match stream {
            Some(stream) if reader.problems.is_empty() => Ok(stream),
            _ => Err(reader.problems),
        }
    }
}

/// The maximum number of problems that are reported for one document.
pub const MAX_PROBLEMS: usize = 50;

pub(super) struct Reader {
    pub(super) strictness: Strictness,
    default_origin: Origin,
    problems: Vec<Problem>,
    max_problems: usize,
}

impl Reader {
    pub(super) fn new(strictness: Strictness, default_origin: Origin) -> Self {
        Self { strictness, default_origin, problems: Vec::new(), max_problems: MAX_PROBLEMS }
    }

    /// Builds a reader that reports every problem. This is needed to compare the problems of two states.
    pub(super) fn without_problem_limit(strictness: Strictness, default_origin: Origin) -> Self {
        Self { max_problems: usize::MAX, ..Self::new(strictness, default_origin) }
    }

    pub(super) fn problems(&self) -> &[Problem] {
        &self.problems
    }

    pub(super) fn into_problems(self) -> Vec<Problem> {
        self.problems
    }

    pub(super) fn problem(&mut self, path: impl Into<String>, message: impl fmt::Display) {
        if self.problems.len() < self.max_problems {
            self.problems.push(Problem { path: path.into(), message: message.to_string() });
        }
    }

    /// Returns the value, or reports the error as a problem at this path.
    pub(super) fn check<T, E: fmt::Display>(&mut self, path: &str, value: Result<T, E>) -> Option<T> {
        value.map_err(|error| self.problem(path, error)).ok()
    }

    pub(super) fn parse<T: FromStr<Err: fmt::Display>>(&mut self, path: &str, text: &str) -> Option<T> {
        self.check(path, text.parse())
    }

    pub(super) fn set<T: FromStr<Err: fmt::Display> + Ord>(&mut self, path: &str, texts: &[String]) -> BTreeSet<T> {
        let mut set = BTreeSet::new();
        for (index, text) in texts.iter().enumerate() {
            let path = format!("{path}[{index}]");
            let Some(value) = self.parse(&path, text) else { continue };
            if !set.insert(value) {
                self.problem(path, format!("{text:?} is listed twice"));
            }
        }
        set
    }

    /// Parses a list of arches, schemes or labels to which something is limited. An absent list means all; an empty list is a problem.
    pub(super) fn optional_set<T: FromStr<Err: fmt::Display> + Ord>(
        &mut self,
        path: &str,
        texts: Option<&Vec<String>>,
    ) -> Option<BTreeSet<T>> {
        let texts = texts?;
        if texts.is_empty() {
            self.problem(path, "is empty; leave it out to mean all");
        }
        Some(self.set(path, texts))
    }

    pub(super) fn origin(&mut self, path: &str, name: Option<&String>) -> Origin {
        let Some(name) = name else { return self.default_origin };
        Origin::from_name(name).unwrap_or_else(|| {
            self.problem(path, format!("is {name:?}, expected upstream, git or local"));
            self.default_origin
        })
    }

    pub(super) fn reason(&mut self, path: &str, text: &str) -> Option<Reason> {
        let reason = match self.strictness {
            Strictness::Strict => Reason::new(text),
            Strictness::Recorded => Reason::from_record(text),
        };
        self.check(path, reason)
    }

    pub(super) fn share(&mut self, path: &str, share: f64) -> Option<Share> {
        let share = match self.strictness {
            Strictness::Strict => Share::new(share),
            Strictness::Recorded => Share::from_record(share),
        };
        self.check(path, share)
    }

    pub(super) fn epoch(&mut self, path: &str, text: &str) -> Option<Epoch> {
        let epoch = Epoch::parse(text);
        if epoch.is_none() {
            self.problem(path, format!("is {text:?}, expected a time in whole seconds such as 2026-07-22T14:00:00Z"));
        }
        epoch
    }

    pub(super) fn minutes(&mut self, path: &str, text: &str) -> Option<Minutes> {
        self.check(path, Minutes::parse(text).map_err(|error| format!("{text:?} {error}")))
    }

    fn stream(&mut self, document: &StreamDocument) -> Option<Stream> {
        if document.format != FORMAT {
            self.problem("format", format!("is {}, expected {FORMAT}", document.format));
            return None;
        }
        let settings = self.settings(document);
        let releases: Vec<Shared<Release>> = document
            .releases
            .iter()
            .enumerate()
            .filter_map(|(index, release)| Some(self.release(&format!("releases[{index}]"), release)?.into()))
            .collect();
        // With a release missing, its neighbours cannot be judged.
        if releases.len() == document.releases.len() {
            self.check_releases(&releases);
        }
        let blocked_updates = self.blocked_updates(&document.blocked_updates, &releases);
        let stream = Stream { releases, blocked_updates, ..settings? };
        if self.strictness == Strictness::Strict && self.problems.is_empty() {
            self.problems
                .extend(dangling(&stream).into_iter().map(|dangling| dangling.problem).take(self.max_problems));
        }
        Some(stream)
    }

    /// Parses everything but the releases and the blocked updates.
    pub(super) fn settings(&mut self, document: &StreamDocument) -> Option<Stream> {
        self.default_origin = self.origin("origin", document.origin.as_ref());
        let product = self.parse("product", &document.product);
        let name = self.parse("stream", &document.stream);
        let description = document.description.as_ref().and_then(|text| self.parse("description", text));
        let arches = self.set("arches", &document.arches);
        let mirrors = self.mirrors(&document.mirrors);
        let rules = self.graph_rules(document);
        let protection = document.protection.as_ref().map(|protection| self.protection("protection", protection));
        let stop = document.emergency_stop.as_ref().and_then(|stop| self.stop("emergency_stop", stop));
        let sources = document
            .sources
            .iter()
            .filter_map(|(kind, hash)| {
                let path = format!("sources.{kind}");
                let hash = ContentHash::parse(hash).ok_or("must be a SHA-256 in lower-case hexadecimal");
                Some((self.parse(&path, kind)?, self.check(&path, hash)?))
            })
            .collect();
        let protection = protection.unwrap_or_default();
        let default_rollout = document.default_rollout.as_ref().and_then(|name| self.preset("default_rollout", name));
        let base = self.base(document);
        let follow = document.follow.as_ref().and_then(|follow| self.follow("follow", follow)).map(Box::new);
        let empty = Stream::empty(StreamId { product: product?, stream: name? });
        let stream = Stream { description, arches, mirrors, rules, protection, default_rollout, ..empty };
        Some(Stream { base, follow, stop, sources, ..stream })
    }

    /// Checks all conditions between releases.
    pub(super) fn check_releases(&mut self, releases: &[Shared<Release>]) {
        self.check_across(releases);
        self.check_predecessors(releases);
    }

    /// Checks conditions between releases: drafts come last, and versions, payloads and aliases are unique.
    pub(super) fn check_across(&mut self, releases: &[Shared<Release>]) {
        let mut has_draft = false;
        for (index, release) in releases.iter().enumerate() {
            let is_draft = release.state == ReleaseState::Draft;
            if has_draft && !is_draft {
                self.problem(
                    format!("releases[{index}].state"),
                    "must be draft, because the release follows a draft and drafts come last",
                );
            }
            has_draft |= is_draft;
        }
        if self.strictness == Strictness::Recorded {
            return;
        }
        let mut versions = HashMap::new();
        let mut ids: HashMap<(&PayloadKey, &PayloadId), usize> = HashMap::new();
        for (index, release) in releases.iter().enumerate() {
            if let Some(first) = versions.insert(&release.version, index) {
                let message = format!("{} is already the version of releases[{first}]", release.version);
                self.problem(format!("releases[{index}].version"), message);
            }
            let payloads = release.payloads.iter().map(|(key, payload)| (key, &payload.id));
            let aliases = release.aliases.iter().flat_map(|(key, ids)| ids.keys().map(move |id| (key, id)));
            for (key, id) in payloads.chain(aliases) {
                if let Some(first) = ids.insert((key, id), index) {
                    let message = format!("{id} already identifies releases[{first}] on {} {}", key.arch, key.scheme);
                    self.problem(format!("releases[{index}].payloads"), message);
                }
            }
        }
    }

    pub(super) fn release(&mut self, path: &str, document: &ReleaseDocument) -> Option<Release> {
        let version = self.parse(&format!("{path}.version"), &document.version);
        let state = match &document.state {
            None => ReleaseState::Published,
            Some(name) => {
                let state = ReleaseState::from_name(name)
                    .ok_or_else(|| format!("is {name:?}, expected draft, published or withdrawn"));
                self.check(&format!("{path}.state"), state)?
            }
        };
        let origin = self.origin(&format!("{path}.origin"), document.origin.as_ref());
        let barrier = document.barrier.as_ref().and_then(|policy| {
            let (reason, arches, origin) = self.policy(&format!("{path}.barrier"), policy)?;
            Some(Box::new(Barrier { reason, arches, origin }))
        });
        let dead_end = document.dead_end.as_ref().and_then(|policy| {
            let (reason, arches, origin) = self.policy(&format!("{path}.dead_end"), policy)?;
            Some(Box::new(DeadEnd { reason, arches, origin }))
        });
        let predecessors = document
            .predecessors
            .as_ref()
            .and_then(|predecessors| self.predecessors(&format!("{path}.predecessors"), predecessors))
            .map(Box::new);
        let (rollouts, last_rollout_id) = self.rollouts(path, document);
        let suppressed_upstream = self.suppressed_upstream(path, document);
        let payloads = self.payloads(path, &document.payloads, origin);
        let mut aliases: BTreeMap<PayloadKey, BTreeMap<PayloadId, Origin>> = BTreeMap::new();
        for (index, alias) in document.aliases.iter().enumerate() {
            let path = format!("{path}.aliases[{index}]");
            let Some((key, id)) = self.payload_names(&path, &alias.arch, &alias.scheme, &alias.id) else { continue };
            let alias_origin = match &alias.origin {
                None => Origin::Local,
                named => self.origin(&format!("{path}.origin"), named.as_ref()),
            };
            if origin != Origin::Upstream && alias_origin != Origin::Upstream {
                self.check_form(&path, &key, &id);
            }
            if aliases.entry(key).or_default().insert(id, alias_origin).is_some() {
                self.problem(path, "is listed twice");
            }
        }
        let aliases = aliases.into_iter().map(|(key, ids)| (key, ids.into_iter().collect())).collect();
        let notes = self.notes(path, document);
        let artifacts = self.artifacts(path, &document.artifacts);
        let promoted_from = document.promoted_from.as_ref().and_then(|from| self.promotion(path, from)).map(Box::new);
        let built_on = self.built_on(path, &document.built_on);
        Some(Release {
            version: version?,
            state,
            origin,
            payloads,
            aliases,
            barrier,
            dead_end,
            predecessors,
            rollouts,
            last_rollout_id,
            suppressed_upstream,
            notes,
            artifacts,
            promoted_from,
            built_on,
        })
    }

    fn suppressed_upstream(&mut self, path: &str, document: &ReleaseDocument) -> BTreeSet<PolicyKind> {
        let mut suppressed_upstream = BTreeSet::new();
        for (index, name) in document.suppressed_upstream.iter().enumerate() {
            let path = format!("{path}.suppressed_upstream[{index}]");
            let is_set = match PolicyKind::from_name(name) {
                Some(PolicyKind::Barrier) => document.barrier.is_some(),
                Some(PolicyKind::DeadEnd) => document.dead_end.is_some(),
                Some(PolicyKind::Rollouts) => !document.rollouts.is_empty(),
                None => {
                    self.problem(path, format!("is {name:?}, expected barrier, dead_end or rollouts"));
                    continue;
                }
            };
            if is_set {
                self.problem(path, format!("{name} is set on this release and cannot be suppressed as well"));
            } else if !PolicyKind::from_name(name).is_some_and(|policy| suppressed_upstream.insert(policy)) {
                self.problem(path, "is listed twice");
            }
        }
        suppressed_upstream
    }

    pub(super) fn policy(
        &mut self,
        path: &str,
        document: &PolicyDocument,
    ) -> Option<(Reason, Option<BTreeSet<Arch>>, Origin)> {
        let reason = self.reason(&format!("{path}.reason"), &document.reason);
        let arches = self.optional_set(&format!("{path}.arches"), document.arches.as_ref());
        let origin = self.origin(&format!("{path}.origin"), document.origin.as_ref());
        Some((reason?, arches, origin))
    }
}
