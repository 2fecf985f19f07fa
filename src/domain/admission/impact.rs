//! The impact of a change: updates gained and lost, and the share of nodes that are offered different updates.

use super::sources::{ComparedTarget, Comparison, Timeline};
use crate::domain::{
    epoch::Epoch,
    graph::{Graph, visibility::NodeContext},
    ids::{Arch, Version},
    payload::Scheme,
    rollout::{Rollout, selector::Label, share::OpenShare, wariness::Wariness},
    stream::Stream,
};
use std::collections::BTreeSet;

/// The impact of a change on nodes.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Impact {
    /// The affected scopes, sorted by arch and scheme.
    pub scopes: Vec<ScopeImpact>,
}

/// The impact of a change on the nodes of one scope.
#[derive(Debug, Clone, PartialEq)]
pub struct ScopeImpact {
    /// The architecture.
    pub arch: Arch,
    /// The scheme.
    pub scheme: Scheme,
    /// Updates that the change adds, held back or not.
    pub gained: Updates,
    /// Updates that the change removes, held back or not.
    pub lost: Updates,
    /// The share of nodes that are offered different updates at once: the greatest over all groups and platforms that rollouts select.
    pub affected_now: f64,
    /// The same share after every rollout has ended.
    pub affected_eventually: f64,
}

/// Updates that only one of two states has.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Updates {
    /// Their number.
    pub count: usize,
    /// The first ones, at most [`MAX_LISTED`], by the ages of the releases to which they lead.
    pub first: Vec<(Version, Version)>,
}

/// The maximum number of updates that are listed.
pub const MAX_LISTED: usize = 100;

/// Computes the impact of a change at `now`. Returns `None` if `is_over` returns true, which limits the time, or if known releases have
/// changed their order.
#[must_use]
pub fn compute_impact(before: &Stream, after: &Stream, now: Epoch, is_over: &dyn Fn() -> bool) -> Option<Impact> {
    let timeline = Timeline::new(before, after)?;
    let keys: BTreeSet<_> = before.payload_keys().into_iter().chain(after.payload_keys()).collect();
    let mut scopes = Vec::new();
    for key in keys {
        if is_over() {
            return None;
        }
        let graphs = [before, after].map(|stream| Graph::new(stream, &key.arch, &key.scheme));
        let compared = Compared::new(&graphs, &timeline, is_over)?;
        let [gained, lost] = [compared.only_in(1), compared.only_in(0)];
        let (affected_now, affected_eventually) = (compared.affected(now)?, compared.affected(Epoch(i64::MAX))?);
        let is_affected = gained.count > 0 || lost.count > 0 || affected_now > 0.0 || affected_eventually > 0.0;
        if is_affected {
            let (arch, scheme) = (key.arch.clone(), key.scheme.clone());
            scopes.push(ScopeImpact { arch, scheme, gained, lost, affected_now, affected_eventually });
        }
    }
    Some(Impact { scopes })
}

/// A group and a platform that nodes may report.
type Audience<'a> = (Option<&'a str>, Option<&'a str>);

/// Two graphs of one scope, reduced to the update targets in which they differ.
struct Compared<'a> {
    graphs: &'a [Graph; 2],
    comparison: Comparison<'a>,
    targets: Vec<ComparedTarget<'a>>,
    is_over: &'a dyn Fn() -> bool,
}

impl<'a> Compared<'a> {
    fn new(graphs: &'a [Graph; 2], timeline: &'a Timeline, is_over: &'a dyn Fn() -> bool) -> Option<Self> {
        let [before, after] = graphs;
        let comparison = Comparison::new([before, after], timeline);
        let mut targets = Vec::new();
        for (count, target) in comparison.targets().enumerate() {
            if count % 4096 == 0 && is_over() {
                return None;
            }
            // Targets that are equal in both graphs affect no node.
            if target.only_in(0) > 0 || target.only_in(1) > 0 || rollouts_of(&target, 0) != rollouts_of(&target, 1) {
                targets.push(target);
            }
        }
        Some(Self { graphs, comparison, targets, is_over })
    }

    /// Returns the updates that are in this graph and not in the other.
    fn only_in(&self, side: usize) -> Updates {
        let targets = || self.targets.iter().filter(|target| target.only_in(side) > 0);
        let updates = targets().flat_map(|target| {
            let sources = self.comparison.sources_only_in(side, target);
            sources.filter_map(|from| Some((from.clone(), target.version()?.clone())))
        });
        Updates { count: targets().map(|target| target.only_in(side)).sum(), first: updates.take(MAX_LISTED).collect() }
    }

    fn rollouts(&self) -> impl Iterator<Item = &'a Rollout> + '_ {
        self.targets.iter().flat_map(|target| [0, 1].map(|side| rollouts_of(target, side))).flatten()
    }

    /// Returns all pairs of a group and a platform that the rollouts select, each including "not reported".
    fn audiences(&self) -> impl Iterator<Item = Audience<'a>> {
        let names = |labels: BTreeSet<&'a Label>| -> Vec<Option<&'a str>> {
            std::iter::once(None).chain(labels.into_iter().map(|label| Some(label.as_str()))).collect()
        };
        let groups = names(self.rollouts().flat_map(|rollout| rollout.selector.groups.iter().flatten()).collect());
        let platforms =
            names(self.rollouts().flat_map(|rollout| rollout.selector.platforms.iter().flatten()).collect());
        groups.into_iter().flat_map(move |group| platforms.clone().into_iter().map(move |platform| (group, platform)))
    }

    /// Returns the greatest share of nodes, over all audiences, that are offered different updates at that time.
    fn affected(&self, at: Epoch) -> Option<f64> {
        let mut thresholds = vec![0.0, 1.0];
        for rollout in self.rollouts() {
            if let OpenShare::Open(share) = rollout.open_share(at) {
                thresholds.push(share.clamp(0.0, 1.0));
            }
        }
        thresholds.sort_by(f64::total_cmp);
        thresholds.dedup_by(|a, b| a.total_cmp(b).is_eq());
        let mut greatest = 0.0;
        for audience in self.audiences() {
            greatest = f64::max(greatest, self.affected_in(audience, at, &thresholds)?);
        }
        Some(greatest)
    }

    fn affected_in(&self, audience: Audience<'_>, at: Epoch, thresholds: &[f64]) -> Option<f64> {
        let (group, platform) = audience;
        let mut affected = 0.0;
        for (low, high) in thresholds.iter().zip(thresholds.iter().skip(1)) {
            if (self.is_over)() {
                return None;
            }
            let node_context =
                NodeContext { group, platform, wariness: Wariness::new(f64::midpoint(*low, *high)), is_stopped: false };
            if self.targets.iter().any(|target| self.differs(target, &node_context, at)) {
                affected += high - low;
            }
        }
        Some(affected.clamp(0.0, 1.0))
    }

    fn differs(&self, target: &ComparedTarget<'a>, node_context: &NodeContext<'_>, at: Epoch) -> bool {
        let [before, after] = [0, 1].map(|side| {
            let graph = self.graphs.get(side)?;
            let node = target.nodes.get(side).copied().flatten().filter(|_| target.sources_in(side) > 0)?;
            (!graph.target_visibility(node, node_context, at).held_back).then_some(())
        });
        before != after || before.is_some() && (target.only_in(0) > 0 || target.only_in(1) > 0)
    }
}

/// Returns the rollouts of a target in one of the graphs, if updates lead to it there.
fn rollouts_of<'a>(target: &ComparedTarget<'a>, side: usize) -> &'a [Rollout] {
    let node = target.nodes.get(side).copied().flatten().filter(|_| target.sources_in(side) > 0);
    node.map_or(&[], |node| node.rollouts())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{rollout::preset::Preset, samples};
    use proptest::prelude::*;

    const NOW: Epoch = Epoch(1_000_000);

    fn never() -> bool {
        false
    }

    /// Builds a stream of three releases on one arch; the last one has these rollouts.
    fn stream(rollouts: Vec<Rollout>) -> Stream {
        let release = |n: usize| {
            format!(
                "[[releases]]\nversion = \"{n}\"\npayloads = [{{ arch = \"x86_64\", scheme = \"oci\", id = \"quay.io/os/os@sha256:{n:064x}\" }}]\n"
            )
        };
        let releases: Vec<String> = (0..3).map(release).collect();
        let text = format!("format = 1\nproduct = \"os\"\nstream = \"stable\"\n{}", releases.concat());
        let document = toml::from_str(&text).unwrap();
        let mut stream = Stream::from_document(&document, crate::domain::document::Strictness::Strict).unwrap();
        stream.releases[2].rollouts = rollouts;
        stream
    }

    fn summary(before: &Stream, after: &Stream) -> Vec<(usize, usize, f64, f64)> {
        let scopes = compute_impact(before, after, NOW, &never).unwrap().scopes;
        scopes
            .iter()
            .map(|scope| (scope.gained.count, scope.lost.count, scope.affected_now, scope.affected_eventually))
            .collect()
    }

    #[test]
    fn shares_and_updates_are_counted() {
        // The rollout has reached a share of 0.25.
        let rollout = Preset::Linear48h.rollout(NOW.plus_seconds(-12 * 3600));
        let (none, open) = (stream(Vec::new()), stream(vec![rollout.clone()]));
        assert_eq!(summary(&none, &open), [(2, 0, 0.25, 1.0)]);
        assert_eq!(summary(&open, &none), [(0, 2, 0.25, 1.0)]);
        let paused = stream(vec![rollout.pause(NOW).unwrap()]);
        assert_eq!(summary(&open, &paused), [(0, 0, 0.0, 0.75)]);
        assert_eq!(summary(&open, &stream(vec![rollout.complete().unwrap()])), [(0, 0, 0.75, 0.0)]);
        assert_eq!(summary(&open, &stream(vec![rollout.abort().unwrap()])), [(0, 0, 0.25, 1.0)]);
        let mut barrier = open.clone();
        barrier.releases[1].barrier = Some(Box::new(crate::domain::policy::barrier::Barrier {
            reason: crate::domain::reason::Reason::new("keys").unwrap(),
            arches: None,
            origin: crate::domain::origin::Origin::Local,
        }));
        let changed = compute_impact(&open, &barrier, NOW, &never).unwrap();
        let pair = |from: &str, to: &str| (Version::parse(from).unwrap(), Version::parse(to).unwrap());
        assert_eq!(
            (&changed.scopes[0].gained.first, &changed.scopes[0].lost.first),
            (&vec![pair("0", "1")], &vec![pair("0", "2")])
        );
    }

    #[test]
    fn an_effect_on_a_single_group_is_found() {
        let mut canary = Preset::Linear48h.rollout(NOW).complete().unwrap();
        canary.selector.groups = Some(BTreeSet::from([Label::parse("canary").unwrap()]));
        let closed = Preset::Linear48h.rollout(NOW).abort().unwrap();
        assert_eq!(summary(&stream(vec![closed.clone()]), &stream(vec![canary, closed])), [(0, 0, 1.0, 1.0)]);
    }

    /// Regression test: a small rollout with 4,000 groups and 4,000 platforms kept a core busy for minutes.
    #[test]
    fn a_comparison_ends_when_its_time_is_over() {
        let mut wide = Preset::Linear48h.rollout(NOW);
        let labels = |name: &str| (0..4000).map(|n| Label::parse(&format!("{name}{n}")).unwrap()).collect();
        wide.selector.groups = Some(labels("g"));
        wide.selector.platforms = Some(labels("p"));
        let calls = std::cell::Cell::new(0);
        let is_over = || {
            calls.set(calls.get() + 1);
            calls.get() > 1000
        };
        assert_eq!(compute_impact(&stream(Vec::new()), &stream(vec![wide.clone()]), NOW, &is_over), None);
        assert_eq!(calls.get(), 1001);
        // Releases that the change does not touch are not compared.
        let (mut before, mut after) = (stream(vec![wide.clone()]), stream(vec![wide]));
        for (stream, share) in [(&mut before, "0.1"), (&mut after, "0.2")] {
            let text = format!("start_share = {share}");
            stream.releases[1].rollouts =
                vec![crate::domain::document::parts::rollout(&toml::from_str(&text).unwrap()).unwrap()];
        }
        calls.set(0);
        assert_eq!(compute_impact(&before, &after, NOW, &is_over).unwrap().scopes.len(), 1);
    }

    proptest! {
        #[test]
        fn no_change_has_no_impact(stream in samples::stream(), now in 0i64..400_000) {
            prop_assert_eq!(compute_impact(&stream, &stream, Epoch(now), &never), Some(Impact::default()));
        }

        #[test]
        fn the_reverse_change_swaps_gained_and_lost(before in samples::stream(), after in samples::stream(), now in 0i64..400_000) {
            let forward = compute_impact(&before, &after, Epoch(now), &never).unwrap().scopes;
            let reverse = compute_impact(&after, &before, Epoch(now), &never).unwrap().scopes;
            prop_assert_eq!(forward.len(), reverse.len());
            for (forward, reverse) in forward.iter().zip(&reverse) {
                prop_assert_eq!((&forward.gained, &forward.lost), (&reverse.lost, &reverse.gained));
                prop_assert!((forward.affected_now - reverse.affected_now).abs() < 1e-9);
                prop_assert!((0.0..=1.0).contains(&forward.affected_now) && (0.0..=1.0).contains(&forward.affected_eventually));
            }
        }
    }
}
