//! Edge rules, predecessors and identity by version: set over the API, stored, and seen by agents.

use crate::support::{
    manager::{Desk, Manager, STABLE, document},
    postgres::Database,
    server::Server,
};
use reqwest::Method;
use serde_json::{Value, json};

/// Changes the rules of the stream, and returns the report.
async fn set_rules(admin: &Manager<'_>, rules: Value) -> Value {
    let mut settings = json!({"arches": ["x86_64"], "mirrors": ["mirror.example/os"]});
    settings.as_object_mut().unwrap().extend(rules.as_object().unwrap().clone());
    admin.change(Method::PUT, &format!("{STABLE}?acknowledge=true"), Some(&settings)).await.ok().body
}

/// Returns the updates that polls of the full graph see, by version.
async fn updates(server: &Server) -> Vec<(String, String)> {
    let poll = "/os/v1/graph?stream=stable&basearch=x86_64&oci=true&rollout_wariness=0.2";
    let graph: Value = serde_json::from_str(&server.get(poll).await.1).unwrap();
    let version = |edge: &Value, end: usize| {
        let node = usize::try_from(edge[end].as_u64().unwrap()).unwrap();
        graph["nodes"][node]["version"].as_str().unwrap().to_owned()
    };
    graph["edges"].as_array().unwrap().iter().map(|edge| (version(edge, 0), version(edge, 1))).collect()
}

fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
    expected.iter().map(|(from, to)| ((*from).to_owned(), (*to).to_owned())).collect()
}

async fn revision(admin: &Manager<'_>) -> i64 {
    admin.get(STABLE).await.ok().body["revision"].as_i64().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_edge_rule_decides_which_updates_agents_see() {
    let database = Database::new().await;
    let server = Server::start(&database).await;
    let admin = Desk::new(&server, &database).manager("admin", "*").await;
    admin.creates_stream(&document("os", "stable")).await;
    server.shows("os/stable", 1).await;
    assert_eq!(updates(&server).await, pairs(&[("1.2", "1.3"), ("1.0", "1.1")]));
    let report = set_rules(&admin, json!({"edge_rule": "explicit"})).await;
    assert_eq!(report["changes"][0]["target"], json!({"kind": "edge_rule"}));
    let listed = format!("{STABLE}/releases/1.2/predecessors");
    let put = async |versions: &[&str]| {
        let path = format!("{listed}?acknowledge=true");
        admin.change(Method::PUT, &path, Some(&json!({"versions": versions}))).await
    };
    for versions in [&["1.3"][..], &["7"], &[]] {
        put(versions).await.is_problem(422);
    }
    admin.get(&listed).await.is_problem(404);
    put(&["1.0"]).await.ok();
    assert_eq!(admin.get(&listed).await.ok().body, json!({"versions": ["1.0"], "origin": "local"}));
    server.shows("os/stable", revision(&admin).await).await;
    // The update would skip the barrier 1.1.
    assert_eq!(updates(&server).await, pairs(&[]));
    let put = format!("{STABLE}/releases/1.1/predecessors?acknowledge=true");
    admin.change(Method::PUT, &put, Some(&json!({"versions": ["1.0"]}))).await.ok();
    server.shows("os/stable", revision(&admin).await).await;
    assert_eq!(updates(&server).await, pairs(&[("1.0", "1.1")]));
    admin.change(Method::DELETE, &put, None).await.ok();
    // A client that does not know the rules keeps them.
    set_rules(&admin, json!({})).await;
    let settings = admin.get(STABLE).await.ok().body["settings"].clone();
    assert_eq!((&settings["edge_rule"], &settings["identity"]), (&json!("explicit"), &json!("payload")));
    let report = set_rules(&admin, json!({"edge_rule": "open"})).await;
    assert_eq!(report["impact"][0]["gained"], 2, "{report}");
    server.shows("os/stable", revision(&admin).await).await;
    assert_eq!(updates(&server).await, pairs(&[("1.2", "1.3"), ("1.0", "1.1")]));
    let graph = admin.get(&format!("{STABLE}/graph?arch=x86_64&scheme=oci&wariness=0.9")).await.ok().body;
    let update = |from: usize, to: usize, open: bool| json!({"from": from, "to": to, "open": open});
    assert_eq!(graph["updates"], json!([update(2, 3, false), update(0, 1, true)]));
    // Another process reads the same from the database.
    let shown = admin.get(&format!("{STABLE}/document")).await.ok().body;
    assert_eq!((&shown["edge_rule"], &shown["identity"]), (&json!("open"), &Value::Null));
    assert_eq!(shown["releases"][2]["predecessors"]["versions"], json!(["1.0"]));
    server.stop().await;
    let other = Server::start(&database).await;
    let admin = Desk::new(&other, &database).manager("admin", "*").await;
    assert_eq!(admin.get(&format!("{STABLE}/document")).await.ok().body, shown);
    other.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_are_recognised_by_their_version_if_it_identifies_them() {
    let database = Database::new().await;
    let server = Server::start(&database).await;
    let admin = Desk::new(&server, &database).manager("admin", "*").await;
    admin.creates_stream(&document("os", "stable")).await;
    let explain = async |payload: &str| {
        admin.get(&format!("{STABLE}/explain?arch=x86_64&scheme=oci&wariness=0.5&payload={payload}")).await
    };
    let digest = document("os", "stable")["releases"][0]["payloads"][0]["id"].as_str().unwrap().to_owned();
    assert_eq!(explain(&digest).await.ok().body["release"], "1.0");
    explain("1.0").await.is_problem(404);
    set_rules(&admin, json!({"identity": "version"})).await;
    assert_eq!(explain("1.0").await.ok().body["release"], "1.0");
    explain(&digest).await.is_problem(404);
    // During a stop, no change makes nodes recognisable.
    admin.post_empty(&format!("{STABLE}/emergency-stop")).await;
    let settings = json!({"arches": ["x86_64"], "mirrors": ["mirror.example/os"], "identity": "payload"});
    let refused = admin.change(Method::PUT, &format!("{STABLE}?acknowledge=true"), Some(&settings)).await;
    refused.is_problem(409);
    assert!(refused.body["detail"].as_str().unwrap().contains("is recognised by its payloads"), "{refused:?}");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_publisher_publishes_what_a_rollout_holds_back_only() {
    let database = Database::new().await;
    let server = Server::start(&database).await;
    let desk = Desk::new(&server, &database);
    let (admin, publisher) = (desk.manager("admin", "*").await, desk.manager("publisher", "*").await);
    let mut stream = document("os", "stable");
    stream["edge_rule"] = "open".into();
    admin.creates_stream(&stream).await;
    let payload = json!([{"arch": "x86_64", "scheme": "oci", "id": crate::support::ids::image("quay.io/os/os", 9)}]);
    let draft = json!({"version": "1.5", "payloads": payload});
    let listed = json!({"version": "1.6", "payloads": [], "predecessors": {"versions": ["1.3"]}});
    publisher.change(Method::POST, &format!("{STABLE}/releases"), Some(&listed)).await.is_problem(403);
    publisher.post(&format!("{STABLE}/releases"), &draft).await;
    let publish = |version: &str| format!("{STABLE}/releases/{version}/publish?acknowledge=true");
    let refused = publisher.change(Method::POST, &publish("1.5"), None).await;
    refused.is_problem(403);
    assert!(
        refused.body["detail"].as_str().unwrap().contains("the edge rule open opens without rollouts"),
        "{refused:?}"
    );
    publisher.post_empty(&publish("1.4")).await;
    admin.post_empty(&publish("1.5")).await;
    server.stop().await;
}

/// Returns a stream of so many releases, each with a completed rollout.
fn rolled_out(releases: usize) -> Value {
    let release = |n: usize| {
        let payload = json!({"arch": "x86_64", "scheme": "oci", "id": crate::support::ids::image("quay.io/os/os", n)});
        json!({"version": format!("1.{n}"), "payloads": [payload], "rollouts": [{"start_share": 1.0, "state": "completed"}]})
    };
    let releases: Vec<Value> = (0..releases).map(release).collect();
    json!({
        "format": 1, "product": "os", "stream": "stable", "arches": ["x86_64"], "mirrors": ["mirror.example/os"],
        "releases": releases, "blocked_updates": [],
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_are_shown_the_newest_targets() {
    let database = Database::new().await;
    let server = Server::start(&database).await;
    let admin = Desk::new(&server, &database).manager("admin", "*").await;
    admin.creates_stream(&rolled_out(4)).await;
    let all = pairs(&[("1.0", "1.3"), ("1.1", "1.3"), ("1.2", "1.3"), ("1.0", "1.2"), ("1.1", "1.2"), ("1.0", "1.1")]);
    server.shows("os/stable", 1).await;
    assert_eq!(updates(&server).await, all);
    assert_eq!(admin.get(STABLE).await.ok().body["settings"]["targets"], "all");
    let report = set_rules(&admin, json!({"targets": {"newest": 2}})).await;
    let change = &report["changes"][0];
    assert_eq!((&change["target"], &change["after"]), (&json!({"kind": "targets"}), &json!("newest 2")), "{report}");
    // The impact is that of the untrimmed graph.
    assert_eq!(report["impact"], json!([]));
    server.shows("os/stable", revision(&admin).await).await;
    let two = pairs(&[("1.0", "1.3"), ("1.1", "1.3"), ("1.2", "1.3"), ("1.0", "1.2"), ("1.1", "1.2")]);
    assert_eq!(updates(&server).await, two);
    let graph = admin.get(&format!("{STABLE}/graph?arch=x86_64&scheme=oci&wariness=0.9")).await.ok().body;
    assert_eq!(graph["updates"].as_array().unwrap().len(), two.len());
    // A client that does not know the setting keeps it, and a node is shown the next target if one is withdrawn.
    set_rules(&admin, json!({})).await;
    admin.post_empty(&format!("{STABLE}/releases/1.3/withdraw")).await;
    server.shows("os/stable", revision(&admin).await).await;
    assert_eq!(updates(&server).await, pairs(&[("1.0", "1.2"), ("1.1", "1.2"), ("1.0", "1.1")]));
    let shown = admin.get(&format!("{STABLE}/document")).await.ok().body;
    assert_eq!(shown["targets"], json!({"newest": 2}));
    for (targets, field) in
        [(json!({"newest": 0}), "targets.newest"), (json!("some"), "targets"), (json!(2), "targets")]
    {
        let settings = json!({"arches": ["x86_64"], "targets": targets});
        let refused = admin.change(Method::PUT, STABLE, Some(&settings)).await;
        assert!([400, 422].contains(&refused.status), "{refused:?}");
        assert!(refused.text.contains(field), "{refused:?}");
    }
    server.stop().await;
    // Another process reads the same from the database.
    let other = Server::start(&database).await;
    let admin = Desk::new(&other, &database).manager("admin", "*").await;
    assert_eq!(admin.get(&format!("{STABLE}/document")).await.ok().body, shown);
    set_rules(&admin, json!({"targets": "all"})).await;
    assert_eq!(admin.get(&format!("{STABLE}/document")).await.ok().body["targets"], Value::Null);
    other.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_that_the_api_creates_show_the_newest_two_targets() {
    let database = Database::new().await;
    let server = Server::start(&database).await;
    let admin = Desk::new(&server, &database).manager("admin", "*").await;
    let create = async |stream: &str, settings: Value| {
        let path = format!("/api/v1/products/os/streams/{stream}");
        let created = crate::support::manager::with_reason(&path);
        admin.ask(Method::PUT, &created, &[("if-none-match", "*")], Some(&settings)).await.ok();
        admin.get(&path).await.ok().body["settings"]["targets"].clone()
    };
    assert_eq!(create("stable", json!({"arches": ["x86_64"]})).await, json!({"newest": 2}));
    assert_eq!(create("testing", json!({"arches": ["x86_64"], "targets": "all"})).await, "all");
    assert_eq!(create("next", json!({"arches": ["x86_64"], "targets": {"newest": 7}})).await, json!({"newest": 7}));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_that_makes_graphs_too_large_is_refused_with_the_remedy() {
    let database = Database::new().await;
    let server = Server::start_with(&database, |settings| settings.limits.graph_bytes = 65_536).await;
    let admin = Desk::new(&server, &database).manager("admin", "*").await;
    admin.creates_stream(&rolled_out(90)).await;
    let (path, larger) = (format!("{STABLE}/document?acknowledge=true"), rolled_out(110));
    let refused = admin.change(Method::PUT, &path, Some(&larger)).await;
    refused.is_problem(422);
    for text in ["limits.graph_bytes", "65536", "targets = { newest = 2 }"] {
        assert!(refused.text.contains(text), "{refused:?}");
    }
    let mut trimmed = larger.clone();
    trimmed["targets"] = json!({"newest": 2});
    admin.change(Method::PUT, &path, Some(&trimmed)).await.ok();
    let settings = json!({"arches": ["x86_64"], "mirrors": ["mirror.example/os"], "targets": "all"});
    admin.change(Method::PUT, &format!("{STABLE}?acknowledge=true"), Some(&settings)).await.is_problem(422);
    server.stop().await;
}
