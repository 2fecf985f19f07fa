//! Undoes the last change of a stream.

use super::revert::restored;
use crate::{
    auth::Role,
    domain::{
        actor::Actor,
        epoch::Epoch,
        ids::{StreamId, Version},
        release::{Release, ReleaseState},
        rollout::{Rollout, RolloutState, id::RolloutId, wariness::Wariness},
        stream::{Revision, Stream},
    },
    manage::{
        command::{Command, Need, Next, Present, Reads},
        refusal::Refusal,
        request::Action,
    },
    store::audit::AuditEntry,
};
use std::collections::HashMap;

/// The revision that creates a stream.
const FIRST: Revision = Revision(1);

/// Undoes the newest revision of a stream, for its actor: everything is as it was before, as far as published releases allow. Stops are not
/// undone.
#[derive(Debug, Clone)]
pub struct UndoRevision {
    /// The stream.
    pub stream: StreamId,
    /// The revision. The request must be conditional on it.
    pub revision: Revision,
    /// Who wants to undo it.
    pub by: Actor,
}

impl UndoRevision {
    fn check(&self, change: &AuditEntry) -> Result<(), Refusal> {
        let revision = self.revision;
        if [Action::STOP, Action::LIFT_STOP].iter().any(|action| action.name == change.action) {
            return Err(Refusal::State(format!(
                "revision {revision} is an emergency stop or its end, which is not undone"
            )));
        }
        if change.actor.id != self.by.id {
            let detail =
                format!("revision {revision} is by {}: only its actor undoes it; revert it instead", change.actor.id);
            return Err(Refusal::State(detail));
        }
        Ok(())
    }
}

impl Command for UndoRevision {
    fn action(&self) -> Action {
        Action::UNDO
    }

    fn target(&self) -> &StreamId {
        &self.stream
    }

    fn reads(&self) -> Reads {
        let before = Some(Revision(self.revision.0.saturating_sub(1))).filter(|before| *before >= FIRST);
        Reads { revision: before, change: Some(self.revision), ..Reads::default() }
    }

    /// The undo of a pause requires the role that resumes, and what restores settings the role that sets them.
    fn needs(&self, present: &Present<'_>) -> Option<Need> {
        let (change, before) = (present.read.change.as_ref()?, present.read.revision.as_ref()?);
        let action = Action::ALL.iter().find(|action| action.name == change.action);
        let role = action.map_or(Role::Manager, |action| action.inverse_role());
        let has_settings = present.stream.is_some_and(|now| !have_same_settings(now, before));
        let role = if has_settings { role.max(Action::SET_STREAM.role) } else { role };
        Some(Need { role, why: Some(format!("it undoes `{}`", change.action)) })
    }

    fn apply(&self, present: &Present<'_>) -> Result<Next, Refusal> {
        let now = present.existing()?;
        if self.revision == FIRST {
            return Err(Refusal::State(format!("revision {FIRST} created the stream, which is not undone")));
        }
        let no_such = || Refusal::no_such("revision", format!("{} of {}", self.revision, self.stream));
        let (change, before) = (present.read.change.as_ref(), present.read.revision.as_ref());
        let (change, before) = change.zip(before).ok_or_else(no_such)?;
        self.check(change)?;
        if **before == Stream::empty(self.stream.clone()) {
            return Err(Refusal::State(format!(
                "revision {} created the stream again, which is not undone",
                self.revision
            )));
        }
        let [base_now, base_then] = [now, before].map(|stream| stream.base.as_ref().map(|base| &base.stream));
        if base_now != base_then {
            let detail =
                format!("revision {} set another base, which is not undone: set the base again", self.revision);
            return Err(Refusal::State(detail));
        }
        // During a stop, the time of plans stands still.
        let times = [Epoch::from(change.at), present.now].map(|time| now.plan_time(time));
        Ok(resumed(restored(now, before), now, times).into())
    }
}

fn have_same_settings(one: &Stream, other: &Stream) -> bool {
    (&one.arches, &one.mirrors, one.rules, &one.follow) == (&other.arches, &other.mirrors, other.rules, &other.follow)
        && (&one.protection, one.default_rollout, &one.description, &one.base)
            == (&other.protection, other.default_rollout, &other.description, &other.base)
}

/// Returns the restored state, in which no rollout opens further at once: one that the change stopped or held goes on from the share that it
/// has. It stood still since the change, or since it came to that share.
fn resumed(mut restored: Stream, present: &Stream, [since, now]: [Epoch; 2]) -> Stream {
    let known: HashMap<&Version, &Release> =
        present.releases.iter().rev().map(|release| (&release.version, &**release)).collect();
    for release in &mut restored.releases {
        let Some(known) = known.get(&release.version).filter(|_| release.state == ReleaseState::Published) else {
            continue;
        };
        let stood_still_since = |rollout: &Rollout| match active(known, rollout.id) {
            None => Some(since),
            Some(known) if known.planned_share(now) < rollout.planned_share(now) => {
                rollout.opens_at(Wariness::new(known.planned_share(now)), since)
            }
            Some(_) => None,
        };
        let resumed = |rollout: &Rollout| {
            let since = stood_still_since(rollout).filter(|_| rollout.state == RolloutState::Active)?;
            rollout.pause(since).ok()?.resume(now).ok()
        };
        let rollouts: Vec<Rollout> =
            release.rollouts.iter().map(|rollout| resumed(rollout).unwrap_or_else(|| rollout.clone())).collect();
        // A release that is not written stays shared with the state before.
        if rollouts != release.rollouts {
            release.rollouts = rollouts;
        }
    }
    restored
}

/// Returns a rollout of a published release if it follows its plan.
fn active(release: &Release, id: RolloutId) -> Option<&Rollout> {
    let is_active = |rollout: &&Rollout| rollout.id == id && rollout.state == RolloutState::Active;
    release.rollouts.iter().find(is_active).filter(|_| release.state == ReleaseState::Published)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::rollout::share::Share;
    use crate::manage::{
        command::LoadedReads,
        commands::{
            bases::{NewBase, NewBaseLag},
            descriptions::NewDescription,
            releases::WithdrawRelease,
            rollout_actions::{AbortRollout, PauseRollout},
            streams::{DefaultRollout, NewFollow, SetStream, StreamSettings},
        },
        testing::{
            HOUR, NOW, apply_to, at, found_mut, found_rollout, id, next, release, rollout, stop, stream, timestamp,
        },
    };
    use std::sync::Arc;

    fn undo() -> UndoRevision {
        UndoRevision { stream: id(), revision: Revision(8), by: Actor::from_id("token:one") }
    }

    fn reads(action: Action, actor: &str, before: &Stream) -> LoadedReads {
        let change = AuditEntry {
            at: timestamp(NOW),
            actor: Actor::from_id(actor),
            action: action.name.into(),
            product: Some("os".into()),
            stream: Some("stable".into()),
            revision: Some(8),
            subject: None,
            reason: "a test".into(),
            request_id: None,
        };
        LoadedReads { change: Some(change), revision: Some(Arc::new(before.clone())), ..LoadedReads::default() }
    }

    fn role_of(action: Action) -> Role {
        let (stream, read) = (stream(), reads(action, "token:one", &stream()));
        let present = Present { id: &id(), stream: Some(&stream), read: &read, rules: stream.rules, now: NOW };
        undo().needs(&present).unwrap().role
    }

    #[test]
    fn the_state_before_returns_with_its_settings() {
        let before = stream();
        let paused = next(&PauseRollout { rollout: rollout("3", 1) }, &before);
        let undone = apply_to(&undo(), Some(&paused), &reads(Action::PAUSE_ROLLOUT, "token:one", &before)).unwrap();
        assert_eq!(undone.stream, before, "it was paused at this instant");
        let settings = StreamSettings {
            description: NewDescription::Unchanged,
            arches: [crate::domain::ids::Arch::parse("s390x").unwrap()].into(),
            mirrors: before.mirrors.clone(),
            edge_rule: None,
            identity: None,
            targets: None,
            protection: before.protection.clone(),
            default_rollout: DefaultRollout::Unchanged,
            base: NewBase::Unchanged,
            base_lag: NewBaseLag::Unchanged,
            follow: NewFollow::Unchanged,
        };
        let set = next(&SetStream { stream: id(), settings }, &before);
        assert_ne!(set, before);
        let undone = apply_to(&undo(), Some(&set), &reads(Action::SET_STREAM, "token:one", &before)).unwrap();
        assert_eq!(undone.stream, before);
    }

    #[test]
    fn what_a_change_stopped_goes_on_where_it_stopped() {
        let before = stream();
        let commands: [Box<dyn Command>; 3] = [
            Box::new(PauseRollout { rollout: rollout("3", 1) }),
            Box::new(AbortRollout { rollout: rollout("3", 1) }),
            Box::new(WithdrawRelease { release: release("3") }),
        ];
        for command in commands {
            let stopped = next(&*command, &before);
            // It was done six hours ago.
            let mut read = reads(command.action(), "token:one", &before);
            read.change.as_mut().unwrap().at = timestamp(at(-6));
            let undone = apply_to(&undo(), Some(&stopped), &read).unwrap().stream;
            let [was, is] = [&before, &undone].map(|stream| found_rollout(stream, 1));
            let name = command.action().name;
            assert_eq!(is.open_share(NOW), was.open_share(at(-6)), "{name}");
            assert_eq!((is.clock.stood_still, is.id), (6 * HOUR, was.id), "{name}");
            assert_eq!(found_rollout(&undone, 3), found_rollout(&before, 3), "{name}: another one stays paused");
        }
    }

    fn undone_later(action: Action, changed: &Stream, before: &Stream, hours: i64) -> Stream {
        let mut read = reads(action, "token:one", before);
        read.change.as_mut().unwrap().at = timestamp(at(-hours));
        apply_to(&undo(), Some(changed), &read).unwrap().stream
    }

    /// Regression test: the old plan had gone on while the rollout was held.
    #[test]
    fn a_held_rollout_opens_no_further_at_once() {
        let before = stream();
        let mut held = before.clone();
        let known = found_rollout(&before, 1);
        found_mut(&mut held, "3").rollouts[0] = known.hold(at(-6), Share::new(0.4).unwrap()).unwrap();
        let undone = undone_later(Action::HOLD_ROLLOUT, &held, &before, 6);
        let rollout = found_rollout(&undone, 1);
        let share = rollout.planned_share(NOW);
        assert!((0.4..0.401).contains(&share), "{share}");
        assert!(rollout.planned_share(at(1)) > share && rollout.clock.stood_still > 4 * HOUR);
        assert_eq!(found_rollout(&undone, 2), found_rollout(&before, 2));
    }

    /// Regression test: the time of plans had gone on during a stop, so its lift withdrew offers.
    #[test]
    fn a_pause_that_is_undone_during_a_stop_moves_no_plan() {
        let mut before = stream();
        before.stop = Some(stop(-8));
        let mut paused = before.clone();
        found_mut(&mut paused, "3").rollouts[0] = found_rollout(&before, 1).pause(before.plan_time(at(-6))).unwrap();
        assert_eq!(undone_later(Action::PAUSE_ROLLOUT, &paused, &before, 6), before);
    }

    #[test]
    fn only_an_actor_undoes_its_change_and_never_a_stop() {
        let refused = |action: Action, actor: &str| {
            apply_to(&undo(), Some(&stream()), &reads(action, actor, &stream())).unwrap_err().to_string()
        };
        let other = "revision 8 is by token:two: only its actor undoes it; revert it instead";
        assert_eq!(refused(Action::PUBLISH, "token:two"), other);
        for action in [Action::STOP, Action::LIFT_STOP] {
            let message = "revision 8 is an emergency stop or its end, which is not undone";
            assert_eq!(refused(action, "token:one"), message);
        }
        let none = apply_to(&undo(), Some(&stream()), &LoadedReads::default()).unwrap_err();
        assert_eq!(none.to_string(), "there is no revision 8 of os/stable");
    }

    #[test]
    fn undoing_takes_the_role_of_the_inverse() {
        assert_eq!(role_of(Action::PAUSE_ROLLOUT), Role::Manager);
        assert_eq!(role_of(Action::ABORT_ROLLOUT), Role::Manager);
        assert_eq!(role_of(Action::WITHDRAW), Role::Publisher);
        assert_eq!(role_of(Action::CREATE_RELEASE), Role::Publisher);
        assert_eq!(role_of(Action::SET_STREAM), Role::Admin);
    }
}
