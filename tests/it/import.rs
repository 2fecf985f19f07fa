//! Imports of upstream's documents are applied completely or not at all, and only if something changed.

use crate::support::{
    dialects, fixtures,
    postgres::Database,
    program::{import, lockkeeper, text},
    replace::{import_fetched, modify},
    upstream::{self, Documents},
};
use lockkeeper::{
    clock::SystemClock,
    domain::{
        description::Description,
        duration::Minutes,
        finding::Severity,
        ids::{ProductName, StreamId, StreamName},
        origin::Origin,
        policy::graph_rules::NewestTargets,
        rollout::preset::Preset,
        stream::{Revision, Stream},
    },
    exchange::fcos::{import::fetch, source::Location},
    manage::{Manage, Report},
    store::Store,
};
use serde_json::json;
use std::{path::Path, sync::Arc};

fn stable() -> StreamId {
    StreamId { product: ProductName::parse("fedora-coreos").unwrap(), stream: StreamName::parse("stable").unwrap() }
}

fn manage(store: Store) -> Manage {
    Manage::new(store, Arc::new(SystemClock), dialects())
}

async fn run(manage: &Manage, folder: &Path) -> Report {
    let fetched = fetch(&Location::Folder(folder.into()), &stable()).await.unwrap();
    import_fetched(manage, fetched, false).await.unwrap()
}

async fn present(store: &Store) -> (Revision, Stream) {
    let mut transaction = store.begin_read("test").await.unwrap();
    let head = transaction.heads().await.unwrap().into_iter().find(|head| head.id == stable()).unwrap();
    (head.revision, transaction.load_stream(&head).await.unwrap())
}

/// Changes a stream as a local edit does.
async fn change(manage: &Manage, change: impl Fn(&mut Stream) + Send + Sync) {
    modify(manage, &stable(), change).await;
}

#[tokio::test]
async fn importing_twice_changes_nothing_and_a_changed_upstream_creates_one_revision() {
    let database = Database::new().await;
    let folder = tempfile::tempdir().unwrap();
    upstream::plain(3).write(folder.path(), "stable");
    let first = import(&database.url, folder.path());
    assert!(first.status.success(), "{}", text(&first.stderr));
    assert!(text(&first.stdout).starts_with("fedora-coreos/stable: revision 1\n"), "{}", text(&first.stdout));

    let again = import(&database.url, folder.path());
    assert_eq!(text(&again.stdout), "fedora-coreos/stable: no changes, still revision 1\n");

    let mut documents = upstream::plain(4);
    documents.updates["releases"][3]["metadata"] =
        json!({"rollout": {"start_epoch": 4_102_444_800_i64, "start_percentage": 0.0, "duration_minutes": 2880}});
    documents.updates["releases"][2]["metadata"]["barrier"] = json!({"reason": "https://example.org/1"});
    documents.write(folder.path(), "stable");
    let changed = import(&database.url, folder.path());
    insta::with_settings!({filters => vec![("[0-9a-f]{12}", "[hash]")]}, {
        insta::assert_snapshot!(text(&changed.stdout), @"
        fedora-coreos/stable: revision 2
        ~ upstream document releases: [hash] -> [hash]
        ~ upstream document updates: [hash] -> [hash]
        + release 44.2.0, barrier: https://example.org/1 (upstream)
        + release 44.3.0: published, age index 3 (upstream)
        + release 44.3.0, rollout 1: from share 0 at 2100-01-01T00:00:00Z to 1 in PT48H (upstream)
        ");
    });
    let (revision, _) = present(&database.store().await).await;
    assert_eq!(revision, Revision(2));
}

#[tokio::test]
async fn unusual_documents_are_imported_with_warnings() {
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
    fedora-coreos/stable: warning: updates.json: releases[2]: repeats 44.1.0; the entries are merged [LK2002]
    fedora-coreos/stable: warning: updates.json: releases[0].metadata.barrier.reason: is empty; agents see "generic" [LK2005]
    fedora-coreos/stable: warning: updates.json: releases[1].metadata.rollout.start_percentage: is 100, though 1 means all nodes [LK2005]
    fedora-coreos/stable: warning: releases.json: releases[2].commits[1]: the architecture contains 'X', expected 1 to 32 of a-z, 0-9 and '_'; the payload is ignored [LK2003]
    fedora-coreos/stable: warning: updates.json: releases[1].metadata.rollout.start_percentage: is 100, though 1 means all nodes [LK2005]
    fedora-coreos/stable: warning: releases.json: releases[1]: has the payload of releases[0] on x86_64 checksum; nodes with it count as the older release [LK2007]
    fedora-coreos/stable: warning: releases.json: releases[2]: 44.1.0 is also listed as releases[1]; both are served [LK2006]
    fedora-coreos/stable: warning: updates.json: releases[3]: 9 is not in releases.json; its policies have no effect [LK2001]
    "#);
}

#[test]
fn invalid_documents_are_rejected_with_the_position_of_the_error() {
    let folder = tempfile::tempdir().unwrap();
    let good = upstream::plain(3);
    let import_error = |what: &str, releases: String, updates: String| {
        upstream::write(folder.path(), "prod/streams/stable/releases.json", &releases);
        upstream::write(folder.path(), "updates/stable.json", &updates);
        // There is no database at this address: the documents are checked first.
        let output = import("postgres://127.0.0.1:1/none", folder.path());
        assert!(!output.status.success(), "{what}");
        let folder_name = folder.path().display().to_string();
        format!("{what}: {}", text(&output.stderr).replace(&folder_name, "DIR").trim())
    };
    let (releases, updates) = (good.releases.to_string(), good.updates.to_string());
    let modified = |change: fn(&mut Documents)| {
        let mut documents = good.clone();
        change(&mut documents);
        (documents.releases.to_string(), documents.updates.to_string())
    };
    let errors = [
        import_error("truncated", releases[..releases.len() - 9].into(), updates.clone()),
        import_error("10 MB of brackets", "[".repeat(10 * 1024 * 1024), updates.clone()),
        import_error("brackets deep inside", releases.clone(), format!("{{\"releases\": [{}", "[".repeat(1024))),
        import_error("text after the document", format!("{releases} x"), updates.clone()),
        {
            let (releases, updates) = modified(|documents| documents.releases["releases"][1]["version"] = json!(7));
            import_error("a number for a version", releases, updates)
        },
        {
            let (releases, updates) = modified(|documents| documents.releases["releases"][1]["version"] = json!(""));
            import_error("an empty version", releases, updates)
        },
        {
            let (releases, updates) = modified(|documents| {
                documents.updates["releases"][2]["metadata"]["rollout"]["start_epoch"] = json!("soon");
            });
            import_error("a word for an epoch", releases, updates)
        },
        {
            let (releases, updates) = modified(|documents| documents.updates["stream"] = json!("next"));
            import_error("another stream", releases, updates)
        },
    ];
    insta::assert_snapshot!(errors.join("\n"), @r#"
    truncated: lockkeeper: fedora-coreos/stable was not imported: DIR/prod/streams/stable/releases.json: releases[2].commits[0].checksum: EOF while parsing a string at line 1 column 548
    10 MB of brackets: lockkeeper: fedora-coreos/stable was not imported: DIR/prod/streams/stable/releases.json: [0]: invalid type: sequence, expected a string at line 1 column 1
    brackets deep inside: lockkeeper: fedora-coreos/stable was not imported: DIR/updates/stable.json: releases[0][0]: invalid type: sequence, expected a string at line 1 column 15
    text after the document: lockkeeper: fedora-coreos/stable was not imported: DIR/prod/streams/stable/releases.json: the document: trailing characters at line 1 column 559
    a number for a version: lockkeeper: fedora-coreos/stable was not imported: DIR/prod/streams/stable/releases.json: releases[1].version: invalid type: integer `7`, expected a string at line 1 column 248
    an empty version: lockkeeper: fedora-coreos/stable was not imported: DIR/prod/streams/stable/releases.json: releases[1].version: must not be empty at line 1 column 248
    a word for an epoch: lockkeeper: fedora-coreos/stable was not imported: DIR/updates/stable.json: releases[2].metadata.rollout.start_epoch: invalid type: string "soon", expected i64 at line 1 column 289
    another stream: lockkeeper: fedora-coreos/stable was not imported: DIR/updates/stable.json: stream: is "next", expected "stable" at line 1 column 283
    "#);
}

#[test]
fn errors_name_a_missing_document_or_folder() {
    let folder = tempfile::tempdir().unwrap();
    upstream::plain(3).write(folder.path(), "stable");
    std::fs::remove_file(folder.path().join("updates/stable.json")).unwrap();
    let output = import("postgres://127.0.0.1:1/none", folder.path());
    assert!(text(&output.stderr).contains("updates/stable.json: document not found"), "{}", text(&output.stderr));
    let output = import("postgres://127.0.0.1:1/none", &folder.path().join("nowhere"));
    assert!(text(&output.stderr).contains("nowhere/prod/streams"), "{}", text(&output.stderr));
    assert!(!output.status.success());
}

#[tokio::test]
async fn local_edits_survive_the_next_import() {
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
        (barrier.reason, barrier.origin) = (lockkeeper::domain::reason::Reason::new("ours").unwrap(), Origin::Local);
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
    let findings: Vec<String> = report.findings.iter().flatten().map(ToString::to_string).collect();
    insta::assert_snapshot!(findings.join("\n"), @"
    drift: release 44.1.0: local barrier kept, upstream has a different value [LK2016]
    drift: release 44.2.0: local rollouts kept, upstream has a different value [LK2016]
    ");
}

/// Regression test: an import reset the default rollout.
#[tokio::test]
async fn settings_survive_the_next_import() {
    let database = Database::new().await;
    let (store, folder) = (database.store().await, tempfile::tempdir().unwrap());
    let manage = manage(store.clone());
    upstream::plain(2).write(folder.path(), "stable");
    run(&manage, folder.path()).await;
    change(&manage, |stream| {
        stream.description = Description::parse("machines in shops").ok();
        stream.default_rollout = Some(Preset::Linear48h);
        stream.rules.targets = NewestTargets::new(2).into();
        stream.protection.shortest_rollout = Some(Minutes(48 * 60));
    })
    .await;
    let settings = |stream: Stream| (stream.description, stream.default_rollout, stream.rules, stream.protection);
    let before = settings(present(&store).await.1);
    upstream::plain(3).write(folder.path(), "stable");
    run(&manage, folder.path()).await;
    let (revision, after) = present(&store).await;
    assert_eq!(revision, Revision(3));
    assert_eq!(settings(after), before);
}

#[tokio::test]
async fn imports_do_not_move_locally_published_releases() {
    let database = Database::new().await;
    let (store, folder) = (database.store().await, tempfile::tempdir().unwrap());
    let manage = manage(store.clone());
    upstream::plain(2).write(folder.path(), "stable");
    run(&manage, folder.path()).await;
    change(&manage, |stream| {
        let mut local = stream.releases[1].clone();
        (local.version, local.origin) = (lockkeeper::domain::ids::Version::parse("44.hotfix").unwrap(), Origin::Local);
        local.payloads.clear();
        local.rollouts.iter_mut().for_each(|rollout| rollout.origin = Origin::Local);
        stream.releases.push(local);
    })
    .await;

    // Newer releases come after it.
    upstream::plain(3).write(folder.path(), "stable");
    run(&manage, folder.path()).await;
    let versions = |stream: &Stream| stream.releases.iter().map(|r| r.version.to_string()).collect::<Vec<_>>();
    let (_, stream) = present(&store).await;
    assert_eq!(versions(&stream), ["44.0.0", "44.1.0", "44.hotfix", "44.2.0"]);

    // Inserting or removing an older release is rejected.
    let inserted = "before a local published release";
    for (modify, message) in [
        ((|list| list.insert(1, json!({"version": "44.0.5"}))) as fn(&mut Vec<serde_json::Value>), inserted),
        (|list| drop(list.remove(0)), "upstream no longer lists 1 release (44.0.0)"),
    ] {
        let mut documents = upstream::plain(3);
        modify(documents.releases["releases"].as_array_mut().unwrap());
        documents.write(folder.path(), "stable");
        let fetched = fetch(&Location::Folder(folder.path().into()), &stable()).await.unwrap();
        let error = import_fetched(&manage, fetched, false).await.unwrap_err();
        assert!(error.to_string().contains(message), "{error}");
        assert_eq!(present(&store).await.1, stream);
    }
}

#[tokio::test]
async fn imports_take_over_aliases_but_do_not_publish_drafts() {
    let database = Database::new().await;
    let (store, folder) = (database.store().await, tempfile::tempdir().unwrap());
    let manage = manage(store.clone());
    upstream::plain(2).write(folder.path(), "stable");
    run(&manage, folder.path()).await;
    change(&manage, |stream| {
        let key = stream.releases[1].payloads.keys().next().unwrap().clone();
        let alias = lockkeeper::domain::payload::PayloadId::parse("c0ffee").unwrap();
        stream.releases[1].aliases.insert(key, [(alias, Origin::Local)].into_iter().collect());
        let mut draft = stream.releases[1].clone();
        (draft.version, draft.origin) = (lockkeeper::domain::ids::Version::parse("44.2.0").unwrap(), Origin::Local);
        draft.state = lockkeeper::domain::release::ReleaseState::Draft;
        (draft.payloads, draft.aliases) = Default::default();
        stream.releases.push(draft);
    })
    .await;
    let mut documents = upstream::plain(4);
    documents.releases["releases"][1]["commits"][0]["checksum"] = "c0ffee".into();
    documents.write(folder.path(), "stable");
    let report = run(&manage, folder.path()).await;
    let findings: Vec<String> = report.findings.iter().flatten().map(ToString::to_string).collect();
    insta::assert_snapshot!(findings.join("\n"), @"
    drift: release 44.2.0: upstream published this local draft; it is withdrawn here until it is published here [LK2015]
    warning: release 44.1.0: upstream changed its payload on x86_64 checksum from 0000000000000000000000000000000000000000000000000000000000000001 to c0ffee; the old one is kept as an alias [LK2010]
    warning: release 44.1.0: its alias on x86_64 checksum is now its payload upstream and was removed [LK2011]
    ");
    let (_, stream) = present(&store).await;
    let aliases = stream.releases[1].aliases.values().flat_map(lockkeeper::domain::release::Aliases::keys);
    let aliases: Vec<String> = aliases.map(ToString::to_string).collect();
    assert_eq!(aliases, [format!("{:064x}", 1)], "the payload that upstream had before");
    assert_eq!(stream.aged().count(), 4);
    assert_eq!(stream.releases[2].state, lockkeeper::domain::release::ReleaseState::Withdrawn);
    run(&manage, folder.path()).await;
    assert_eq!(present(&store).await.1, stream);

    // A local alias that becomes another release's payload is a conflict; the error names both releases.
    change(&manage, |stream| {
        let key = stream.releases[1].payloads.keys().next().unwrap().clone();
        let alias = lockkeeper::domain::payload::PayloadId::parse("decaf").unwrap();
        stream.releases[1].aliases.insert(key, [(alias, Origin::Local)].into_iter().collect());
    })
    .await;
    documents.releases["releases"][2]["commits"][0]["checksum"] = "decaf".into();
    documents.write(folder.path(), "stable");
    let fetched = fetch(&Location::Folder(folder.path().into()), &stable()).await.unwrap();
    let error = import_fetched(&manage, fetched, false).await.unwrap_err();
    assert_eq!(error.to_string(), "releases.json: decaf is the payload of 44.2.0 upstream and a local alias of 44.1.0");
}

#[tokio::test]
async fn withdrawals_and_aborts_survive_removals_by_upstream() {
    let database = Database::new().await;
    let (store, folder) = (database.store().await, tempfile::tempdir().unwrap());
    let manage = manage(store.clone());
    let mut documents = upstream::plain(3);
    // A share out of range, and a version listed twice: local edits can stop such releases.
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
    assert_eq!(report.findings.iter().flatten().filter(|finding| finding.severity == Severity::Drift).count(), 3);
    for remaining in [2, 1] {
        documents.releases["releases"].as_array_mut().unwrap().truncate(remaining);
        documents.write(folder.path(), "stable");
        let fetched = fetch(&Location::Folder(folder.path().into()), &stable()).await.unwrap();
        let result = import_fetched(&manage, fetched, false).await;
        // The withdrawn release is local and stays; the other one is published, and its removal is rejected.
        assert_eq!(result.is_ok(), remaining == 2);
        assert_eq!(present(&store).await.1.releases, stopped.releases);
    }
    change(&manage, |stream| drop(stream.releases.pop())).await;
    let fetched = fetch(&Location::Folder(folder.path().into()), &stable()).await.unwrap();
    let error = import_fetched(&manage, fetched, false).await.unwrap_err();
    assert!(error.to_string().contains("upstream no longer lists 1 release (44.2.0)"), "{error}");
}

#[tokio::test]
async fn imports_move_no_release_out_of_a_blocked_range() {
    let database = Database::new().await;
    let (store, folder) = (database.store().await, tempfile::tempdir().unwrap());
    let manage = manage(store.clone());
    let documents = upstream::plain(4);
    documents.write(folder.path(), "stable");
    run(&manage, folder.path()).await;
    change(&manage, |stream| {
        let version = |age: usize| stream.releases[age].version.clone();
        stream.blocked_updates.push(lockkeeper::domain::policy::blocked_update::BlockedUpdate {
            first: version(0),
            last: version(1),
            target: version(3),
            reason: lockkeeper::domain::reason::Reason::new("it burns").unwrap(),
            arches: None,
            origin: Origin::Local,
        });
    })
    .await;
    let (_, blocked) = present(&store).await;
    for (at, to, is_accepted) in [(0, 1, false), (0, 3, false), (2, 3, true)] {
        let mut reordered = documents.clone();
        reordered.releases["releases"].as_array_mut().unwrap().swap(at, to);
        reordered.write(folder.path(), "stable");
        let fetched = fetch(&Location::Folder(folder.path().into()), &stable()).await.unwrap();
        let result = import_fetched(&manage, fetched, false).await;
        assert_eq!(result.is_ok(), is_accepted, "{at} with {to}: {result:?}");
        if !is_accepted {
            assert!(result.unwrap_err().to_string().contains("from which the update to 44.3.0 is blocked"));
            assert_eq!(present(&store).await.1, blocked);
        }
    }
}

#[tokio::test]
async fn closing_standard_output_does_not_stop_an_import() {
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
async fn documents_are_imported_over_http() {
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
    assert!(text(&output.stderr).contains("document not found"), "{}", text(&output.stderr));
}

#[test]
#[ignore = "needs real metadata in ../shared/fixtures"]
fn every_state_of_real_metadata_is_accepted() {
    let fixtures = fixtures::fcos();
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

/// Upstream changed payloads of six versions, which silently stranded the nodes that ran the old ones.
#[tokio::test]
async fn nodes_stay_known_when_upstream_changes_their_payload() {
    let (database, folder) = (Database::new().await, tempfile::tempdir().unwrap());
    let store = database.store().await;
    let manage = manage(store.clone());
    let mut documents = upstream::plain(4);
    documents.write(folder.path(), "stable");
    run(&manage, folder.path()).await;
    let (old, new) = (format!("{:064x}", 1), format!("{:064x}", 77));
    documents.releases["releases"][1]["commits"][0]["checksum"] = new.clone().into();
    documents.write(folder.path(), "stable");
    let report = run(&manage, folder.path()).await;
    let found: Vec<String> = report.findings.iter().flatten().map(ToString::to_string).collect();
    assert!(found.iter().any(|finding| finding.contains("kept as an alias")), "{found:?}");
    let stream = present(&store).await.1;
    let graph = lockkeeper::domain::graph::Graph::new(
        &stream,
        &lockkeeper::domain::ids::Arch::parse("x86_64").unwrap(),
        &lockkeeper::domain::payload::Scheme::checksum(),
    );
    assert_eq!(graph.recognise(&old).unwrap().node, graph.recognise(&new).unwrap().node);
    // Swapped payloads are reported.
    let [first, second] = [2, 3].map(|n| documents.releases["releases"][n]["commits"].clone());
    (documents.releases["releases"][2]["commits"], documents.releases["releases"][3]["commits"]) = (second, first);
    documents.write(folder.path(), "stable");
    let found: Vec<String> =
        run(&manage, folder.path()).await.findings.iter().flatten().map(ToString::to_string).collect();
    assert_eq!(found.iter().filter(|finding| finding.contains("to another release")).count(), 2, "{found:?}");
}

/// The protection of a stream applies to upstream too: a rollout that is too fast is imported as paused.
#[tokio::test]
async fn upstream_rollouts_that_are_too_fast_are_paused() {
    let (database, folder) = (Database::new().await, tempfile::tempdir().unwrap());
    let store = database.store().await;
    let manage = manage(store.clone());
    let mut documents = upstream::plain(3);
    documents.write(folder.path(), "stable");
    run(&manage, folder.path()).await;
    change(&manage, |stream| {
        stream.protection.shortest_rollout = Some(lockkeeper::domain::duration::Minutes(48 * 60));
    })
    .await;
    documents.releases["releases"].as_array_mut().unwrap().push(upstream::plain(4).releases["releases"][3].clone());
    documents.updates["releases"].as_array_mut().unwrap().push(upstream::plain(4).updates["releases"][3].clone());
    documents.write(folder.path(), "stable");
    for _ in 0..2 {
        let report = run(&manage, folder.path()).await;
        assert!(
            report.findings.iter().flatten().any(|finding| finding.severity == Severity::Drift),
            "{:?}",
            report.findings
        );
        let rollout = present(&store).await.1.releases[3].rollouts[0].clone();
        assert_eq!((rollout.origin, rollout.state.as_str()), (Origin::Upstream, "paused"));
        let share = rollout.open_share(lockkeeper::domain::epoch::Epoch(i64::MAX / 4));
        assert_eq!(share, lockkeeper::domain::rollout::share::OpenShare::Open(0.0));
    }
}
