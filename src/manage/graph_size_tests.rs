//! Tests of the limit on the size of full graphs.

use super::*;
use crate::{
    auth::Role,
    domain::{
        admission::protection::Protection,
        origin::Origin,
        payload::{Payload, PayloadId},
        policy::graph_rules::{GraphRules, NewestTargets, TargetLimit},
        release::ReleaseState,
        rollout::{preset::Preset, wariness::Wariness},
    },
    manage::{
        command::{Next, Present},
        commands::{
            bases::{NewBase, NewBaseLag},
            descriptions::NewDescription,
            streams::{DefaultRollout, NewFollow, SetStream, StreamSettings},
        },
        error::CommandError,
        plan::{Loaded, Plan},
        request::Action,
        testing::{at, id, key, loaded, plan_on, version},
    },
};
use std::sync::Arc;

/// A protocol whose nodes take 100 bytes each.
struct Hundred;

impl Dialect for Hundred {
    fn name(&self) -> &'static str {
        "hundred"
    }

    fn wariness(&self, _: &str) -> Wariness {
        Wariness::new(0.5)
    }

    fn max_node_bytes(&self, _: &Graph, _: &crate::domain::graph::Node) -> usize {
        100
    }

    fn lint(&self, _: &Stream) -> Vec<Finding> {
        Vec::new()
    }
}

/// Replaces the stream as an import does, or as a local command does.
struct Replace {
    written: Stream,
    action: Action,
    is_import: bool,
}

impl Command for Replace {
    fn action(&self) -> Action {
        self.action
    }

    fn target(&self) -> &crate::domain::ids::StreamId {
        &self.written.id
    }

    fn provenance(&self) -> Provenance<'_> {
        if self.is_import { Provenance::Upstream(&[]) } else { Provenance::Local }
    }

    fn apply(&self, _: &Present<'_>) -> Result<Next, Refusal> {
        Ok(self.written.clone().into())
    }
}

/// Builds a stream of so many releases, each with a completed rollout.
fn stream(releases: usize, targets: TargetLimit) -> Stream {
    let release = |number: usize| {
        let mut release = Release::published(version(&number.to_string()), Origin::Local);
        let id = PayloadId::parse(&format!("quay.io/os/os@sha256:{number:064x}")).unwrap();
        release.payloads.insert(key("x86_64"), Payload { id, synthetic: false });
        let rollout = Preset::Linear48h.rollout(at(-100));
        release.rollouts = vec![rollout.complete().unwrap_or(rollout)];
        release.with_numbered_rollouts().into()
    };
    let rules = GraphRules { targets, ..GraphRules::default() };
    Stream { rules, releases: (0..releases).map(release).collect(), ..Stream::empty(id()) }
}

fn newest(number: u16) -> TargetLimit {
    NewestTargets::new(number).into()
}

fn planned(before: &Stream, command: &dyn Command, max_graph_bytes: usize) -> Result<Plan, CommandError> {
    let dialect: Arc<dyn Dialect> = Arc::new(Hundred);
    let loaded = Loaded { dialect: Some(dialect), max_graph_bytes, ..loaded(&id(), Some(before)) };
    plan_on(&loaded, Role::Admin, command, |request| request.acknowledge = true)
}

fn local(written: Stream) -> Replace {
    Replace { written, action: Action::SET_STREAM, is_import: false }
}

fn messages(plan: &Plan) -> Vec<String> {
    plan.findings
        .iter()
        .flatten()
        .map(|finding| finding.message.clone())
        .filter(|text| text.contains(SETTING))
        .collect()
}

#[test]
fn the_estimate_counts_nodes_and_edges() {
    let edges = |releases: usize| releases * (releases - 1) / 2;
    assert_eq!(largest_graph(&Hundred, &stream(10, TargetLimit::All)), 10 * 100 + edges(10) * "[1,2],".len());
    assert_eq!(largest_graph(&Hundred, &stream(10, newest(2))), 10 * 100 + (8 * 2 + 1) * "[1,2],".len());
    assert_eq!(largest_graph(&Hundred, &Stream::empty(id())), 0);
}

#[test]
fn a_local_change_must_not_lead_to_a_larger_graph_than_the_limit() {
    let before = stream(10, TargetLimit::All);
    let sizes = [10, 11].map(|releases| largest_graph(&Hundred, &stream(releases, TargetLimit::All)));
    let after = local(stream(11, TargetLimit::All));
    let Err(CommandError::Refused(refused)) = planned(&before, &after, sizes[1] - 1) else { panic!("not refused") };
    let expected = format!(
        "targets: the largest full graph would have up to {} bytes, {} before; `limits.graph_bytes` allows {}: show nodes their newest \
         targets only (`targets = {{ newest = 2 }}`), or raise the limit",
        sizes[1],
        sizes[0],
        sizes[1] - 1
    );
    assert_eq!(refused.to_string(), expected);
    assert!(planned(&before, &after, sizes[1]).is_ok());
    // The remedy helps, and is not refused itself.
    let trimmed = local(stream(11, newest(2)));
    assert!(planned(&before, &trimmed, sizes[1] - 1).is_ok());
    assert!(planned(&trimmed.written, &local(stream(12, newest(2))), sizes[1] - 1).is_ok());
    // To show all targets again is refused.
    assert!(planned(&trimmed.written, &after, sizes[1] - 1).is_err());
}

#[test]
fn a_graph_over_the_limit_may_stay_and_shrink() {
    let before = stream(10, TargetLimit::All);
    let mut same = before.clone();
    same.protection =
        Protection { shortest_rollout: Some(crate::domain::duration::Minutes(60)), ..Protection::default() };
    assert!(planned(&before, &local(same), 1).is_ok());
    let mut withdrawn = before.clone();
    withdrawn.releases[9].state = ReleaseState::Withdrawn;
    assert!(planned(&before, &local(withdrawn), 1).is_ok());
    let settings = StreamSettings {
        description: NewDescription::Unchanged,
        arches: before.arches.clone(),
        mirrors: before.mirrors.clone(),
        default_rollout: DefaultRollout::Unchanged,
        base: NewBase::Unchanged,
        base_lag: NewBaseLag::Unchanged,
        follow: NewFollow::Unchanged,
        edge_rule: None,
        identity: None,
        targets: Some(newest(2)),
        protection: before.protection.clone(),
    };
    let plan = planned(&before, &SetStream { stream: id(), settings }, 1).unwrap();
    assert_eq!(plan.next.unwrap().stream.rules.targets, newest(2));
}

#[test]
fn an_import_is_accepted_with_a_finding() {
    let import = |written| Replace { written, action: Action::SET_STREAM, is_import: true };
    let before = stream(10, TargetLimit::All);
    let plan = planned(&before, &import(stream(11, TargetLimit::All)), 1).unwrap();
    assert_eq!(messages(&plan).len(), 1);
    let plan = planned(&before, &import(before.clone()), 1).unwrap();
    assert_eq!(messages(&plan), [""; 0]);
}

#[test]
fn a_restrictive_change_is_never_refused_for_the_size() {
    let (before, after) = (stream(10, TargetLimit::All), stream(11, TargetLimit::All));
    let restrictive = Replace { written: after.clone(), action: Action::WITHDRAW, is_import: false };
    assert!(restrictive.action.is_restrictive);
    let limit = GraphLimit { dialect: Some(&Hundred), max_bytes: 1 };
    assert_eq!(check_graph_size(&restrictive, limit, &before, &after), Ok(None));
    assert!(check_graph_size(&local(after.clone()), limit, &before, &after).is_err());
}

#[test]
fn what_only_describes_rollouts_does_not_count() {
    let before = stream(10, TargetLimit::All);
    let mut after = before.clone();
    for release in &mut after.releases {
        release.rollouts.push(Preset::Week.rollout(at(1)));
    }
    assert!(is_of_the_same_size(&before, &after));
    after.releases[3].rollouts.clear();
    assert!(!is_of_the_same_size(&before, &after));
}
