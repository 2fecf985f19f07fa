//! Releases that upstream no longer lists: an import rejects their removal, or withdraws them if allowed. Their nodes stay known.

use crate::support::{
    fixtures,
    manager::Desk,
    postgres::Database,
    program::{import, import_with, text},
    server::Server,
    upstream::{self, Documents},
};
use lockkeeper::domain::{
    graph::Graph,
    ids::{Arch, ProductName, StreamId, StreamName},
    origin::Origin,
    payload::Scheme,
    release::ReleaseState,
    stream::Stream,
};
use serde_json::{Value, json};
use std::{path::Path, process::Output};

const ALLOWED: &[&str] = &["--allow-removals"];

/// Returns a stream and its revision.
async fn present(database: &Database, stream: &str) -> Option<(i64, Stream)> {
    let product = ProductName::parse("fedora-coreos").unwrap();
    let id = StreamId { product, stream: StreamName::parse(stream).unwrap() };
    let mut transaction = database.store().await.begin_read("test").await.unwrap();
    let head = transaction.heads().await.unwrap().into_iter().find(|head| head.id == id)?;
    Some((head.revision.0, transaction.load_stream(&head).await.unwrap()))
}

async fn stable(database: &Database) -> (i64, Stream) {
    present(database, "stable").await.unwrap()
}

fn versions(stream: &Stream) -> Vec<String> {
    stream.releases.iter().map(|release| format!("{} {}", release.version, release.state.as_str())).collect()
}

fn releases(documents: &mut Documents) -> &mut Vec<Value> {
    documents.releases["releases"].as_array_mut().unwrap()
}

/// Imports, and returns what was printed on success with exit code 0.
fn imported(database: &Database, folder: &Path, arguments: &[&str]) -> String {
    let output = import_with(&database.url, folder, arguments);
    assert_eq!(output.status.code(), Some(0), "{}{}", text(&output.stdout), text(&output.stderr));
    text(&output.stdout)
}

/// Returns the error of an import that failed.
fn refusal(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(1), "{}", text(&output.stdout));
    text(&output.stderr)
}

/// Returns the versions to which a node with this payload can update.
fn targets(stream: &Stream, arch: &str, scheme: &Scheme, payload: &str) -> Vec<String> {
    let graph = Graph::new(stream, &Arch::parse(arch).unwrap(), scheme);
    let node = graph.recognise(payload).unwrap_or_else(|| panic!("{payload} is not known on {arch}")).node;
    let targets = graph.targets(node).map(|target| graph.node(target).unwrap().version.to_string());
    targets.collect()
}

fn id(n: usize) -> String {
    format!("{n:064x}")
}

#[tokio::test]
async fn imports_reject_removed_releases_with_their_number_and_names() {
    let (database, folder) = (Database::new().await, tempfile::tempdir().unwrap());
    upstream::plain(30).write(folder.path(), "stable");
    imported(&database, folder.path(), &[]);
    let before = stable(&database).await;
    // A truncated index is still a valid document. The other stream is in order.
    upstream::plain(5).write(folder.path(), "stable");
    upstream::plain(3).write(folder.path(), "testing");
    let refused = refusal(&import(&database.url, folder.path()));
    for part in ["no longer lists 25 releases", "44.5.0, 44.6.0", "44.24.0 and 5 more", "--allow-removals"] {
        assert!(refused.contains(part), "{part}: {refused}");
    }
    assert!(!refused.contains("44.25.0"), "{refused}");
    assert_eq!(stable(&database).await, before);
    assert_eq!(present(&database, "testing").await.unwrap().0, 1);
    // It is rejected again.
    refusal(&import(&database.url, folder.path()));
    assert_eq!(stable(&database).await, before);
}

#[tokio::test]
async fn allowed_removals_withdraw_releases_until_they_are_published_locally() {
    let (database, folder) = (Database::new().await, tempfile::tempdir().unwrap());
    let mut documents = upstream::plain(4);
    documents.updates["releases"][2]["metadata"]["barrier"] = json!({"reason": "keys"});
    documents.write(folder.path(), "stable");
    imported(&database, folder.path(), &[]);
    let before = stable(&database).await.1;
    let removed = {
        let mut documents = upstream::plain(5);
        documents.updates = upstream::plain(5).updates;
        releases(&mut documents).remove(2);
        documents
    };
    removed.write(folder.path(), "stable");
    refusal(&import(&database.url, folder.path()));
    let report = imported(&database, folder.path(), ALLOWED);
    assert!(report.contains("warning: release 44.2.0: upstream no longer lists it; it was withdrawn"), "{report}");
    let (revision, stream) = stable(&database).await;
    let expected = ["44.0.0 published", "44.1.0 published", "44.2.0 withdrawn", "44.3.0 published", "44.4.0 published"];
    assert_eq!((revision, versions(&stream)), (2, expected.map(Into::into).to_vec()));
    let release = &stream.releases[2];
    assert_eq!(release.barrier, before.releases[2].barrier);
    // The time of the first opening is stored for published releases only.
    let plans = |stream: &Stream| -> Vec<_> {
        stream.releases[2]
            .rollouts
            .iter()
            .map(|rollout| (rollout.ramp.clone(), rollout.state, rollout.origin))
            .collect()
    };
    assert_eq!(plans(&stream), plans(&before));
    assert_eq!(targets(&stream, "x86_64", &Scheme::checksum(), &id(2)), ["44.4.0", "44.3.0"]);
    // As a barrier it still holds nodes back, and no node is sent to it.
    assert_eq!(targets(&stream, "x86_64", &Scheme::checksum(), &id(1)), Vec::<String>::new());
    // A withdrawn release no longer counts as removed.
    assert!(imported(&database, folder.path(), &[]).contains("no changes"), "{report}");

    let back = {
        let mut documents = upstream::plain(5);
        documents.updates["releases"][2]["metadata"]["barrier"] = json!({"reason": "keys"});
        documents
    };
    back.write(folder.path(), "stable");
    for _ in 0..2 {
        let output = import(&database.url, folder.path());
        assert_eq!(output.status.code(), Some(3), "{}", text(&output.stderr));
        let report = text(&output.stdout);
        assert!(
            report.contains("44.2.0: upstream lists it again") && report.contains("/releases/44.2.0/publish"),
            "{report}"
        );
        assert_eq!(stable(&database).await.1.releases[2].state, ReleaseState::Withdrawn);
    }
    // A release that was published locally stays local, whatever upstream lists.
    let server = Server::start(&database).await;
    let admin = Desk::new(&server, &database).manager("admin", "*").await;
    admin.post_empty("/api/v1/products/fedora-coreos/streams/stable/releases/44.2.0/publish").await;
    server.stop().await;
    imported(&database, folder.path(), &[]);
    let release = stable(&database).await.1.releases[2].clone();
    assert_eq!((release.state, release.origin), (ReleaseState::Published, Origin::Local));
}

#[tokio::test]
async fn a_removed_release_with_a_local_state_is_reported() {
    let (database, folder) = (Database::new().await, tempfile::tempdir().unwrap());
    upstream::plain(4).write(folder.path(), "stable");
    imported(&database, folder.path(), &[]);
    let server = Server::start(&database).await;
    let admin = Desk::new(&server, &database).manager("admin", "*").await;
    for verb in ["withdraw", "publish"] {
        let path = format!("/api/v1/products/fedora-coreos/streams/stable/releases/44.1.0/{verb}?acknowledge=true");
        admin.post_empty(&path).await;
    }
    server.stop().await;
    let mut documents = upstream::plain(4);
    releases(&mut documents).remove(1);
    documents.write(folder.path(), "stable");
    let output = import(&database.url, folder.path());
    assert_eq!(output.status.code(), Some(3), "{}", text(&output.stderr));
    assert!(text(&output.stdout).contains("drift: release 44.1.0: upstream no longer lists it"), "{output:?}");
    assert_eq!(stable(&database).await.1.releases[1].state, ReleaseState::Published);
}

/// Upstream cannot remove what it never listed.
#[tokio::test]
async fn arches_of_a_local_stream_are_not_removals_by_upstream() {
    let (database, folder) = (Database::new().await, tempfile::tempdir().unwrap());
    let server = Server::start(&database).await;
    let admin = Desk::new(&server, &database).manager("admin", "*").await;
    let payload = |arch: &str, n: usize| json!({"arch": arch, "scheme": "checksum", "id": id(n)});
    let payloads = [payload("x86_64", 0), payload("aarch64", 900)];
    let release = json!({"version": "44.0.0", "payloads": payloads, "rollouts": [{"start_share": 1.0}]});
    let document = json!({
        "format": 1, "product": "fedora-coreos", "stream": "stable", "arches": ["aarch64", "x86_64"], "releases": [release],
    });
    admin.creates_stream(&document).await;
    server.stop().await;
    upstream::plain(2).write(folder.path(), "stable");
    let output = import(&database.url, folder.path());
    assert!(matches!(output.status.code(), Some(0 | 3)), "{}", text(&output.stderr));
    let (_, stream) = stable(&database).await;
    assert_eq!(targets(&stream, "aarch64", &Scheme::checksum(), &id(900)), Vec::<String>::new());
    assert_eq!(targets(&stream, "x86_64", &Scheme::checksum(), &id(0)), ["44.1.0"]);
}

#[tokio::test]
async fn a_revert_keeps_what_upstream_removed_withdrawn() {
    let (database, folder) = (Database::new().await, tempfile::tempdir().unwrap());
    upstream::plain(4).write(folder.path(), "stable");
    imported(&database, folder.path(), &[]);
    let mut documents = upstream::plain(4);
    releases(&mut documents).remove(1);
    documents.write(folder.path(), "stable");
    imported(&database, folder.path(), ALLOWED);
    let server = Server::start(&database).await;
    let admin = Desk::new(&server, &database).manager("admin", "*").await;
    let stream = "/api/v1/products/fedora-coreos/streams/stable";
    let reason = json!({"reason": "a test"});
    admin.change(reqwest::Method::PUT, &format!("{stream}/releases/44.2.0/dead-end"), Some(&reason)).await.ok();
    admin.post_empty(&format!("{stream}/revisions/1/revert?acknowledge=true")).await;
    server.stop().await;
    let (_, stream) = stable(&database).await;
    assert_eq!((stream.releases[1].state, stream.releases[1].origin), (ReleaseState::Withdrawn, Origin::Upstream));
    assert!(stream.releases[2].dead_end.is_none());
}

#[tokio::test]
async fn removing_a_release_with_a_local_policy_is_rejected_and_keeps_the_policy() {
    let (database, folder) = (Database::new().await, tempfile::tempdir().unwrap());
    upstream::plain(4).write(folder.path(), "stable");
    imported(&database, folder.path(), &[]);
    let server = Server::start(&database).await;
    let admin = Desk::new(&server, &database).manager("admin", "*").await;
    let stream = "/api/v1/products/fedora-coreos/streams/stable";
    let reason = json!({"reason": "ours"});
    let path = format!("{stream}/releases/44.1.0/dead-end");
    admin.change(reqwest::Method::PUT, &path, Some(&reason)).await.ok();
    server.stop().await;
    let mut documents = upstream::plain(4);
    releases(&mut documents).remove(1);
    documents.write(folder.path(), "stable");
    assert!(refusal(&import(&database.url, folder.path())).contains("no longer lists 1 release (44.1.0)"));
    imported(&database, folder.path(), ALLOWED);
    let release = stable(&database).await.1.releases[1].clone();
    assert_eq!(release.state, ReleaseState::Withdrawn);
    assert_eq!(release.dead_end.as_ref().unwrap().origin, Origin::Local);
}

fn on_two_arches(count: usize) -> Documents {
    let mut documents = upstream::plain(count);
    for (n, release) in releases(&mut documents).iter_mut().enumerate() {
        release["commits"].as_array_mut().unwrap().push(json!({"architecture": "aarch64", "checksum": id(100 + n)}));
        let image = format!("quay.io/fedora/fedora-coreos@sha256:{}", id(200 + n));
        release["oci-images"] = json!([{"architecture": "x86_64", "image": "quay.io/fedora/fedora-coreos:stable",
                                        "digest-ref": image}]);
    }
    documents
}

#[tokio::test]
async fn nodes_of_a_removed_arch_stay_known_and_the_release_is_not_offered_there() {
    let (database, folder) = (Database::new().await, tempfile::tempdir().unwrap());
    on_two_arches(4).write(folder.path(), "stable");
    imported(&database, folder.path(), &[]);
    let mut documents = on_two_arches(4);
    releases(&mut documents)[2]["commits"].as_array_mut().unwrap().pop();
    documents.write(folder.path(), "stable");
    let refused = refusal(&import(&database.url, folder.path()));
    assert!(refused.contains("no longer lists 1 arch (44.2.0 on aarch64)"), "{refused}");
    let report = imported(&database, folder.path(), ALLOWED);
    assert!(report.contains("warning: release 44.2.0: upstream no longer lists it on aarch64"), "{report}");
    let stream = stable(&database).await.1;
    let checksum = Scheme::checksum();
    // Its nodes can update, and no node is sent to it. Nothing changes on other arches.
    assert_eq!(targets(&stream, "aarch64", &checksum, &id(102)), ["44.3.0"]);
    assert_eq!(targets(&stream, "aarch64", &checksum, &id(100)), ["44.3.0", "44.1.0"]);
    assert_eq!(targets(&stream, "x86_64", &checksum, &id(0)), ["44.3.0", "44.2.0", "44.1.0"]);
    assert!(imported(&database, folder.path(), &[]).contains("no changes"));
    // Upstream lists it again: it stays blocked until a release manager removes the block.
    on_two_arches(4).write(folder.path(), "stable");
    let output = import(&database.url, folder.path());
    assert_eq!(output.status.code(), Some(3), "{}", text(&output.stderr));
    let report = text(&output.stdout);
    assert!(report.contains("44.2.0: upstream lists it on aarch64 again") && report.contains("blocked"), "{report}");
    assert_eq!(targets(&stable(&database).await.1, "aarch64", &checksum, &id(100)), ["44.3.0", "44.1.0"]);
}

#[tokio::test]
async fn a_removed_payload_is_kept_while_its_arch_stays() {
    let (database, folder) = (Database::new().await, tempfile::tempdir().unwrap());
    on_two_arches(4).write(folder.path(), "stable");
    imported(&database, folder.path(), &[]);
    let mut documents = on_two_arches(4);
    releases(&mut documents)[2].as_object_mut().unwrap().remove("oci-images");
    documents.write(folder.path(), "stable");
    let refused = refusal(&import(&database.url, folder.path()));
    assert!(refused.contains("no longer lists 1 payload (44.2.0 on x86_64 oci)"), "{refused}");
    let report = imported(&database, folder.path(), ALLOWED);
    assert!(
        report.contains("44.2.0: upstream no longer lists its oci payload on x86_64; the payload is kept"),
        "{report}"
    );
    let image = |n: usize| format!("quay.io/fedora/fedora-coreos@sha256:{}", id(n));
    let stream = stable(&database).await.1;
    assert_eq!(targets(&stream, "x86_64", &Scheme::oci(), &image(202)), ["44.3.0"]);
    assert_eq!(targets(&stream, "x86_64", &Scheme::checksum(), &id(0)), ["44.3.0", "44.2.0", "44.1.0"]);
    assert!(imported(&database, folder.path(), &[]).contains("no changes"));
}

#[tokio::test]
async fn removals_are_withdrawn_during_stops_and_freeze_windows() {
    let (database, folder) = (Database::new().await, tempfile::tempdir().unwrap());
    for stream in ["stable", "testing"] {
        on_two_arches(4).write(folder.path(), stream);
    }
    imported(&database, folder.path(), &[]);
    let server = Server::start(&database).await;
    let admin = Desk::new(&server, &database).manager("admin", "*").await;
    let streams = "/api/v1/products/fedora-coreos/streams";
    admin.post_empty(&format!("{streams}/stable/emergency-stop")).await;
    let window = json!({"from": "2020-01-01T00:00:00Z", "until": "2100-01-01T00:00:00Z", "reason": "holidays"});
    let protected = json!({"protection": {"freeze_windows": [window]}});
    let path = format!("{streams}/testing?acknowledge=true");
    admin.change(reqwest::Method::PUT, &path, Some(&protected)).await.ok();
    server.stop().await;
    let mut documents = on_two_arches(4);
    releases(&mut documents)[3]["commits"].as_array_mut().unwrap().pop();
    releases(&mut documents).remove(2);
    for stream in ["stable", "testing"] {
        documents.write(folder.path(), stream);
    }
    imported(&database, folder.path(), ALLOWED);
    for name in ["stable", "testing"] {
        let stream = present(&database, name).await.unwrap().1;
        assert_eq!(stream.releases[2].state, ReleaseState::Withdrawn, "{name}");
        assert_eq!(targets(&stream, "aarch64", &Scheme::checksum(), &id(100)), ["44.1.0"], "{name}");
    }
    assert!(stable(&database).await.1.stop.is_some());
}

#[tokio::test]
async fn a_barrier_that_upstream_removes_is_reported_by_exit_code() {
    let (database, folder) = (Database::new().await, tempfile::tempdir().unwrap());
    let mut documents = upstream::plain(4);
    documents.updates["releases"][2]["metadata"]["barrier"] = json!({"reason": "keys"});
    documents.write(folder.path(), "stable");
    assert_eq!(import(&database.url, folder.path()).status.code(), Some(0));
    documents.updates["releases"][2]["metadata"].as_object_mut().unwrap().remove("barrier");
    documents.write(folder.path(), "stable");
    let output = import(&database.url, folder.path());
    assert_eq!(output.status.code(), Some(3), "{}", text(&output.stderr));
    assert!(
        text(&output.stdout).contains("44.2.0: is no longer a barrier: nodes may skip it"),
        "{}",
        text(&output.stdout)
    );
}

/// Upstream removed no release, arch or payload between its real index of 2021 and today's: a timer needs no option.
#[tokio::test]
#[ignore = "needs real metadata in ../shared/fixtures"]
async fn real_history_removes_nothing() {
    let fixtures = fixtures::fcos();
    let (database, folder) = (Database::new().await, tempfile::tempdir().unwrap());
    let mut revisions = 0;
    for (releases, updates) in [
        ("genuine/releases-stable-2021-11.json", "history/stable-1631036057.json"),
        ("releases/stable.json", "updates/stable.json"),
    ] {
        for (from, to) in [(releases, "prod/streams/stable/releases.json"), (updates, "updates/stable.json")] {
            upstream::write(folder.path(), to, &std::fs::read_to_string(fixtures.join(from)).unwrap());
        }
        let output = import(&database.url, folder.path());
        assert!(matches!(output.status.code(), Some(0 | 3)), "{}", text(&output.stderr));
        revisions += 1;
        assert_eq!(stable(&database).await.0, revisions);
    }
}

/// The samples are made of placeholders, and real metadata takes their place, even if it lists other releases.
#[tokio::test]
async fn an_import_replaces_a_sample_stream() {
    let (database, folder) = (Database::new().await, tempfile::tempdir().unwrap());
    let samples = tempfile::tempdir().unwrap();
    let release = |version: &str, id: char| {
        let id = id.to_string().repeat(64);
        format!(
            "[[releases]]\nversion = \"{version}\"\n\
             payloads = [{{ arch = \"x86_64\", scheme = \"checksum\", id = \"{id}\", synthetic = true }}]\n"
        )
    };
    let sample = format!(
        "format = 1\nproduct = \"fedora-coreos\"\nstream = \"stable\"\norigin = \"upstream\"\narches = [\"x86_64\"]\n{}{}",
        release("43.0.0", 'a'),
        release("44.0.0", 'b')
    );
    std::fs::create_dir(samples.path().join("fedora-coreos")).unwrap();
    std::fs::write(samples.path().join("fedora-coreos/stable.toml"), sample).unwrap();
    let server = Server::start_with(&database, |settings| settings.streams_dir = Some(samples.path().to_owned())).await;
    server.shows("fedora-coreos/stable", 1).await;
    upstream::plain(2).write(folder.path(), "stable");
    let report = imported(&database, folder.path(), &[]);
    assert!(!report.contains("no longer lists") && !report.contains("alias"), "{report}");
    let (_, stream) = stable(&database).await;
    let versions: Vec<&str> = stream.releases.iter().map(|release| release.version.as_str()).collect();
    assert_eq!(versions, ["44.0.0", "44.1.0"]);
    assert!(!stream.is_synthetic());
    server.stop().await;
}
