//! Import, export and serving of upstream's documents: nothing is lost or altered.

use crate::support::{
    dialects, eventually, fixtures,
    postgres::Database,
    program::{lockkeeper, text},
    replace::{import_fetched, modify},
    server::Server,
    upstream,
};
use lockkeeper::{
    clock::{ManualClock, SystemClock},
    domain::{
        epoch::Epoch,
        ids::{ProductName, StreamId, StreamName},
        origin::Origin,
        release::Release,
        rollout::{Rollout, RolloutState, ramp::Course},
        stream::Stream,
    },
    exchange::fcos::{export::export, import::fetch, source::Location},
    manage::Manage,
};
use proptest::{prelude::any, strategy::Strategy, strategy::ValueTree, test_runner::TestRunner};
use reqwest::Method;
use serde_json::{Value, json};
use std::{collections::BTreeMap, path::Path, sync::Arc};

const KINDS: [&str; 4] =
    ["prod/streams/stable/releases.json", "updates/stable.json", "streams/stable.json", "release-notes/stable.yml"];

fn stable() -> StreamId {
    StreamId { product: ProductName::parse("fedora-coreos").unwrap(), stream: StreamName::parse("stable").unwrap() }
}

async fn import_folder(manage: &Manage, folder: &Path) {
    let fetched = fetch(&Location::Folder(folder.into()), &stable()).await.unwrap();
    import_fetched(manage, fetched, false).await.unwrap();
}

/// Returns the exported documents as JSON, except the release notes, which are text.
async fn export_documents(manage: &Manage) -> BTreeMap<String, Value> {
    let states = manage.states(|id| *id == stable()).await.unwrap();
    let source = |kind: &str| states[0].sources.get(kind).map(AsRef::as_ref);
    export(&states[0].stream, states[0].changed_at, Epoch(1_790_000_000), source)
        .into_iter()
        .map(|exported| {
            let text = String::from_utf8(exported.body).unwrap();
            (exported.path, serde_json::from_str(&text).unwrap_or(Value::String(text)))
        })
        .collect()
}

/// Reads the documents of a folder into the same form.
fn read_documents(folder: &Path) -> BTreeMap<String, Value> {
    let read = |kind: &str| {
        let text = std::fs::read_to_string(folder.join(kind)).ok()?;
        // The byte order mark is not kept.
        let text = text.trim_start_matches('\u{feff}').to_owned();
        Some((kind.to_owned(), serde_json::from_str(&text).unwrap_or(Value::String(text))))
    };
    KINDS.iter().filter_map(|kind| read(kind)).collect()
}

/// Pauses the newest release with a rollout that can be paused, and returns its index.
async fn pause(manage: &Manage, at: i64) -> Option<usize> {
    let present = manage.states(|id| *id == stable()).await.unwrap().remove(0).stream;
    // If upstream lists a version twice, the format cannot express that one of them is paused.
    let is_listed_once =
        |release: &Release| present.releases.iter().filter(|other| other.version == release.version).count() == 1;
    let can_pause = |release: &Release| release.rollouts.iter().any(|rollout| rollout.pause(Epoch(at)).is_ok());
    let index = present.releases.iter().rposition(|release| is_listed_once(release) && can_pause(release))?;
    let pause = |stream: &mut Stream| {
        let rollout = &mut stream.releases[index].rollouts[0];
        *rollout = rollout.pause(Epoch(at)).unwrap();
        rollout.origin = Origin::Local;
    };
    modify(manage, &stable(), pause).await;
    Some(index)
}

/// Checks that an import and an export change nothing, that a pause changes nothing else, and that a second import keeps the pause.
/// Returns true if the pause changed the exported documents.
async fn round_trip(manage: &Manage, folder: &Path) -> bool {
    import_folder(manage, folder).await;
    let before = read_documents(folder);
    assert_eq!(export_documents(manage).await, before);
    let running = manage.states(|id| *id == stable()).await.unwrap().remove(0).stream;
    let Some(index) = pause(manage, 1_784_746_080).await else { return false };
    let mut after = export_documents(manage).await;
    let state = manage.states(|id| *id == stable()).await.unwrap().remove(0);
    let release = &state.stream.releases[index];
    let share = release.rollouts[0].ramp.share_at(Epoch(1_784_746_080));
    let paused = after.remove(KINDS[1]).unwrap();
    let mut expected = before[KINDS[1]].clone();
    expected["metadata"]["last-modified"] = Epoch::from(state.changed_at).to_string().into();
    expected["stream"] = "stable".into();
    let mut entries: Vec<&mut Value> = expected["releases"]
        .as_array_mut()
        .unwrap()
        .iter_mut()
        .filter(|entry| entry["version"] == release.version.as_str() && entry["metadata"]["rollout"].is_object())
        .collect();
    // A pause of a constant share changes nothing that the format can express.
    let ramp = &running.releases[index].rollouts[0].ramp;
    let was_constant = ramp.course == Course::Constant && ramp.start.is_none() && ramp.start_share.is_some();
    if was_constant {
        assert_eq!(paused, before[KINDS[1]]);
    } else {
        for (number, entry) in entries.iter_mut().enumerate() {
            let rollout = entry["metadata"]["rollout"].as_object_mut().unwrap();
            for key in ["start_epoch", "start_percentage", "duration_minutes"] {
                rollout.shift_remove(key);
            }
            rollout.insert("start_percentage".into(), share.into());
            if number > 0 {
                entry["metadata"].as_object_mut().unwrap().shift_remove("rollout");
            }
        }
        assert_eq!(paused, expected);
    }
    let mut rest = before.clone();
    rest.remove(KINDS[1]);
    assert_eq!(after, rest);

    let release = release.clone();
    import_folder(manage, folder).await;
    let again = manage.states(|id| *id == stable()).await.unwrap().remove(0);
    assert_eq!(again.stream.releases[index], release);
    !was_constant
}

async fn manage(database: &Database) -> Manage {
    Manage::new(database.store().await, Arc::new(SystemClock), dialects())
}

/// Each stream is imported in each state, as `stable` because the paths contain the name.
#[tokio::test]
async fn every_state_of_the_fixtures_survives_the_round_trip() {
    let mut paused = Vec::new();
    for (state, stream) in fixtures::STATES.iter().flat_map(|state| fixtures::STREAMS.map(|stream| (state, stream))) {
        let target = tempfile::tempdir().unwrap();
        for kind in KINDS {
            let from = fixtures::own().join(state).join(kind.replace("stable", stream));
            if from.exists() {
                let text = std::fs::read_to_string(from).unwrap();
                let renamed = text.replace(&format!("\"stream\": \"{stream}\""), "\"stream\": \"stable\"");
                upstream::write(target.path(), kind, &renamed);
            }
        }
        let database = Database::new().await;
        if round_trip(&manage(&database).await, target.path()).await {
            paused.push((*state, stream));
        }
    }
    assert!(paused.len() >= 4, "too few pauses changed the exported documents: {paused:?}");
}

#[tokio::test]
#[ignore = "needs real metadata in ../shared/fixtures"]
async fn every_state_of_real_metadata_survives_the_round_trip() {
    let fixtures = fixtures::fcos();
    let (mut states, mut paused) = (0, 0);
    for folder in ["history", "updates"] {
        for entry in std::fs::read_dir(fixtures.join(folder)).unwrap() {
            let updates = entry.unwrap().path();
            let stream = updates.file_stem().unwrap().to_string_lossy().split('-').next().unwrap().to_owned();
            let target = tempfile::tempdir().unwrap();
            // As `stable`, because the paths contain the name.
            let copy = |from: &Path, to: &str| {
                let text = std::fs::read_to_string(from).unwrap();
                let renamed = text.replace(&format!("\"stream\": \"{stream}\""), "\"stream\": \"stable\"");
                upstream::write(target.path(), to, &renamed);
            };
            copy(&fixtures.join(format!("releases/{stream}.json")), KINDS[0]);
            copy(&updates, KINDS[1]);
            copy(&fixtures.join(format!("streams/{stream}.json")), KINDS[2]);
            copy(&fixtures.join(format!("release-notes/{stream}.yml")), KINDS[3]);
            let database = Database::new().await;
            paused += usize::from(round_trip(&manage(&database).await, target.path()).await);
            states += 1;
        }
    }
    for genuine in ["releases-stable-2021-11.json", "releases-with-oci.json"] {
        let target = tempfile::tempdir().unwrap();
        let read = |path: &str| std::fs::read_to_string(fixtures.join(path)).unwrap();
        upstream::write(target.path(), KINDS[0], &read(&format!("genuine/{genuine}")));
        upstream::write(target.path(), KINDS[1], &read("updates/stable.json"));
        upstream::write(target.path(), KINDS[2], &read("genuine/stream-stable-2021-11.json"));
        let database = Database::new().await;
        paused += usize::from(round_trip(&manage(&database).await, target.path()).await);
        states += 1;
    }
    assert_eq!((states, paused), (20, 18), "the newest rollouts of the other two are constant");
}

/// Adds unknown fields at random places.
fn add_unknown_fields(value: &mut Value, runner: &mut TestRunner) {
    let is_chosen = any::<u8>().new_tree(runner).unwrap().current() < 60;
    match value {
        Value::Object(map) => {
            map.values_mut().for_each(|value| add_unknown_fields(value, runner));
            if is_chosen {
                map.insert("x-unknown".into(), json!({"kept": [1, null, "two", 0.25]}));
            }
        }
        Value::Array(list) => list.iter_mut().for_each(|value| add_unknown_fields(value, runner)),
        _ => {}
    }
}

#[tokio::test]
async fn unknown_fields_anywhere_survive_the_round_trip() {
    let mut runner = TestRunner::deterministic();
    let mut paused = 0;
    for _ in 0..25 {
        let mut documents =
            upstream::documents().prop_map(|documents| documents).new_tree(&mut runner).unwrap().current();
        add_unknown_fields(&mut documents.releases, &mut runner);
        add_unknown_fields(&mut documents.updates, &mut runner);
        let folder = tempfile::tempdir().unwrap();
        documents.write(folder.path(), "stable");
        let database = Database::new().await;
        paused += usize::from(round_trip(&manage(&database).await, folder.path()).await);
    }
    assert!(paused > 5, "{paused} of 25");
}

/// Returns a small stream metadata document.
fn metadata() -> Value {
    let file = |name: &str| {
        json!({"location": format!("https://builds.example/{name}"), "signature": format!("https://builds.example/{name}.sig"),
               "sha256": "00", "uncompressed-sha256": "11"})
    };
    json!({"stream": "stable", "metadata": {"last-modified": "2026-07-21T14:07:12Z", "generator": "g"}, "x-unknown": 1,
        "architectures": {"x86_64": {
            "artifacts": {
                "metal": {"release": "44.1.0", "formats": {
                    "raw.xz": {"disk": file("metal.raw.xz")},
                    "pxe": {"kernel": file("kernel"), "initramfs": file("initramfs"), "rootfs": file("rootfs")}}},
                "qemu": {"release": "44.1.0", "formats": {"qcow2.xz": {"disk": file("qemu.qcow2.xz")}}},
                "aws": {"release": "44.1.0", "formats": {"vmdk.xz": {"disk": file("aws.vmdk.xz")}}}},
            "images": {
                "aws": {"regions": {"eu-central-1": {"release": "44.1.0", "image": "ami-1"},
                                    "us-east-1": {"release": "44.1.0", "image": "ami-2"}}},
                "gcp": {"release": "44.1.0", "project": "os-cloud", "family": "os-stable", "name": "os-44-1-0"},
                "kubevirt": {"release": "44.1.0", "image": "quay.io/os/kubevirt:stable", "digest-ref": "quay.io/os/kubevirt@sha256:22"}}}}})
}

async fn import_all_documents(database: &Database) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    upstream::plain(2).write(folder.path(), "stable");
    upstream::write(folder.path(), KINDS[2], &metadata().to_string());
    upstream::write(folder.path(), KINDS[3], "releases:\n  44.1.0:\n    issues: []\n");
    import_folder(&manage(database).await, folder.path()).await;
    folder
}

#[tokio::test(flavor = "multi_thread")]
async fn documents_are_served_unchanged_with_conditional_requests() {
    let database = Database::new().await;
    let folder = import_all_documents(&database).await;
    let server = Server::start(&database).await;
    for root in ["", "/fedora-coreos"] {
        for kind in KINDS {
            let (status, body) = server.get(&format!("{root}/{kind}")).await;
            assert_eq!(
                (status, body.as_bytes()),
                (200, &*std::fs::read(folder.path().join(kind)).unwrap()),
                "{root}/{kind}"
            );
        }
    }
    let get = |path: &str| server.request(Method::GET, path);
    let response = get("/streams/stable.json").header("origin", "https://x.example").send().await.unwrap();
    let header = |name: &str| response.headers().get(name).unwrap().to_str().unwrap().to_owned();
    assert_eq!(header("content-type"), "application/json");
    let states = manage(&database).await.states(|id| *id == stable()).await.unwrap();
    assert_eq!(header("last-modified"), httpdate::fmt_http_date(states[0].changed_at.into()));
    assert_eq!(header("access-control-allow-origin"), "*");
    let (tag, date) = (header("etag"), header("last-modified"));
    for (name, value, status) in [
        ("if-none-match", tag.as_str(), 304),
        ("if-none-match", "\"other\"", 200),
        ("if-modified-since", date.as_str(), 304),
        ("if-modified-since", "Tue, 21 Jul 2026 14:07:11 GMT", 200),
        ("if-modified-since", "yesterday", 200),
    ] {
        let response = get("/streams/stable.json").header(name, value).send().await.unwrap();
        assert_eq!(response.status().as_u16(), status, "{name}: {value}");
    }
    for encoding in ["gzip", "zstd"] {
        let encoded = || get("/prod/streams/stable/releases.json").header("accept-encoding", encoding).send();
        eventually("the encoding is ready", async || {
            encoded().await.unwrap().headers().contains_key("content-encoding")
        })
        .await;
        let response = encoded().await.unwrap();
        assert_eq!(response.headers().get("content-encoding").unwrap(), encoding);
        assert_eq!(response.headers().get("vary").unwrap(), "accept-encoding");
    }
    for path in [
        "/streams/stable",
        "/streams/next.json",
        "/nope/streams/stable.json",
        "/updates/stable.yml",
        "/%ff/updates/stable.json",
    ] {
        assert_eq!(server.get(path).await.0, 404, "{path}");
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn last_modified_is_sent_only_if_it_identifies_the_document() {
    let database = Database::new().await;
    let clock = Arc::new(ManualClock::new("2026-07-22T12:00:00.2Z".parse().unwrap()));
    let manage = Manage::new(database.store().await, clock.clone(), dialects());
    let folder = tempfile::tempdir().unwrap();
    let mut documents = upstream::plain(2);
    // A time that no header can express.
    documents.updates["metadata"]["last-modified"] = "0001-01-01T00:00:00Z".into();
    documents.write(folder.path(), "stable");
    import_folder(&manage, folder.path()).await;
    let server = Server::start(&database).await;
    let ask = async |since: Option<&str>| {
        let mut request = server.request(Method::GET, "/updates/stable.json");
        if let Some(since) = since {
            request = request.header("if-modified-since", since);
        }
        let response = request.send().await.unwrap();
        let modified = response.headers().get("last-modified").map(|value| value.to_str().unwrap().to_owned());
        (response.status().as_u16(), modified)
    };
    let first = "Wed, 22 Jul 2026 12:00:00 GMT";
    assert_eq!(ask(None).await, (200, Some(first.into())));
    assert_eq!(ask(Some(first)).await.0, 304);

    let set_aborted = async |is_aborted: bool, at: &str, revision: i64| {
        clock.set(at.parse().unwrap());
        let set_state = |stream: &mut Stream| {
            let original = stream.releases[1].rollouts[0].clone();
            let state = if is_aborted { RolloutState::Aborted } else { RolloutState::Active };
            stream.releases[1].rollouts[0] = Rollout { state, ..original };
        };
        modify(&manage, &stable(), set_state).await;
        server.shows("fedora-coreos/stable", revision).await;
    };
    // A change within the same second: its time does not distinguish it from the version before.
    set_aborted(true, "2026-07-22T12:00:00.7Z", 2).await;
    assert_eq!(ask(Some(first)).await, (200, None));
    // Undone: the text is upstream's again, with a new time.
    set_aborted(false, "2026-07-22T12:01:00Z", 3).await;
    let third = "Wed, 22 Jul 2026 12:01:00 GMT";
    assert_eq!(ask(Some(first)).await, (200, Some(third.into())));
    assert_eq!(ask(Some(third)).await.0, 304);
    // The server's clock goes back; then a client sends a time that the server never sent.
    set_aborted(true, "2026-07-22T12:00:30Z", 4).await;
    assert_eq!(ask(Some(third)).await, (200, None));
    set_aborted(false, "2026-07-22T12:02:00Z", 5).await;
    assert_eq!(ask(Some("Wed, 22 Jul 2026 12:03:00 GMT")).await.0, 200);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_installer_finds_what_it_needs_in_the_stream_document() {
    let database = Database::new().await;
    let _folder = import_all_documents(&database).await;
    installer_finds_files(&database).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs real metadata in ../shared/fixtures"]
async fn the_installer_finds_what_it_needs_in_the_real_stream_document() {
    let (database, folder) = (Database::new().await, tempfile::tempdir().unwrap());
    upstream::plain(2).write(folder.path(), "stable");
    let text = std::fs::read_to_string(fixtures::fcos().join("streams/stable.json")).unwrap();
    upstream::write(folder.path(), KINDS[2], &text);
    import_folder(&manage(&database).await, folder.path()).await;
    installer_finds_files(&database).await;
}

async fn installer_finds_files(database: &Database) {
    let server = Server::start(database).await;
    let document: Value = serde_json::from_str(&server.get("/streams/stable.json").await.1).unwrap();
    assert_eq!(document["stream"], "stable");
    let mut files = 0;
    for arch in document["architectures"].as_object().unwrap().values() {
        for artifact in arch["artifacts"].as_object().unwrap().values() {
            for format in artifact["formats"].as_object().unwrap().values() {
                for file in format.as_object().unwrap().values() {
                    assert!(["location", "signature", "sha256"].iter().all(|field| file[field].is_string()), "{file}");
                    files += 1;
                }
            }
        }
    }
    assert!(files >= 6);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn images_returns_exactly_one_image() {
    let database = Database::new().await;
    let _folder = import_all_documents(&database).await;
    let server = Server::start(&database).await;
    let mut responses = String::new();
    for query in [
        "stream=stable&arch=x86_64&platform=aws&region=eu-central-1",
        "stream=stable&arch=x86_64&platform=aws",
        "stream=stable&arch=x86_64&platform=aws&region=mars",
        "stream=stable&arch=x86_64&platform=aws&format=vmdk.xz",
        "stream=stable&arch=x86_64&platform=gcp",
        "stream=stable&arch=x86_64&platform=kubevirt",
        "stream=stable&arch=x86_64&platform=qemu",
        "stream=stable&arch=x86_64&platform=metal",
        "stream=stable&arch=x86_64&platform=metal&format=pxe",
        "stream=stable&arch=x86_64&platform=beos",
        "stream=stable&arch=s390x&platform=qemu",
        "stream=nope&arch=x86_64&platform=qemu",
        "stream=stable&platform=qemu",
        "stream=stable&arch=x86_64&platform=qemu&colour=red",
    ] {
        let (status, json) = server.get(&format!("/images?{query}")).await;
        let (_, plain) = server.get(&format!("/images?{query}&output=text")).await;
        responses += &format!("{query}\n  {status} {json}\n");
        if status == 200 {
            responses += &format!("  {}\n", plain.trim());
        }
    }
    insta::assert_snapshot!(responses, @r#"
    stream=stable&arch=x86_64&platform=aws&region=eu-central-1
      200 {"stream":"stable","arch":"x86_64","platform":"aws","region":"eu-central-1","release":"44.1.0","image":"ami-1"}
      ami-1
    stream=stable&arch=x86_64&platform=aws
      400 {"type":"/problems/bad-request","title":"Bad Request","status":400,"detail":"region is missing; there are eu-central-1, us-east-1"}
    stream=stable&arch=x86_64&platform=aws&region=mars
      404 {"type":"/problems/not-found","title":"Not Found","status":404,"detail":"there is no region \"mars\"; there are eu-central-1, us-east-1"}
    stream=stable&arch=x86_64&platform=aws&format=vmdk.xz
      200 {"stream":"stable","arch":"x86_64","platform":"aws","format":"vmdk.xz","release":"44.1.0","disk":{"location":"https://builds.example/aws.vmdk.xz","signature":"https://builds.example/aws.vmdk.xz.sig","sha256":"00","uncompressed-sha256":"11"}}
      https://builds.example/aws.vmdk.xz
    stream=stable&arch=x86_64&platform=gcp
      200 {"stream":"stable","arch":"x86_64","platform":"gcp","release":"44.1.0","project":"os-cloud","family":"os-stable","name":"os-44-1-0"}
      projects/os-cloud/global/images/os-44-1-0
    stream=stable&arch=x86_64&platform=kubevirt
      200 {"stream":"stable","arch":"x86_64","platform":"kubevirt","release":"44.1.0","image":"quay.io/os/kubevirt:stable","digest-ref":"quay.io/os/kubevirt@sha256:22"}
      quay.io/os/kubevirt@sha256:22
    stream=stable&arch=x86_64&platform=qemu
      200 {"stream":"stable","arch":"x86_64","platform":"qemu","release":"44.1.0","format":"qcow2.xz","disk":{"location":"https://builds.example/qemu.qcow2.xz","signature":"https://builds.example/qemu.qcow2.xz.sig","sha256":"00","uncompressed-sha256":"11"}}
      https://builds.example/qemu.qcow2.xz
    stream=stable&arch=x86_64&platform=metal
      400 {"type":"/problems/bad-request","title":"Bad Request","status":400,"detail":"format is missing; there are raw.xz, pxe"}
    stream=stable&arch=x86_64&platform=metal&format=pxe
      200 {"stream":"stable","arch":"x86_64","platform":"metal","format":"pxe","release":"44.1.0","kernel":{"location":"https://builds.example/kernel","signature":"https://builds.example/kernel.sig","sha256":"00","uncompressed-sha256":"11"},"initramfs":{"location":"https://builds.example/initramfs","signature":"https://builds.example/initramfs.sig","sha256":"00","uncompressed-sha256":"11"},"rootfs":{"location":"https://builds.example/rootfs","signature":"https://builds.example/rootfs.sig","sha256":"00","uncompressed-sha256":"11"}}
      https://builds.example/kernel
    stream=stable&arch=x86_64&platform=beos
      404 {"type":"/problems/not-found","title":"Not Found","status":404,"detail":"there is no platform \"beos\"; there are metal, qemu, aws"}
    stream=stable&arch=s390x&platform=qemu
      404 {"type":"/problems/not-found","title":"Not Found","status":404,"detail":"there is no architecture \"s390x\"; there are x86_64"}
    stream=nope&arch=x86_64&platform=qemu
      404 {"type":"/problems/not-found","title":"Not Found","status":404}
    stream=stable&platform=qemu
      400 {"type":"/problems/bad-request","title":"Bad Request","status":400,"detail":"arch is missing or empty"}
    stream=stable&arch=x86_64&platform=qemu&colour=red
      400 {"type":"/problems/bad-request","title":"Bad Request","status":400,"detail":"\"colour\" is no parameter; there are stream, arch, platform, region, format, output"}
    "#);
    let plain =
        server.request(Method::GET, "/images?stream=stable&arch=x86_64&platform=gcp").header("accept", "text/plain");
    assert_eq!(plain.send().await.unwrap().text().await.unwrap(), "projects/os-cloud/global/images/os-44-1-0\n");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_product_is_served_separately() {
    let database = Database::new().await;
    let _folder = import_all_documents(&database).await;
    let own = tempfile::tempdir().unwrap();
    upstream::plain(5).write(own.path(), "stable");
    upstream::plain(1).write(own.path(), "edge");
    let mut command = lockkeeper();
    command
        .env("DATABASE_URL", &database.url)
        .args(["import", "fcos", "--product", "own-os", "--from"])
        .arg(own.path());
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    let server = Server::start(&database).await;
    let nodes = async |path: &str| {
        let graph: Value = serde_json::from_str(&server.get(path).await.1).unwrap();
        graph["nodes"].as_array().map(Vec::len)
    };
    let query = "v1/graph?stream=stable&basearch=x86_64";
    assert_eq!(nodes(&format!("/{query}")).await, Some(2));
    assert_eq!(nodes(&format!("/own-os/{query}")).await, Some(5));
    assert_eq!(server.get("/v1/graph?stream=edge&basearch=x86_64").await.0, 404);
    assert_eq!(server.get("/own-os/updates/edge.json").await.0, 200);
    assert_eq!(server.get("/own-os/streams/edge.json").await.0, 404);
    server.stop().await;

    let to = tempfile::tempdir().unwrap();
    let mut command = lockkeeper();
    command.env("DATABASE_URL", &database.url).args(["export", "fcos", "--product", "own-os", "--to"]).arg(to.path());
    assert!(command.output().unwrap().status.success());
    for path in ["prod/streams/edge/releases.json", "updates/stable.json"] {
        assert_eq!(std::fs::read(to.path().join(path)).unwrap(), std::fs::read(own.path().join(path)).unwrap());
    }
    assert!(!to.path().join("streams").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn aliases_and_mirrors_are_recognised_and_unknown_payloads_are_listed() {
    let database = Database::new().await;
    let digest = |n: u8| format!("sha256:{}", format!("{n:02x}").repeat(32));
    let folder = tempfile::tempdir().unwrap();
    let document = format!(
        r#"
        format = 1
        product = "fedora-coreos"
        stream = "stable"
        mirrors = ["mirror.example/os"]
        [[releases]]
        version = "1"
        payloads = [{{ arch = "x86_64", scheme = "oci", id = "quay.io/os/os@{0}" }}]
        aliases = [{{ arch = "x86_64", scheme = "oci", id = "quay.io/os/os@{2}" }}]
        [[releases]]
        version = "2"
        payloads = [{{ arch = "x86_64", scheme = "oci", id = "quay.io/os/os@{1}" }}]
        rollouts = [{{ start_share = 1.0 }}]
        "#,
        digest(1),
        digest(2),
        digest(3)
    );
    upstream::write(folder.path(), "fedora-coreos/stable.toml", &document);
    let server = Server::start_with(&database, |settings| settings.streams_dir = Some(folder.path().into())).await;
    let poll = async |payload: String| {
        let query: String = form_urlencoded::byte_serialize(payload.as_bytes()).collect();
        let path = format!("/v1/graph?stream=stable&basearch=x86_64&oci=true&os_checksum={query}");
        let graph: Value = serde_json::from_str(&server.get(&path).await.1).unwrap();
        graph["nodes"]
            .as_array()
            .unwrap()
            .iter()
            .map(|node| node["payload"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    for (sent, target) in [
        (format!("quay.io/os/os@{}", digest(1)), format!("quay.io/os/os@{}", digest(2))),
        (format!("quay.io/os/os@{}", digest(3)), format!("quay.io/os/os@{}", digest(2))),
        (format!("mirror.example/os@{}", digest(1)), format!("mirror.example/os@{}", digest(2))),
        (format!("mirror.example/os@{}", digest(3)), format!("mirror.example/os@{}", digest(2))),
    ] {
        assert_eq!(poll(sent.clone()).await, [sent, target]);
    }
    let unknown = format!("elsewhere.example/os@{}", digest(1));
    for _ in 0..3 {
        let full_graph = poll(unknown.clone()).await;
        assert_eq!(full_graph[0], format!("quay.io/os/os@{}", digest(1)));
    }
    poll("46d354cf6750611965bb70cbc6c2d868".into()).await;
    let url = format!("http://{}", server.status);
    let list =
        tokio::task::spawn_blocking(move || lockkeeper().args(["fleet", "unknown", "--url", &url]).output().unwrap());
    let list = text(&list.await.unwrap().stdout);
    assert_eq!(list, format!("3\tfedora-coreos/stable\tx86_64\toci\t{unknown}\n1\tother payloads\n"));
    server.stop().await;
}
