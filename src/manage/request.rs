//! A change as somebody asks for it: who, why, on what terms; and what takes which role.

use crate::{
    auth::{Identity, Role},
    domain::{hash::ContentHash, stream::Revision},
};

/// A change as somebody asks for it.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// Who asks.
    pub who: &'a Identity,
    /// What it is about, below its stream: `releases/44.20260722.3.0/rollouts/1`.
    pub subject: &'a str,
    /// Why; not blank.
    pub reason: &'a str,
    /// What the request is known by.
    pub request_id: Option<&'a str>,
    /// Only if the stream still is at this revision; 0 is one that does not exist yet.
    pub expected: Option<Revision>,
    /// Only say what would come of it.
    pub dry_run: bool,
    /// Whoever asks has seen the warnings.
    pub acknowledge: bool,
    /// The request's own name, and what is asked: it is done once, however often it is asked for.
    pub once: Option<(&'a str, ContentHash)>,
}

/// Something to do, and what it takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Action {
    /// Its name in the record, such as `rollout.pause`.
    pub name: &'static str,
    /// The role that it takes.
    pub role: Role,
    /// It only closes: whoever is in a hurry is told of warnings, but not held up by them, and errors can be acknowledged.
    pub closes: bool,
}

macro_rules! actions {
    (@closes closes) => { true };
    (@closes) => { false };
    ($($constant:ident = $name:literal, $role:ident $(, $closes:ident)?;)*) => {
        impl Action {
            $(#[doc = concat!("`", $name, "`")] pub const $constant: Self =
                Self { name: $name, role: Role::$role, closes: actions!(@closes $($closes)?) };)*
            /// Every action.
            pub const ALL: &[Self] = &[$(Self::$constant),*];
        }
    };
}

actions! {
    STOP = "stream.stop", Publisher, closes;
    LIFT_STOP = "stream.lift-stop", Manager;
    CREATE_STREAM = "stream.create", Admin;
    SET_STREAM = "stream.set", Admin;
    PUT_DOCUMENT = "stream.put-document", Manager;
    REVERT = "stream.revert", Manager;
    CREATE_RELEASE = "release.create", Publisher;
    CHANGE_RELEASE = "release.change", Publisher;
    REMOVE_RELEASE = "release.remove", Publisher;
    PUBLISH = "release.publish", Publisher;
    WITHDRAW = "release.withdraw", Publisher, closes;
    PROMOTE = "release.promote", Manager;
    SET_PAYLOAD = "payload.set", Publisher;
    REMOVE_PAYLOAD = "payload.remove", Publisher;
    ADD_ALIAS = "alias.add", Manager;
    REMOVE_ALIAS = "alias.remove", Manager;
    SET_ARTIFACT = "artifact.set", Publisher;
    REMOVE_ARTIFACT = "artifact.remove", Publisher;
    SET_BARRIER = "barrier.set", Manager;
    REMOVE_BARRIER = "barrier.remove", Manager;
    SET_DEAD_END = "dead-end.set", Manager, closes;
    REMOVE_DEAD_END = "dead-end.remove", Manager;
    BLOCK_UPDATE = "blocked-update.add", Manager, closes;
    UNBLOCK_UPDATE = "blocked-update.remove", Manager;
    CREATE_ROLLOUT = "rollout.create", Manager;
    SET_ROLLOUT = "rollout.set", Manager;
    REMOVE_ROLLOUT = "rollout.remove", Manager;
    START_ROLLOUT = "rollout.start", Manager;
    PAUSE_ROLLOUT = "rollout.pause", Publisher, closes;
    RESUME_ROLLOUT = "rollout.resume", Manager;
    ACCELERATE_ROLLOUT = "rollout.accelerate", Manager;
    HOLD_ROLLOUT = "rollout.hold", Publisher, closes;
    COMPLETE_ROLLOUT = "rollout.complete", Manager;
    ABORT_ROLLOUT = "rollout.abort", Publisher, closes;
    GIVE_TOKEN = "token.give", Admin;
    REVOKE_TOKEN = "token.revoke", Admin;
}
