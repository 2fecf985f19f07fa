//! Tests of what every command has in common, on any stream.

use super::{
    all_rollouts::{PauseRollouts, ResumeRollouts},
    artifacts::{RemoveArtifact, SetArtifact},
    bases::{BasePolicyAddress, InheritBase, NewBase, NewBaseLag, RemoveBasePolicy, SetBasePolicy, SetBuiltOn},
    batch::Batch,
    descriptions::NewDescription,
    documents::{PutDocument, StartStream},
    images::AddImage,
    payloads::{AddAlias, RemoveAlias, RemovePayload, SetPayload},
    policies::{BlockUpdate, RemoveBarrier, RemoveDeadEnd, SetBarrier, SetDeadEnd, UnblockUpdate},
    predecessors::{RemovePredecessors, SetPredecessors},
    releases::{CreateRelease, PromoteRelease, PublishRelease, RemoveRelease, SetNotes, WithdrawRelease},
    restore::RestoreStream,
    revert::RevertStream,
    rollout_actions::{
        AbortRollout, AccelerateRollout, AdvanceRollout, CompleteRollout, Further, HoldRollout, PauseRollout,
        RestartRollout, ResumeRollout, StartRollout,
    },
    rollouts::{CreateRollout, NamedPreset, OrderRollouts, RemoveRollout, ReplaceRollout, RolloutPlan},
    stops::{LiftStop, PauseAtStop, StopStream},
    streams::{CreateStream, DefaultRollout, DeleteStream, NewFollow, SetStream, StreamSettings},
    undo::UndoRevision,
};
use crate::{
    auth::Role,
    domain::{
        actor::Actor,
        admission::exposure::exposure_increases,
        artifact::{Artifact, ArtifactKey, ArtifactName, Location, Notes, Promotion},
        base::{BasePolicyKind, BuiltOn},
        dialect::findings,
        document::{Strictness, shape::BlockedUpdateDocument},
        duration::Minutes,
        epoch::Epoch,
        hash::ContentHash,
        ids::{StreamId, StreamName, Version},
        image::{Image, ImageDetails},
        origin::Origin,
        payload::Repository,
        policy::{barrier::Barrier, dead_end::DeadEnd, graph_rules::GraphRules, predecessors::Predecessors},
        release::Release,
        rollout::{id::RolloutId, preset::Preset, share::Share},
        samples,
        stream::{Revision, Stream},
    },
    manage::{
        address::{ReleaseAddress, RolloutAddress},
        command::{Command, LoadedReads, Present, Provenance, Reads},
        plan::{Loaded, plan},
        request::{Action, Request},
        testing::{caller, key, loaded, payload, payload_id, reason, stream, timestamp, version},
    },
};
use proptest::prelude::*;
use std::{collections::BTreeMap, sync::Arc};

/// A command, and the name of its action.
type Named = (&'static str, Box<dyn Command>);

/// The number of commands that [`every_command`] returns.
const COMMANDS: usize = 52;

/// Returns the settings of a stream, some of which are left out.
fn settings(written: &Stream, number: u32) -> StreamSettings {
    StreamSettings {
        description: written.description.clone().map_or(NewDescription::None, NewDescription::Text),
        arches: written.arches.clone(),
        mirrors: written.mirrors.clone(),
        edge_rule: Some(written.rules.edge_rule),
        identity: Some(written.rules.identity).filter(|_| number.is_multiple_of(2)),
        targets: Some(written.rules.targets).filter(|_| number.is_multiple_of(3)),
        protection: written.protection.clone(),
        default_rollout: written.default_rollout.map_or(DefaultRollout::None, DefaultRollout::Preset),
        base: NewBase::Unchanged,
        base_lag: NewBaseLag::Unchanged,
        follow: written.follow.clone().map_or(NewFollow::None, NewFollow::Repository),
    }
}

fn artifact() -> (ArtifactKey, Artifact) {
    let key = ArtifactKey { arch: key("x86_64").arch, name: ArtifactName::parse("live.iso").unwrap() };
    let location = Location::parse("https://builds.example/x").unwrap();
    (key, Artifact { location, sha256: None, size: None })
}

/// Returns a release of an image, which is published or not.
fn added_image(stream: StreamId, number: u32) -> AddImage {
    let image = Image {
        repository: Repository::parse("ghcr.io/acme/os").unwrap(),
        builds: [(key("x86_64").arch, ContentHash([95; 32]))].into(),
        versions: ["95".to_owned()].into(),
        bases: BTreeMap::new(),
        polled_stream: None,
        details: ImageDetails::default(),
    };
    AddImage {
        stream,
        image,
        draft: Release::published(version("95"), Origin::Local),
        is_labelled: true,
        rollouts: Vec::new(),
        is_published: number.is_multiple_of(2),
        fallback: Some(Preset::Linear48h),
        built_on: None,
    }
}

/// Returns a block of updates from the oldest release.
fn blocked_update(stream: &Stream, target: &Version) -> BlockedUpdateDocument {
    let oldest = stream.releases.first().map_or_else(|| "9".into(), |release| release.version.to_string());
    let (first, last, target, reason) = (oldest.clone(), oldest, target.to_string(), "a test".into());
    BlockedUpdateDocument { first, last, target, reason, arches: None, origin: None }
}

fn commands_about_bases(release: &ReleaseAddress) -> [Named; 4] {
    let ReleaseAddress { stream, version } = release.clone();
    let policy = BasePolicyAddress { stream: stream.clone(), version, kind: BasePolicyKind::Barrier };
    [
        ("base-policy.set", Box::new(SetBasePolicy { policy: policy.clone() })),
        ("base-policy.remove", Box::new(RemoveBasePolicy { policy })),
        ("base.inherit", Box::new(InheritBase { stream })),
        ("release.change", Box::new(SetBuiltOn { release: release.clone(), built_on: BuiltOn::new_vec() })),
    ]
}

/// Returns a command of each kind for a stream. Those for a release or a rollout are for this one, whether it exists or not.
fn every_command(stream: &Stream, version: &Version, number: u32, written: &Stream) -> [Named; COMMANDS] {
    let id = || stream.id.clone();
    let release = || ReleaseAddress { stream: id(), version: version.clone() };
    let rollout = || RolloutAddress { release: release(), id: RolloutId::from_number(number).unwrap_or_default() };
    let (reason, key) = (reason("a test"), || key("x86_64"));
    let [set_policy, remove_policy, inherit, set_built_on] = commands_about_bases(&release());
    let plan = || RolloutPlan {
        document: toml::from_str("start_share = 0.0").unwrap(),
        preset: Some(NamedPreset::Ramp(Preset::Week)),
        waits_for_windows: number.is_multiple_of(2),
    };
    let (artifact, location) = artifact();
    let blocked = blocked_update(stream, version);
    let origin = Origin::Local;
    let barrier = Barrier { reason: reason.clone(), arches: None, origin };
    let dead_end = DeadEnd { reason: reason.clone(), arches: None, origin };
    let versions = [self::version(&blocked.first)].into();
    let predecessors = Predecessors { versions, origin };
    let settings = settings(written, number);
    let draft = Release {
        payloads: [(key(), payload(99))].into_iter().collect(),
        ..Release::published(self::version("99"), origin)
    };
    let further = match number % 3 {
        0 => Further::PastGate,
        _ => Further::To { share: Share::new(0.9).unwrap(), over: None },
    };
    let found = stream.releases.iter().find(|release| release.version == *version);
    let reversed =
        found.map(|release| release.rollouts.iter().rev().map(|rollout| rollout.id).collect()).unwrap_or_default();
    let batched: Vec<Box<dyn Command>> = vec![
        Box::new(PauseRollouts { stream: id() }),
        Box::new(SetNotes { release: release(), notes: Notes::parse("a batch").ok() }),
    ];
    let from = Promotion { stream: StreamName::parse("testing").unwrap(), version: version.clone() };
    [
        ("stream.stop", Box::new(StopStream { stream: id(), reason })),
        ("stream.lift-stop", Box::new(LiftStop { stream: id() })),
        ("stream.lift-stop", Box::new(PauseAtStop { stream: id() })),
        ("stream.create", Box::new(CreateStream { stream: id(), settings: settings.clone() })),
        ("stream.set", Box::new(SetStream { stream: id(), settings })),
        ("stream.delete", Box::new(DeleteStream { stream: id() })),
        ("stream.put-document", Box::new(PutDocument { written: written.clone() })),
        ("stream.change", Box::new(StartStream { written: written.clone() })),
        ("stream.revert", Box::new(RevertStream { stream: id(), to: Revision(1) })),
        ("stream.restore", Box::new(RestoreStream { saved: Stream { id: id(), ..written.clone() } })),
        (
            "stream.undo",
            Box::new(UndoRevision { stream: id(), revision: Revision(2), by: Actor::from_id("token:test") }),
        ),
        ("stream.batch", Box::new(Batch { stream: id(), commands: batched })),
        ("release.create", Box::new(CreateRelease { stream: id(), draft, rollouts: Vec::new(), is_published: false })),
        ("release.create", Box::new(added_image(id(), number))),
        ("release.remove", Box::new(RemoveRelease { release: release() })),
        ("release.publish", Box::new(PublishRelease { release: release() })),
        ("release.withdraw", Box::new(WithdrawRelease { release: release() })),
        (
            "release.promote",
            Box::new(PromoteRelease { stream: id(), from, version: Some(self::version("98")), payloads: None }),
        ),
        ("release.change", Box::new(SetNotes { release: release(), notes: Some(Notes::parse("a note").unwrap()) })),
        ("payload.set", Box::new(SetPayload { release: release(), key: key(), payload: payload(97) })),
        ("payload.remove", Box::new(RemovePayload { release: release(), key: key() })),
        ("alias.add", Box::new(AddAlias { release: release(), key: key(), alias: payload_id(96) })),
        ("alias.remove", Box::new(RemoveAlias { release: release(), key: key(), alias: payload_id(96) })),
        ("artifact.set", Box::new(SetArtifact { release: release(), key: artifact.clone(), artifact: location })),
        ("artifact.remove", Box::new(RemoveArtifact { release: release(), key: artifact })),
        ("barrier.set", Box::new(SetBarrier { release: release(), barrier })),
        ("barrier.remove", Box::new(RemoveBarrier { release: release() })),
        set_policy,
        remove_policy,
        inherit,
        set_built_on,
        ("dead-end.set", Box::new(SetDeadEnd { release: release(), dead_end })),
        ("dead-end.remove", Box::new(RemoveDeadEnd { release: release() })),
        ("predecessors.set", Box::new(SetPredecessors { release: release(), predecessors })),
        ("predecessors.remove", Box::new(RemovePredecessors { release: release() })),
        ("blocked-update.add", Box::new(BlockUpdate { target: release(), blocked })),
        (
            "blocked-update.remove",
            Box::new(UnblockUpdate { target: release(), number: usize::try_from(number).unwrap() }),
        ),
        ("rollout.create", Box::new(CreateRollout { release: release(), plan: plan(), before: None })),
        ("rollout.set", Box::new(ReplaceRollout { rollout: rollout(), plan: plan() })),
        ("rollout.order", Box::new(OrderRollouts { release: release(), ids: reversed })),
        ("rollout.remove", Box::new(RemoveRollout { rollout: rollout() })),
        ("rollout.start", Box::new(StartRollout { rollout: rollout() })),
        ("rollout.pause", Box::new(PauseRollout { rollout: rollout() })),
        ("rollout.resume", Box::new(ResumeRollout { rollout: rollout() })),
        ("rollout.accelerate", Box::new(AccelerateRollout { rollout: rollout(), within: Minutes(60) })),
        ("rollout.advance", Box::new(AdvanceRollout { rollout: rollout(), further })),
        ("rollout.hold", Box::new(HoldRollout { rollout: rollout(), share: Share::new(0.5).unwrap() })),
        ("rollout.complete", Box::new(CompleteRollout { rollout: rollout() })),
        ("rollout.abort", Box::new(AbortRollout { rollout: rollout() })),
        ("rollout.restart", Box::new(RestartRollout { rollout: rollout() })),
        ("rollouts.pause", Box::new(PauseRollouts { stream: id() })),
        ("rollouts.resume", Box::new(ResumeRollouts { stream: id() })),
    ]
}

#[test]
fn every_action_on_a_stream_has_a_command() {
    let stream = stream();
    let commands = every_command(&stream, &version("3"), 1, &stream);
    let named: std::collections::BTreeSet<&str> = commands.iter().map(|(name, _)| *name).collect();
    let is_of_no_stream =
        |name: &str| ["token.", "signing-key.", "product.", "preset."].iter().any(|of| name.starts_with(of));
    let actions = Action::ALL.iter().map(|action| action.name).filter(|name| !is_of_no_stream(name));
    assert_eq!(named, actions.collect());
}

#[test]
fn every_command_names_its_action_and_its_stream() {
    let stream = stream();
    for (name, command) in every_command(&stream, &version("3"), 1, &stream) {
        assert_eq!((command.action().name, command.target()), (name, &stream.id));
    }
}

#[test]
fn only_some_commands_read_more_lift_a_stop_or_keep_origins() {
    let stream = stream();
    let (present, read) = (Some(&stream), LoadedReads::default());
    for (name, command) in every_command(&stream, &version("3"), 1, &stream) {
        let reads = match name {
            "release.promote" => {
                let testing = StreamName::parse("testing").unwrap();
                let source = StreamId { stream: testing, ..stream.id.clone() };
                Reads { stream: Some(source), ..Reads::default() }
            }
            "stream.revert" => Reads { revision: Some(Revision(1)), ..Reads::default() },
            "stream.undo" => Reads { revision: Some(Revision(1)), change: Some(Revision(2)), ..Reads::default() },
            _ => Reads::default(),
        };
        assert_eq!(command.reads(), reads, "{name}");
        assert!(!command.uses_presets(), "{name} uses no preset of the product");
        let is_recorded = matches!(command.provenance(), Provenance::Recorded);
        assert!(is_recorded || matches!(command.provenance(), Provenance::Local), "{name}");
        // The stop of a product is lifted outside of its streams.
        assert_eq!(command.lifts_stop(), name == "stream.lift-stop" && !is_recorded);
        let is_stop = name == "stream.lift-stop" && !command.lifts_stop();
        let are_recorded = ["stream.change", "stream.delete", "base.inherit"];
        assert_eq!(is_recorded, is_stop || are_recorded.contains(&name), "{name}");
        assert_eq!(command.deletes(), name == "stream.delete");
        let present =
            Present { id: &stream.id, stream: present, read: &read, rules: GraphRules::default(), now: Epoch(0) };
        // A batch always needs what its commands need.
        assert_eq!(command.needs(&present).is_some(), name == "stream.batch", "{name}");
    }
}

#[test]
fn only_some_commands_create_a_stream() {
    let stream = stream();
    for (name, command) in every_command(&stream, &version("3"), 1, &stream) {
        let state = Some(Arc::new(stream.clone()));
        let read = LoadedReads { stream: state.clone(), revision: state, ..LoadedReads::default() };
        let result = command.apply(&Present {
            id: &stream.id,
            stream: None,
            read: &read,
            rules: GraphRules::default(),
            now: Epoch(0),
        });
        match name {
            "stream.create" | "stream.put-document" | "stream.change" | "stream.restore" => {
                assert_eq!(result.unwrap().stream.id, stream.id, "{name}");
            }
            _ => assert_eq!(result.unwrap_err().to_string(), "there is no stream os/stable", "{name}"),
        }
    }
}

/// A command for any stream, with what it reads.
#[derive(Debug)]
struct Case {
    before: Stream,
    other: Arc<Stream>,
    command: usize,
    release: usize,
    number: u32,
    now: Epoch,
}

impl Case {
    /// Returns one of the commands whose action fits.
    fn command(&self, fits: impl Fn(Action) -> bool) -> Box<dyn Command> {
        let releases = &self.before.releases;
        let release = releases.get(self.release % releases.len().max(1));
        let version = release.map_or_else(|| version("9"), |release| release.version.clone());
        let all = every_command(&self.before, &version, self.number, &self.other).into_iter();
        let mut fitting: Vec<_> = all.map(|(_, command)| command).filter(|command| fits(command.action())).collect();
        fitting.swap_remove(self.command % fitting.len())
    }

    fn loaded(&self) -> Loaded {
        let (stream, revision) = (Some(self.other.clone()), Some(self.other.clone()));
        let read = LoadedReads { stream, revision, ..LoadedReads::default() };
        let mut loaded = loaded(&self.before.id, Some(&self.before));
        loaded.head.changed_at = timestamp(Epoch(0));
        Loaded { read, ..loaded }
    }
}

fn case() -> impl Strategy<Value = Case> {
    (samples::stream(), samples::stream(), 0..COMMANDS, 0..17usize, 1..4u32, 100_000i64..400_000).prop_map(
        |(before, other, command, release, number, now)| Case {
            before,
            other: Arc::new(other),
            command,
            release,
            number,
            now: Epoch(now),
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, ..ProptestConfig::default() })]

    #[test]
    fn a_command_depends_only_on_what_it_is_applied_to(case in case()) {
        let loaded = case.loaded();
        let present = Present { id: &case.before.id, stream: Some(&case.before), read: &loaded.read, rules: GraphRules::default(), now: case.now };
        let command = case.command(|_| true);
        let next = command.apply(&present);
        prop_assert_eq!(&case.command(|_| true).apply(&present), &next);
        let Ok(next) = next else { return Ok(()) };
        prop_assert_eq!(&next.stream.id, &case.before.id);
        prop_assert_eq!(&next.stream.product_stop, &case.before.product_stop);
        prop_assert!(next.findings.is_empty() || command.action() == Action::PROMOTE);
    }

    #[test]
    fn a_planned_state_is_stored_and_loaded_as_it_is(case in case()) {
        let caller = caller(Role::Admin);
        let request = Request { acknowledge: true, ..Request::new(&caller, "a test") };
        let Ok(planned) = plan(&*case.command(|_| true), &request, &case.loaded(), timestamp(case.now)) else { return Ok(()) };
        prop_assert_eq!(&*planned.before, &case.before);
        let Some(next) = planned.next else { return Ok(()) };
        let stream = Stream::clone(&next.stream);
        prop_assert_ne!(&stream, &case.before);
        prop_assert_eq!(case.before.with_delta(&next.delta), Ok(stream.clone()));
        if let Some(lint) = &next.lint {
            let all = findings(case.loaded().dialect.as_deref(), &stream, planned.now.into());
            prop_assert_eq!(&**lint, all, "of the state as it is stored");
        }
        let whole = Stream::from_document(&stream.to_document(), Strictness::Recorded);
        prop_assert_eq!(whole, Ok(Stream { product_stop: None, ..stream }));
    }

    #[test]
    fn a_restrictive_command_is_never_refused_for_its_effect(case in case()) {
        let command = case.command(|action| action.is_restrictive);
        let loaded = case.loaded();
        let present = Present { id: &case.before.id, stream: Some(&case.before), read: &loaded.read, rules: GraphRules::default(), now: case.now };
        let Ok(next) = command.apply(&present) else { return Ok(()) };
        prop_assert_eq!(exposure_increases(&case.before, &next.stream, case.now), []);
        let caller = caller(command.action().role);
        let planned = plan(&*command, &Request::new(&caller, "a test"), &loaded, timestamp(case.now));
        prop_assert!(planned.is_ok(), "{:?}", planned);
    }
}
