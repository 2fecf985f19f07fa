//! Tests of lint.

use super::*;
use crate::domain::{
    document::StreamDocument,
    ids::Version,
    origin::Origin,
    policy::{barrier::Barrier, dead_end::DeadEnd, predecessors::Predecessors},
    reason::Reason,
    samples,
};
use proptest::prelude::*;

/// Builds a stream of four releases on one arch; the rollout of the newest one is running.
fn stream() -> Stream {
    let release = |n: usize| {
        let rollouts = if n == 3 {
            "rollouts = [{ start = \"1000\", start_share = 0.0, duration = \"PT48H\" }]"
        } else {
            "rollouts = [{ start_share = 1.0 }]"
        };
        format!(
            "[[releases]]\nversion = \"1.{n}\"\npayloads = [{{ arch = \"x86_64\", scheme = \"oci\", id = \"quay.io/os/os@sha256:{n:064x}\" }}]\n{rollouts}\n"
        )
    };
    let text: String = (0..4).map(release).collect();
    let text = format!("format = 1\nproduct = \"os\"\nstream = \"stable\"\narches = [\"x86_64\"]\n{text}");
    let document: StreamDocument = toml::from_str(&text).unwrap();
    Stream::from_document(&document, crate::domain::document::Strictness::Strict).unwrap()
}

fn messages(change: impl Fn(&mut Stream)) -> Vec<String> {
    let mut stream = stream();
    change(&mut stream);
    lint(&stream, Epoch(2000)).iter().map(ToString::to_string).collect()
}

fn barrier() -> Barrier {
    Barrier { reason: Reason::new("keys").unwrap(), arches: None, origin: Origin::Local }
}

fn opening(stream: &mut Stream, age: usize, start: i64) {
    let rollout = stream.releases[3].rollouts[0].clone();
    stream.releases[age].rollouts = vec![rollout];
    stream.releases[age].rollouts[0].ramp.start = Some(Epoch(start));
}

fn add_payload(release: &mut Release, arch: &str) {
    let (key, payload) = release.payloads.iter().next().unwrap();
    let key = PayloadKey { arch: Arch::parse(arch).unwrap(), scheme: key.scheme.clone() };
    let payload = payload.clone();
    release.payloads.insert(key, payload);
}

#[test]
fn an_arch_that_joins_after_a_barrier_is_not_reported() {
    let joined = |from: Option<usize>| {
        messages(|stream| {
            stream.arches.insert(Arch::parse("aarch64").unwrap());
            stream.releases[1].barrier = Some(barrier().into());
            for release in from.map(|from| &mut stream.releases[from..]).into_iter().flatten() {
                add_payload(release, "aarch64");
            }
        })
    };
    assert_eq!(joined(None), Vec::<String>::new());
    assert_eq!(joined(Some(2)), Vec::<String>::new());
    // Nodes may still run a withdrawn release.
    let withdrawn = messages(|stream| {
        stream.releases[1].barrier = Some(barrier().into());
        add_payload(&mut stream.releases[0], "aarch64");
        stream.releases[0].state = ReleaseState::Withdrawn;
    });
    assert_eq!(
        withdrawn[0],
        "error: release 1.1: is a barrier without a payload on aarch64: nodes on aarch64 can skip it [LK1005]"
    );
}

#[test]
fn a_valid_stream_has_no_findings() {
    assert_eq!(messages(|_| {}), Vec::<String>::new());
}

#[test]
fn each_danger_is_reported() {
    let all = [
        messages(|stream| {
            stream.releases[2].barrier = Some(barrier().into());
            stream.releases[2].state = ReleaseState::Withdrawn;
        }),
        messages(|stream| {
            stream.releases[2].barrier = Some(barrier().into());
            stream.releases[2].rollouts[0] = stream.releases[2].rollouts[0].abort().unwrap();
        }),
        messages(|stream| {
            add_payload(&mut stream.releases[0], "aarch64");
            stream.releases[1].barrier = Some(barrier().into());
        }),
        messages(|stream| {
            let reason = Reason::from_record("").unwrap();
            stream.releases[0].dead_end = Some(Box::new(DeadEnd { reason, arches: None, origin: Origin::Upstream }));
        }),
        messages(|stream| stream.releases.swap(0, 1)),
        messages(|stream| opening(stream, 2, 500)),
        messages(|stream| {
            opening(stream, 2, 9000);
            stream.releases[2].barrier = Some(barrier().into());
        }),
        messages(|stream| stream.releases[3].rollouts.clear()),
        messages(|stream| stream.releases[3].rollouts[0] = stream.releases[3].rollouts[0].abort().unwrap()),
    ];
    insta::assert_snapshot!(all.map(|messages| messages.join("\n")).join("\n--\n"), @"
    error: release 1.2: is a withdrawn barrier: nodes on older releases cannot update [LK1009]
    --
    warning: release 1.2: is a barrier whose rollouts never open: nodes on older releases cannot update [LK1010]
    --
    error: release 1.1: is a barrier without a payload on aarch64: nodes on aarch64 can skip it [LK1005]
    warning: release 1.3: has no payload on aarch64 [LK1004]
    --
    warning: release 1.0: is a dead end without a reason [LK1006]
    --
    warning: release 1.0: is newer than 1.1 but has a lower version [LK1001]
    --
    warning: release 1.3: its rollout runs at the same time as that of 1.2: nodes may update twice in a row [LK1007]
    --
    warning: release 1.3: its rollout starts before that of barrier 1.2, which nodes must reach first [LK1008]
    --
    warning: release 1.3: is the newest release, but no node can reach it on x86_64 oci [LK1011]
    --
    warning: release 1.3: is the newest release, but no node can reach it on x86_64 oci [LK1011]
    ");
}

#[test]
fn explicit_edges_and_versions_that_identify_nodes_are_checked() {
    let explicit = |predecessors: &[(usize, &[&str])], change: fn(&mut Stream)| {
        messages(|stream| {
            stream.rules.edge_rule = EdgeRule::Explicit;
            for (age, versions) in predecessors {
                let versions = versions.iter().map(|version| Version::parse(version).unwrap()).collect();
                stream.releases[*age].predecessors = Some(Box::new(Predecessors { versions, origin: Origin::Local }));
            }
            change(stream);
        })
    };
    let all: &[(usize, &[&str])] = &[(1, &["1.0"]), (2, &["1.1"]), (3, &["1.2"])];
    assert_eq!(explicit(all, |_| {}), Vec::<String>::new());
    assert_eq!(
        explicit(&all[..1], |_| {}),
        [
            "warning: release 1.3: is the newest release, but no node can reach it on x86_64 oci [LK1011]",
            "warning: release 1.2: has no predecessor that can update to it on x86_64 oci [LK1012]",
        ]
    );
    // The update would skip a barrier.
    let skipping: &[(usize, &[&str])] = &[(2, &["1.0"]), (3, &["1.0", "1.2"])];
    assert_eq!(
        explicit(skipping, |stream| stream.releases[1].barrier = Some(barrier().into())),
        [
            "warning: release 1.1: is a barrier to which no predecessor updates on x86_64 oci: nodes on older releases cannot update [LK1012]",
            "warning: release 1.2: has no predecessor that can update to it on x86_64 oci [LK1012]",
        ]
    );
    assert_eq!(
        explicit(&all[1..2], |stream| stream.rules.edge_rule = EdgeRule::Open),
        ["warning: release 1.2: has predecessors, which the edge rule open ignores [LK1003]"]
    );
    let repeated = messages(|stream| {
        stream.rules.identity = Identity::Version;
        stream.releases[2].version = Version::parse("1.1").unwrap();
    });
    let message =
        "has the version of an older release, and versions identify nodes: its nodes count as that release [LK1002]";
    assert_eq!(repeated, [format!("error: release 1.1: {message}")]);
}

proptest! {
    #[test]
    fn findings_name_existing_releases(stream in samples::stream(), now in 0i64..400_000) {
        for finding in lint(&stream, Epoch(now)) {
            prop_assert!(stream.releases.iter().any(|release| finding.place == release_place(release)));
        }
    }
}
