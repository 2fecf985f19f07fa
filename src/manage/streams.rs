//! Streams as a whole: made, set, stopped, written as documents, taken back to what they were.

use super::{
    change::Manage,
    edit::{EditError, allow},
    refusal::Refusal,
    report::Report,
    request::{Action, Request},
};
use crate::{
    auth::{Pattern, Role},
    domain::{
        document::Problem,
        epoch::Epoch,
        product::ProductName,
        protection::EmergencyStop,
        reason::Reason,
        release::{Release, ReleaseState},
        stream::{Revision, Stream, StreamId},
        version::Version,
    },
};
use std::collections::BTreeMap;

impl Manage {
    /// Makes a stream, or sets what is set on it as a whole: arches, mirrors, protection.
    ///
    /// # Errors
    /// As those of [`Manage::edit`]; `set` finds fields that are wrong.
    pub async fn set_stream(
        &self,
        id: &StreamId,
        set: impl Fn(&Stream) -> Result<Stream, Vec<Problem>>,
        request: &Request<'_>,
    ) -> Result<Report, EditError> {
        let action = if request.expected == Some(Revision(0)) { Action::CREATE_STREAM } else { Action::SET_STREAM };
        allow(request, action.role, id)?;
        let edit = |present: Option<&Stream>, _| match present {
            None if request.expected != Some(Revision(0)) => Err(Refusal::no_such("stream", id)),
            None => Ok(set(&Stream::empty(id.clone()))?.into()),
            Some(present) => Ok(set(present)?.into()),
        };
        let reports = self.edit_all(action, std::slice::from_ref(id), request, edit).await?;
        reports.into_iter().next().ok_or_else(|| Refusal::no_such("stream", id).into())
    }

    /// Stops a stream, or all streams of a product, at once: every rollout stands still, and nothing opens any further until the
    /// stop is lifted. Those that are stopped already stay so.
    ///
    /// # Errors
    /// As those of [`Manage::edit`]; there is no such product or stream.
    pub async fn stop(&self, target: &Target, request: &Request<'_>) -> Result<Vec<Report>, EditError> {
        let ids = self.streams_of(target, Action::STOP.role, request).await?;
        let edit = |present: Option<&Stream>, now: Epoch| {
            let mut stream = present.cloned().ok_or_else(|| Refusal::no_such("stream", target))?;
            if stream.stop.is_none() {
                let reason = Reason::given(request.reason).map_err(|error| Refusal::field("reason", error))?;
                stream.stop = Some(EmergencyStop { since: now, reason });
            }
            for rollout in stream.releases.iter_mut().flat_map(|release| &mut release.rollouts) {
                if let Ok(paused) = rollout.pause(now) {
                    *rollout = paused;
                }
            }
            Ok(stream.into())
        };
        // Whoever stops in an emergency is asked nothing.
        let request = Request { acknowledge: true, ..target.terms(request) };
        self.edit_all(Action::STOP, &ids, &request, edit).await
    }

    /// Lifts a stop. Rollouts stay paused until somebody resumes them.
    ///
    /// # Errors
    /// As those of [`Manage::edit`]; there is no such product or stream, or none of it is stopped.
    pub async fn lift_stop(&self, target: &Target, request: &Request<'_>) -> Result<Vec<Report>, EditError> {
        let ids = self.streams_of(target, Action::LIFT_STOP.role, request).await?;
        let edit = |present: Option<&Stream>, _| {
            let mut stream = present.cloned().ok_or_else(|| Refusal::no_such("stream", target))?;
            if stream.stop.take().is_none() && matches!(target, Target::Stream(_)) {
                return Err(Refusal::no_such("emergency stop", format!("of {target}")));
            }
            Ok(stream.into())
        };
        self.edit_all(Action::LIFT_STOP, &ids, &target.terms(request), edit).await
    }

    async fn streams_of(&self, target: &Target, role: Role, request: &Request<'_>) -> Result<Vec<StreamId>, EditError> {
        match target {
            Target::Stream(id) => {
                allow(request, role, id)?;
                Ok(vec![id.clone()])
            }
            Target::Product(product) => {
                let all = Pattern::of_product(product.clone());
                if !request.who.may_on_all(role, &all) {
                    return Err(Refusal::Denied { role, on: all.to_string() }.into());
                }
                let heads = self.heads().await?;
                let ids: Vec<StreamId> =
                    heads.into_iter().map(|head| head.id).filter(|id| id.product == *product).collect();
                if ids.is_empty() { Err(Refusal::no_such("product", product).into()) } else { Ok(ids) }
            }
        }
    }

    /// Makes a stream what a document says.
    ///
    /// # Errors
    /// As those of [`Manage::edit`]; it changes the stream's protection, which takes an admin.
    pub async fn write_document(&self, written: &Stream, request: &Request<'_>) -> Result<Report, EditError> {
        let id = &written.id;
        allow(request, Action::PUT_DOCUMENT.role, id)?;
        let edit = |present: Option<&Stream>, _| {
            let empty = Stream::empty(id.clone());
            let before = present.unwrap_or(&empty);
            let settings = |stream: &Stream| (stream.arches.clone(), stream.mirrors.clone(), stream.protection.clone());
            if present.is_none() || settings(before) != settings(written) {
                allow(request, Action::SET_STREAM.role, id)?;
            }
            Ok(written.clone().into())
        };
        let reports = self.edit_all(Action::PUT_DOCUMENT, std::slice::from_ref(id), request, edit).await?;
        reports.into_iter().next().ok_or_else(|| Refusal::no_such("stream", id).into())
    }

    /// Makes a stream again what it was at a revision, as far as that can be: what was published since stays known to the nodes
    /// that run it, and is withdrawn; payloads stay; settings and an emergency stop stay as they are.
    ///
    /// # Errors
    /// As those of [`Manage::edit`]; there is no such revision.
    pub async fn revert(&self, id: &StreamId, to: Revision, request: &Request<'_>) -> Result<Report, EditError> {
        allow(request, Action::REVERT.role, id)?;
        let then = self.revision(id, to).await?.ok_or_else(|| Refusal::no_such("revision", format!("{to} of {id}")))?;
        self.edit(Action::REVERT, id, request, |present, _| Ok(reverted(present, &then.stream).into())).await
    }
}

/// What a stop is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// One stream.
    Stream(StreamId),
    /// All streams of a product.
    Product(ProductName),
}

impl Target {
    /// A revision is one of a single stream.
    fn terms<'a>(&self, request: &Request<'a>) -> Request<'a> {
        match self {
            Self::Stream(_) => *request,
            Self::Product(_) => Request { expected: None, ..*request },
        }
    }
}

impl std::fmt::Display for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Stream(id) => id.fmt(f),
            Self::Product(product) => product.fmt(f),
        }
    }
}

/// The state `then`, with the ages and payloads that nodes know by now.
fn reverted(present: &Stream, then: &Stream) -> Stream {
    let known: BTreeMap<(&Version, usize), &Release> = then.identified().into_iter().collect();
    let is_aged = |release: &Release| release.state != ReleaseState::Draft;
    let aged = present.identified().into_iter().filter(|(_, release)| is_aged(release)).map(|(identity, now)| {
        match known.get(&identity).filter(|was| is_aged(was)) {
            Some(was) => Release {
                payloads: now.payloads.clone(),
                aliases: was.aliases.clone(),
                cleared: now.cleared.iter().copied().filter(|aspect| !stands(was, *aspect)).collect(),
                ..(*was).clone()
            },
            None => Release { state: ReleaseState::Withdrawn, ..now.clone() },
        }
    });
    let aged: Vec<Release> = aged.collect();
    let is_out = |draft: &Release| aged.iter().any(|release| release.version == draft.version);
    let drafts = then.releases.iter().filter(|release| !is_aged(release) && !is_out(release)).cloned();
    let releases: Vec<Release> = aged.iter().cloned().chain(drafts).collect();
    Stream { releases, blocked_updates: then.blocked_updates.clone(), ..present.clone() }
}

fn stands(release: &Release, aspect: crate::domain::release::Aspect) -> bool {
    use crate::domain::release::Aspect;
    match aspect {
        Aspect::Barrier => release.barrier.is_some(),
        Aspect::DeadEnd => release.dead_end.is_some(),
        Aspect::Rollouts => !release.rollouts.is_empty(),
    }
}
