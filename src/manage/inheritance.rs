//! Changes of bases: what streams inherit is recorded in them by the transaction that changes the base.

use super::{
    command::{Command, LoadedReads},
    commands::bases::InheritBase,
    error::CommandError,
    executor::Written,
    manager::Manage,
    plan::{Plan, plan},
    refusal::Refusal,
    request::Request,
    write::{Step, write},
};
use crate::{
    auth::Identity,
    domain::{actor::Actor, base::changes_what_is_inherited, ids::StreamId, stream::Stream},
    store::{Transaction, streams::Head},
};
use std::sync::Arc;

/// The actor of revisions that record what a stream inherits from its base.
const ACTOR: &str = "base";

impl Manage {
    /// Loads the base that a command sets, or that its stream has. What a restrictive command does not need cannot make it fail.
    pub(super) async fn base_for(
        &self,
        transaction: &mut Transaction,
        command: &dyn Command,
        stream: Option<&Stream>,
    ) -> Result<Option<Arc<Stream>>, CommandError> {
        let present = stream.filter(|_| !command.action().is_restrictive).and_then(|stream| stream.base.as_ref());
        let base = command.reads().base.or_else(|| present.map(|base| base.stream.clone()));
        let Some(base) = base else { return Ok(None) };
        let Some(found) = transaction.head(&base).await? else { return Ok(None) };
        self.check_protocol(transaction, command.target(), &base).await?;
        Ok(Some(self.load_stream(transaction, &found).await?))
    }

    /// Checks that a stream and its base are served by the same protocol: otherwise their releases are not comparable.
    async fn check_protocol(
        &self,
        transaction: &mut Transaction,
        stream: &StreamId,
        base: &StreamId,
    ) -> Result<(), CommandError> {
        let own = self.dialect(transaction, &stream.product).await?.map(|dialect| dialect.name());
        let other = self.dialect(transaction, &base.product).await?.map(|dialect| dialect.name());
        match (own, other) {
            (Some(own), Some(other)) if own != other => {
                let message = format!("{base} has the protocol {other}, and {} has {own}", stream.product);
                Err(Refusal::field("base", message).into())
            }
            _ => Ok(()),
        }
    }

    /// Checks that a stream that others have as their base is not deleted, and gets no base itself. The stream is locked.
    pub(super) async fn check_base(
        &self,
        transaction: &mut Transaction,
        command: &dyn Command,
        head: &Head,
        plan: &Plan,
    ) -> Result<(), CommandError> {
        let gets_base = plan.before.base.is_none() && plan.next.as_ref().is_some_and(|next| next.stream.base.is_some());
        if !head.exists() || !(gets_base || command.deletes()) {
            return Ok(());
        }
        let derived = transaction.derived_streams(head.key).await?;
        let Some(first) = derived.first() else { return Ok(()) };
        let what = if gets_base { "have a base itself" } else { "be deleted" };
        Err(Refusal::State(format!("{} is the base of {first}, so it cannot {what}", head.id)).into())
    }

    /// Records a change of a stream in the streams that have it as their base. The stream is locked, and written at the given head.
    pub(super) async fn inherit(
        &self,
        transaction: &mut Transaction,
        head: &Head,
        step: Step<'_>,
        request: &Request<'_>,
    ) -> Result<Vec<Written>, CommandError> {
        if !changes_what_is_inherited(step.before, &step.next.stream) {
            return Ok(Vec::new());
        }
        let mut written = Vec::new();
        for stream in transaction.derived_streams(head.key).await? {
            written.extend(self.inherit_in(transaction, stream, (head, step), request).await?);
        }
        Ok(written)
    }

    async fn inherit_in(
        &self,
        transaction: &mut Transaction,
        stream: StreamId,
        (base, step): (&Head, Step<'_>),
        request: &Request<'_>,
    ) -> Result<Option<Written>, CommandError> {
        let own = transaction.lock_stream(&stream).await?;
        let read = LoadedReads { base: Some(step.next.stream.clone()), ..LoadedReads::default() };
        let loaded = self.load(transaction, own, read).await?;
        let command = InheritBase { stream };
        let caller = Identity { actor: Actor::from_id(ACTOR), ..Identity::local(ACTOR) };
        let reason = format!("revision {} of {}: {}", base.revision, base.id, request.reason);
        let request = Request { request_id: request.request_id, ..Request::new(&caller, &reason) };
        let planned = plan(&command, &request, &loaded, step.at)?;
        let Some(next) = &planned.next else { return Ok(None) };
        let step = Step { before: &planned.before, next, at: planned.now };
        let head = write(transaction, &command, &request, &loaded.head, step).await?;
        Ok(Some(Written { head, stream: next.stream.clone(), lint: None }))
    }
}
