//! The executor of commands: it authorises them, locks their streams, plans and writes them in one transaction, or previews them.

use super::{
    command::{Command, LoadedReads, Reads},
    error::CommandError,
    idempotency::{items, store_answer, stored_answer},
    image_source::ImageAnswers,
    inspection::Inspected,
    manager::Manage,
    plan::{Loaded, Plan, plan},
    refusal::Refusal,
    report::Report,
    request::Request,
    write::{Step, write},
    write_queues::off_the_runtime,
};
use crate::{
    auth::Role,
    domain::{admission::impact::Impact, diff::Diff, finding::Finding, ids::StreamId, stream::Stream},
    store::{StoreError, Transaction, retrying, revisions::needs_copy, streams::Head},
};
use std::{collections::BTreeMap, sync::Arc};

/// What is known of a command before its stream is locked.
#[derive(Default)]
pub(super) struct Before<'a> {
    read: LoadedReads,
    inspected: Option<&'a Inspected>,
}

/// A command that was executed in a transaction.
pub(super) struct Executed {
    pub(super) report: Report,
    pub(super) written: Vec<Written>,
}

/// A state that was written, and its head.
pub(super) struct Written {
    pub(super) head: Head,
    pub(super) stream: Arc<Stream>,
    pub(super) lint: Option<Arc<[Finding]>>,
}

impl Manage {
    /// Executes a command.
    ///
    /// # Errors
    /// The caller lacks the role, the stream does not exist or is at another revision, the command is refused for its effect, or
    /// the database failed. Nothing was changed.
    pub async fn run(&self, command: &dyn Command, request: &Request<'_>) -> Result<Report, CommandError> {
        let mut reports = self.run_all(&[command], request).await?;
        Ok(reports.pop().ok_or_else(|| Refusal::no_such("stream", command.target()))?)
    }

    /// Executes commands for several streams, at most one for each, in one transaction: all or none. The reports are in the order of
    /// the streams' names. Restrictive commands wait only for their stream's lock.
    ///
    /// # Errors
    /// Those of [`Manage::run`], for any of the commands. Nothing was changed.
    pub async fn run_all(&self, commands: &[&dyn Command], request: &Request<'_>) -> Result<Vec<Report>, CommandError> {
        let commands = in_name_order(commands)?;
        for command in &commands {
            request.require(command.action().role, command.target(), None)?;
            let Reads { stream, base, .. } = command.reads();
            for other in [stream, base].into_iter().flatten() {
                request.require(Role::Viewer, &other, None)?;
            }
        }
        request.require_reason()?;
        let mut images = Vec::with_capacity(commands.len());
        for command in &commands {
            images.push(self.ask_for_images(*command, request).await?);
        }
        if request.dry_run {
            let mut reports = Vec::with_capacity(commands.len());
            for (command, images) in commands.into_iter().zip(images) {
                reports.push(self.preview(command, request, images).await?);
            }
            return Ok(reports);
        }
        let waiting: Vec<StreamId> = commands
            .iter()
            .filter(|command| !command.action().is_restrictive)
            .map(|command| command.target().clone())
            .collect();
        let turn = if waiting.is_empty() { None } else { Some(self.write_queues().write(&waiting).await) };
        let mut inspected = Vec::with_capacity(commands.len());
        for (command, images) in commands.iter().zip(images) {
            let found = self.inspect(*command, request, images.clone()).await;
            inspected.push((found, images));
        }
        let reports = self.attempt_all(&commands, &inspected, request).await;
        drop(turn);
        reports
    }

    async fn attempt_all(
        &self,
        commands: &[&dyn Command],
        inspected: &[(Option<Inspected>, ImageAnswers)],
        request: &Request<'_>,
    ) -> Result<Vec<Report>, CommandError> {
        let Some(name) = commands.first().map(|command| command.action().name) else { return Ok(Vec::new()) };
        let attempt = async || {
            let mut read = Vec::with_capacity(commands.len());
            for (command, (_, images)) in commands.iter().zip(inspected) {
                read.push(LoadedReads { images: images.clone(), ..self.read_for(*command).await? });
            }
            let mut transaction = self.store().begin(name).await?;
            let key = request.idempotency_key();
            if let Some(json) = stored_answer(&mut transaction, key, self.clock().now()).await? {
                return repeated(&json);
            }
            let (mut reports, mut written) = (Vec::with_capacity(commands.len()), Vec::with_capacity(commands.len()));
            for ((command, (inspected, _)), read) in commands.iter().zip(inspected).zip(read) {
                let before = Before { read, inspected: inspected.as_ref() };
                let executed = self.run_in(&mut transaction, *command, request, before).await?;
                reports.push(executed.report);
                written.extend(executed.written);
            }
            store_answer(&mut transaction, key, &reports).await?;
            transaction.announce().await?;
            transaction.commit().await?;
            self.keep_written(written);
            Ok(reports)
        };
        retrying(name, attempt).await
    }

    /// Keeps states that were committed, and stores whole copies of those that are due. No answer waits for the copies.
    pub(super) fn keep_written(&self, written: Vec<Written>) {
        for Written { head, stream, lint } in written {
            self.keep(&head, stream.clone());
            if let Some(lint) = lint {
                self.findings_cache().keep(&stream, head.changed_at.into(), lint);
            }
            if needs_copy(head.revision) {
                let manage = self.clone();
                tokio::spawn(async move { manage.keep_copy(&head, &stream).await });
            }
        }
    }

    /// Stores a whole copy of a state. Without one, later revisions are read more slowly.
    async fn keep_copy(&self, head: &Head, stream: &Stream) {
        let keep = async || {
            let mut transaction = self.store().begin("keep_copy").await?;
            transaction.keep_copy(head.key, head.revision, stream).await?;
            transaction.commit().await
        };
        if let Err(error) = keep().await {
            let (stream, revision) = (&head.id, head.revision.0);
            tracing::warn!(error = &error as &dyn std::error::Error, %stream, revision, "copy of the stream not stored");
        }
    }

    /// Executes one command within a transaction that the caller commits.
    pub(super) async fn run_in(
        &self,
        transaction: &mut Transaction,
        command: &dyn Command,
        request: &Request<'_>,
        known: Before<'_>,
    ) -> Result<Executed, CommandError> {
        let Before { read, inspected } = known;
        if let Some(base) = command.reads().base {
            // Before the stream, as by writers of the base: then it does not miss a change of the base.
            transaction.lock_base(&base).await?;
        }
        let head = transaction.lock_stream(command.target()).await?;
        let read = with_presets(transaction, command, read).await?;
        let mut loaded = self.load(transaction, head, read).await?;
        loaded.read.base = self.base_for(transaction, command, loaded.stream.as_deref()).await?;
        let inspected = inspected.filter(|inspected| inspected.is_of(&loaded));
        let planned;
        let is_reused = loaded.stream.is_some() && command.reads() == Reads::default();
        let plan = if let Some(inspected) = inspected.filter(|_| is_reused) {
            &inspected.plan
        } else {
            planned = off_the_runtime(|| plan(command, request, &loaded, self.clock().now()))?;
            &planned
        };
        let impact = inspected.and_then(|inspected| inspected.impact.as_ref());
        let (id, created, existing, findings) =
            (command.target(), plan.created.clone(), plan.existing.clone(), plan.findings.clone());
        let Some(next) = &plan.next else {
            let report = Report::new(id, loaded.head.revision, Diff(Vec::new()), impact, findings);
            return Ok(Executed { report: Report { created, existing, ..report }, written: Vec::new() });
        };
        self.check_base(transaction, command, &loaded.head, plan).await?;
        let step = Step { before: &plan.before, next, at: plan.now };
        let head = write(transaction, command, request, &loaded.head, step).await?;
        let inherited = self.inherit(transaction, &head, step, request).await?;
        let report = Report::new(id, head.revision, Diff::between(&plan.before, &next.stream), impact, findings);
        let report_path = request.report_path.filter(|_| !report.is_complete());
        let full_report = report_path.map(|path| path(command.target(), head.revision));
        let report = Report { changed: true, created, existing, full_report, ..report };
        let own = Written { head, stream: next.stream.clone(), lint: next.lint.clone() };
        Ok(Executed { report, written: [own].into_iter().chain(inherited).collect() })
    }

    /// Reports what a command would do, without changing anything and without a lock. All checks of the command are made.
    async fn preview(
        &self,
        command: &dyn Command,
        request: &Request<'_>,
        images: ImageAnswers,
    ) -> Result<Report, CommandError> {
        let loaded = self.read_loaded(command, images).await?;
        let plan = self.compute(|| plan(command, request, &loaded, self.clock().now())).await?;
        let Plan { before, next, created, existing, findings, .. } = plan;
        let changed = next.is_some();
        let (impact, diff) = match next {
            None => (Some(Impact::default()), Diff(Vec::new())),
            Some(next) => (self.impact(&before, &next.stream, self.now()).await, Diff::between(&before, &next.stream)),
        };
        // A dry run makes no revision: its report names the one that it was compared with.
        let report = Report::new(command.target(), loaded.head.revision, diff, impact.as_ref(), findings);
        Ok(Report { changed, dry_run: true, created, existing, ..report })
    }

    /// Loads what a command is planned on, without a lock.
    pub(super) async fn read_loaded(
        &self,
        command: &dyn Command,
        images: ImageAnswers,
    ) -> Result<Loaded, CommandError> {
        let mut transaction = self.reading("present").await?;
        let id = command.target();
        let head = transaction.head_with_deleted(id).await?.unwrap_or_else(|| Head::absent(id.clone()));
        let read = self.load_reads(&mut transaction, command).await?;
        let read = with_presets(&mut transaction, command, LoadedReads { images, ..read }).await?;
        let mut loaded = self.load(&mut transaction, head, read).await?;
        loaded.read.base = self.base_for(&mut transaction, command, loaded.stream.as_deref()).await?;
        Ok(loaded)
    }

    /// Reads what a command reads in addition to its stream, all from one state of the database.
    async fn read_for(&self, command: &dyn Command) -> Result<LoadedReads, CommandError> {
        if command.reads() == Reads::default() {
            return Ok(LoadedReads::default());
        }
        let mut transaction = self.reading("reads").await?;
        self.load_reads(&mut transaction, command).await
    }

    async fn load_reads(
        &self,
        transaction: &mut Transaction,
        command: &dyn Command,
    ) -> Result<LoadedReads, CommandError> {
        let (reads, id) = (command.reads(), command.target());
        let mut read = LoadedReads::default();
        if let Some(other) = reads.stream {
            let found = transaction.head(&other).await?.ok_or_else(|| Refusal::no_such("stream", &other))?;
            read.stream = Some(self.load_stream(transaction, &found).await?);
        }
        if let Some(number) = reads.revision {
            let found = match transaction.head(id).await? {
                Some(head) => transaction.revision_as_stored(head.key, number).await?,
                None => None,
            };
            let no_such = || Refusal::no_such("revision", format!("{number} of {id}"));
            read.revision = Some(Arc::new(found.ok_or_else(no_such)?));
        }
        if let Some(number) = reads.change {
            read.change = transaction.audit_entry_of(id, number).await?;
        }
        Ok(read)
    }

    pub(super) async fn load(
        &self,
        transaction: &mut Transaction,
        head: Head,
        read: LoadedReads,
    ) -> Result<Loaded, CommandError> {
        let (stream, product_stop) = if head.exists() {
            (Some(self.load_stream(transaction, &head).await?), None)
        } else {
            (None, transaction.product_stop(&head.id.product).await?)
        };
        let dialect = self.dialect(transaction, &head.id.product).await?;
        let (dialects, findings) = (self.dialects().clone(), self.findings_cache().clone());
        let max_graph_bytes = self.max_graph_bytes();
        Ok(Loaded { head, stream, product_stop, read, dialects, dialect, findings, max_graph_bytes })
    }
}

/// Adds the presets that a command uses to what was read for it.
async fn with_presets(
    transaction: &mut Transaction,
    command: &dyn Command,
    read: LoadedReads,
) -> Result<LoadedReads, StoreError> {
    if !command.uses_presets() {
        return Ok(read);
    }
    Ok(LoadedReads { presets: transaction.presets(&command.target().product).await?, ..read })
}

/// Sorts commands by the names of their streams: two transactions that lock streams in different orders would deadlock.
fn in_name_order<'a>(commands: &[&'a dyn Command]) -> Result<Vec<&'a dyn Command>, Refusal> {
    let mut sorted = BTreeMap::new();
    for command in commands {
        if sorted.insert(command.target(), *command).is_some() {
            return Err(Refusal::State(format!("there is more than one command for {}", command.target())));
        }
    }
    Ok(sorted.into_values().collect())
}

/// Restores the reports of a request that is repeated with its idempotency key.
fn repeated(json: &str) -> Result<Vec<Report>, CommandError> {
    let reports = items(json)?.into_iter().map(Report::from_stored).collect::<serde_json::Result<_>>();
    Ok(reports.map_err(|error| StoreError::corrupt("idempotency_keys", error))?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        domain::ids::{ProductName, StreamName},
        manage::commands::stops::LiftStop,
    };

    fn lift(product: &str, stream: &str) -> LiftStop {
        let (product, stream) = (ProductName::parse(product).unwrap(), StreamName::parse(stream).unwrap());
        LiftStop { stream: StreamId { product, stream } }
    }

    #[test]
    fn commands_are_executed_in_the_order_of_their_streams_names() {
        let commands = [("os", "stable"), ("another", "testing"), ("os", "next"), ("os-b", "a"), ("os", "stable-b")];
        let commands = commands.map(|(product, stream)| lift(product, stream));
        let sorted = in_name_order(&commands.each_ref().map(|command| command as &dyn Command)).unwrap();
        let names: Vec<String> = sorted.iter().map(|command| command.target().to_string()).collect();
        assert_eq!(names, ["another/testing", "os/next", "os/stable", "os/stable-b", "os-b/a"]);
        assert!(in_name_order(&[]).unwrap().is_empty());
    }

    #[test]
    fn two_commands_for_one_stream_are_refused() {
        let [first, other, second] = [lift("os", "stable"), lift("os", "next"), lift("os", "stable")];
        let refused = in_name_order(&[&first, &other, &second]).err().unwrap();
        assert_eq!(refused, Refusal::State("there is more than one command for os/stable".into()));
    }
}
