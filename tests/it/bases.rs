//! Streams of own images: their base, its barriers and dead ends, and the way of an agent over them.

use crate::support::{
    client, dialects, eventually, ids,
    manager::{Manager, STABLE, below, with_reason},
    postgres::Database,
    registry::{Pushed, Registry},
    replace::modify,
    server::Server,
    setup::Setup,
};
use lockkeeper::{
    clock::SystemClock,
    domain::{ids::StreamId, origin::Origin, release::Release},
    manage::Manage,
};
use reqwest::Method;
use serde_json::{Value, json};
use std::sync::Arc;

const BASE: &str = "/api/v1/products/fedora/streams/stable";
const NEXT: &str = "/api/v1/products/fedora/streams/next";

/// Returns the image of a release of the base.
fn base_image(version: &str) -> String {
    ids::image("quay.io/fedora/fedora-coreos", version)
}

fn digest_of(image: &str) -> &str {
    image.split_once('@').unwrap().1
}

/// Returns a stream of the product `fedora` with three releases, of which the second is a barrier.
fn base() -> Value {
    let payload = |version: &str| {
        let payload =
            |arch: &str| json!({"arch": arch, "scheme": "oci", "id": base_image(&format!("{version}{arch}"))});
        json!([payload("aarch64"), payload("x86_64")])
    };
    let open = json!([{"start_share": 1.0}]);
    json!({
        "format": 1, "product": "fedora", "stream": "stable", "origin": "local", "arches": ["aarch64", "x86_64"],
        "releases": [
            {"version": "44.1", "payloads": payload("44.1"), "rollouts": open},
            {"version": "44.2", "payloads": payload("44.2"), "barrier": {"reason": "new signing keys"}, "rollouts": open},
            {"version": "44.3", "payloads": payload("44.3"), "rollouts": open},
        ],
    })
}

/// Creates the base, and the stream `os/stable` on it.
async fn with_base(setup: &Setup) -> Manager<'_> {
    let admin = setup.desk().manager("admin", "*").await;
    admin.creates_stream(&base()).await;
    let settings = json!({"arches": ["x86_64"], "edge_rule": "derived", "base": "fedora/stable", "base_lag": "P14D"});
    admin.ask(Method::PUT, &with_reason(STABLE), &[("if-none-match", "*")], Some(&settings)).await.ok();
    admin
}

/// Returns a release that is built on a release of the base.
fn release(version: &str, built_on: &str) -> Value {
    let payload = json!({"arch": "x86_64", "scheme": "oci", "id": ids::image("ghcr.io/acme/os", version)});
    json!({"version": version, "payloads": [payload], "built_on": built_on, "rollouts": [{"start_share": 1.0}], "publish": true})
}

async fn publish(admin: &Manager<'_>, version: &str, built_on: &str) {
    admin.post(&below("releases"), &release(version, built_on)).await;
}

/// Returns the versions that a poll of a node on a release names, its own first.
async fn poll(server: &Server, version: &str, wariness: f64) -> Vec<String> {
    let payload = ids::image("ghcr.io/acme/os", version);
    let query = format!("basearch=x86_64&stream=stable&oci=true&rollout_wariness={wariness}&os_checksum={payload}");
    let (status, text) = server.get(&format!("/os/v1/graph?{query}")).await;
    assert_eq!(status, 200, "{text}");
    let graph: Value = serde_json::from_str(&text).unwrap();
    let versions = graph["nodes"].as_array().unwrap().iter().map(|node| node["version"].as_str().unwrap().to_owned());
    versions.collect()
}

#[tokio::test]
async fn a_release_that_would_skip_a_barrier_names_the_image_to_build() {
    let setup = Setup::new().await;
    let admin = with_base(&setup).await;
    publish(&admin, "1", "44.1").await;
    let refused = admin.change(Method::POST, &below("releases"), Some(&release("3", "44.3"))).await;
    refused.is_problem(409);
    let expected = "nodes built on 44.1 would skip barrier 44.2: build and publish an image on it first";
    assert!(refused.text.contains(expected), "{}", refused.text);

    admin.post(&format!("{}?acknowledge=true", below("releases")), &release("3", "44.3")).await;
    eventually("nodes wait", async || poll(&setup.server, "3", 0.5).await == ["3"]).await;
    assert_eq!(poll(&setup.server, "1", 0.5).await, ["1"], "acknowledged, and still not offered");
    let explained =
        admin.get(&format!("{STABLE}/explain?arch=x86_64&scheme=oci&wariness=0.5&release=1")).await.ok().body;
    assert_eq!(explained["end"], "no_update");
    assert_eq!(explained["end_reason"], "no image is built on 44.2, a barrier of the base");
    let findings = admin.get(&below("lint")).await.ok().text;
    assert!(findings.contains("base-barrier-skipped"), "{findings}");

    // What is built on the barrier now leads on only to what is published after it.
    admin.post(&format!("{}?acknowledge=true", below("releases")), &release("2", "44.2")).await;
    let findings = admin.get(&below("lint")).await.ok().text;
    assert!(findings.contains("nodes stay on 2") && findings.contains("rebuild 3"), "{findings}");
    publish(&admin, "4", "44.3").await;
    let findings = admin.get(&below("lint")).await.ok().text;
    assert!(!findings.contains("base-barrier-skipped"), "{findings}");
    eventually("a way over the barrier", async || poll(&setup.server, "2", 0.5).await == ["2", "4"]).await;
    assert_eq!(poll(&setup.server, "1", 0.5).await, ["1", "2"]);
    assert_eq!(poll(&setup.server, "3", 0.5).await, ["3", "4"], "it is past the barrier");
}

#[tokio::test]
async fn the_transaction_that_changes_the_base_changes_the_streams_on_it() {
    let setup = Setup::new().await;
    let admin = with_base(&setup).await;
    for (version, built_on) in [("1", "44.1"), ("2", "44.2"), ("3", "44.3")] {
        publish(&admin, version, built_on).await;
    }
    let policies = async || admin.get(&below("base")).await.ok().body["policies"].clone();
    let before = policies().await;
    assert_eq!(before[0]["version"], "44.2");
    assert_eq!(before[0]["arches"], json!({"aarch64": "in_force", "x86_64": "in_force"}));
    assert_eq!(before[0]["builds"], json!({"x86_64": ["2"]}));
    let revision = async || admin.get(STABLE).await.ok().body["revision"].as_i64().unwrap();

    let known = revision().await;
    admin.change(Method::PATCH, &format!("{BASE}/releases/44.3"), Some(&json!({"notes": "a fix"}))).await.ok();
    assert_eq!(revision().await, known, "notes are not inherited");
    let dead_end = json!({"reason": "install again"});
    admin.change(Method::PUT, &format!("{BASE}/releases/44.1/dead-end"), Some(&dead_end)).await.ok();
    assert_eq!(revision().await, known + 1);
    let newest = admin.get(&below(&format!("revisions/{}", known + 1))).await.ok().body;
    assert_eq!(newest["actor"], "base", "{newest}");
    assert!(newest["reason"].as_str().unwrap().contains("of fedora/stable"), "{newest}");
    eventually("a dead end", async || poll(&setup.server, "1", 0.5).await == ["1"]).await;
    let explained =
        admin.get(&format!("{STABLE}/explain?arch=x86_64&scheme=oci&wariness=0.5&release=1")).await.ok().body;
    assert_eq!((&explained["end"], &explained["end_reason"]), (&json!("dead_end"), &json!("install again")));

    // A removal counts when a manager of the stream accepts it.
    admin.change(Method::DELETE, &format!("{BASE}/releases/44.1/dead-end?acknowledge=true"), None).await.ok();
    assert_eq!(policies().await[0]["arches"], json!({"aarch64": "removed", "x86_64": "removed"}));
    assert_eq!(poll(&setup.server, "1", 0.5).await, ["1"]);
    let accepted = format!("{}?acknowledge=true", below("base/dead-ends/44.1"));
    setup.desk().manager("publisher", "os/stable").await.change(Method::DELETE, &accepted, None).await.is_problem(403);
    admin.change(Method::DELETE, &accepted, None).await.ok();
    eventually("an update", async || poll(&setup.server, "1", 0.5).await == ["1", "2"]).await;
    admin.change(Method::DELETE, &accepted, None).await.is_problem(404);

    // An override lasts until it is removed.
    let barrier = format!("{}?acknowledge=true", below("base/barriers/44.2"));
    admin.change(Method::DELETE, &barrier, None).await.ok();
    eventually("no barrier", async || poll(&setup.server, "1", 0.5).await.contains(&"3".to_owned())).await;
    admin.change(Method::PUT, &barrier, None).await.ok();
    eventually("a barrier", async || poll(&setup.server, "1", 0.5).await == ["1", "2"]).await;

    // An undo restores how it counted; a revert changes nothing about the base.
    let removed = admin.change(Method::DELETE, &barrier, None).await.ok().body["revision"].clone();
    admin.post_empty(&below(&format!("revisions/{removed}/undo?acknowledge=true"))).await;
    assert_eq!(policies().await[0]["arches"], json!({"aarch64": "in_force", "x86_64": "in_force"}));
    admin.change(Method::DELETE, &barrier, None).await.ok();
    admin.post_empty(&below(&format!("revisions/{removed}/revert?acknowledge=true"))).await;
    admin.post_empty(&below(&format!("revisions/{known}/revert?acknowledge=true"))).await;
    assert_eq!(policies().await[0]["arches"], json!({"aarch64": "overridden", "x86_64": "overridden"}));
}

#[tokio::test]
async fn the_first_documents_of_a_service_may_have_a_base() {
    let folder = tempfile::tempdir().unwrap();
    let mut derived = json!({"format": 1, "product": "os", "stream": "stable", "origin": "local", "arches": ["x86_64"], "base": "fedora/stable"});
    let payload = json!({"arch": "x86_64", "scheme": "oci", "id": ids::image("ghcr.io/acme/os", "1")});
    derived["releases"] =
        json!([{"version": "1", "payloads": [payload], "built_on": [{"arch": "x86_64", "version": "44.1"}]}]);
    for document in [derived, base()] {
        let product = folder.path().join(document["product"].as_str().unwrap());
        std::fs::create_dir(&product).unwrap();
        std::fs::write(product.join("stable.toml"), toml::to_string(&document).unwrap()).unwrap();
    }
    let database = Database::new().await;
    let server = Server::start_with(&database, |settings| settings.streams_dir = Some(folder.path().into())).await;
    let setup = Setup { server, database };
    let admin = setup.desk().manager("admin", "*").await;
    let inherited = admin.get(&below("base")).await.ok().body;
    assert_eq!((&inherited["base"], &inherited["policies"][0]["version"]), (&json!("fedora/stable"), &json!("44.2")));
    publish(&admin, "2", "44.2").await;
}

#[tokio::test]
async fn only_some_streams_can_be_a_base() {
    let setup = Setup::new().await;
    let admin = with_base(&setup).await;
    publish(&admin, "1", "44.1").await;
    let set = async |stream: &str, base: &str| {
        admin.change(Method::PUT, stream, Some(&json!({"arches": ["x86_64"], "base": base}))).await
    };
    for (base, expected) in [
        ("os/stable", "a stream cannot be its own base"),
        ("fedora/next", "fedora/next does not exist, so it cannot be a base"),
        ("stable", "must be a product and a stream, such as fedora-coreos/stable"),
    ] {
        let refused = set(STABLE, base).await;
        refused.is_problem(422);
        assert_eq!(refused.body["errors"][0], json!({"path": "base", "message": expected}), "{refused:?}");
    }
    let refused = set(BASE, "os/stable").await;
    refused.is_problem(422);
    assert!(refused.text.contains("os/stable has a base itself"), "{}", refused.text);
    admin.creates_stream(&json!({"format": 1, "product": "fedora", "stream": "next", "arches": ["x86_64"]})).await;
    let edge = json!({"format": 1, "product": "os", "stream": "edge", "arches": ["x86_64"], "base": "fedora/next"});
    admin.creates_stream(&edge).await;
    let refused = set(NEXT, "fedora/stable").await;
    refused.is_problem(409);
    assert!(
        refused.text.contains("fedora/next is the base of os/edge, so it cannot have a base itself"),
        "{}",
        refused.text
    );
    let refused = admin.change(Method::DELETE, NEXT, None).await;
    refused.is_problem(409);
    assert!(refused.text.contains("fedora/next is the base of os/edge, so it cannot be deleted"), "{}", refused.text);
    set("/api/v1/products/os/streams/edge", "none").await.ok();
    set(NEXT, "fedora/stable").await.ok();

    let lag = json!({"arches": ["x86_64"], "base": "none", "base_lag": "P1D"});
    admin.change(Method::PUT, STABLE, Some(&lag)).await.is_problem(422);
    let settings = admin.get(STABLE).await.ok().body["settings"].clone();
    assert_eq!((&settings["base"], &settings["base_lag"]), (&json!("fedora/stable"), &json!("PT336H")));
    let unnamed = json!({"version": "2", "publish": true,
        "payloads": [{"arch": "x86_64", "scheme": "oci", "id": ids::image("ghcr.io/acme/os", "2")}]});
    let refused = admin.change(Method::POST, &below("releases"), Some(&unnamed)).await;
    refused.is_problem(422);
    assert_eq!(refused.body["errors"][0]["path"], "built_on");

    // A reader of the stream alone cannot make another stream its base.
    let other = setup.desk().manager("admin", "os/*").await;
    let settings = json!({"arches": ["x86_64"], "base": "fedora/stable"});
    let path = with_reason("/api/v1/products/os/streams/other");
    other.ask(Method::PUT, &path, &[("if-none-match", "*")], Some(&settings)).await.is_problem(403);
}

#[tokio::test]
async fn releases_of_a_stream_that_gets_a_base_say_on_what_they_are_built() {
    let setup = Setup::new().await;
    let admin = setup.desk().manager("admin", "*").await;
    admin.creates_stream(&base()).await;
    let payload = |id: &str| json!([{"arch": "x86_64", "scheme": "oci", "id": id}]);
    let same = base_image("44.2x86_64").replace("quay.io/fedora/fedora-coreos", "registry.example/os");
    let releases = json!([
        {"version": "44.1.1", "payloads": payload(&ids::image("ghcr.io/acme/os", "a"))},
        {"version": "mirrored", "payloads": payload(&same)},
        {"version": "own", "payloads": payload(&ids::image("ghcr.io/acme/os", "b"))},
    ]);
    let mut document =
        json!({"format": 1, "product": "os", "stream": "stable", "arches": ["x86_64"], "releases": releases});
    admin.creates_stream(&document).await;
    let settings = json!({"arches": ["x86_64"], "base": "fedora/stable"});
    let refused = admin.change(Method::PUT, &format!("{STABLE}?acknowledge=true"), Some(&settings)).await;
    refused.is_problem(422);
    let expected =
        "release own does not say on which release of fedora/stable it is built for x86_64: name it in `built_on`";
    assert_eq!(refused.body["errors"][0], json!({"path": "built_on", "message": expected}));

    document["base"] = "fedora/stable".into();
    let on = |version: &str| json!([{"arch": "x86_64", "version": version}]);
    for (index, version) in ["44.1", "44.2", "44.3"].into_iter().enumerate() {
        document["releases"][index]["built_on"] = on(version);
    }
    // What a document says about the base's barriers does not count.
    document["base_policies"] = json!([]);
    let put = format!("{}?acknowledge=true", below("document"));
    admin.change(Method::PUT, &put, Some(&document)).await.ok();
    assert_eq!(admin.get(&below("base")).await.ok().body["policies"][0]["version"], "44.2");
    let own = admin.get(&below("releases/own")).await.ok().body;
    assert_eq!(own["built_on"], json!([{"arch": "x86_64", "version": "44.3", "age": 2}]));
    let stored = admin.get(&below("document")).await.ok().body;
    admin.change(Method::PUT, &put, Some(&stored)).await.ok();

    let corrected = json!({"built_on": {"x86_64": "44.2"}});
    let path = format!("{}?acknowledge=true", below("releases/own/built-on"));
    let publisher = setup.desk().manager("publisher", "os/*").await;
    publisher.change(Method::PUT, &path, Some(&corrected)).await.is_problem(403);
    admin.change(Method::PUT, &path, Some(&corrected)).await.ok();
    assert_eq!(admin.get(&below("releases/own")).await.ok().body["built_on"][0]["age"], 1);

    // Without a base, releases say nothing about one; with it again, what can be inferred is.
    admin.change(Method::PUT, &format!("{STABLE}?acknowledge=true"), Some(&json!({"base": "none"}))).await.ok();
    assert_eq!(admin.get(&below("releases/own")).await.ok().body["built_on"], Value::Null);
    admin.change(Method::POST, &below("releases/own/withdraw"), None).await.ok();
    admin.get(&below("base")).await.is_problem(404);
}

/// Pushes an image for `x86_64` that is built on a release of the base. Returns its pull spec.
async fn push(registry: &Registry, version: &str, base: &str) -> String {
    let mut image = Pushed::new("amd64", version);
    image.annotations =
        json!({"org.opencontainers.image.base.digest": digest_of(&base_image(&format!("{base}x86_64")))});
    image.labels["com.coreos.stream"] = "stable".into();
    image.labels["build"] = json!(version);
    let digest = registry.push("acme/os", Some("stable"), &image).await;
    format!("{}/acme/os@{digest}", registry.host)
}

/// Starts a service that may read from a registry.
async fn setup_for(registry: &Registry) -> Setup {
    let database = Database::new().await;
    let server = Server::start_with(&database, |settings| {
        settings.registries.allow = vec![registry.host.clone().try_into().unwrap()];
        settings.registries.private.clone_from(&settings.registries.allow);
    })
    .await;
    Setup { server, database }
}

/// A node: polls, deploys the newest release that it is offered, and polls again with that.
async fn agents_path(server: &Server, mut image: String, wariness: f64) -> Vec<String> {
    let mut deployed = Vec::new();
    loop {
        let query = format!("basearch=x86_64&stream=stable&oci=true&rollout_wariness={wariness}&os_checksum={image}");
        let (status, text) = server.get(&format!("/os/v1/graph?{query}")).await;
        assert_eq!(status, 200, "{text}");
        let graph: Value = serde_json::from_str(&text).unwrap();
        let nodes = graph["nodes"].as_array().unwrap();
        let own = nodes.iter().position(|node| node["payload"] == json!(image)).unwrap();
        let edges = graph["edges"].as_array().unwrap().iter().filter(|edge| edge[0] == json!(own));
        let targets = edges.map(|edge| &nodes[usize::try_from(edge[1].as_u64().unwrap()).unwrap()]);
        let age = |node: &&Value| -> usize {
            node["metadata"]["org.fedoraproject.coreos.releases.age_index"].as_str().unwrap().parse().unwrap()
        };
        let Some(target) = targets.max_by_key(age) else { return deployed };
        target["payload"].as_str().unwrap().clone_into(&mut image);
        deployed.push(target["version"].as_str().unwrap().to_owned());
    }
}

#[tokio::test]
async fn an_agent_goes_from_the_first_derived_image_over_an_inherited_barrier_to_the_last() {
    let Some(registry) = Registry::start() else { return };
    let setup = setup_for(&registry).await;
    let admin = with_base(&setup).await;
    let mut images = Vec::new();
    for (version, base) in [("44.1", "44.1"), ("44.2", "44.2"), ("44.2", "44.2"), ("44.3", "44.3")] {
        // One is pushed twice, which makes one release.
        let image = push(&registry, version, base).await;
        let last = version == "44.3";
        let rollout = if last { json!({"preset": "linear-48h"}) } else { json!({"start_share": 1.0}) };
        let body = json!({"image": image, "rollouts": [rollout], "publish": true});
        let repeated = images.contains(&image);
        let added =
            admin.change(Method::POST, &format!("{}?acknowledge=true", below("releases")), Some(&body)).await.ok();
        assert_eq!(added.status, if repeated { 200 } else { 201 }, "{added:?}");
        images.push(image);
    }
    let release = admin.get(&below("releases/44.2")).await.ok().body;
    assert_eq!(release["built_on"], json!([{"arch": "x86_64", "version": "44.2", "age": 1}]));

    let first = images[0].clone();
    let path = async |wariness: f64| agents_path(&setup.server, first.clone(), wariness).await;
    eventually("the first node of the rollout", async || path(0.0).await == ["44.2", "44.3"]).await;
    assert_eq!(path(0.9).await, ["44.2"], "the barrier");
    setup.hours(24);
    assert_eq!(path(0.9).await, ["44.2"], "held back");
    assert_eq!(path(0.4).await, ["44.2", "44.3"], "admitted");
    setup.hours(49);
    assert_eq!(path(0.9).await, ["44.2", "44.3"]);

    // Nodes that were booted from the base are unknown, and are rebased to the newest build that skips no barrier.
    let unknown = base_image("44.1x86_64");
    let query = format!("basearch=x86_64&stream=stable&oci=true&rollout_wariness=0.5&os_checksum={unknown}");
    setup.server.get(&format!("/os/v1/graph?{query}")).await;
    let address = format!("http://{}/fleet/unknown-payloads", setup.server.status);
    let listed = client().get(address).send().await.unwrap().text().await.unwrap();
    let listed: Value = serde_json::from_str(&listed).unwrap();
    assert_eq!(
        (&listed["payloads"][0]["payload"], &listed["payloads"][0]["rebase_to"]),
        (&json!(unknown), &json!("44.2"))
    );
    let explain = format!("{STABLE}/explain?arch=x86_64&scheme=oci&wariness=0.5&payload={unknown}");
    let explained = admin.get(&explain).await;
    explained.is_problem(404);
    let expected = format!("it is the base of this stream: rebase the node to 44.2, {}", images[1]);
    assert!(explained.text.contains(&expected), "{}", explained.text);
}

#[tokio::test]
async fn an_image_that_contradicts_itself_is_refused() {
    let Some(registry) = Registry::start() else { return };
    let setup = setup_for(&registry).await;
    let admin = with_base(&setup).await;
    let add = async |image: &str, built_on: Option<&str>| {
        let body = json!({"image": image, "built_on": built_on});
        admin.change(Method::POST, &below("releases"), Some(&body)).await
    };
    let contradicting = push(&registry, "44.1", "44.2").await;
    let refused = add(&contradicting, None).await;
    refused.is_problem(422);
    let message = "for x86_64, its base digest says that the image is built on 44.2, and its version says 44.1";
    assert_eq!(refused.body["errors"][0], json!({"path": "built_on", "message": message}));

    let own = push(&registry, "2026.1", "44.2").await;
    let contradicted = add(&own, Some("44.1")).await;
    contradicted.is_problem(422);
    assert!(contradicted.text.contains("and the request says 44.1"), "{}", contradicted.text);
    add(&own, Some("44.2")).await.ok();
    let unlabelled = Pushed::new("amd64", "2026.2");
    let digest = registry.push("acme/os", None, &unlabelled).await;
    let image = format!("{}/acme/os@{digest}", registry.host);
    add(&image, None).await.is_problem(422);
    add(&image, Some("99")).await.is_problem(422);
    add(&image, Some("44.3")).await.ok();
    let built_on = admin.get(&below("releases/2026.2")).await.ok().body["built_on"].clone();
    assert_eq!(built_on, json!([{"arch": "x86_64", "version": "44.3", "age": 2}]));

    let mut elsewhere = Pushed::new("amd64", "44.3");
    elsewhere.labels["com.coreos.stream"] = "testing".into();
    let digest = registry.push("acme/os", None, &elsewhere).await;
    let refused = add(&format!("{}/acme/os@{digest}", registry.host), None).await;
    assert!(refused.text.contains("com.coreos.stream=testing"), "{}", refused.text);
}

#[tokio::test]
async fn what_is_inherited_survives_restarts_promotions_and_backups() {
    let setup = Setup::new().await;
    let admin = with_base(&setup).await;
    publish(&admin, "1", "44.1").await;
    admin
        .creates_stream(
            &json!({"format": 1, "product": "os", "stream": "next", "arches": ["x86_64"], "base": "fedora/stable"}),
        )
        .await;
    let promotion = json!({"from": {"stream": "stable", "version": "1"}, "version": "promoted"});
    admin.change(Method::POST, "/api/v1/products/os/streams/next/promotions", Some(&promotion)).await.ok();
    let promoted = admin.get("/api/v1/products/os/streams/next/releases/promoted").await.ok().body;
    assert_eq!(promoted["built_on"], json!([{"arch": "x86_64", "version": "44.1", "age": 0}]));

    // A release of the base that gets a barrier at once is a barrier on both streams.
    let payloads = json!([{"arch": "x86_64", "scheme": "oci", "id": base_image("44.4x86_64")},
        {"arch": "aarch64", "scheme": "oci", "id": base_image("44.4aarch64")}]);
    let barrier = json!({"version": "44.4", "payloads": payloads, "barrier": {"reason": "more keys"}, "publish": true});
    admin.post(&format!("{BASE}/releases?acknowledge=true"), &barrier).await;
    for stream in ["stable", "next"] {
        let base = admin.get(&format!("/api/v1/products/os/streams/{stream}/base")).await.ok().body;
        let versions: Vec<&Value> =
            base["policies"].as_array().unwrap().iter().map(|policy| &policy["version"]).collect();
        assert_eq!(versions, ["44.2", "44.4"], "{stream}");
    }
    let document = admin.get(&below("document")).await.ok().body;
    let Setup { server, database } = setup;
    server.stop().await;
    // A process that starts reads rows, not what another one had in memory.
    let restarted = Setup { server: Server::start(&database).await, database };
    let admin = restarted.desk().manager("admin", "*").await;
    assert_eq!(admin.get(&below("document")).await.ok().body, document);
    publish(&admin, "2", "44.2").await;
}

#[tokio::test]
async fn nothing_about_the_base_increases_what_is_offered_after_a_stop() {
    let setup = Setup::new().await;
    let admin = with_base(&setup).await;
    for (version, built_on) in [("1", "44.1"), ("2", "44.2"), ("3", "44.3")] {
        publish(&admin, version, built_on).await;
    }
    admin.post_empty(&below("emergency-stop")).await;
    let refused = async |method: Method, path: &str, body: Option<Value>| {
        let path = format!("{}?acknowledge=true", below(path));
        let refused = admin.change(method, &path, body.as_ref()).await;
        refused.is_problem(409);
        assert!(refused.text.contains("would increase what it offers"), "{}", refused.text);
    };
    refused(Method::DELETE, "base/barriers/44.2", None).await;
    refused(Method::PUT, "", Some(json!({"arches": ["x86_64"], "base": "none"}))).await;
    refused(Method::PUT, "releases/3/built-on", Some(json!({"built_on": {"x86_64": "44.2"}}))).await;
    let mut document = admin.get(&below("document")).await.ok().body;
    document["releases"][2]["built_on"][0]["version"] = "44.2".into();
    refused(Method::PUT, "document", Some(document)).await;
    // The base goes on, and what it adds counts.
    let barrier = json!({"reason": "more keys"});
    admin.change(Method::PUT, &format!("{BASE}/releases/44.3/barrier?acknowledge=true"), Some(&barrier)).await.ok();
    assert_eq!(admin.get(&below("base")).await.ok().body["policies"].as_array().unwrap().len(), 2);
}

/// Returns the messages of the findings that the base is newer than its stream allows.
async fn lag(admin: &Manager<'_>) -> Vec<String> {
    let findings = admin.get(&below("lint")).await.ok().body["items"].clone();
    let about = findings.as_array().unwrap().iter().filter(|finding| finding["code"] == "LK1019");
    about.map(|finding| finding["message"].as_str().unwrap().to_owned()).collect()
}

async fn publish_in_base(admin: &Manager<'_>, version: &str, arches: &[&str]) {
    let payload = |arch: &&str| json!({"arch": arch, "scheme": "oci", "id": base_image(&format!("{version}{arch}"))});
    let payloads: Vec<Value> = arches.iter().map(payload).collect();
    let body = json!({"version": version, "payloads": payloads, "publish": true});
    admin.post(&format!("{BASE}/releases?acknowledge=true"), &body).await;
}

#[tokio::test]
async fn a_base_that_is_newer_for_longer_than_allowed_is_reported() {
    let setup = Setup::new().await;
    let days = |days: i64| setup.hours(days * 24);
    days(-20);
    let admin = with_base(&setup).await;
    publish(&admin, "1", "44.3").await;
    days(-19);
    // The arch of the stream is not concerned.
    publish_in_base(&admin, "44.4", &["aarch64"]).await;
    days(-18);
    // Releases of the base count whether they have rollouts or not: an import removes those that are over.
    publish_in_base(&admin, "44.5", &["aarch64", "x86_64"]).await;
    days(-5);
    publish_in_base(&admin, "44.6", &["aarch64", "x86_64"]).await;
    assert_eq!(lag(&admin).await, Vec::<String>::new());
    days(0);
    let since = crate::support::time::at(-18 * 24);
    let expected = format!(
        "its base fedora/stable has had 44.5 since {since}, which is longer than PT336H, and no release for x86_64 is built on it or a newer one"
    );
    assert_eq!(lag(&admin).await, [expected]);
    let gauge = "lockkeeper_stream_base_lagging{product=\"os\",stream=\"stable\"}";
    let watching = Server::start(&setup.database).await;
    eventually("the gauge shows it", async || watching.metrics().await.contains(&format!("{gauge} 1"))).await;
    publish(&admin, "2", "44.5").await;
    assert_eq!(lag(&admin).await, Vec::<String>::new(), "44.6 is there for five days");
    let watching = Server::start(&setup.database).await;
    eventually("the gauge shows it", async || watching.metrics().await.contains(&format!("{gauge} 0"))).await;
    days(11);
    assert_eq!(lag(&admin).await.len(), 1);
}

#[tokio::test]
async fn a_promotion_with_other_payloads_does_not_say_on_what_they_are_built() {
    let setup = Setup::new().await;
    let admin = with_base(&setup).await;
    publish(&admin, "1", "44.1").await;
    let next = json!({"format": 1, "product": "os", "stream": "next", "arches": ["x86_64"], "base": "fedora/stable"});
    admin.creates_stream(&next).await;
    let payload = json!({"arch": "x86_64", "scheme": "oci", "id": ids::image("ghcr.io/acme/os", "rebuilt")});
    let promotion = json!({"from": {"stream": "stable", "version": "1"}, "version": "rebuilt", "payloads": [payload]});
    admin.change(Method::POST, "/api/v1/products/os/streams/next/promotions", Some(&promotion)).await.ok();
    let rebuilt = "/api/v1/products/os/streams/next/releases/rebuilt";
    assert_eq!(admin.get(rebuilt).await.ok().body.get("built_on"), None);
    let unnamed = admin.change(Method::POST, &format!("{rebuilt}/publish?acknowledge=true"), None).await;
    unnamed.is_problem(422);
    let built_on = json!({"built_on": {"x86_64": "44.2"}});
    admin.change(Method::PUT, &format!("{rebuilt}/built-on"), Some(&built_on)).await.ok();
    admin.change(Method::POST, &format!("{rebuilt}/publish?acknowledge=true"), None).await.ok();
    assert_eq!(admin.get(rebuilt).await.ok().body["built_on"][0]["age"], 1);
}

#[tokio::test]
async fn a_plan_from_before_a_change_of_the_base_is_not_written() {
    let setup = Setup::new().await;
    let admin = with_base(&setup).await;
    for (version, built_on) in [("1", "44.1"), ("2", "44.2")] {
        publish(&admin, version, built_on).await;
    }
    let mut blocking = setup.database.connection().await;
    let lock = "begin; select from streams join products on products.id = product_id where products.name = 'os' for update of streams";
    sqlx::raw_sql(lock).execute(&mut blocking).await.unwrap();
    let pool = setup.database.pool().await;
    let waiting = async |count: i64| {
        // The writer of events waits for the row, too.
        let locking = "select count(*) from pg_stat_activity
            where datname = current_database() and wait_event_type = 'Lock' and query like '%name: lock_stream%'";
        eventually(&format!("{count} writers wait"), async || {
            sqlx::query_scalar::<_, i64>(locking).fetch_one(&pool).await.unwrap() == count
        })
        .await;
    };
    let manage = Manage::new(setup.database.store().await, Arc::new(SystemClock), dialects());
    let base = StreamId { product: "fedora".parse().unwrap(), stream: "stable".parse().unwrap() };
    // The base gets a release between 44.2 and 44.3. That changes nothing in the stream, but waits for it.
    let insert = modify(&manage, &base, |base| {
        base.releases.insert(2, Release::published("44.2.1".parse().unwrap(), Origin::Upstream).into());
    });
    let (release, path) = (release("3", "44.3"), below("releases"));
    let publish = async {
        waiting(1).await;
        let published = admin.post(&path, &release);
        let end = async {
            waiting(2).await;
            sqlx::raw_sql("rollback").execute(&mut blocking).await.unwrap();
        };
        tokio::join!(published, end)
    };
    tokio::join!(insert, publish);
    let built_on = admin.get(&below("releases/3")).await.ok().body["built_on"].clone();
    assert_eq!(built_on, json!([{"arch": "x86_64", "version": "44.3", "age": 3}]));
}
