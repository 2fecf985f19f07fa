//! Upstream's documents: fixed and random ones, and folders with upstream's layout.

use proptest::{collection, option, prelude::*, sample::select};
use serde_json::{Map, Value, json};
use std::path::Path;

/// The two documents that the graphs of a stream are built from.
#[derive(Debug, Clone)]
pub(crate) struct Documents {
    pub(crate) releases: Value,
    pub(crate) updates: Value,
}

pub(crate) const ARCHES: [&str; 4] = ["aarch64", "ppc64le", "s390x", "x86_64"];

impl Documents {
    /// Writes the documents in upstream's layout, as documents of the given stream.
    pub(crate) fn write(&self, folder: &Path, stream: &str) {
        let text = |document: &Value| {
            let mut document = document.clone();
            document["stream"] = stream.into();
            document.to_string()
        };
        write(folder, &format!("prod/streams/{stream}/releases.json"), &text(&self.releases));
        write(folder, &format!("updates/{stream}.json"), &text(&self.updates));
    }
}

/// Writes a file and creates its parent folders.
pub(crate) fn write(folder: &Path, path: &str, text: &str) {
    let path = folder.join(path);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
}

/// Returns documents like [`plain`], with a ramp of almost two years on the last release that is running at the tests' time.
pub(crate) fn ramping(count: usize) -> Documents {
    let mut documents = plain(count);
    let last = documents.updates["releases"].as_array_mut().unwrap().last_mut().unwrap();
    last["metadata"]["rollout"] =
        json!({"start_epoch": 1_780_000_000, "start_percentage": 0.0, "duration_minutes": 1_000_000});
    documents
}

/// Returns documents with this many releases on `x86_64`, each with a rollout that admits all nodes.
pub(crate) fn plain(count: usize) -> Documents {
    let release = |n: usize| {
        json!({"version": format!("44.{n}.0"), "metadata": format!("/builds/{n}"),
               "commits": [{"architecture": "x86_64", "checksum": format!("{n:064x}")}]})
    };
    let rollout =
        |n: usize| json!({"version": format!("44.{n}.0"), "metadata": {"rollout": {"start_percentage": 1.0}}});
    Documents {
        releases: json!({"note": "n", "metadata": {"last-modified": "2026-07-21T14:07:12Z"},
                         "releases": (0..count).map(release).collect::<Vec<_>>()}),
        updates: json!({"metadata": {"last-modified": "2026-07-21T14:07:12Z"},
                        "releases": (0..count).map(rollout).collect::<Vec<_>>()}),
    }
}

/// Generates one of a few versions, so that some are repeated.
fn version() -> impl Strategy<Value = String> {
    (0u32..24).prop_map(|n| format!("{}.20260{}.3.{n}", 30 + n / 4, n % 7))
}

fn payload() -> impl Strategy<Value = String> {
    prop_oneof![1 => Just(String::new()), 12 => "[0-9a-f]{6}"]
}

fn release() -> impl Strategy<Value = Value> {
    let commits = collection::vec((select(&ARCHES), payload()), 0..6);
    let images = option::of(collection::vec((select(&ARCHES), payload()), 0..4));
    (version(), option::weighted(0.95, commits), images).prop_map(|(version, commits, images)| {
        let mut entry = json!({"version": version, "metadata": "https://builds.example/release.json"});
        if let Some(commits) = commits {
            let commits =
                commits.into_iter().map(|(arch, checksum)| json!({"architecture": arch, "checksum": checksum}));
            entry["commits"] = commits.collect();
        }
        if let Some(images) = images {
            let images = images.into_iter().map(|(arch, digest)| {
                let digest = if digest.is_empty() { digest } else { format!("quay.io/os/os@sha256:{digest}") };
                json!({"architecture": arch, "image": "quay.io/os/os:1", "digest-ref": digest})
            });
            entry["oci-images"] = images.collect();
        }
        entry
    })
}

fn rollout() -> impl Strategy<Value = Value> {
    let share = prop_oneof![
        Just(0.0),
        Just(1.0),
        Just(100.0),
        Just(-1.0),
        Just(0.3),
        Just(1e-7),
        Just(1e21),
        0.0..=1.0f64,
        -2.0..3.0f64
    ];
    let minutes = prop_oneof![Just(0u64), Just(u64::MAX), Just(2880), 0u64..5000];
    let epoch = prop_oneof![Just(0i64), Just(-5), Just(i64::MIN), Just(i64::MAX), 1_700_000_000i64..1_700_500_000];
    (option::of(epoch), option::of(share), option::of(minutes)).prop_map(|(epoch, share, minutes)| {
        let mut rollout = Map::new();
        let mut insert = |key: &str, value: Option<Value>| value.map(|value| rollout.insert(key.into(), value));
        insert("start_epoch", epoch.map(Value::from));
        insert("start_percentage", share.map(Value::from));
        insert("duration_minutes", minutes.map(Value::from));
        Value::Object(rollout)
    })
}

fn update() -> impl Strategy<Value = Value> {
    let reason = || prop_oneof![Just(String::new()), "[ -~é]{1,12}"];
    (version(), option::weighted(0.4, reason()), option::weighted(0.15, reason()), option::weighted(0.5, rollout()))
        .prop_map(|(version, barrier, dead_end, rollout)| {
            let mut metadata = json!({"unknown": {"kept": true}});
            if let Some(reason) = barrier {
                metadata["barrier"] = json!({"reason": reason});
            }
            if let Some(reason) = dead_end {
                metadata["deadend"] = json!({"reason": reason});
            }
            if let Some(rollout) = rollout {
                metadata["rollout"] = rollout;
            }
            json!({"version": version, "metadata": metadata})
        })
}

/// Generates documents with repeated versions and payloads, several entries for a version, shares out of range, and missing parts.
pub(crate) fn documents() -> impl Strategy<Value = Documents> {
    (collection::vec(release(), 0..16), collection::vec(update(), 0..16)).prop_map(|(releases, updates)| Documents {
        releases: json!({"note": "n", "metadata": {"last-modified": "2026-07-21T14:07:12Z"}, "releases": releases}),
        updates: json!({"metadata": {"last-modified": "2026-07-21T14:07:12Z"}, "releases": updates}),
    })
}

/// A poll of a stream.
#[derive(Debug, Clone)]
pub(crate) struct Poll {
    pub(crate) arch: String,
    pub(crate) oci: bool,
    pub(crate) wariness: Option<String>,
    pub(crate) node: Option<String>,
    /// The payload that the node runs; without it the answer is the full graph.
    pub(crate) payload: Option<String>,
    pub(crate) now: i64,
}

impl Poll {
    /// Returns the query that agents send.
    pub(crate) fn query(&self, stream: &str) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.append_pair("basearch", &self.arch).append_pair("stream", stream);
        query.append_pair("oci", &self.oci.to_string());
        let optional =
            [("rollout_wariness", &self.wariness), ("node_uuid", &self.node), ("os_checksum", &self.payload)];
        for (key, value) in optional {
            if let Some(value) = value {
                query.append_pair(key, value);
            }
        }
        query.finish()
    }
}

pub(crate) fn poll() -> impl Strategy<Value = Poll> {
    let wariness = select(&["0", "1", "0.5", "nan", "-1", "2", "abc", "1e-3", ".5", "0.999"]);
    (
        select(&ARCHES),
        any::<bool>(),
        option::of(wariness),
        option::of("[0-9a-f]{32}"),
        prop_oneof![Just(0i64), 1_699_900_000i64..1_700_900_000],
    )
        .prop_map(|(arch, oci, wariness, node, now)| Poll {
            arch: arch.into(),
            oci,
            wariness: wariness.map(Into::into),
            node,
            payload: None,
            now,
        })
}
