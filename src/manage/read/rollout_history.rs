//! What happened to a rollout, from the audit log.

use super::{access::ReadError, streams::StreamReader};
use crate::{
    domain::{
        ids::{StreamId, Version},
        rollout::{Rollout, RolloutClock, id::RolloutId},
        stream::{Revision, Stream},
    },
    manage::request::Action,
    store::{
        Transaction,
        audit::{AuditEntry, AuditFilter},
    },
};
use std::collections::BTreeMap;

/// The number of audit entries that are read at a time.
const BATCH: i64 = 200;
/// The maximum number of audit entries of the stream that one page looks at.
const MAX_SCANNED: usize = 2000;
/// The maximum number of revisions that one page loads to compare them.
const MAX_LOADED: usize = 10;

/// Actions on a whole stream, and the creation of a release, whose audit entry does not name the release. Whether they changed a
/// rollout is found by comparing revisions.
const ON_STREAM: [Action; 9] = [
    Action::CREATE_RELEASE,
    Action::PUT_DOCUMENT,
    Action::REVERT,
    Action::UNDO,
    Action::BATCH,
    Action::CHANGE_STREAM,
    Action::LIFT_STOP,
    Action::PAUSE_ROLLOUTS,
    Action::RESUME_ROLLOUTS,
];

/// A page of the history of a rollout.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RolloutHistory {
    /// The audit entries with their numbers, newest first. A page may have few entries, or none, and still not be the last one.
    pub entries: Vec<(i64, AuditEntry)>,
    /// The number before which the next page begins; absent on the last page.
    pub next: Option<i64>,
}

impl StreamReader<'_> {
    /// Returns at most `limit` audit entries of actions on a rollout, newest first, optionally only those before a given
    /// one.
    ///
    /// # Errors
    /// The rollout does not exist, or the database failed.
    pub async fn rollout_history(
        &self,
        version: &Version,
        id: RolloutId,
        before: Option<i64>,
        limit: usize,
    ) -> Result<RolloutHistory, ReadError> {
        self.rollout(version, id).await?;
        let mut transaction = self.manage.reading("rollout_history").await?;
        RolloutStates::new(self, version, id).history(&mut transaction, before, limit, MAX_LOADED).await
    }
}

impl RolloutStates<'_> {
    /// Returns at most `limit` audit entries of actions on the rollout, newest first. It stops when it has loaded `max_loaded` revisions.
    pub(super) async fn history(
        &mut self,
        transaction: &mut Transaction,
        before: Option<i64>,
        limit: usize,
        max_loaded: usize,
    ) -> Result<RolloutHistory, ReadError> {
        let (mut entries, mut scanned, mut next) = (Vec::new(), 0, before);
        loop {
            let StreamId { product, stream } = &self.reader.id;
            let (product, stream) = (Some(product.as_str()), Some(stream.as_str()));
            let filter = AuditFilter { product, stream, revision: None, before: next, limit: BATCH };
            let batch = transaction.audit_entries(filter).await?;
            if batch.is_empty() {
                return Ok(RolloutHistory { entries, next: None });
            }
            for (number, entry) in batch {
                if entries.len() >= limit || scanned >= MAX_SCANNED || self.loaded.len() >= max_loaded {
                    return Ok(RolloutHistory { entries, next });
                }
                (scanned, next) = (scanned + 1, Some(number));
                let is_about = match relation(&entry, self.version, self.id) {
                    Relation::Names => true,
                    Relation::MayChange(revision) => self.differ_at(transaction, revision).await?,
                    Relation::None => false,
                };
                if is_about {
                    entries.push((number, entry));
                }
            }
        }
    }
}

/// How an action is related to a rollout.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Relation {
    /// The action names the rollout.
    Names,
    /// The action may have changed the rollout, in this revision.
    MayChange(Revision),
    /// The action has nothing to do with the rollout.
    None,
}

fn relation(entry: &AuditEntry, version: &Version, id: RolloutId) -> Relation {
    let subject = entry.subject.as_deref().unwrap_or_default();
    let in_release = subject.strip_prefix("releases/").and_then(|rest| rest.strip_prefix(version.as_str()));
    let in_rollouts = in_release.and_then(|rest| rest.strip_prefix("/rollouts"));
    let may_change = match in_rollouts.filter(|_| entry.action.starts_with("rollout.")) {
        Some(rest) if rest.split('/').nth(1) == Some(&id.to_string()) => return Relation::Names,
        // It creates a rollout.
        Some(rest) if rest.ends_with("/restart") => true,
        // A new rollout has no id yet.
        Some(rest) => rest.is_empty(),
        None if entry.action == Action::PUBLISH.name => in_release == Some("/publish"),
        None => ON_STREAM.iter().any(|action| action.name == entry.action),
    };
    match entry.revision {
        Some(revision) if may_change => Relation::MayChange(Revision(revision)),
        _ => Relation::None,
    }
}

/// A rollout at revisions of its stream.
pub(super) struct RolloutStates<'a> {
    reader: &'a StreamReader<'a>,
    version: &'a Version,
    id: RolloutId,
    loaded: BTreeMap<Revision, Option<Rollout>>,
}

impl<'a> RolloutStates<'a> {
    pub(super) fn new(reader: &'a StreamReader<'a>, version: &'a Version, id: RolloutId) -> Self {
        Self { reader, version, id, loaded: BTreeMap::new() }
    }
}

impl RolloutStates<'_> {
    /// Returns true if a revision changed the rollout.
    async fn differ_at(&mut self, transaction: &mut Transaction, revision: Revision) -> Result<bool, ReadError> {
        let before = self.load(transaction, Revision(revision.0.saturating_sub(1))).await?;
        Ok(before != self.load(transaction, revision).await?)
    }

    /// Returns the number of revisions that were loaded.
    pub(super) fn count(&self) -> usize {
        self.loaded.len()
    }

    /// Returns the rollout at a revision; `None` if it did not exist.
    pub(super) async fn load(
        &mut self,
        transaction: &mut Transaction,
        revision: Revision,
    ) -> Result<Option<Rollout>, ReadError> {
        if let Some(rollout) = self.loaded.get(&revision) {
            return Ok(rollout.clone());
        }
        let head = transaction.head(&self.reader.id).await?.ok_or_else(|| self.reader.no_stream())?;
        let stream = transaction.revision(head.key, revision).await?;
        let rollout = stream.and_then(|stream| self.find(&stream));
        self.loaded.insert(revision, rollout.clone());
        Ok(rollout)
    }

    fn find(&self, stream: &Stream) -> Option<Rollout> {
        let release = stream.releases.get(stream.position_of(self.version)?)?;
        let rollout = release.rollouts.iter().find(|rollout| rollout.id == self.id)?;
        // When it first opened is recorded with any change.
        let clock = RolloutClock { first_opened: None, ..rollout.clock };
        Some(Rollout { clock, ..rollout.clone() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::actor::Actor;

    #[test]
    fn actions_are_related_to_a_rollout_by_their_subject() {
        let (revision, rollout) = (Revision(7), RolloutId::from_number(1).unwrap());
        for (action, subject, expected) in [
            ("rollout.pause", "releases/1.3/rollouts/1/pause", Relation::Names),
            ("rollout.set", "releases/1.3/rollouts/1", Relation::Names),
            ("rollout.pause", "releases/1.3/rollouts/11/pause", Relation::None),
            ("rollout.pause", "releases/1.30/rollouts/1/pause", Relation::None),
            ("rollout.create", "releases/1.3/rollouts", Relation::MayChange(revision)),
            ("rollout.create", "releases/1.4/rollouts", Relation::None),
            ("rollout.restart", "releases/1.3/rollouts/2/restart", Relation::MayChange(revision)),
            ("rollout.remove", "releases/1.3/rollouts/2", Relation::None),
            ("release.create", "releases", Relation::MayChange(revision)),
            ("release.publish", "releases/1.3/publish", Relation::MayChange(revision)),
            ("release.publish", "releases/1.4/publish", Relation::None),
            ("release.withdraw", "releases/1.3/withdraw", Relation::None),
            ("stream.put-document", "document", Relation::MayChange(revision)),
            ("stream.revert", "revisions/3/revert", Relation::MayChange(revision)),
            ("stream.change", "", Relation::MayChange(revision)),
            ("stream.lift-stop", "emergency-stop", Relation::MayChange(revision)),
            ("stream.stop", "emergency-stop", Relation::None),
        ] {
            let entry = AuditEntry {
                at: jiff::Timestamp::UNIX_EPOCH,
                actor: Actor::from_id("local:core"),
                action: action.into(),
                product: Some("os".into()),
                stream: Some("stable".into()),
                revision: Some(7),
                subject: Some(subject.into()),
                reason: "x".into(),
                request_id: None,
            };
            let found = relation(&entry, &Version::parse("1.3").unwrap(), rollout);
            assert_eq!(found, expected, "{action} {subject}");
            if let Relation::MayChange(_) = found {
                let unchanged = AuditEntry { revision: None, ..entry };
                assert_eq!(relation(&unchanged, &Version::parse("1.3").unwrap(), rollout), Relation::None);
            }
        }
    }
}
