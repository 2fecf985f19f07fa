//! What is told of a node's way is what its polls get, to the second.
//!
//! `EXPLAIN_NODES` says for how many nodes; `make explain` asks for ten thousand.

use crate::support::{
    manager::{Desk, Manager},
    postgres::Database,
    server::Server,
};
use futures_util::{StreamExt, stream};
use jiff::Timestamp;
use serde_json::{Value, json};
use std::collections::BTreeMap;

const NOW: i64 = 1_790_000_000;
const DAY: i64 = 86_400;

/// Releases 0 to 7: a barrier, a dead end, a blocked update, and rollouts of every kind, selectors among them.
fn story() -> Value {
    let at = |hours: i64| Timestamp::from_second(NOW + hours * 3600).unwrap().to_string();
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
        let payload = |scheme: &str| json!({"arch": "x86_64", "scheme": scheme, "id": format!("{scheme}@sha256:{n}")});
        let mut release = json!({"version": format!("1.{n}"), "payloads": [payload("checksum"), payload("oci")], "rollouts": rollouts});
        match n {
            3 => release["barrier"] = json!({"reason": "keys"}),
            5 => release["dead_end"] = json!({"reason": "install anew"}),
            _ => {}
        }
        release
    });
    json!({
        "format": 1, "product": "os", "stream": "stable", "arches": ["x86_64"], "releases": releases.collect::<Vec<_>>(),
        "blocked_updates": [{"first": "1.0", "last": "1.1", "target": "1.2", "reason": "too far"}],
    })
}

/// A node: who it is, where, and when it is asked about. Numbers are drawn from a fixed seed.
struct Node {
    who: String,
    release: usize,
    scheme: &'static str,
    at: i64,
}

fn nodes() -> Vec<Node> {
    let mut random = fastrand::Rng::with_seed(20_261_123);
    let times: Vec<i64> = (0..500).map(|_| NOW + random.i64(-2 * DAY..6 * DAY)).collect();
    let mut node = || {
        let mut who = match random.u8(0..3) {
            0 => format!("node_uuid={:032x}", random.u128(..)),
            1 => format!("rollout_wariness={}", f64::from(random.u32(0..=1000)) / 1000.0),
            _ => format!("rollout_wariness={}", random.f64()),
        };
        who += ["", "&group=canary", "&group=default", "&group=other"][random.usize(0..4)];
        who += ["", "&platform=aws", "&platform=metal"][random.usize(0..3)];
        let scheme = ["checksum", "oci"][random.usize(0..2)];
        Node { who, release: random.usize(0..8), scheme, at: times[random.usize(0..times.len())] }
    };
    let nodes = std::env::var("EXPLAIN_NODES").map_or(2000, |nodes| nodes.parse().unwrap());
    (0..nodes).map(|_| node()).collect()
}

impl Node {
    async fn explained(&self, manager: &Manager<'_>) -> Value {
        // The API says in its own words what agents say in theirs.
        let who = self.who.replace("node_uuid", "node").replace("rollout_wariness", "wariness");
        let at = Timestamp::from_second(self.at).unwrap();
        let path = format!("explain?arch=x86_64&scheme={}&release=1.{}&{who}&at={at}", self.scheme, self.release);
        manager.get(&format!("/api/v1/products/os/streams/stable/{path}")).await.ok().body
    }

    /// The versions to which it is sent when it polls from a release now.
    async fn sent_to(&self, server: &Server, release: &str) -> Vec<String> {
        let oci = if self.scheme == "oci" { "&oci=true" } else { "" };
        let number = release.trim_start_matches("1.");
        let checksum = format!("os_checksum={}@sha256:{number}{oci}", self.scheme);
        let (status, text) =
            server.get(&format!("/os/v1/graph?basearch=x86_64&stream=stable&{}&{checksum}", self.who)).await;
        assert_eq!(status, 200, "{text}");
        let graph: Value = serde_json::from_str(&text).unwrap();
        let versions =
            graph["nodes"].as_array().unwrap().iter().map(|node| node["version"].as_str().unwrap().to_owned());
        versions.filter(|version| version != release).collect()
    }
}

/// What a poll from a release at a time has to give.
#[derive(Debug)]
struct Expected {
    node: usize,
    from: String,
    to: Option<String>,
}

fn seconds(time: &Value) -> i64 {
    time.as_str().unwrap().parse::<Timestamp>().unwrap().as_second()
}

/// The polls that an explanation foretells, by their times.
fn foretold(node: usize, asked_at: i64, explained: &Value, polls: &mut BTreeMap<i64, Vec<Expected>>) {
    let mut expect = |at: i64, from: &str, to: Option<&str>| {
        polls.entry(at).or_default().push(Expected { node, from: from.into(), to: to.map(Into::into) });
    };
    let (mut from, mut now) = (explained["release"].as_str().unwrap(), asked_at);
    for hop in explained["hops"].as_array().unwrap() {
        let (to, at) = (hop["to"].as_str().unwrap(), seconds(&hop["at"]));
        assert!(at >= now, "{explained}");
        if at > now {
            expect(at - 1, from, None);
        }
        expect(at, from, Some(to));
        (from, now) = (to, at);
    }
    // Never again, as things stand.
    expect(now, from, None);
    expect(NOW + 400 * DAY, from, None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn explanations_agree_with_what_polls_get_to_the_second() {
    let database = Database::new().await;
    let server = Server::start(&database).await;
    let desk = Desk::of(&server, &database);
    let admin = desk.manager("admin", "*").await;
    admin.makes(&story()).await;
    server.shows("os/stable", 1).await;
    let nodes = nodes();
    let explained: Vec<Value> = stream::iter(&nodes).map(|node| node.explained(&admin)).buffered(8).collect().await;
    let mut polls = BTreeMap::new();
    for (index, (node, explained)) in nodes.iter().zip(&explained).enumerate() {
        foretold(index, node.at, explained, &mut polls);
    }
    let (mut sent, mut not_sent) = (0, 0);
    for (at, expected) in polls {
        server.at(at);
        let asked = expected.iter().map(|expected| nodes[expected.node].sent_to(&server, &expected.from));
        let answers: Vec<Vec<String>> = stream::iter(asked).buffered(16).collect().await;
        for (expected, versions) in expected.iter().zip(answers) {
            match &expected.to {
                // Agents take the highest of those that they are sent to.
                Some(to) => {
                    assert_eq!(versions.iter().max(), Some(to), "{at} {expected:?} {}", explained[expected.node]);
                }
                None => assert!(versions.is_empty(), "{at} {expected:?} {versions:?} {}", explained[expected.node]),
            }
            if expected.to.is_some() { sent += 1 } else { not_sent += 1 }
        }
    }
    assert!(sent > nodes.len() && not_sent > nodes.len(), "{sent} {not_sent}");
    server.stop().await;
}
