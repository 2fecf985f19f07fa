//! What a change does to nodes: updates gained and lost, and how many nodes are offered something else.

use super::{
    arch::Arch,
    epoch::Epoch,
    graph::{Graph, Node},
    payload::Scheme,
    selector::Label,
    share::OpenShare,
    standing::Asker,
    stream::Stream,
    version::Version,
    wariness::Wariness,
};
use std::collections::{BTreeMap, BTreeSet};

/// What a change does to nodes.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Reach {
    /// The scopes in which it does anything, in their order.
    pub scopes: Vec<ScopeReach>,
}

/// What a change does to the nodes of one scope.
#[derive(Debug, Clone, PartialEq)]
pub struct ScopeReach {
    /// The architecture.
    pub arch: Arch,
    /// The scheme.
    pub scheme: Scheme,
    /// Updates that there were not, held back or not.
    pub gained: Vec<(Version, Version)>,
    /// Updates that are not any more.
    pub lost: Vec<(Version, Version)>,
    /// The greatest share of node ids, over all groups and platforms that rollouts ask for, that are offered something else at
    /// once.
    pub affected_now: f64,
    /// The same once every rollout has come to its end.
    pub affected_ever: f64,
}

/// What a change at `now` does.
#[must_use]
pub fn reach(before: &Stream, after: &Stream, now: Epoch) -> Reach {
    let keys: BTreeSet<_> = before.payload_keys().into_iter().chain(after.payload_keys()).collect();
    let audiences = audiences(before, after);
    let scopes = keys.into_iter().filter_map(|key| {
        let graphs = [before, after].map(|stream| Graph::of(stream, &key.arch, &key.scheme));
        let compared = Compared::of(&graphs);
        let [gained, lost] = [compared.only(1), compared.only(0)];
        let affected = |at| audiences.iter().map(|who| compared.affected(*who, at)).fold(0.0, f64::max);
        let (affected_now, affected_ever) = (affected(now), affected(Epoch(i64::MAX)));
        let does_anything = !gained.is_empty() || !lost.is_empty() || affected_now > 0.0 || affected_ever > 0.0;
        does_anything.then(|| ScopeReach {
            arch: key.arch.clone(),
            scheme: key.scheme.clone(),
            gained,
            lost,
            affected_now,
            affected_ever,
        })
    });
    Reach { scopes: scopes.collect() }
}

type Audience<'a> = (Option<&'a str>, Option<&'a str>);

/// Nodes that tell nothing, and each group and platform that any rollout asks for, in all pairs.
fn audiences<'a>(before: &'a Stream, after: &'a Stream) -> Vec<Audience<'a>> {
    let rollouts = || before.releases.iter().chain(&after.releases).flat_map(|release| &release.rollouts);
    let names = |labels: BTreeSet<&'a Label>| -> Vec<Option<&'a str>> {
        std::iter::once(None).chain(labels.into_iter().map(|label| Some(label.as_str()))).collect()
    };
    let groups = names(rollouts().flat_map(|rollout| rollout.selector.groups.iter().flatten()).collect());
    let platforms = names(rollouts().flat_map(|rollout| rollout.selector.platforms.iter().flatten()).collect());
    groups.iter().flat_map(|group| platforms.iter().map(move |platform| (*group, *platform))).collect()
}

/// Two graphs of one scope, by the releases to which updates lead.
struct Compared<'a> {
    graphs: &'a [Graph; 2],
    /// By the version that updates lead to: in each graph the node, and the versions from which they come.
    targets: BTreeMap<&'a Version, [Option<Target<'a>>; 2]>,
}

struct Target<'a> {
    node: &'a Node,
    sources: BTreeSet<&'a Version>,
}

impl<'a> Compared<'a> {
    fn of(graphs: &'a [Graph; 2]) -> Self {
        let mut targets: BTreeMap<&Version, [Option<Target<'_>>; 2]> = BTreeMap::new();
        for (side, graph) in graphs.iter().enumerate() {
            for edge in graph.edges() {
                let (Some(from), Some(to)) = (graph.node(edge.from), graph.node(edge.to)) else { continue };
                let sides = targets.entry(&to.version).or_default();
                if let Some(target) = sides.get_mut(side) {
                    let target = target.get_or_insert_with(|| Target { node: to, sources: BTreeSet::new() });
                    target.sources.insert(&from.version);
                }
            }
        }
        Self { graphs, targets }
    }

    /// The updates that are in one graph alone.
    fn only(&self, side: usize) -> Vec<(Version, Version)> {
        let sources = |target: &'_ Option<Target<'a>>| target.as_ref().map(|target| target.sources.clone());
        let mut updates = Vec::new();
        for (version, sides) in &self.targets {
            let here = sides.get(side).and_then(sources).unwrap_or_default();
            let there = sides.get(1 - side).and_then(sources).unwrap_or_default();
            updates.extend(here.difference(&there).map(|from| ((*from).clone(), (*version).clone())));
        }
        updates
    }

    /// The share of nodes of this audience that are offered something else at that time.
    fn affected(&self, (group, platform): Audience<'_>, at: Epoch) -> f64 {
        let mut thresholds = vec![0.0, 1.0];
        for rollout in self.targets.values().flatten().flatten().flat_map(|target| &target.node.rollouts) {
            if let OpenShare::Open(share) = rollout.open_share(at) {
                thresholds.push(share.clamp(0.0, 1.0));
            }
        }
        thresholds.sort_by(f64::total_cmp);
        let pairs = thresholds.iter().zip(thresholds.iter().skip(1));
        let affected = pairs.filter(|(low, high)| high > low).filter(|(low, high)| {
            let asker = Asker { group, platform, wariness: Wariness::given(f64::midpoint(**low, **high)) };
            self.targets.values().any(|sides| self.differs(sides, &asker, at))
        });
        affected.map(|(low, high)| high - low).sum::<f64>().clamp(0.0, 1.0)
    }

    fn differs(&self, sides: &[Option<Target<'a>>; 2], asker: &Asker<'_>, at: Epoch) -> bool {
        let [before, after] = [0, 1].map(|side| {
            let graph = self.graphs.get(side)?;
            let target = sides.get(side)?.as_ref()?;
            (!graph.place(target.node, asker, at).held_back).then_some(&target.sources)
        });
        before != after
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{preset::Preset, rollout::Rollout, samples};
    use proptest::prelude::*;

    const NOW: Epoch = Epoch(1_000_000);

    /// Three releases on one arch; the last has these rollouts.
    fn stream(rollouts: Vec<Rollout>) -> Stream {
        let release = |n: usize| {
            format!(
                "[[releases]]\nversion = \"{n}\"\npayloads = [{{ arch = \"x86_64\", scheme = \"oci\", id = \"{n}\" }}]\n"
            )
        };
        let releases: Vec<String> = (0..3).map(release).collect();
        let text = format!("format = 1\nproduct = \"os\"\nstream = \"stable\"\n{}", releases.concat());
        let document = toml::from_str(&text).unwrap();
        let mut stream = Stream::from_document(&document, crate::domain::document::Strictness::Ours).unwrap();
        stream.releases[2].rollouts = rollouts;
        stream
    }

    fn told(before: &Stream, after: &Stream) -> Vec<(usize, usize, f64, f64)> {
        let scopes = reach(before, after, NOW).scopes;
        scopes
            .iter()
            .map(|scope| (scope.gained.len(), scope.lost.len(), scope.affected_now, scope.affected_ever))
            .collect()
    }

    #[test]
    fn shares_and_updates_are_counted() {
        // A quarter of the way.
        let rollout = Preset::Linear48h.rollout(NOW.plus_seconds(-12 * 3600));
        let (none, open) = (stream(Vec::new()), stream(vec![rollout.clone()]));
        assert_eq!(told(&none, &open), [(2, 0, 0.25, 1.0)]);
        assert_eq!(told(&open, &none), [(0, 2, 0.25, 1.0)]);
        let paused = stream(vec![rollout.pause(NOW).unwrap()]);
        assert_eq!(told(&open, &paused), [(0, 0, 0.0, 0.75)]);
        assert_eq!(told(&open, &stream(vec![rollout.complete().unwrap()])), [(0, 0, 0.75, 0.0)]);
        assert_eq!(told(&open, &stream(vec![rollout.abort().unwrap()])), [(0, 0, 0.25, 1.0)]);
        let mut barrier = open.clone();
        barrier.releases[1].barrier = Some(crate::domain::barrier::Barrier {
            reason: crate::domain::reason::Reason::given("keys").unwrap(),
            arches: None,
            origin: crate::domain::origin::Origin::Local,
        });
        let changed = reach(&open, &barrier, NOW);
        let pair = |from: &str, to: &str| (Version::parse(from).unwrap(), Version::parse(to).unwrap());
        assert_eq!(
            (&changed.scopes[0].gained, &changed.scopes[0].lost),
            (&vec![pair("0", "1")], &vec![pair("0", "2")])
        );
    }

    #[test]
    fn a_group_alone_is_affected() {
        let mut canary = Preset::Linear48h.rollout(NOW).complete().unwrap();
        canary.selector.groups = Some(BTreeSet::from([Label::parse("canary").unwrap()]));
        let closed = Preset::Linear48h.rollout(NOW).abort().unwrap();
        assert_eq!(told(&stream(vec![closed.clone()]), &stream(vec![canary, closed])), [(0, 0, 1.0, 1.0)]);
    }

    proptest! {
        #[test]
        fn nothing_is_done_by_nothing(stream in samples::stream(), now in 0i64..400_000) {
            prop_assert_eq!(reach(&stream, &stream, Epoch(now)), Reach::default());
        }

        #[test]
        fn there_and_back_is_the_same(before in samples::stream(), after in samples::stream(), now in 0i64..400_000) {
            let there = reach(&before, &after, Epoch(now)).scopes;
            let back = reach(&after, &before, Epoch(now)).scopes;
            prop_assert_eq!(there.len(), back.len());
            for (there, back) in there.iter().zip(&back) {
                prop_assert_eq!((&there.gained, &there.lost), (&back.lost, &back.gained));
                prop_assert!((there.affected_now - back.affected_now).abs() < 1e-9);
                prop_assert!((0.0..=1.0).contains(&there.affected_now) && (0.0..=1.0).contains(&there.affected_ever));
            }
        }
    }
}
