//! Plans: the next state that a command computes, with all checks that need no database.

use super::{
    command::{Command, LoadedReads, Next, Present, Provenance},
    error::CommandError,
    findings_cache::FindingsCache,
    graph_size::{GraphLimit, check_graph_size},
    refusal::Refusal,
    request::{Action, Request},
};
use crate::{
    auth::Role,
    domain::{
        admission::{
            bounds::exceeded,
            check::{check_admission, check_schedule},
            emergency_stop::EmergencyStop,
            manager_only::find_manager_only_change,
            pace::too_fast,
        },
        base::{BaseError, resolve_base},
        changes::{Changes, Placed},
        dialect::{Dialect, Dialects, findings},
        document::{DeltaDocument, Problem, parts::find_duplicates},
        edit::apply_local_edit,
        epoch::Epoch,
        finding::{Finding, Severity},
        ids::ProductName,
        policy::{references::unusable, removed},
        release::{Release, ReleaseState},
        rollout::{
            expired_schedule,
            first_opening::{keep_first_openings, record_first_openings},
            numbering::number_rollouts,
        },
        stream::{Revision, Stream},
    },
    store::streams::Head,
};
use jiff::{SignedDuration, Timestamp};
use std::{
    collections::{BTreeSet, HashSet},
    sync::Arc,
};

/// What a command is planned on: the stream as it was loaded, and what else the command reads.
#[derive(Clone)]
pub(super) struct Loaded {
    pub(super) head: Head,
    /// The present state; `None` if the stream does not exist.
    pub(super) stream: Option<Arc<Stream>>,
    /// The stop of its product, which applies to a new stream, too.
    pub(super) product_stop: Option<EmergencyStop>,
    pub(super) read: LoadedReads,
    pub(super) dialects: Arc<Dialects>,
    /// The protocol of its product; `None` if the product is new or this service does not speak its protocol.
    pub(super) dialect: Option<Arc<dyn Dialect>>,
    /// The lint findings of present states.
    pub(super) findings: Arc<FindingsCache>,
    /// The largest full graph that a change may lead to.
    pub(super) max_graph_bytes: usize,
}

impl Loaded {
    fn graph_limit(&self) -> GraphLimit<'_> {
        GraphLimit { dialect: self.dialect.as_deref(), max_bytes: self.max_graph_bytes }
    }

    /// Returns the state before the command: of a stream that does not exist, an empty one.
    fn before(&self) -> Arc<Stream> {
        self.stream.clone().unwrap_or_else(|| {
            let stream = Stream::empty(self.head.id.clone());
            Arc::new(Stream { product_stop: self.product_stop.clone(), ..stream })
        })
    }
}

/// A checked next state.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) before: Arc<Stream>,
    /// The next state; `None` if the stream is in that state already.
    pub(super) next: Option<NextState>,
    pub(super) created: Option<String>,
    pub(super) existing: Option<String>,
    /// `None` if the command does not wait for them.
    pub(super) findings: Option<Vec<Finding>>,
    pub(super) now: Timestamp,
}

/// A state, and its difference to the one before it.
#[derive(Debug, PartialEq)]
pub(super) struct NextState {
    pub(super) stream: Arc<Stream>,
    pub(super) delta: DeltaDocument,
    /// All lint findings of the state, if the command computed them.
    pub(super) lint: Option<Arc<[Finding]>>,
}

/// Computes the next state of a stream and makes every check.
///
/// # Errors
/// The stream is at another revision, or the command is refused.
pub(super) fn plan(
    command: &dyn Command,
    request: &Request<'_>,
    loaded: &Loaded,
    clock: Timestamp,
) -> Result<Plan, CommandError> {
    check_revision(request.expected, &loaded.head)?;
    // Clocks of other processes may be ahead: revisions of a stream still have increasing times.
    let head = &loaded.head;
    let just_after = head.changed_at.saturating_add(SignedDuration::from_micros(1)).unwrap_or(head.changed_at);
    let time = clock.max(just_after);
    let now = Epoch::from(time);
    let rules = loaded.dialect.as_ref().map(|dialect| dialect.rules()).unwrap_or_default();
    let present = Present { id: &head.id, stream: loaded.stream.as_deref(), read: &loaded.read, rules, now };
    if let Some(need) = command.needs(&present) {
        request.require(need.role, &head.id, need.why)?;
    }
    if loaded.stream.is_none() {
        refuse_reserved(&loaded.dialects, &head.id.product)?;
    }
    let before = loaded.before();
    let Next { mut stream, created, existing, findings } = command.apply(&present)?;
    number_rollouts(&before, &mut stream);
    let mut stream = fit_to_base(&before, stream, loaded, command)?;
    // What a document repeats is not compared again and again.
    stream.share_equal(&before);
    let (mut next, mut findings, lint) = match command.provenance() {
        Provenance::Local => {
            let local = LocalChange { action: command.action(), request, before: &before, loaded };
            let Checked { next, lint } = local.check(stream, &findings, now)?;
            let (all, new) = lint.map(|Lint { all, new }| (all, new)).unzip();
            (next, new.map(|new| findings.into_iter().chain(new).collect()), all)
        }
        Provenance::Recorded => {
            refuse_invalid(exceeded(&before, &stream))?;
            refuse_invalid(unusable(&before, &stream))?;
            (stream, Some(findings), None)
        }
        Provenance::Upstream(_) => (stream, Some(findings), None),
    };
    let large = check_graph_size(command, loaded.graph_limit(), &before, &next)?;
    if let Some(findings) = &mut findings {
        findings.extend(large);
    }
    keep_stops(&before, &mut next, command.lifts_stop(), now);
    keep_first_openings(&before, &mut next);
    if loaded.stream.as_deref() == Some(&next) && !command.deletes() {
        return Ok(Plan { before, next: None, created, existing, findings, now: time });
    }
    // Plan time is frozen during a stop: no rollout opens for the first time.
    record_first_openings(&before, &mut next, before.plan_time(now));
    let delta = next.delta_from(&before);
    // A stored revision must parse to the same state.
    let recorded = before.with_delta(&delta).map_err(CommandError::Invalid)?;
    debug_assert_eq!(recorded, next);
    check_admission(&before, &next, now).map_err(CommandError::Admission)?;
    let next = NextState { stream: Arc::new(next), delta, lint };
    Ok(Plan { before, next: Some(next), created, existing, findings, now: time })
}

/// Returns the next state with what it inherits from its base.
fn fit_to_base(before: &Stream, next: Stream, loaded: &Loaded, command: &dyn Command) -> Result<Stream, Refusal> {
    // A restrictive command changes neither the base nor on what releases are built, and must not fail because of the base.
    if command.action().is_restrictive || !needs_base(before, &next) {
        return Ok(next);
    }
    if next.base.is_some() && (matches!(command.provenance(), Provenance::Upstream(_)) || !next.sources.is_empty()) {
        let detail = format!("{} is imported from upstream: only a stream of own images has a base", next.id);
        return Err(Refusal::State(detail));
    }
    resolve_base(before, next, loaded.read.base.as_deref()).map_err(|error| match error {
        BaseError::NoSuchRelease { .. } | BaseError::Missing { .. } => Refusal::field("built_on", error),
        BaseError::NoSuchStream(_) | BaseError::Itself | BaseError::HasBase(_) => Refusal::field("base", error),
    })
}

/// Returns true if a change is about the base, or about releases that are built on one.
fn needs_base(before: &Stream, next: &Stream) -> bool {
    if before.base != next.base {
        return true;
    }
    let parts =
        |release: &Release| (release.payloads.clone(), release.built_on.clone(), release.state == ReleaseState::Draft);
    let changes = Changes::between(before, next);
    let concerned =
        changes.added_or_changed().filter(|(after, _)| next.base.is_some() || after.release.built_on.is_some());
    let mut concerned = concerned;
    concerned.any(|(after, old)| old.is_none_or(|old| parts(old) != parts(after.release)))
}

/// Checks that a stream is at the revision that the request expects.
fn check_revision(expected: Option<Revision>, head: &Head) -> Result<(), CommandError> {
    let found = head.present_revision();
    match expected.filter(|expected| *expected != found) {
        Some(expected) => Err(CommandError::RevisionMismatch { expected, found }),
        None => Ok(()),
    }
}

/// Keeps emergency stops in force unless the command lifts them: documents and imports cannot end one. A new stop begins now at
/// the latest.
fn keep_stops(before: &Stream, next: &mut Stream, lifts_stop: bool, now: Epoch) {
    next.product_stop.clone_from(&before.product_stop);
    if before.stop.is_some() && !lifts_stop {
        next.stop.clone_from(&before.stop);
    }
    if let Some(stop) = next.stop.as_mut().filter(|_| before.stop.is_none()) {
        stop.since = stop.since.min(now);
    }
}

/// A local command, and what it is checked against.
struct LocalChange<'a> {
    action: Action,
    request: &'a Request<'a>,
    before: &'a Arc<Stream>,
    loaded: &'a Loaded,
}

impl LocalChange<'_> {
    /// Tags what the command changes, and checks it. Returns the next state and the findings, for which a restrictive command does not wait.
    fn check(&self, next: Stream, of_command: &[Finding], now: Epoch) -> Result<Checked, Refusal> {
        let Self { action, request, before, .. } = *self;
        let mut next = apply_local_edit(before, next)?;
        next.sources.clone_from(&before.sources);
        // Publishers cannot offer payloads that no manager has admitted.
        if let Some(why) = find_manager_only_change(before, &next) {
            request.require(Role::Manager, &next.id, Some(why))?;
        }
        refuse_invalid(exceeded(before, &next))?;
        refuse_invalid(unusable(before, &next))?;
        refuse_invalid(new_duplicates(before, &next))?;
        check_real(before, &next)?;
        // Restrictive commands may touch a plan that was scheduled into a freeze window before.
        if !action.is_restrictive {
            check_schedule(before, &next, now).map_err(|planned| Refusal::State(planned.to_string()))?;
        }
        if action.is_restrictive && !request.dry_run {
            return Ok(Checked { next, lint: None });
        }
        let mut lint = self.lint(&next, now);
        lint.new.extend(self.loaded.read.images.findings(before, &next)?);
        // Findings of a dry run are reported, and do not refuse it.
        if !request.dry_run {
            if lint.new.iter().any(|finding| finding.severity == Severity::Error) {
                return Err(Refusal::Dangerous(lint.new));
            }
            let unacknowledged = request.unacknowledged(of_command, &lint.new);
            if !unacknowledged.is_empty() {
                return Err(Refusal::Unacknowledged(unacknowledged));
            }
        }
        Ok(Checked { next, lint: Some(lint) })
    }

    fn lint(&self, after: &Stream, now: Epoch) -> Lint {
        let dialect = self.loaded.dialect.as_deref();
        let known = self.loaded.findings.get_or_compute(dialect, self.before, now);
        let all: Arc<[Finding]> = findings(dialect, after, now).into();
        let new = new_findings([&known, &all], Step { before: self.before, after }, now);
        Lint { all, new }
    }
}

/// The next state of a stream after the checks of a local command.
struct Checked {
    next: Stream,
    /// `None` if the command does not wait for it.
    lint: Option<Lint>,
}

/// The lint findings of a next state.
struct Lint {
    all: Arc<[Finding]>,
    /// The errors and warnings that the change introduces.
    new: Vec<Finding>,
}

/// Two states of a stream, one after the other.
#[derive(Clone, Copy)]
pub(super) struct Step<'a> {
    pub(super) before: &'a Stream,
    pub(super) after: &'a Stream,
}

/// Returns the errors and warnings that a change introduces, of the lint findings of both states and of the change itself.
pub(super) fn new_findings(lint: [&[Finding]; 2], step: Step<'_>, now: Epoch) -> Vec<Finding> {
    let Step { before, after } = step;
    let [old, all] = lint;
    let known: HashSet<_> = old.iter().map(|finding| (&finding.place, &finding.message)).collect();
    let is_new = |finding: &&Finding| !known.contains(&(&finding.place, &finding.message));
    let new = all.iter().filter(is_new).cloned();
    new.chain(too_fast(before, after, now))
        .chain(expired_schedule::findings(before, after, now))
        .chain(removed::findings(before, after))
        .collect()
}

/// Refuses a new product whose name paths of the service or of a protocol begin with.
pub(super) fn refuse_reserved(dialects: &Dialects, product: &ProductName) -> Result<(), Refusal> {
    if dialects.is_reserved(product) {
        let message = format!("is {product:?}, which the service uses for its own paths; choose another name");
        return Err(Refusal::Invalid(vec![Problem { path: "product".into(), message }]));
    }
    Ok(())
}

fn refuse_invalid(problems: Vec<Problem>) -> Result<(), Refusal> {
    if problems.is_empty() { Ok(()) } else { Err(Refusal::Invalid(problems)) }
}

/// Returns new duplicates. Those that upstream's documents contain may stay.
fn new_duplicates(before: &Stream, after: &Stream) -> Vec<Problem> {
    let keeps_names = |(after, before): (Placed<'_>, Option<&Release>)| {
        let Release { payloads, aliases, .. } = &**after.release;
        before.is_some_and(|before| (&before.payloads, &before.aliases) == (payloads, aliases))
    };
    if Changes::between(before, after).added_or_changed().all(keeps_names) {
        return Vec::new();
    }
    let known: BTreeSet<String> = find_duplicates(before).into_iter().map(|problem| problem.message).collect();
    find_duplicates(after).into_iter().filter(|problem| !known.contains(&problem.message)).collect()
}

/// Rejects the first placeholder (synthetic) payload in a stream of real payloads: by default, a stream with one is served on loopback
/// listeners only.
fn check_real(before: &Stream, after: &Stream) -> Result<(), Refusal> {
    let changes = Changes::between(before, after);
    let adds_synthetic = changes.added_or_changed().any(|(after, _)| after.release.is_synthetic());
    if adds_synthetic && after.is_synthetic() && !before.is_synthetic() && before.aged().next().is_some() {
        let detail =
            "a stream with real payloads cannot have placeholder (synthetic) payloads: nodes would no longer be served";
        return Err(Refusal::State(detail.into()));
    }
    Ok(())
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
