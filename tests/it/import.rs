//! What upstream publishes is taken over whole or not at all, and only when something changed.

use crate::support::{
    fixtures,
    postgres::Database,
    program::{import, lockkeeper, text},
    upstream::{self, Documents},
};
use lockkeeper::{
    clock::SystemClock,
    domain::{
        finding::Severity,
        origin::Origin,
        product::ProductName,
        stream::{Revision, Stream, StreamId, StreamName},
    },
    exchange::fcos::{
        import::{Report, fetch, import as import_fetched},
        source::Location,
    },
    manage::{Author, Change, Decision, Manage},
    store::Store,
};
use serde_json::json;
use std::{convert::Infallible, path::Path, sync::Arc};

fn stable() -> StreamId {
    StreamId { product: ProductName::parse("fedora-coreos").unwrap(), stream: StreamName::parse("stable").unwrap() }
}

fn author() -> Author {
    Author { actor: "test".into(), reason: "a test".into(), request_id: None }
}

fn manage(store: Store) -> Manage {
    Manage::new(store, Arc::new(SystemClock))
}

async fn run(manage: &Manage, folder: &Path) -> Report {
    let fetched = fetch(&Location::Folder(folder.into()), &stable()).await.unwrap();
    import_fetched(manage, &stable(), &author(), &fetched).await.unwrap()
}

async fn present(store: &Store) -> (Revision, Stream) {
    let mut transaction = store.begin_read("test").await.unwrap();
    let head = transaction.heads().await.unwrap().into_iter().find(|head| head.id == stable()).unwrap();
    (head.revision, transaction.load_stream(&head).await.unwrap())
}

/// Something that somebody here does to a stream.
async fn change(manage: &Manage, change: impl Fn(&mut Stream)) {
    let decide = |present: Option<&Stream>| {
        let mut stream = present.unwrap().clone();
        change(&mut stream);
        Ok::<_, Infallible>(Decision { stream, value: () })
    };
    manage.change_stream(Change::of(&stable(), &author()), decide).await.unwrap();
}

#[tokio::test]
async fn importing_twice_changes_nothing_and_a_changed_upstream_gives_one_revision() {
    let database = Database::new().await;
    let folder = tempfile::tempdir().unwrap();
    upstream::plain(3).write(folder.path(), "stable");
    let first = import(&database.url, folder.path());
    assert!(first.status.success(), "{}", text(&first.stderr));
    assert!(text(&first.stdout).starts_with("fedora-coreos/stable: revision 1\n"), "{}", text(&first.stdout));

    let again = import(&database.url, folder.path());
    assert_eq!(text(&again.stdout), "fedora-coreos/stable: nothing new, revision 1 stays\n");

    let mut documents = upstream::plain(4);
    documents.updates["releases"][3]["metadata"] =
        json!({"rollout": {"start_epoch": 1_784_728_800, "start_percentage": 0.0, "duration_minutes": 2880}});
    documents.updates["releases"][2]["metadata"]["barrier"] = json!({"reason": "https://example.org/1"});
    documents.write(folder.path(), "stable");
    let changed = import(&database.url, folder.path());
    insta::with_settings!({filters => vec![("[0-9a-f]{12}", "[hash]")]}, {
        insta::assert_snapshot!(text(&changed.stdout), @"
        fedora-coreos/stable: revision 2
        ~ upstream document releases: [hash] -> [hash]
        ~ upstream document updates: [hash] -> [hash]
        + release 44.2.0, barrier: https://example.org/1 (upstream)
        + release 44.3.0: published at age 3 (upstream)
        + release 44.3.0, rollout 1: from share 0 at 2026-07-22T14:00:00Z to 1 in PT48H (upstream)
        ");
    });
    let (revision, _) = present(&database.store().await).await;
    assert_eq!(revision, Revision(2));
}

#[tokio::test]
async fn oddities_are_taken_and_told() {
    let database = Database::new().await;
    let folder = tempfile::tempdir().unwrap();
    let mut documents = upstream::plain(3);
    documents.updates["releases"][0]["metadata"]["barrier"] = json!({"reason": ""});
    documents.updates["releases"][1]["metadata"]["rollout"]["start_percentage"] = json!(100);
    documents.updates["releases"][2] = documents.updates["releases"][1].clone();
    documents.updates["releases"]
        .as_array_mut()
        .unwrap()
        .push(json!({"version": "9", "metadata": {"deadend": {"reason": "x"}}}));
    documents.releases["releases"][1]["commits"] = documents.releases["releases"][0]["commits"].clone();
    documents.releases["releases"][2]["version"] = "44.1.0".into();
    documents.releases["releases"][2]["commits"]
        .as_array_mut()
        .unwrap()
        .push(json!({"architecture": "X86", "checksum": "a"}));
    documents.write(folder.path(), "stable");
    let output = import(&database.url, folder.path());
    assert!(output.status.success(), "{}", text(&output.stderr));
    let findings: Vec<String> =
        text(&output.stdout).lines().filter(|line| line.contains("warning")).map(Into::into).collect();
    insta::assert_snapshot!(findings.join("\n"), @r#"
    fedora-coreos/stable: warning: updates.json: releases[2]: 44.1.0 stands there before; the entries are merged
    fedora-coreos/stable: warning: updates.json: releases[0].metadata.barrier.reason: is empty; agents are told "generic"
    fedora-coreos/stable: warning: updates.json: releases[1].metadata.rollout.start_percentage: is 100, though 1 means everybody
    fedora-coreos/stable: warning: releases.json: releases[2].commits[1]: the architecture holds 'X', which is not allowed: 1 to 32 of a-z, 0-9 and '_'; the payload is left out
    fedora-coreos/stable: warning: updates.json: releases[1].metadata.rollout.start_percentage: is 100, though 1 means everybody
    fedora-coreos/stable: warning: releases.json: releases[1]: has the payload of releases[0] on x86_64 checksum; nodes find themselves at the older
    fedora-coreos/stable: warning: releases.json: releases[2]: 44.1.0 is listed at 1 too; both are served
    fedora-coreos/stable: warning: updates.json: releases[3]: 9 is not in releases.json; its policies have no effect
    "#);
}

#[test]
fn a_document_that_cannot_be_read_names_the_place_and_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let good = upstream::plain(3);
    let broken = |what: &str, releases: String, updates: String| {
        upstream::write(folder.path(), "prod/streams/stable/releases.json", &releases);
        upstream::write(folder.path(), "updates/stable.json", &updates);
        // No database is there to be changed: the documents are judged first.
        let output = import("postgres://127.0.0.1:1/none", folder.path());
        assert!(!output.status.success(), "{what}");
        let folder_name = folder.path().display().to_string();
        format!("{what}: {}", text(&output.stderr).replace(&folder_name, "DIR").trim())
    };
    let (releases, updates) = (good.releases.to_string(), good.updates.to_string());
    let spoilt = |change: fn(&mut Documents)| {
        let mut documents = good.clone();
        change(&mut documents);
        (documents.releases.to_string(), documents.updates.to_string())
    };
    let told = [
        broken("truncated", releases[..releases.len() - 9].into(), updates.clone()),
        broken("10 MB of brackets", "[".repeat(10 * 1024 * 1024), updates.clone()),
        broken("brackets deep inside", releases.clone(), format!("{{\"releases\": [{}", "[".repeat(1024))),
        broken("something behind it", format!("{releases} x"), updates.clone()),
        {
            let (releases, updates) = spoilt(|documents| documents.releases["releases"][1]["version"] = json!(7));
            broken("a number for a version", releases, updates)
        },
        {
            let (releases, updates) = spoilt(|documents| documents.releases["releases"][1]["version"] = json!(""));
            broken("an empty version", releases, updates)
        },
        {
            let (releases, updates) = spoilt(|documents| {
                documents.updates["releases"][2]["metadata"]["rollout"]["start_epoch"] = json!("soon");
            });
            broken("a word for an epoch", releases, updates)
        },
        {
            let (releases, updates) = spoilt(|documents| documents.updates["stream"] = json!("next"));
            broken("another stream", releases, updates)
        },
    ];
    insta::assert_snapshot!(told.join("\n"), @r#"
    truncated: lockkeeper: fedora-coreos/stable was not imported: DIR/prod/streams/stable/releases.json: releases[2].commits[0].checksum: EOF while parsing a string at line 1 column 548
    10 MB of brackets: lockkeeper: fedora-coreos/stable was not imported: DIR/prod/streams/stable/releases.json: [0]: invalid type: sequence, expected a string at line 1 column 1
    brackets deep inside: lockkeeper: fedora-coreos/stable was not imported: DIR/updates/stable.json: releases[0][0]: invalid type: sequence, expected a string at line 1 column 15
    something behind it: lockkeeper: fedora-coreos/stable was not imported: DIR/prod/streams/stable/releases.json: .: trailing characters at line 1 column 559
    a number for a version: lockkeeper: fedora-coreos/stable was not imported: DIR/prod/streams/stable/releases.json: releases[1].version: invalid type: integer `7`, expected a string at line 1 column 248
    an empty version: lockkeeper: fedora-coreos/stable was not imported: releases.json: releases[1].version: must not be empty
    a word for an epoch: lockkeeper: fedora-coreos/stable was not imported: DIR/updates/stable.json: releases[2].metadata.rollout.start_epoch: invalid type: string "soon", expected i64 at line 1 column 289
    another stream: lockkeeper: fedora-coreos/stable was not imported: updates.json: stream: is "next", the document was to be of "stable"
    "#);
}

#[test]
fn a_missing_document_and_a_missing_folder_are_named() {
    let folder = tempfile::tempdir().unwrap();
    upstream::plain(3).write(folder.path(), "stable");
    std::fs::remove_file(folder.path().join("updates/stable.json")).unwrap();
    let output = import("postgres://127.0.0.1:1/none", folder.path());
    assert!(
        text(&output.stderr).contains("updates/stable.json: there is no such document"),
        "{}",
        text(&output.stderr)
    );
    let output = import("postgres://127.0.0.1:1/none", &folder.path().join("nowhere"));
    assert!(text(&output.stderr).contains("nowhere/prod/streams"), "{}", text(&output.stderr));
    assert!(!output.status.success());
}

#[tokio::test]
async fn what_was_set_here_survives_the_next_import() {
    let database = Database::new().await;
    let (store, folder) = (database.store().await, tempfile::tempdir().unwrap());
    let manage = manage(store.clone());
    let mut documents = upstream::plain(3);
    documents.updates["releases"][1]["metadata"]["barrier"] = json!({"reason": "theirs"});
    documents.write(folder.path(), "stable");
    run(&manage, folder.path()).await;
    change(&manage, |stream| {
        let release = &mut stream.releases[2];
        release.rollouts[0] = release.rollouts[0].abort().unwrap();
        release.rollouts[0].origin = Origin::Local;
        let barrier = stream.releases[1].barrier.as_mut().unwrap();
        (barrier.reason, barrier.origin) = (lockkeeper::domain::reason::Reason::given("ours").unwrap(), Origin::Local);
    })
    .await;
    let (_, before) = present(&store).await;

    documents.updates["releases"][0]["metadata"]["deadend"] = json!({"reason": "new"});
    documents.write(folder.path(), "stable");
    let report = run(&manage, folder.path()).await;
    let (revision, after) = present(&store).await;
    assert_eq!(revision, Revision(3));
    assert_eq!(after.releases[1..], before.releases[1..]);
    assert!(after.releases[0].dead_end.is_some());
    let told: Vec<String> = report.findings.iter().map(ToString::to_string).collect();
    insta::assert_snapshot!(told.join("\n"), @"
    drift: release 44.1.0: its barrier as set here is not upstream's; ours stays
    drift: release 44.2.0: its rollouts as set here is not upstream's; ours stays
    ");
}

#[tokio::test]
async fn upstream_does_not_move_a_release_that_was_published_here() {
    let database = Database::new().await;
    let (store, folder) = (database.store().await, tempfile::tempdir().unwrap());
    let manage = manage(store.clone());
    upstream::plain(2).write(folder.path(), "stable");
    run(&manage, folder.path()).await;
    change(&manage, |stream| {
        let mut ours = stream.releases[1].clone();
        (ours.version, ours.origin) =
            (lockkeeper::domain::version::Version::parse("44.hotfix").unwrap(), Origin::Local);
        ours.payloads.clear();
        ours.rollouts.iter_mut().for_each(|rollout| rollout.origin = Origin::Local);
        stream.releases.push(ours);
    })
    .await;

    // Newer ones come behind it.
    upstream::plain(3).write(folder.path(), "stable");
    run(&manage, folder.path()).await;
    let versions = |stream: &Stream| stream.releases.iter().map(|r| r.version.to_string()).collect::<Vec<_>>();
    let (_, stream) = present(&store).await;
    assert_eq!(versions(&stream), ["44.0.0", "44.1.0", "44.hotfix", "44.2.0"]);

    // One inserted below it, or removed, is refused.
    for spoil in [(|list| list.insert(1, json!({"version": "44.0.5"}))) as fn(&mut Vec<serde_json::Value>), |list| {
        drop(list.remove(0));
    }] {
        let mut documents = upstream::plain(3);
        spoil(documents.releases["releases"].as_array_mut().unwrap());
        documents.write(folder.path(), "stable");
        let fetched = fetch(&Location::Folder(folder.path().into()), &stable()).await.unwrap();
        let error = import_fetched(&manage, &stable(), &author(), &fetched).await.unwrap_err();
        assert!(error.to_string().contains("below a release that was published here"), "{error}");
        assert_eq!(present(&store).await.1, stream);
    }
}

#[tokio::test]
async fn upstream_may_take_over_an_alias_but_opens_no_draft() {
    let database = Database::new().await;
    let (store, folder) = (database.store().await, tempfile::tempdir().unwrap());
    let manage = manage(store.clone());
    upstream::plain(2).write(folder.path(), "stable");
    run(&manage, folder.path()).await;
    change(&manage, |stream| {
        let key = stream.releases[1].payloads.keys().next().unwrap().clone();
        let alias = lockkeeper::domain::payload::PayloadId::parse("c0ffee").unwrap();
        stream.releases[1].aliases.insert(key, [alias].into());
        let mut draft = stream.releases[1].clone();
        (draft.version, draft.origin) = (lockkeeper::domain::version::Version::parse("44.2.0").unwrap(), Origin::Local);
        draft.state = lockkeeper::domain::release::ReleaseState::Draft;
        (draft.payloads, draft.aliases) = Default::default();
        stream.releases.push(draft);
    })
    .await;
    let mut documents = upstream::plain(4);
    documents.releases["releases"][1]["commits"][0]["checksum"] = "c0ffee".into();
    documents.write(folder.path(), "stable");
    let report = run(&manage, folder.path()).await;
    let told: Vec<String> = report.findings.iter().map(ToString::to_string).collect();
    insta::assert_snapshot!(told.join("\n"), @"
    drift: release 44.2.0: upstream has published what is a draft here; it stays closed, as withdrawn, until it is published here
    warning: release 44.1.0: its alias on x86_64 checksum is upstream's payload now and is dropped
    ");
    let (_, stream) = present(&store).await;
    assert!(stream.releases[1].aliases.is_empty());
    assert_eq!(stream.aged().count(), 4);
    assert_eq!(stream.releases[2].state, lockkeeper::domain::release::ReleaseState::Withdrawn);
    run(&manage, folder.path()).await;
    assert_eq!(present(&store).await.1, stream);

    // An alias that becomes another release's payload is a conflict, and is told by name.
    change(&manage, |stream| {
        let key = stream.releases[1].payloads.keys().next().unwrap().clone();
        let alias = lockkeeper::domain::payload::PayloadId::parse("decaf").unwrap();
        stream.releases[1].aliases.insert(key, [alias].into());
    })
    .await;
    documents.releases["releases"][2]["commits"][0]["checksum"] = "decaf".into();
    documents.write(folder.path(), "stable");
    let fetched = fetch(&Location::Folder(folder.path().into()), &stable()).await.unwrap();
    let error = import_fetched(&manage, &stable(), &author(), &fetched).await.unwrap_err();
    assert_eq!(error.to_string(), "releases.json: upstream gives decaf to 44.2.0, here it is an alias of 44.1.0");
}

#[tokio::test]
async fn what_upstream_takes_away_does_not_take_our_stop_with_it() {
    let database = Database::new().await;
    let (store, folder) = (database.store().await, tempfile::tempdir().unwrap());
    let manage = manage(store.clone());
    let mut documents = upstream::plain(3);
    // A share out of range, and a version listed twice: what went wrong can be stopped here.
    documents.updates["releases"][2]["metadata"]["rollout"]["start_percentage"] = json!(100.0);
    documents.releases["releases"][1]["version"] = "44.2.0".into();
    documents.write(folder.path(), "stable");
    run(&manage, folder.path()).await;
    change(&manage, |stream| {
        stream.releases[2].state = lockkeeper::domain::release::ReleaseState::Withdrawn;
        stream.releases[2].origin = Origin::Local;
        for release in &mut stream.releases[1..] {
            release.rollouts[0] = release.rollouts[0].abort().unwrap();
            release.rollouts[0].origin = Origin::Local;
        }
    })
    .await;
    let (_, stopped) = present(&store).await;
    let report = run(&manage, folder.path()).await;
    assert_eq!(present(&store).await.1, stopped);
    assert_eq!(report.findings.iter().filter(|finding| finding.severity == Severity::Drift).count(), 3);
    for left in [2, 1] {
        documents.releases["releases"].as_array_mut().unwrap().truncate(left);
        documents.write(folder.path(), "stable");
        let fetched = fetch(&Location::Folder(folder.path().into()), &stable()).await.unwrap();
        let result = import_fetched(&manage, &stable(), &author(), &fetched).await;
        // The withdrawn one stays as ours; without the other, it would lose its place.
        assert_eq!(result.is_ok(), left == 2);
        assert_eq!(present(&store).await.1.releases, stopped.releases);
    }
    change(&manage, |stream| drop(stream.releases.pop())).await;
    let fetched = fetch(&Location::Folder(folder.path().into()), &stable()).await.unwrap();
    let error = import_fetched(&manage, &stable(), &author(), &fetched).await.unwrap_err();
    assert_eq!(error.to_string(), "releases.json: upstream removed 44.2.0, on which something was set here");
}

#[tokio::test]
async fn upstream_moves_no_release_out_of_a_blocked_range() {
    let database = Database::new().await;
    let (store, folder) = (database.store().await, tempfile::tempdir().unwrap());
    let manage = manage(store.clone());
    let documents = upstream::plain(4);
    documents.write(folder.path(), "stable");
    run(&manage, folder.path()).await;
    change(&manage, |stream| {
        let version = |age: usize| stream.releases[age].version.clone();
        stream.blocked_updates.push(lockkeeper::domain::blocked::BlockedUpdate {
            first: version(0),
            last: version(1),
            target: version(3),
            reason: lockkeeper::domain::reason::Reason::given("it burns").unwrap(),
            arches: None,
            origin: Origin::Local,
        });
    })
    .await;
    let (_, blocked) = present(&store).await;
    for (at, to, taken) in [(0, 1, false), (0, 3, false), (2, 3, true)] {
        let mut reordered = documents.clone();
        reordered.releases["releases"].as_array_mut().unwrap().swap(at, to);
        reordered.write(folder.path(), "stable");
        let fetched = fetch(&Location::Folder(folder.path().into()), &stable()).await.unwrap();
        let result = import_fetched(&manage, &stable(), &author(), &fetched).await;
        assert_eq!(result.is_ok(), taken, "{at} with {to}: {result:?}");
        if !taken {
            assert!(result.unwrap_err().to_string().contains("from where the update to 44.3.0 is blocked here"));
            assert_eq!(present(&store).await.1, blocked);
        }
    }
}

#[tokio::test]
async fn who_stops_listening_does_not_stop_an_import() {
    let (database, folder) = (Database::new().await, tempfile::tempdir().unwrap());
    for stream in ["next", "stable", "testing"] {
        upstream::plain(300).write(folder.path(), stream);
    }
    let mut command = lockkeeper();
    command.env("DATABASE_URL", &database.url).args(["import", "fcos", "--from"]).arg(folder.path());
    let mut child = command.stdout(std::process::Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    assert!(child.wait().unwrap().success());
    let mut transaction = database.store().await.begin_read("test").await.unwrap();
    assert_eq!(transaction.heads().await.unwrap().len(), 3);
}

#[tokio::test]
async fn documents_come_from_a_web_site_too() {
    let (database, folder) = (Database::new().await, tempfile::tempdir().unwrap());
    for stream in ["next", "stable", "testing"] {
        upstream::plain(3).write(folder.path(), stream);
    }
    let root = folder.path().to_owned();
    let site = axum::Router::new().fallback(move |uri: axum::http::Uri| {
        let file = root.join(uri.path().trim_start_matches("/mirror/"));
        async move { std::fs::read(file).map_err(|_| axum::http::StatusCode::NOT_FOUND) }
    });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, site).await.unwrap() });
    let run = move |path: &'static str, url: String| {
        tokio::task::spawn_blocking(move || {
            let from = format!("http://{address}{path}");
            lockkeeper().env("DATABASE_URL", url).args(["import", "fcos", "--from", &from]).output().unwrap()
        })
    };
    let output = run("/mirror", database.url.clone()).await.unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert_eq!(text(&output.stdout).matches(": revision 1").count(), 3);
    let output = run("/elsewhere", database.url.clone()).await.unwrap();
    assert!(text(&output.stderr).contains("there is no such document"), "{}", text(&output.stderr));
}

#[test]
fn every_fixture_is_taken() {
    let Some(fixtures) = fixtures::fcos() else { return };
    let id = |stream: &str| StreamId { stream: StreamName::parse(stream).unwrap(), ..stable() };
    let read = |releases: &Path, updates: &Path, stream: &str| {
        let files = lockkeeper::exchange::fcos::source::GraphFiles {
            releases: releases.into(),
            updates: updates.into(),
            metadata: None,
        };
        files.read(&id(stream)).unwrap()
    };
    let mut states = 0;
    for folder in ["history", "updates"] {
        for entry in std::fs::read_dir(fixtures.join(folder)).unwrap() {
            let updates = entry.unwrap().path();
            let name = updates.file_stem().unwrap().to_string_lossy().into_owned();
            let stream = name.split('-').next().unwrap();
            let releases = fixtures.join(format!("releases/{stream}.json"));
            assert!(read(&releases, &updates, stream).stream.releases.len() > 100);
            states += 1;
        }
    }
    assert_eq!(states, 18);
    for genuine in ["releases-stable-2021-11.json", "releases-with-oci.json"] {
        let modelled = read(&fixtures.join("genuine").join(genuine), &fixtures.join("updates/stable.json"), "stable");
        assert!(modelled.stream.releases.len() > 20);
    }
}
