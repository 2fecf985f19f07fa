//! Documents to streams: every field that is wrong is named.

use super::{
    FORMAT,
    shape::{BlockedUpdateDocument, PayloadDocument, PolicyDocument, ReleaseDocument, StreamDocument},
};
use crate::domain::{
    arch::Arch,
    barrier::Barrier,
    blocked::BlockedUpdate,
    dead_end::DeadEnd,
    duration::Minutes,
    epoch::Epoch,
    hash::ContentHash,
    origin::Origin,
    payload::{Payload, PayloadId},
    reason::Reason,
    release::{Aspect, PayloadKey, Release, ReleaseState},
    share::Share,
    stream::{Stream, StreamId},
    version::Version,
};
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fmt,
    str::FromStr,
};

/// How much a document may hold that we would not write ourselves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Strictness {
    /// From a file or the API: everything has to be in order.
    Ours,
    /// From a revision: what upstream wrote and an import took is taken again.
    Recorded,
}

/// What is wrong with a document, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The field, as in `releases[3].barrier.reason`.
    pub path: String,
    /// What is wrong with it.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path, self.message)
    }
}

impl Stream {
    /// The stream that a document describes.
    ///
    /// # Errors
    /// All that is wrong with it, field by field.
    pub fn from_document(document: &StreamDocument, strictness: Strictness) -> Result<Self, Vec<Problem>> {
        let mut reader = Reader::of(strictness, Origin::Git);
        let stream = reader.stream(document);
        match stream {
            Some(stream) if reader.problems.is_empty() => Ok(stream),
            _ => Err(reader.problems),
        }
    }
}

pub(super) struct Reader {
    pub(super) strictness: Strictness,
    usual: Origin,
    problems: Vec<Problem>,
}

impl Reader {
    pub(super) fn of(strictness: Strictness, usual: Origin) -> Self {
        Self { strictness, usual, problems: Vec::new() }
    }

    pub(super) fn problems(&self) -> &[Problem] {
        &self.problems
    }

    pub(super) fn into_problems(self) -> Vec<Problem> {
        self.problems
    }

    pub(super) fn problem(&mut self, path: impl Into<String>, message: impl fmt::Display) {
        self.problems.push(Problem { path: path.into(), message: message.to_string() });
    }

    /// The value, or a problem at this path.
    pub(super) fn take<T, E: fmt::Display>(&mut self, path: &str, value: Result<T, E>) -> Option<T> {
        value.map_err(|error| self.problem(path, error)).ok()
    }

    pub(super) fn parse<T: FromStr<Err: fmt::Display>>(&mut self, path: &str, text: &str) -> Option<T> {
        self.take(path, text.parse())
    }

    fn set<T: FromStr<Err: fmt::Display> + Ord>(&mut self, path: &str, texts: &[String]) -> BTreeSet<T> {
        let mut set = BTreeSet::new();
        for (index, text) in texts.iter().enumerate() {
            let path = format!("{path}[{index}]");
            let Some(value) = self.parse(&path, text) else { continue };
            if !set.insert(value) {
                self.problem(path, format!("{text:?} stands here twice"));
            }
        }
        set
    }

    /// Arches, schemes, ... that something is limited to: absent means all, and none at all would mean nothing.
    pub(super) fn limit<T: FromStr<Err: fmt::Display> + Ord>(
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
        let Some(name) = name else { return self.usual };
        Origin::named(name).unwrap_or_else(|| {
            self.problem(path, format!("is {name:?}, an origin is upstream, git or local"));
            self.usual
        })
    }

    pub(super) fn reason(&mut self, path: &str, text: &str) -> Option<Reason> {
        let reason = match self.strictness {
            Strictness::Ours => Reason::given(text),
            Strictness::Recorded => Reason::recorded(text),
        };
        self.take(path, reason)
    }

    pub(super) fn share(&mut self, path: &str, share: f64) -> Option<Share> {
        let share = match self.strictness {
            Strictness::Ours => Share::given(share),
            Strictness::Recorded => Share::recorded(share),
        };
        self.take(path, share)
    }

    pub(super) fn epoch(&mut self, path: &str, text: &str) -> Option<Epoch> {
        let epoch = Epoch::parse(text);
        if epoch.is_none() {
            self.problem(path, format!("is {text:?}, not a time in whole seconds such as 2026-07-22T14:00:00Z"));
        }
        epoch
    }

    pub(super) fn minutes(&mut self, path: &str, text: &str) -> Option<Minutes> {
        self.take(path, Minutes::parse(text).map_err(|error| format!("{text:?} {error}")))
    }

    fn stream(&mut self, document: &StreamDocument) -> Option<Stream> {
        if document.format != FORMAT {
            self.problem("format", format!("is {}, this program reads {FORMAT}", document.format));
            return None;
        }
        self.usual = self.origin("origin", document.origin.as_ref());
        let product = self.parse("product", &document.product);
        let name = self.parse("stream", &document.stream);
        let arches = self.set("arches", &document.arches);
        let mirrors = self.set("mirrors", &document.mirrors);
        let protection = document.protection.as_ref().map(|protection| self.protection("protection", protection));
        let stop = document.emergency_stop.as_ref().and_then(|stop| self.stop("emergency_stop", stop));
        let sources = document
            .sources
            .iter()
            .filter_map(|(kind, hash)| {
                let path = format!("sources.{kind}");
                let hash = ContentHash::parse(hash).ok_or("is not a SHA-256 in lower-case hexadecimal");
                Some((self.parse(&path, kind)?, self.take(&path, hash)?))
            })
            .collect();
        let releases: Vec<Release> = document
            .releases
            .iter()
            .enumerate()
            .filter_map(|(index, release)| self.release(&format!("releases[{index}]"), release))
            .collect();
        if releases.len() == document.releases.len() {
            self.across(&releases);
        }
        let blocked_updates = document
            .blocked_updates
            .iter()
            .enumerate()
            .filter_map(|(index, blocked)| self.blocked(&format!("blocked_updates[{index}]"), blocked, &releases))
            .collect();
        let id = StreamId { product: product?, stream: name? };
        let protection = protection.unwrap_or_default();
        Some(Stream { id, arches, mirrors, protection, stop, releases, blocked_updates, sources })
    }

    /// What holds between releases.
    pub(super) fn across(&mut self, releases: &[Release]) {
        let mut drafts_began = false;
        for (index, release) in releases.iter().enumerate() {
            let draft = release.state == ReleaseState::Draft;
            if drafts_began && !draft {
                self.problem(
                    format!("releases[{index}].state"),
                    "drafts come last, and this release stands behind one",
                );
            }
            drafts_began |= draft;
        }
        if self.strictness == Strictness::Recorded {
            return;
        }
        let mut versions = HashMap::new();
        let mut ids: HashMap<(&PayloadKey, &PayloadId), usize> = HashMap::new();
        for (index, release) in releases.iter().enumerate() {
            if let Some(first) = versions.insert(&release.version, index) {
                let message = format!("{} stands in releases[{first}] already", release.version);
                self.problem(format!("releases[{index}].version"), message);
            }
            let payloads = release.payloads.iter().map(|(key, payload)| (key, &payload.id));
            let aliases = release.aliases.iter().flat_map(|(key, ids)| ids.iter().map(move |id| (key, id)));
            for (key, id) in payloads.chain(aliases) {
                if let Some(first) = ids.insert((key, id), index) {
                    let message = format!("{id} names releases[{first}] on {} {} already", key.arch, key.scheme);
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
                let state = ReleaseState::named(name)
                    .ok_or_else(|| format!("is {name:?}, a release is draft, published or withdrawn"));
                self.take(&format!("{path}.state"), state)?
            }
        };
        let origin = self.origin(&format!("{path}.origin"), document.origin.as_ref());
        let barrier = document.barrier.as_ref().and_then(|policy| {
            let (reason, arches, origin) = self.policy(&format!("{path}.barrier"), policy)?;
            Some(Barrier { reason, arches, origin })
        });
        let dead_end = document.dead_end.as_ref().and_then(|policy| {
            let (reason, arches, origin) = self.policy(&format!("{path}.dead_end"), policy)?;
            Some(DeadEnd { reason, arches, origin })
        });
        let rollouts = document
            .rollouts
            .iter()
            .enumerate()
            .filter_map(|(index, rollout)| self.rollout(&format!("{path}.rollouts[{index}]"), rollout))
            .collect();
        let cleared = self.cleared(path, document);
        let payloads = self.payloads(path, &document.payloads);
        let mut aliases: BTreeMap<PayloadKey, BTreeSet<PayloadId>> = BTreeMap::new();
        for (index, alias) in document.aliases.iter().enumerate() {
            let path = format!("{path}.aliases[{index}]");
            let Some((key, id)) = self.payload_names(&path, &alias.arch, &alias.scheme, &alias.id) else { continue };
            if !aliases.entry(key).or_default().insert(id) {
                self.problem(path, "stands here twice");
            }
        }
        let notes = self.notes(path, document);
        let artifacts = self.artifacts(path, &document.artifacts);
        let promoted_from = document.promoted_from.as_ref().and_then(|from| self.promotion(path, from));
        Some(Release {
            version: version?,
            state,
            origin,
            payloads,
            aliases,
            barrier,
            dead_end,
            rollouts,
            cleared,
            notes,
            artifacts,
            promoted_from,
        })
    }

    fn cleared(&mut self, path: &str, document: &ReleaseDocument) -> BTreeSet<Aspect> {
        let mut cleared = BTreeSet::new();
        for (index, name) in document.cleared.iter().enumerate() {
            let path = format!("{path}.cleared[{index}]");
            let stands = match Aspect::named(name) {
                Some(Aspect::Barrier) => document.barrier.is_some(),
                Some(Aspect::DeadEnd) => document.dead_end.is_some(),
                Some(Aspect::Rollouts) => !document.rollouts.is_empty(),
                None => {
                    self.problem(path, format!("is {name:?}, what may be cleared is barrier, dead_end or rollouts"));
                    continue;
                }
            };
            if stands {
                self.problem(path, format!("{name} is set on this release"));
            } else if !Aspect::named(name).is_some_and(|aspect| cleared.insert(aspect)) {
                self.problem(path, "stands here twice");
            }
        }
        cleared
    }

    pub(super) fn payload_names(
        &mut self,
        path: &str,
        arch: &str,
        scheme: &str,
        id: &str,
    ) -> Option<(PayloadKey, PayloadId)> {
        let arch = self.parse(&format!("{path}.arch"), arch);
        let scheme = self.parse(&format!("{path}.scheme"), scheme);
        let id = self.parse(&format!("{path}.id"), id);
        Some((PayloadKey { arch: arch?, scheme: scheme? }, id?))
    }

    fn payloads(&mut self, path: &str, documents: &[PayloadDocument]) -> BTreeMap<PayloadKey, Payload> {
        let mut payloads = BTreeMap::new();
        for (index, document) in documents.iter().enumerate() {
            let path = format!("{path}.payloads[{index}]");
            let names = self.payload_names(&path, &document.arch, &document.scheme, &document.id);
            let Some((key, id)) = names else { continue };
            let second = format!("is the second payload for {} {}", key.arch, key.scheme);
            if payloads.insert(key, Payload { id, synthetic: document.synthetic }).is_some() {
                self.problem(path, second);
            }
        }
        payloads
    }

    pub(super) fn policy(
        &mut self,
        path: &str,
        document: &PolicyDocument,
    ) -> Option<(Reason, Option<BTreeSet<Arch>>, Origin)> {
        let reason = self.reason(&format!("{path}.reason"), &document.reason);
        let arches = self.limit(&format!("{path}.arches"), document.arches.as_ref());
        let origin = self.origin(&format!("{path}.origin"), document.origin.as_ref());
        Some((reason?, arches, origin))
    }

    pub(super) fn blocked(
        &mut self,
        path: &str,
        document: &BlockedUpdateDocument,
        releases: &[Release],
    ) -> Option<BlockedUpdate> {
        let mut known = |field: &str, text: &str| -> Option<(usize, Version)> {
            let path = format!("{path}.{field}");
            let version: Version = self.parse(&path, text)?;
            let age = releases
                .iter()
                .position(|release| release.version == version)
                .ok_or_else(|| format!("{text} is no release of this stream"));
            Some((self.take(&path, age)?, version))
        };
        let (first, last, target) =
            (known("first", &document.first), known("last", &document.last), known("target", &document.target));
        let reason = self.reason(&format!("{path}.reason"), &document.reason);
        let arches = self.limit(&format!("{path}.arches"), document.arches.as_ref());
        let origin = self.origin(&format!("{path}.origin"), document.origin.as_ref());
        let ((first_age, first), (last_age, last), (target_age, target)) = (first?, last?, target?);
        if first_age > last_age {
            self.problem(format!("{path}.last"), "is older than the first release of the range");
        }
        if target_age <= first_age {
            self.problem(format!("{path}.target"), "is not newer than the first release of the range");
        }
        Some(BlockedUpdate { first, last, target, reason: reason?, arches, origin })
    }
}
