//! `explain` agrees with the answers to real polls, to the second.
//!
//! `EXPLAIN_NODES` is the number of nodes; `make explain` checks 10,000.

use crate::support::{
    ids,
    manager::{Desk, Manager},
    postgres::Database,
    server::Server,
    time::{NOW, at},
};
use futures_util::{StreamExt, stream};
use jiff::Timestamp;
use serde_json::{Value, json};
use std::collections::BTreeMap;

const DAY: i64 = 86_400;

/// Returns a stream with releases 0 to 7: a barrier, a dead end, a blocked update, and rollouts of every kind, some with selectors.
fn stream_document() -> Value {
    let rollouts = [
        json!([]),
        json!([{"start_share": 1.0}]),
        json!([{"start": at(-30), "duration": "PT48H"}]),
        json!([{"selector": {"groups": ["canary"]}, "start": at(0), "duration": "PT3H"}, {"start": at(20), "duration": "PT48H"}]),
        json!([{"start": at(10), "start_share": 0.01, "steps": [
            {"after": "PT24H", "share": 0.05}, {"after": "PT48H", "share": 0.4}, {"after": "PT72H", "share": 1.0}]}]),
        json!([{"selector": {"platforms": ["aws"]}, "start": at(0), "duration": "PT24H", "end_share": 0.5},
               {"start": at(0), "duration": "PT48H", "state": "paused", "paused_at": at(6)}]),
        json!([{"start": at(40), "duration": "PT7H"}]),
        json!([{"selector": {"groups": ["canary", "default"]}, "start": at(50), "duration": "PT100H"}]),
    ];
    let releases = rollouts.iter().enumerate().map(|(n, rollouts)| {
        let payload = |scheme: &str| json!({"arch": "x86_64", "scheme": scheme, "id": ids::payload(scheme, n)});
        let mut release = json!({"version": format!("1.{n}"), "payloads": [payload("checksum"), payload("oci")], "rollouts": rollouts});
        match n {
            3 => release["barrier"] = json!({"reason": "keys"}),
            5 => release["dead_end"] = json!({"reason": "install again"}),
            _ => {}
        }
        release
    });
    json!({
        "format": 1, "product": "os", "stream": "stable", "arches": ["x86_64"], "releases": releases.collect::<Vec<_>>(),
        "blocked_updates": [{"first": "1.0", "last": "1.1", "target": "1.2", "reason": "too far"}],
    })
}

/// A random node: its parameters, its release, and the time that `explain` is asked about. The random seed is fixed.
struct Node {
    parameters: String,
    release: usize,
    scheme: &'static str,
    at: i64,
}

fn nodes() -> Vec<Node> {
    let mut random = fastrand::Rng::with_seed(20_261_123);
    let times: Vec<i64> = (0..500).map(|_| NOW + random.i64(-2 * DAY..6 * DAY)).collect();
    let mut node = || {
        let mut parameters = match random.u8(0..3) {
            0 => format!("node_uuid={:032x}", random.u128(..)),
            1 => format!("rollout_wariness={}", f64::from(random.u32(0..=1000)) / 1000.0),
            _ => format!("rollout_wariness={}", random.f64()),
        };
        parameters += ["", "&group=canary", "&group=default", "&group=other"][random.usize(0..4)];
        parameters += ["", "&platform=aws", "&platform=metal"][random.usize(0..3)];
        let scheme = ["checksum", "oci"][random.usize(0..2)];
        Node { parameters, release: random.usize(0..8), scheme, at: times[random.usize(0..times.len())] }
    };
    let nodes = std::env::var("EXPLAIN_NODES").map_or(2000, |nodes| nodes.parse().unwrap());
    (0..nodes).map(|_| node()).collect()
}

impl Node {
    async fn explain(&self, manager: &Manager<'_>) -> Value {
        // The API has other parameter names than the agents' protocol.
        let parameters = self.parameters.replace("node_uuid", "node").replace("rollout_wariness", "wariness");
        let at = Timestamp::from_second(self.at).unwrap();
        let path =
            format!("explain?arch=x86_64&scheme={}&release=1.{}&{parameters}&at={at}", self.scheme, self.release);
        manager.get(&format!("/api/v1/products/os/streams/stable/{path}")).await.ok().body
    }

    /// Polls from a release now, and returns the versions that are offered.
    async fn poll_from(&self, server: &Server, release: &str) -> Vec<String> {
        let oci = if self.scheme == "oci" { "&oci=true" } else { "" };
        let number = release.trim_start_matches("1.");
        let checksum = format!("os_checksum={}{oci}", ids::payload(self.scheme, number));
        let (status, text) =
            server.get(&format!("/os/v1/graph?basearch=x86_64&stream=stable&{}&{checksum}", self.parameters)).await;
        assert_eq!(status, 200, "{text}");
        let graph: Value = serde_json::from_str(&text).unwrap();
        let versions =
            graph["nodes"].as_array().unwrap().iter().map(|node| node["version"].as_str().unwrap().to_owned());
        versions.filter(|version| version != release).collect()
    }
}

/// The update that a poll from a release is expected to offer.
#[derive(Debug)]
struct Expected {
    node: usize,
    from: String,
    to: Option<String>,
}

fn seconds(time: &Value) -> i64 {
    time.as_str().unwrap().parse::<Timestamp>().unwrap().as_second()
}

/// Adds the polls that an explanation predicts, by their times.
fn add_expected_polls(node: usize, start: i64, explained: &Value, polls: &mut BTreeMap<i64, Vec<Expected>>) {
    let mut expect = |at: i64, from: &str, to: Option<&str>| {
        polls.entry(at).or_default().push(Expected { node, from: from.into(), to: to.map(Into::into) });
    };
    let (mut from, mut now) = (explained["release"].as_str().unwrap(), start);
    for hop in explained["hops"].as_array().unwrap() {
        let (to, at) = (hop["to"].as_str().unwrap(), seconds(&hop["at"]));
        assert!(at >= now, "{explained}");
        if at > now {
            expect(at - 1, from, None);
        }
        expect(at, from, Some(to));
        (from, now) = (to, at);
    }
    // No further update is offered, neither now nor much later.
    expect(now, from, None);
    expect(NOW + 400 * DAY, from, None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn explain_agrees_with_polls_to_the_second() {
    compare(json!("all")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn explain_agrees_with_polls_of_trimmed_graphs() {
    compare(json!({"newest": 1})).await;
}

/// Compares `explain` with polls, of a stream with a limit on shown targets.
async fn compare(targets: Value) {
    let database = Database::new().await;
    let server = Server::start(&database).await;
    let desk = Desk::new(&server, &database);
    let admin = desk.manager("admin", "*").await;
    let mut document = stream_document();
    document["targets"] = targets;
    admin.creates_stream(&document).await;
    server.shows("os/stable", 1).await;
    let nodes = nodes();
    let explained: Vec<Value> = stream::iter(&nodes).map(|node| node.explain(&admin)).buffered(8).collect().await;
    let mut polls = BTreeMap::new();
    for (index, (node, explained)) in nodes.iter().zip(&explained).enumerate() {
        add_expected_polls(index, node.at, explained, &mut polls);
    }
    let (mut with_update, mut without_update) = (0, 0);
    for (at, expected) in polls {
        server.at(at);
        let requests = expected.iter().map(|expected| nodes[expected.node].poll_from(&server, &expected.from));
        let answers: Vec<Vec<String>> = stream::iter(requests).buffered(16).collect().await;
        for (expected, versions) in expected.iter().zip(answers) {
            match &expected.to {
                // Agents update to the highest version that is offered.
                Some(to) => {
                    assert_eq!(versions.iter().max(), Some(to), "{at} {expected:?} {}", explained[expected.node]);
                }
                None => assert!(versions.is_empty(), "{at} {expected:?} {versions:?} {}", explained[expected.node]),
            }
            if expected.to.is_some() { with_update += 1 } else { without_update += 1 }
        }
    }
    assert!(with_update > nodes.len() && without_update > nodes.len(), "{with_update} {without_update}");
    server.stop().await;
}
