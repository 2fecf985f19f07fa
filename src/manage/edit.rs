//! The way of every change that somebody asks for: authorise, load under the lock, decide, judge, write, record.

use super::{
    change::{Author, Change, ChangeError, Decision, Manage, Outcome},
    refusal::Refusal,
    report::Report,
    request::{Action, Request},
};
use crate::{
    auth::Role,
    domain::{
        diff::Diff,
        document::{Problem, parts::clashes},
        edit::by_hand,
        epoch::Epoch,
        finding::{Finding, Severity},
        lint::lint,
        protection::hasty,
        reach::{Reach, reach},
        stream::{Revision, Stream, StreamId},
    },
    store::{
        StoreError, Transaction,
        idempotency::{Claim, Once},
        retrying,
    },
};
use jiff::Timestamp;
use std::collections::BTreeSet;

/// A stream's next state as a request wants it.
#[derive(Debug, Clone, PartialEq)]
pub struct Edited {
    /// The next state.
    pub stream: Stream,
    /// The name of what was made.
    pub created: Option<String>,
}

impl From<Stream> for Edited {
    fn from(stream: Stream) -> Self {
        Self { stream, created: None }
    }
}

/// Why a request came to nothing.
pub type EditError = ChangeError<Refusal>;

/// What a change brings about besides itself.
struct Judgement {
    reach: Reach,
    findings: Vec<Finding>,
    created: Option<String>,
}

impl Manage {
    /// Changes one stream.
    ///
    /// # Errors
    /// Whoever asks may not, the stream is not there or has moved on, it is refused for what it would do, or the store failed.
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

    /// Changes some streams, all or none. Who may is for the caller to see to.
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
        let attempt = async || {
            let mut transaction = self.store().begin(action.name).await?;
            let once = once(request).filter(|_| !request.dry_run);
            if let Some(once) = once {
                match transaction.claim(once, self.clock().now()).await? {
                    Claim::New => {}
                    Claim::Answered(answer) => {
                        let kept = serde_json::from_value(answer);
                        return kept.map_err(|error| StoreError::corrupt("idempotency_keys", error).into());
                    }
                    Claim::Other => return Err(Refusal::KeyReused.into()),
                }
            }
            let mut reports = Vec::with_capacity(ids.len());
            for id in ids {
                reports.push(self.edit_in(&mut transaction, action, id, request, &edit).await?);
            }
            if request.dry_run {
                return Ok(reports);
            }
            if let Some(once) = once {
                let answer = serde_json::to_value(&reports);
                let answer = answer.map_err(|error| StoreError::corrupt("idempotency_keys", error))?;
                transaction.keep_answer(once, &answer).await?;
            }
            transaction.announce().await?;
            transaction.commit().await?;
            Ok(reports)
        };
        retrying(action.name, attempt).await
    }

    async fn edit_in(
        &self,
        transaction: &mut Transaction,
        action: Action,
        id: &StreamId,
        request: &Request<'_>,
        edit: &impl Fn(Option<&Stream>, Epoch) -> Result<Edited, Refusal>,
    ) -> Result<Report, EditError> {
        let author = Author {
            actor: request.who.actor.clone(),
            reason: request.reason.into(),
            request_id: request.request_id.map(Into::into),
        };
        let change = Change::of(id, &author).as_action(action.name).about(request.subject);
        let change = request.expected.map_or(change, |expected| change.from(expected));
        let decide = |present: Option<&Stream>, now: Timestamp| {
            let now = Epoch::from(now);
            let edited = edit(present, now)?;
            let empty = Stream::empty(id.clone());
            let before = present.unwrap_or(&empty);
            let mut stream = by_hand(before, edited.stream)?;
            stream.sources.clone_from(&before.sources);
            no_new_clash(before, &stream)?;
            stays_real(before, &stream)?;
            let judgement = judge(before, &stream, now, edited.created, action, request)?;
            Ok(Decision { stream, value: judgement })
        };
        let (outcome, judgement) = self.change_in(transaction, change, &decide).await?;
        let (revision, diff) = match outcome {
            Outcome::Unchanged { revision } => (revision, Diff(Vec::new())),
            Outcome::Changed { revision, diff } => {
                // Nothing comes of a dry run: what it was compared with is what counts.
                let shown = if request.dry_run { Revision(revision.0 - 1) } else { revision };
                (shown, diff)
            }
        };
        let report = Report::of(id, revision, diff, &judgement.reach, judgement.findings);
        Ok(Report { dry_run: request.dry_run, created: judgement.created, ..report })
    }
}

/// The name that a request gives itself, if it does.
pub(super) fn once<'a>(request: &Request<'a>) -> Option<Once<'a>> {
    request.once.map(|(key, fingerprint)| Once { actor: &request.who.actor, key, fingerprint })
}

/// May whoever asks do what takes this role on a stream?
pub(super) fn allow(request: &Request<'_>, role: Role, id: &StreamId) -> Result<(), Refusal> {
    if request.who.may(role, id) { Ok(()) } else { Err(Refusal::Denied { role, on: id.to_string() }) }
}

/// What upstream lists twice may stay; nobody here makes more of it.
fn no_new_clash(before: &Stream, after: &Stream) -> Result<(), Refusal> {
    let known: BTreeSet<String> = clashes(before).into_iter().map(|problem| problem.message).collect();
    let new: Vec<Problem> = clashes(after).into_iter().filter(|problem| !known.contains(&problem.message)).collect();
    if new.is_empty() { Ok(()) } else { Err(Refusal::Invalid(new)) }
}

/// Placeholders among what is served take a whole stream away from nodes: none comes into one that is real.
fn stays_real(before: &Stream, after: &Stream) -> Result<(), Refusal> {
    if after.is_synthetic() && !before.is_synthetic() && before.aged().next().is_some() {
        return Err(Refusal::State("a placeholder for a payload would take this stream away from every node".into()));
    }
    Ok(())
}

/// Looks at what was not so before. A dry run is told of dangers, any other change is refused for them; but what only closes is
/// never held up by what is merely odd, and may be dangerous if that was seen.
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
    let findings: Vec<Finding> = lint(after, now).into_iter().filter(is_new).chain(hasty(before, after, now)).collect();
    let dangerous = findings.iter().any(|finding| finding.severity == Severity::Error);
    let seen = request.dry_run || request.acknowledge;
    if dangerous && !request.dry_run && !(action.closes && request.acknowledge) {
        return Err(Refusal::Dangerous(findings));
    }
    if !seen && !action.closes && !findings.is_empty() {
        return Err(Refusal::Unacknowledged(findings));
    }
    Ok(Judgement { reach: reach(before, after, now), findings, created })
}

impl From<Refusal> for EditError {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}
