//! Requests for changes: caller, reason and options; and the role that each action requires.

use super::refusal::Refusal;
use crate::{
    auth::{Identity, Role},
    domain::{
        finding::{Code, Finding},
        hash::ContentHash,
        ids::StreamId,
        stream::Revision,
    },
    store::{audit::AuditEntry, idempotency::IdempotencyKey},
};
use jiff::Timestamp;

/// A request for a change.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// The caller.
    pub caller: &'a Identity,
    /// The part of the stream that changes, for the audit log: `releases/44.20260722.3.0/rollouts/1`.
    pub subject: &'a str,
    /// The reason, for the audit log; not blank.
    pub reason: &'a str,
    /// The id of the request.
    pub request_id: Option<&'a str>,
    /// The revision that the stream must be at, if the request is conditional; 0 for a stream that does not exist yet.
    pub expected: Option<Revision>,
    /// Only report what the change would do.
    pub dry_run: bool,
    /// The caller acknowledges the warnings.
    pub acknowledge: bool,
    /// For a change that no person reviews: the codes of the warnings that it may introduce. Every other warning refuses it, also one of its command,
    /// which a person would only see in the report.
    pub accepted_warnings: Option<&'a [Code]>,
    /// The idempotency key and the request's fingerprint: a request with a key is carried out once.
    pub idempotency: Option<(&'a str, ContentHash)>,
    /// Returns where the caller can ask for the report of a revision: of a change that does not wait for its impact and findings.
    pub report_path: Option<fn(&StreamId, Revision) -> String>,
}

impl<'a> Request<'a> {
    /// Creates a request without conditions and options.
    #[must_use]
    pub fn new(caller: &'a Identity, reason: &'a str) -> Self {
        Self {
            caller,
            subject: "",
            reason,
            request_id: None,
            expected: None,
            dry_run: false,
            acknowledge: false,
            accepted_warnings: None,
            idempotency: None,
            report_path: None,
        }
    }

    /// Checks that the caller has a role on a stream.
    pub(super) fn require(&self, role: Role, on: &StreamId, why: Option<String>) -> Result<(), Refusal> {
        if self.caller.may(role, on) { Ok(()) } else { Err(Refusal::Denied { role, on: on.to_string(), why }) }
    }

    /// Returns the warnings that refuse the change, of those of its command and those that it introduces in its stream.
    pub(super) fn unacknowledged(&self, of_command: &[Finding], introduced: &[Finding]) -> Vec<Finding> {
        match self.accepted_warnings {
            Some(accepted) => {
                let all = of_command.iter().chain(introduced);
                all.filter(|finding| !accepted.contains(&finding.code)).cloned().collect()
            }
            None if self.acknowledge => Vec::new(),
            None => introduced.to_vec(),
        }
    }

    /// Checks that the request has a reason.
    pub(super) fn require_reason(&self) -> Result<(), Refusal> {
        if self.reason.trim().is_empty() { Err(Refusal::field("reason", "must not be empty")) } else { Ok(()) }
    }

    /// Returns the idempotency key, if the request has one.
    pub(super) fn idempotency_key(&self) -> Option<IdempotencyKey<'a>> {
        self.idempotency.map(|(key, fingerprint)| IdempotencyKey { actor: &self.caller.actor.id, key, fingerprint })
    }

    /// Creates the audit entry of an action, without what it was done to.
    pub(super) fn audit_entry(&self, action: Action, at: Timestamp) -> AuditEntry {
        AuditEntry {
            at,
            actor: self.caller.actor.clone(),
            action: action.name.into(),
            product: None,
            stream: None,
            revision: None,
            subject: None,
            reason: self.reason.into(),
            request_id: self.request_id.map(Into::into),
        }
    }
}

/// An action and the role that it requires.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Action {
    /// The name in the audit log, such as `rollout.pause`.
    pub name: &'static str,
    /// The required role.
    pub role: Role,
    /// True for a restrictive action, one that offers nodes nothing new. Its errors and warnings are reported and do not refuse it.
    pub is_restrictive: bool,
}

impl Action {
    /// Returns the role that undoing the action requires: that of the action that does the opposite.
    #[must_use]
    pub fn inverse_role(self) -> Role {
        let closing = [
            Self::PAUSE_ROLLOUT,
            Self::PAUSE_ROLLOUTS,
            Self::HOLD_ROLLOUT,
            Self::ABORT_ROLLOUT,
            Self::SET_DEAD_END,
            Self::BLOCK_UPDATE,
            Self::SET_BASE_POLICY,
        ];
        // What these did depends on more than their names.
        let any = [Self::UNDO, Self::BATCH];
        if closing.contains(&self) || any.contains(&self) { Self::RESUME_ROLLOUT.role } else { self.role }
    }
}

macro_rules! actions {
    (@restrictive restrictive) => { true };
    (@restrictive) => { false };
    ($($constant:ident = $name:literal, $role:ident $(, $restrictive:ident)?;)*) => {
        impl Action {
            $(#[doc = concat!("`", $name, "`")] pub const $constant: Self =
                Self { name: $name, role: Role::$role, is_restrictive: actions!(@restrictive $($restrictive)?) };)*
            /// Every action.
            pub const ALL: &[Self] = &[$(Self::$constant),*];
        }
    };
}

actions! {
    STOP = "stream.stop", Publisher, restrictive;
    LIFT_STOP = "stream.lift-stop", Manager;
    SET_PRODUCT = "product.set", Admin;
    DELETE_PRODUCT = "product.delete", Admin;
    SET_PRESET = "preset.set", Admin;
    REMOVE_PRESET = "preset.remove", Admin;
    CREATE_STREAM = "stream.create", Admin;
    SET_STREAM = "stream.set", Admin;
    DELETE_STREAM = "stream.delete", Admin;
    PUT_DOCUMENT = "stream.put-document", Manager;
    CHANGE_STREAM = "stream.change", Admin;
    REVERT = "stream.revert", Manager;
    RESTORE = "stream.restore", Admin;
    UNDO = "stream.undo", Publisher;
    BATCH = "stream.batch", Publisher;
    CREATE_RELEASE = "release.create", Publisher;
    CHANGE_RELEASE = "release.change", Publisher;
    REMOVE_RELEASE = "release.remove", Publisher;
    PUBLISH = "release.publish", Publisher;
    WITHDRAW = "release.withdraw", Publisher, restrictive;
    PROMOTE = "release.promote", Manager;
    SET_PAYLOAD = "payload.set", Publisher;
    REMOVE_PAYLOAD = "payload.remove", Publisher;
    ADD_ALIAS = "alias.add", Manager;
    REMOVE_ALIAS = "alias.remove", Manager;
    SET_ARTIFACT = "artifact.set", Publisher;
    REMOVE_ARTIFACT = "artifact.remove", Publisher;
    SET_BARRIER = "barrier.set", Manager;
    REMOVE_BARRIER = "barrier.remove", Manager;
    SET_BASE_POLICY = "base-policy.set", Manager, restrictive;
    REMOVE_BASE_POLICY = "base-policy.remove", Manager;
    INHERIT_BASE = "base.inherit", Admin;
    SET_DEAD_END = "dead-end.set", Manager, restrictive;
    REMOVE_DEAD_END = "dead-end.remove", Manager;
    SET_PREDECESSORS = "predecessors.set", Manager;
    REMOVE_PREDECESSORS = "predecessors.remove", Manager;
    BLOCK_UPDATE = "blocked-update.add", Manager, restrictive;
    UNBLOCK_UPDATE = "blocked-update.remove", Manager;
    CREATE_ROLLOUT = "rollout.create", Manager;
    SET_ROLLOUT = "rollout.set", Manager;
    ORDER_ROLLOUTS = "rollout.order", Manager;
    REMOVE_ROLLOUT = "rollout.remove", Manager;
    START_ROLLOUT = "rollout.start", Manager;
    PAUSE_ROLLOUT = "rollout.pause", Publisher, restrictive;
    RESUME_ROLLOUT = "rollout.resume", Manager;
    ACCELERATE_ROLLOUT = "rollout.accelerate", Manager;
    ADVANCE_ROLLOUT = "rollout.advance", Manager;
    HOLD_ROLLOUT = "rollout.hold", Publisher, restrictive;
    COMPLETE_ROLLOUT = "rollout.complete", Manager;
    ABORT_ROLLOUT = "rollout.abort", Publisher, restrictive;
    RESTART_ROLLOUT = "rollout.restart", Manager;
    PAUSE_ROLLOUTS = "rollouts.pause", Publisher, restrictive;
    RESUME_ROLLOUTS = "rollouts.resume", Manager;
    ISSUE_TOKEN = "token.give", Admin;
    REVOKE_TOKEN = "token.revoke", Admin;
    REVOKE_KEY = "signing-key.revoke", Admin;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_reviewer_only_the_accepted_warnings_do_not_refuse_a_change() {
        let caller = Identity::local("test");
        let warning = |code| Finding::warning(code, "release 1", "is unusual");
        let of_command = [warning(Code::OtherStreamPolled), warning(Code::ArchNotServed)];
        let introduced = [warning(Code::OverlappingRollouts), warning(Code::BaseBarrierSkipped)];
        let request = Request::new(&caller, "a test");
        assert_eq!(request.unacknowledged(&of_command, &introduced), introduced);
        let acknowledged = Request { acknowledge: true, ..request };
        assert_eq!(acknowledged.unacknowledged(&of_command, &introduced), []);
        let accepted = [Code::OverlappingRollouts, Code::ArchNotServed];
        let unreviewed = Request { accepted_warnings: Some(&accepted), ..request };
        let others = [warning(Code::OtherStreamPolled), warning(Code::BaseBarrierSkipped)];
        assert_eq!(unreviewed.unacknowledged(&of_command, &introduced), others);
    }
}
