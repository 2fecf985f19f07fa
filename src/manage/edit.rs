//! The steps of every requested change: authorise, load under the lock, decide, judge, write, record.

use super::{
    change::{Author, Change, Decision, Manage, Outcome, Plan, Planned},
    idempotency::{items, store_answer, stored_answer},
    refusal::{EditError, Refusal},
    report::Report,
    request::{Action, Request},
};
use crate::{
    auth::Role,
    domain::{
        admission::{
            bounds::exceeded,
            check::check_schedule,
            emergency_stop::EmergencyStop,
            impact::{Impact, compute_impact},
            lint::lint,
            manager_only::find_manager_only_change,
            pace::too_fast,
        },
        diff::Diff,
        document::{Problem, parts::find_duplicates},
        edit::apply_local_edit,
        epoch::Epoch,
        finding::{Finding, Severity},
        ids::StreamId,
        policy::{references::unusable, removed},
        rollout::expired_schedule,
        stream::{Revision, Stream},
    },
    store::{StoreError, Transaction, idempotency::IdempotencyKey, retrying, streams::Head},
};
use jiff::Timestamp;
use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

/// The next state of a stream that a request asks for.
#[derive(Debug, Clone, PartialEq)]
pub struct Edited {
    /// The next state.
    pub stream: Stream,
    /// The name of what the request creates.
    pub created: Option<String>,
}

impl From<Stream> for Edited {
    fn from(stream: Stream) -> Self {
        Self { stream, created: None }
    }
}

/// What the checks found about a change.
struct Judgement {
    findings: Vec<Finding>,
    created: Option<String>,
}

/// The time limit for computing an impact, the wait for its turn included.
const IMPACT_DEADLINE: Duration = Duration::from_secs(2);

/// The impact of a change, computed before its stream is locked.
struct Inspected {
    before: Stream,
    impact: Option<Impact>,
}

impl Manage {
    /// Changes one stream.
    ///
    /// # Errors
    /// The caller lacks the role, the stream does not exist or is at another revision, the change is refused for its effect, or
    /// the database failed.
    pub async fn edit(
        &self,
        action: Action,
        id: &StreamId,
        request: &Request<'_>,
        edit: impl Fn(&Stream, Epoch) -> Result<Edited, Refusal>,
    ) -> Result<Report, EditError> {
        allow(request, action.role, id)?;
        let reports = self.edit_all(action, std::slice::from_ref(id), request, |present, now| {
            edit(present.ok_or_else(|| Refusal::no_such("stream", id))?, now)
        });
        let mut reports = reports.await?;
        reports.pop().ok_or_else(|| EditError::Refused(Refusal::no_such("stream", id)))
    }

    /// Changes several streams, all or none. The calling function checks the role. Restrictive changes wait only for the stream's
    /// lock.
    pub(super) async fn edit_all(
        &self,
        action: Action,
        ids: &[StreamId],
        request: &Request<'_>,
        edit: impl Fn(Option<&Stream>, Epoch) -> Result<Edited, Refusal>,
    ) -> Result<Vec<Report>, EditError> {
        if request.reason.trim().is_empty() {
            return Err(Refusal::field("reason", "must not be empty").into());
        }
        if request.dry_run {
            let mut reports = Vec::with_capacity(ids.len());
            for id in ids {
                reports.push(self.preview(action, id, request, &edit).await?);
            }
            return Ok(reports);
        }
        let (turn, mut inspected) =
            (if action.is_restrictive { None } else { Some(self.write_queues().write(ids).await) }, Vec::new());
        for id in ids.iter().filter(|_| !action.is_restrictive) {
            inspected.push(self.inspect(action, id, request, &edit).await);
        }
        let attempt = async || {
            let mut transaction = self.store().begin(action.name).await?;
            let key = idempotency(request);
            if let Some(json) = stored_answer(&mut transaction, key, self.clock().now()).await? {
                return repeated(&json);
            }
            let mut reports = Vec::with_capacity(ids.len());
            for (index, id) in ids.iter().enumerate() {
                let inspected = inspected.get(index).and_then(Option::as_ref);
                reports.push(self.edit_in(&mut transaction, action, id, request, (&edit, inspected)).await?);
            }
            store_answer(&mut transaction, key, &reports).await?;
            transaction.announce().await?;
            transaction.commit().await?;
            Ok(reports)
        };
        let reports = retrying(action.name, attempt).await;
        drop(turn);
        reports
    }

    async fn edit_in(
        &self,
        transaction: &mut Transaction,
        action: Action,
        id: &StreamId,
        request: &Request<'_>,
        (edit, inspected): (&impl Fn(Option<&Stream>, Epoch) -> Result<Edited, Refusal>, Option<&Inspected>),
    ) -> Result<Report, EditError> {
        let author = author(request);
        let decide = |present: Option<&Stream>, now: Timestamp| {
            let Decision { stream, value } = decide(action, id, request, edit, present, now.into())?;
            // An impact is valid only for the state that it was computed from.
            let inspected = inspected.filter(|inspected| present.is_none_or(|present| inspected.before == *present));
            Ok(Decision { stream, value: (value, inspected) })
        };
        let (outcome, (judgement, inspected)) =
            self.change_in(transaction, change(action, id, request, &author), &decide).await?;
        let (revision, diff, changed) = match outcome {
            Outcome::Unchanged { revision } => (revision, Diff(Vec::new()), false),
            Outcome::Changed { revision, diff } => (revision, diff, true),
        };
        let impact = inspected.and_then(|inspected| inspected.impact.as_ref());
        let report = Report::new(id, revision, diff, impact, judgement.findings);
        Ok(Report { changed, created: judgement.created, ..report })
    }

    /// Reports what a change would do, without changing anything and without a lock. All checks of the change are made.
    async fn preview(
        &self,
        action: Action,
        id: &StreamId,
        request: &Request<'_>,
        edit: &impl Fn(Option<&Stream>, Epoch) -> Result<Edited, Refusal>,
    ) -> Result<Report, EditError> {
        let (head, present, product_stop) = self.present(id).await?;
        let author = author(request);
        let change = change(action, id, request, &author);
        change.check_revision(&head)?;
        let decide = |present: Option<&Stream>, now: Timestamp| decide(action, id, request, edit, present, now.into());
        let planned = self.compute(|| self.plan(&change, (&head, present, product_stop), &decide)).await?;
        let changed = matches!(planned, Plan::Next(_));
        let (impact, diff, judgement) = match planned {
            Plan::Same(judgement) => (Some(Impact::default()), Diff(Vec::new()), judgement),
            Plan::Next(planned) => {
                let Planned { before, next, value, .. } = *planned;
                let diff = Diff::between(&before, &next);
                (self.impact(before, next).await.1, diff, value)
            }
        };
        // A dry run makes no revision: its report names the one that it was compared with.
        let report = Report::new(id, head.revision, diff, impact.as_ref(), judgement.findings);
        Ok(Report { changed, dry_run: true, created: judgement.created, ..report })
    }

    /// Computes the impact of a change. Returns `None` if the change would be refused now: the attempt under the lock reports why.
    async fn inspect(
        &self,
        action: Action,
        id: &StreamId,
        request: &Request<'_>,
        edit: &impl Fn(Option<&Stream>, Epoch) -> Result<Edited, Refusal>,
    ) -> Option<Inspected> {
        let (head, present, product_stop) = self.present(id).await.ok()?;
        let author = author(request);
        let change = change(action, id, request, &author);
        let decide = |present: Option<&Stream>, now: Timestamp| decide(action, id, request, edit, present, now.into());
        let planned = self.compute(|| self.plan(&change, (&head, present.clone(), product_stop), &decide));
        match planned.await.ok()? {
            Plan::Same(_) => present.map(|before| Inspected { before, impact: Some(Impact::default()) }),
            Plan::Next(planned) => {
                let (before, impact) = self.impact(planned.before, planned.next).await;
                Some(Inspected { before, impact })
            }
        }
    }

    /// Computes what a change does to nodes: off the runtime, one change at a time, and within a time limit.
    async fn impact(&self, before: Stream, after: Stream) -> (Stream, Option<Impact>) {
        let (deadline, now) = (Instant::now() + IMPACT_DEADLINE, self.now());
        let is_over = move || Instant::now() >= deadline;
        let impact = self.compute(|| compute_impact(&before, &after, now, &is_over)).await;
        (before, impact)
    }

    /// Returns a stream's head and present state. For a stream that does not exist: revision 0, no state, and the stop of its
    /// product.
    async fn present(&self, id: &StreamId) -> Result<(Head, Option<Stream>, Option<EmergencyStop>), StoreError> {
        let mut transaction = self.reading("present").await?;
        let head = transaction.head(id).await?.unwrap_or_else(|| Head::absent(id.clone()));
        if head.revision == Revision(0) {
            return Ok((head, None, transaction.product_stop(&id.product).await?));
        }
        let stream = transaction.load_stream(&head).await?;
        Ok((head, Some(stream), None))
    }
}

/// Restores the reports of a request that is repeated with its idempotency key.
fn repeated(json: &str) -> Result<Vec<Report>, EditError> {
    let reports = items(json)?.into_iter().map(Report::from_stored).collect::<serde_json::Result<_>>();
    Ok(reports.map_err(|error| StoreError::corrupt("idempotency_keys", error))?)
}

pub(super) fn author(request: &Request<'_>) -> Author {
    Author {
        actor: request.caller.actor.clone(),
        reason: request.reason.into(),
        request_id: request.request_id.map(Into::into),
    }
}

fn change<'a>(action: Action, id: &'a StreamId, request: &Request<'a>, author: &'a Author) -> Change<'a> {
    let change = Change::new(id, author).as_action(action.name).about(request.subject);
    let change = change.lifting_the_stop(action == Action::LIFT_STOP);
    request.expected.map_or(change, |expected| change.from(expected))
}

/// Computes the next state that a request asks for, and checks that it is allowed.
fn decide(
    action: Action,
    id: &StreamId,
    request: &Request<'_>,
    edit: &impl Fn(Option<&Stream>, Epoch) -> Result<Edited, Refusal>,
    present: Option<&Stream>,
    now: Epoch,
) -> Result<Decision<Judgement>, Refusal> {
    let edited = edit(present, now)?;
    let empty = Stream::empty(id.clone());
    let before = present.unwrap_or(&empty);
    let mut stream = apply_local_edit(before, edited.stream)?;
    stream.sources.clone_from(&before.sources);
    needs_manager(before, &stream, request)?;
    within_bounds(before, &stream)?;
    all_usable(before, &stream)?;
    no_new_clash(before, &stream)?;
    stays_real(before, &stream)?;
    // Restrictive changes may touch a plan that was scheduled into a freeze window before.
    if !action.is_restrictive {
        check_schedule(before, &stream, now).map_err(|planned| Refusal::State(planned.to_string()))?;
    }
    let judgement = judge(before, &stream, now, edited.created, action, request)?;
    Ok(Decision { stream, value: judgement })
}

/// Checks the role that depends on the content of a change: publishers cannot offer payloads that no manager has admitted.
fn needs_manager(before: &Stream, after: &Stream, request: &Request<'_>) -> Result<(), Refusal> {
    match find_manager_only_change(before, after) {
        Some(why) if !request.caller.may(Role::Manager, &after.id) => {
            Err(Refusal::Denied { role: Role::Manager, on: after.id.to_string(), why: Some(why) })
        }
        _ => Ok(()),
    }
}

fn within_bounds(before: &Stream, after: &Stream) -> Result<(), Refusal> {
    let problems = exceeded(before, after);
    if problems.is_empty() { Ok(()) } else { Err(Refusal::Invalid(problems)) }
}

fn all_usable(before: &Stream, after: &Stream) -> Result<(), Refusal> {
    let problems = unusable(before, after);
    if problems.is_empty() { Ok(()) } else { Err(Refusal::Invalid(problems)) }
}

/// Returns the idempotency key of a request, if it has one.
pub(super) fn idempotency<'a>(request: &Request<'a>) -> Option<IdempotencyKey<'a>> {
    request.idempotency.map(|(key, fingerprint)| IdempotencyKey { actor: &request.caller.actor.id, key, fingerprint })
}

/// Checks that the caller has a role on a stream.
pub(super) fn allow(request: &Request<'_>, role: Role, id: &StreamId) -> Result<(), Refusal> {
    if request.caller.may(role, id) { Ok(()) } else { Err(Refusal::denied(role, id)) }
}

/// Rejects new duplicates. Those that upstream's documents contain may stay.
fn no_new_clash(before: &Stream, after: &Stream) -> Result<(), Refusal> {
    let known: BTreeSet<String> = find_duplicates(before).into_iter().map(|problem| problem.message).collect();
    let new: Vec<Problem> =
        find_duplicates(after).into_iter().filter(|problem| !known.contains(&problem.message)).collect();
    if new.is_empty() { Ok(()) } else { Err(Refusal::Invalid(new)) }
}

/// Rejects the first placeholder (synthetic) payload in a stream of real payloads: by default, a stream with one is served on loopback listeners only.
fn stays_real(before: &Stream, after: &Stream) -> Result<(), Refusal> {
    if after.is_synthetic() && !before.is_synthetic() && before.aged().next().is_some() {
        let detail =
            "a stream with real payloads cannot have placeholder (synthetic) payloads: nodes would no longer be served";
        return Err(Refusal::State(detail.into()));
    }
    Ok(())
}

/// Checks what a change introduces. Errors refuse it, unless it is a dry run or restrictive: then they are reported.
fn judge(
    before: &Stream,
    after: &Stream,
    now: Epoch,
    created: Option<String>,
    action: Action,
    request: &Request<'_>,
) -> Result<Judgement, Refusal> {
    let known: BTreeSet<_> = lint(before, now).into_iter().map(|finding| (finding.place, finding.message)).collect();
    let is_new = |finding: &Finding| !known.contains(&(finding.place.clone(), finding.message.clone()));
    let new = lint(after, now).into_iter().filter(is_new);
    let findings: Vec<Finding> = new
        .chain(too_fast(before, after, now))
        .chain(expired_schedule::findings(before, after, now))
        .chain(removed::findings(before, after))
        .collect();
    let has_errors = findings.iter().any(|finding| finding.severity == Severity::Error);
    let is_acknowledged = request.dry_run || request.acknowledge;
    if has_errors && !request.dry_run && !action.is_restrictive {
        return Err(Refusal::Dangerous(findings));
    }
    if !is_acknowledged && !action.is_restrictive && !findings.is_empty() {
        return Err(Refusal::Unacknowledged(findings));
    }
    Ok(Judgement { findings, created })
}

impl From<Refusal> for EditError {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}
