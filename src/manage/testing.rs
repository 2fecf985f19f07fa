//! What the unit tests of commands share: a stream with something of every kind, its parts, and callers.

use super::{
    address::{ReleaseAddress, RolloutAddress},
    command::{Command, LoadedReads, Next, Present},
    error::CommandError,
    manager::DEFAULT_GRAPH_BYTES,
    plan::{Loaded, Plan, plan},
    refusal::Refusal,
    request::Request,
};
use crate::{
    auth::{Grant, Identity, Pattern, Role},
    domain::{
        actor::Actor,
        admission::{
            emergency_stop::EmergencyStop,
            freeze_window::{FreezeSpan, FreezeWindow},
        },
        dialect::Dialects,
        document::{Strictness, shape::StreamDocument},
        epoch::Epoch,
        ids::{Arch, StreamId, Version},
        payload::{Payload, PayloadId, Scheme},
        policy::graph_rules::GraphRules,
        reason::Reason,
        release::{PayloadKey, Release},
        rollout::{Rollout, id::RolloutId},
        stream::{Revision, Stream},
    },
    store::streams::Head,
};
use jiff::Timestamp;
use std::{collections::BTreeSet, sync::Arc};

pub(super) const NOW: Epoch = Epoch(1_790_000_000);
pub(super) const HOUR: i64 = 3600;

/// Returns the time so many hours after [`NOW`].
pub(super) fn at(hours: i64) -> Epoch {
    NOW.plus_seconds(hours * HOUR)
}

pub(super) fn timestamp(time: Epoch) -> Timestamp {
    Timestamp::from_second(time.0).unwrap()
}

/// Builds a stream with an upstream barrier (release 1), a withdrawn release (2), a published one with a rollout in each state (3: half
/// open, scheduled, paused, completed, aborted), a complete draft (4) and a draft without payloads (5).
pub(super) fn stream() -> Stream {
    let name = |number: usize| format!("arch = \"x86_64\", scheme = \"oci\", id = \"{}\"", payload_id(number));
    let [one, alias, two, three, four] = [1, 11, 2, 3, 4].map(name);
    let text = format!(
        r#"
        format = 1
        product = "os"
        stream = "stable"
        origin = "local"
        arches = ["aarch64", "x86_64"]

        [[releases]]
        version = "1"
        origin = "upstream"
        barrier = {{ reason = "new keys", origin = "upstream" }}
        payloads = [{{ {one} }}]
        aliases = [{{ {alias}, origin = "upstream" }}]

        [[releases]]
        version = "2"
        state = "withdrawn"
        payloads = [{{ {two} }}]

        [[releases]]
        version = "3"
        payloads = [{{ {three} }}]
        rollouts = [
            {{ start = "{day_ago}", duration = "PT48H" }},
            {{ selector = {{ groups = ["later"] }}, start = "{in_a_day}", duration = "PT48H" }},
            {{ selector = {{ groups = ["paused"] }}, start = "{day_ago}", duration = "PT48H", state = "paused", paused_at = "{half_a_day_ago}" }},
            {{ selector = {{ groups = ["completed"] }}, start = "{day_ago}", duration = "PT48H", state = "completed" }},
            {{ selector = {{ groups = ["aborted"] }}, start = "{day_ago}", duration = "PT48H", state = "aborted" }},
        ]

        [[releases]]
        version = "4"
        state = "draft"
        notes = "a fix"
        payloads = [{{ {four} }}]
        artifacts = [{{ arch = "x86_64", name = "live.iso", url = "https://builds.example/live.iso" }}]
        rollouts = [{{ start = "{half_a_day_ago}", duration = "PT48H" }}]

        [[releases]]
        version = "5"
        state = "draft"

        [[blocked_updates]]
        first = "1"
        last = "2"
        target = "3"
        reason = "a broken bootloader"
        "#,
        day_ago = at(-24).0,
        half_a_day_ago = at(-12).0,
        in_a_day = at(24).0,
    );
    let document: StreamDocument = toml::from_str(&text).unwrap();
    numbered(Stream::from_document(&document, Strictness::Strict).unwrap())
}

/// Gives the rollouts of every release the ids 1, 2 and so on, whatever they were.
pub(super) fn numbered(mut stream: Stream) -> Stream {
    for release in stream.releases.iter_mut().filter(|release| !release.rollouts.is_empty()) {
        release.last_rollout_id = RolloutId::NEW;
        for rollout in &mut release.rollouts {
            rollout.id = RolloutId::NEW;
        }
        *release = Release::clone(release).with_numbered_rollouts().into();
    }
    stream
}

pub(super) fn id() -> StreamId {
    Stream::from_document(
        &toml::from_str("format = 1\nproduct = \"os\"\nstream = \"stable\"").unwrap(),
        Strictness::Strict,
    )
    .unwrap()
    .id
}

pub(super) fn version(text: &str) -> Version {
    Version::parse(text).unwrap()
}

pub(super) fn release(text: &str) -> ReleaseAddress {
    ReleaseAddress { stream: id(), version: version(text) }
}

pub(super) fn rollout(version: &str, id: u32) -> RolloutAddress {
    RolloutAddress { release: release(version), id: RolloutId::from_number(id).unwrap_or_default() }
}

/// Returns the key of a payload on an arch, of the scheme `oci`.
pub(super) fn key(arch: &str) -> PayloadKey {
    PayloadKey { arch: Arch::parse(arch).unwrap(), scheme: Scheme::oci() }
}

pub(super) fn payload_id(number: usize) -> PayloadId {
    PayloadId::parse(&format!("quay.io/os/os@sha256:{number:064x}")).unwrap()
}

pub(super) fn payload(number: usize) -> Payload {
    Payload { id: payload_id(number), synthetic: false }
}

pub(super) fn reason(text: &str) -> Reason {
    Reason::new(text).unwrap()
}

pub(super) fn stop(hours: i64) -> EmergencyStop {
    EmergencyStop { since: at(hours), reason: reason("nodes do not boot") }
}

/// Returns the stream, stopped six hours ago.
pub(super) fn stopped(stream: Stream) -> Stream {
    Stream { stop: Some(stop(-6)), ..stream }
}

/// Returns a freeze window of these hours.
pub(super) fn window(from: i64, until: i64) -> FreezeWindow {
    FreezeWindow { span: FreezeSpan::Between { from: at(from), until: at(until) }, reason: reason("a holiday") }
}

pub(super) fn with_window(mut stream: Stream, from: i64, until: i64) -> Stream {
    stream.protection.freeze_windows = vec![window(from, until)];
    stream
}

/// Finds a release.
pub(super) fn found<'a>(stream: &'a Stream, text: &str) -> &'a Release {
    &stream.releases[stream.position_of(&version(text)).unwrap()]
}

/// Finds a release to change it.
pub(super) fn found_mut<'a>(stream: &'a mut Stream, text: &str) -> &'a mut Release {
    let position = stream.position_of(&version(text)).unwrap();
    &mut stream.releases[position]
}

/// Finds a rollout of release 3 by its id.
pub(super) fn found_rollout(stream: &Stream, id: u32) -> &Rollout {
    found(stream, "3").rollouts.iter().find(|rollout| rollout.id.number() == id).unwrap()
}

/// Applies a command to a stream, which may be absent, with what it reads.
pub(super) fn apply_to(command: &dyn Command, stream: Option<&Stream>, read: &LoadedReads) -> Result<Next, Refusal> {
    command.apply(&Present { id: command.target(), stream, read, rules: GraphRules::default(), now: NOW })
}

pub(super) fn apply(command: &dyn Command, stream: &Stream) -> Result<Next, Refusal> {
    apply_to(command, Some(stream), &LoadedReads::default())
}

/// Returns the state after a command that is not refused.
pub(super) fn next(command: &dyn Command, stream: &Stream) -> Stream {
    apply(command, stream).unwrap().stream
}

/// Returns the message of a command that is refused.
pub(super) fn refusal(command: &dyn Command, stream: &Stream) -> String {
    apply(command, stream).unwrap_err().to_string()
}

/// Returns a caller with a role on every stream.
pub(super) fn caller(role: Role) -> Identity {
    Identity { actor: Actor::from_id("token:test"), grants: vec![Grant { role, on: Pattern::ALL }], expires_at: None }
}

/// Returns what a command is planned on: a stream at revision 7, which was made a day ago, or an absent stream.
pub(super) fn loaded(id: &StreamId, stream: Option<&Stream>) -> Loaded {
    let absent = Head::absent(id.clone());
    let head = match stream {
        Some(_) => Head { revision: Revision(7), changed_at: timestamp(at(-24)), ..absent },
        None => absent,
    };
    let dialects = Arc::new(Dialects::new(Vec::new(), BTreeSet::new()));
    let (product_stop, read, dialect, findings) = (None, LoadedReads::default(), None, Arc::default());
    let max_graph_bytes = DEFAULT_GRAPH_BYTES;
    let stream = stream.cloned().map(Arc::new);
    Loaded { head, stream, product_stop, read, dialects, dialect, findings, max_graph_bytes }
}

/// Plans a command of a caller with this role on a stream at [`NOW`], with a request that `change` changes.
pub(super) fn plan_as(
    role: Role,
    command: &dyn Command,
    stream: &Stream,
    change: impl FnOnce(&mut Request<'_>),
) -> Result<Plan, CommandError> {
    plan_on(&loaded(command.target(), Some(stream)), role, command, change)
}

/// Like [`plan_as`], on what was loaded.
pub(super) fn plan_on(
    loaded: &Loaded,
    role: Role,
    command: &dyn Command,
    change: impl FnOnce(&mut Request<'_>),
) -> Result<Plan, CommandError> {
    let caller = caller(role);
    let mut request = Request::new(&caller, "a test");
    change(&mut request);
    plan(command, &request, loaded, timestamp(NOW))
}
