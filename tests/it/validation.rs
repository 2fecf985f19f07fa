//! Validation of the API, documents and imports: unknown names, new arches, schedules in the past, and identifiers.

use crate::support::{
    dialects, fixtures, ids,
    manager::{Desk, Manager, STABLE},
    postgres::Database,
    program::{lockkeeper, text},
    server::Server,
    upstream,
};
use lockkeeper::domain::{
    admission::lint::lint,
    epoch::Epoch,
    finding::{Finding, Severity},
    ids::{ProductName, StreamId, StreamName},
};
use lockkeeper::exchange::fcos::source::GraphFiles;
use lockkeeper::protocol::fcos::documents::Kind;
use reqwest::Method;
use serde_json::{Value, json};
use std::path::Path;

fn stream_path(path: &str) -> String {
    format!("{STABLE}/{path}")
}

fn payload(n: usize) -> Value {
    json!([{"arch": "x86_64", "scheme": "checksum", "id": format!("{n:064x}")}])
}

/// Returns a stream with releases 1.0 to 1.2 on `x86_64`, each open to all nodes.
fn document() -> Value {
    let release =
        |n: usize| json!({"version": format!("1.{n}"), "payloads": payload(n), "rollouts": [{"start_share": 1.0}]});
    json!({"format": 1, "product": "os", "stream": "stable", "origin": "local", "arches": ["x86_64"],
           "releases": (0..3).map(release).collect::<Vec<_>>()})
}

/// Returns the paths of the fields that a problem lists.
fn error_paths(body: &Value) -> Vec<&str> {
    body["errors"].as_array().unwrap().iter().map(|error| error["path"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn a_new_arch_in_a_stream_with_a_barrier_needs_no_acknowledgement() {
    let database = Database::new().await;
    let server = Server::start(&database).await;
    let admin = Desk::new(&server, &database).manager("admin", "*").await;
    admin.creates_stream(&document()).await;
    admin.change(Method::PUT, &stream_path("releases/1.1/barrier"), Some(&json!({"reason": "keys"}))).await.ok();
    // It needs no acknowledgement.
    admin.change(Method::PUT, STABLE, Some(&json!({"arches": ["aarch64", "x86_64"]}))).await.ok();
    assert_eq!(admin.get(&stream_path("lint")).await.ok().body["items"], json!([]));
    let mut payloads = payload(3);
    payloads
        .as_array_mut()
        .unwrap()
        .push(json!({"arch": "aarch64", "scheme": "checksum", "id": format!("{:064x}", 13)}));
    admin.post(&stream_path("releases"), &json!({"version": "1.3", "payloads": payloads})).await;
    admin.post(&stream_path("releases/1.3/rollouts"), &json!({"start_share": 1.0})).await;
    // The first release on aarch64 is the oldest and the newest there. No update leads to it, which is no finding.
    admin.post_empty(&stream_path("releases/1.3/publish")).await;
    server.stop().await;
}

#[test]
#[ignore = "needs real metadata in ../shared/fixtures"]
fn lint_finds_no_error_in_real_metadata() {
    let folder = fixtures::fcos();
    let mut releases = 0;
    for name in ["next", "stable", "testing"] {
        let stream = StreamName::parse(name).unwrap();
        let files = GraphFiles {
            releases: folder.join(format!("releases/{name}.json")),
            updates: folder.join(format!("updates/{name}.json")),
            metadata: Some(folder.join(format!("streams/{name}.json"))),
        };
        let id = StreamId { product: ProductName::parse("fedora-coreos").unwrap(), stream };
        let modelled = files.read(&id).unwrap();
        releases += modelled.stream.releases.len();
        let findings = lint(&modelled.stream, Epoch(1_790_000_000));
        let errors: Vec<&Finding> = findings.iter().filter(|finding| finding.severity == Severity::Error).collect();
        assert!(errors.is_empty(), "{name}: {errors:?}");
    }
    assert!(releases > 300);
}

#[test]
fn paths_of_the_service_are_reserved_product_names() {
    let (dialects, stream) = (dialects(), StreamName::parse("stable").unwrap());
    let first = |path: &str| path.trim_start_matches('/').split('/').next().unwrap().to_owned();
    let documents: Vec<String> = Kind::ALL.iter().map(|kind| kind.path(&stream)).collect();
    for path in documents.iter().map(String::as_str).chain([
        "/v1/graph",
        "/api/v1/openapi.json",
        "/healthz/ready",
        "/metrics",
        "/images",
    ]) {
        assert!(dialects.is_reserved(&ProductName::parse(&first(path)).unwrap()), "{path}");
    }
}

async fn assert_unknown_names_are_rejected(admin: &Manager<'_>) {
    let wrong = json!({"reason": "keys", "arches": ["amd64"]});
    for (method, path, body, field) in [
        (Method::PUT, stream_path("releases/1.1/barrier"), wrong.clone(), "releases[1].barrier.arches"),
        (Method::PUT, stream_path("releases/1.1/dead-end"), wrong, "releases[1].dead_end.arches"),
        (
            Method::POST,
            stream_path("releases/1.2/blocked-updates"),
            json!({"first": "1.0", "last": "1.0", "reason": "x", "arches": ["amd64"]}),
            "blocked_updates[0].arches",
        ),
        (
            Method::POST,
            stream_path("releases/1.2/rollouts"),
            json!({"start_share": 1.0, "selector": {"schemes": ["ocl"]}}),
            "releases[2].rollouts[1].selector.schemes",
        ),
        (
            Method::POST,
            stream_path("releases"),
            json!({"version": "..", "payloads": payload(4)}),
            "releases[3].version",
        ),
    ] {
        let response = admin.change(method, &format!("{path}?acknowledge=true"), Some(&body)).await;
        response.is_problem(422);
        assert_eq!(error_paths(&response.body), [field], "{response:?}");
    }
}

#[tokio::test]
async fn the_api_rejects_unknown_names() {
    let database = Database::new().await;
    let server = Server::start(&database).await;
    let admin = Desk::new(&server, &database).manager("admin", "*").await;
    admin.creates_stream(&document()).await;
    assert_unknown_names_are_rejected(&admin).await;
    let mut wrong = document();
    wrong["releases"][1]["barrier"] = json!({"reason": "keys", "arches": ["x86_64", "amd64"]});
    let path = format!("{}?acknowledge=true", stream_path("document"));
    let response = admin.change(Method::PUT, &path, Some(&wrong)).await;
    response.is_problem(422);
    assert_eq!(response.body["errors"][0]["path"], "releases[1].barrier.arches");
    let message = response.body["errors"][0]["message"].as_str().unwrap();
    assert!(message.contains("`amd64`") && message.contains("x86_64"), "{message}");
    // An arch can be added together with a barrier that names it, and cannot be removed before the barrier.
    wrong["arches"] = json!(["amd64", "x86_64"]);
    admin.change(Method::PUT, &path, Some(&wrong)).await.ok();
    let response = admin.change(Method::PUT, STABLE, Some(&json!({"arches": ["x86_64"]}))).await;
    response.is_problem(422);
    let reserved = format!("/api/v1/products/v1/streams/stable?reason=x&{}", "acknowledge=true");
    let response =
        admin.ask(Method::PUT, &reserved, &[("if-none-match", "*")], Some(&json!({"arches": ["x86_64"]}))).await;
    response.is_problem(422);
    assert_eq!(error_paths(&response.body), ["product"]);
    server.stop().await;
}

#[tokio::test]
async fn documents_with_unknown_names_are_rejected_and_imports_report_them() {
    let (database, folder) = (Database::new().await, tempfile::tempdir().unwrap());
    drop(database.store().await);
    let file = folder.path().join("stable.toml");
    let document = format!(
        "format = 1\nproduct = \"os\"\nstream = \"stable\"\n[[releases]]\nversion = \"1\"\n\
         barrier = {{ reason = \"keys\", arches = [\"amd64\"] }}\n\
         payloads = [{{ arch = \"x86_64\", scheme = \"checksum\", id = \"{:064x}\" }}]\n",
        1
    );
    std::fs::write(&file, document).unwrap();
    let mut put = lockkeeper();
    put.env("DATABASE_URL", &database.url).args(["document", "put", "--reason", "x", "--acknowledge"]).arg(&file);
    let error = text(&put.output().unwrap().stderr);
    assert!(
        error.contains("stable.toml:6:") && error.contains("releases[0].barrier.arches: names arch `amd64`"),
        "{error}"
    );
    let mut documents = upstream::plain(2);
    documents.releases["releases"][1]["version"] = "..".into();
    documents.write(folder.path(), "stable");
    let mut reserved = lockkeeper();
    reserved
        .env("DATABASE_URL", &database.url)
        .args(["import", "fcos", "--product", "v1", "--from"])
        .arg(folder.path());
    let error = text(&reserved.output().unwrap().stderr);
    assert!(error.contains("product: is \"v1\", which the service uses for its own paths"), "{error}");
    let output = import(&database, folder.path(), &[]);
    assert!(output.contains("warning: releases[1].version: is \"..\""), "{output}");
}

fn import(database: &Database, folder: &Path, arguments: &[&str]) -> String {
    let mut command = lockkeeper();
    command.env("DATABASE_URL", &database.url).args(["import", "fcos", "--from"]).arg(folder).args(arguments);
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    text(&output.stdout)
}

#[tokio::test]
async fn creating_a_blocked_update_again_changes_nothing() {
    let database = Database::new().await;
    let server = Server::start(&database).await;
    let admin = Desk::new(&server, &database).manager("admin", "*").await;
    admin.creates_stream(&document()).await;
    let path = stream_path("releases/1.2/blocked-updates");
    let block = json!({"first": "1.0", "last": "1.0", "reason": "it does not boot"});
    let first = admin.post(&path, &block).await;
    assert_eq!((first.status, &first.body["changed"], &first.body["revision"]), (201, &json!(true), &json!(2)));
    let again = admin.post(&path, &block).await;
    assert_eq!((again.status, &again.body["changed"], &again.body["revision"]), (200, &json!(false), &json!(2)));
    assert_eq!(again.body["created"], first.body["created"]);
    // With another reason, it is still the same blocked update.
    let known = admin.post(&path, &json!({"first": "1.0", "last": "1.0", "reason": "it burns"})).await;
    assert_eq!((&known.body["changed"], &known.body["created"]), (&json!(true), &json!("1")));
    let listed = admin.get(&path).await.ok().body;
    assert_eq!(listed["items"].as_array().unwrap().len(), 1, "{listed}");
    assert_eq!(listed["items"][0]["blocked_update"]["reason"], "it burns");
    admin.change(Method::DELETE, &format!("{path}/1?acknowledge=true"), None).await.ok();
    let graph = admin.get(&stream_path("graph?arch=x86_64")).await.ok().body;
    assert!(graph.to_string().contains("1.2"));
    assert_eq!(admin.get(&path).await.ok().body["items"], json!([]));
    let mut twice = document();
    let blocked = json!({"first": "1.0", "last": "1.0", "target": "1.2", "reason": "x"});
    twice["blocked_updates"] = json!([blocked, blocked]);
    let response = admin.change(Method::PUT, &stream_path("document?acknowledge=true"), Some(&twice)).await;
    response.is_problem(422);
    assert_eq!(error_paths(&response.body), ["blocked_updates[1]"]);
    server.stop().await;
}

#[tokio::test]
async fn invalid_cursors_and_limits_are_rejected_with_the_allowed_values() {
    let database = Database::new().await;
    let server = Server::start(&database).await;
    let admin = Desk::new(&server, &database).manager("admin", "*").await;
    admin.creates_stream(&document()).await;
    let lists =
        ["/api/v1/products", "/api/v1/products/os/streams", "/api/v1/tokens", "/api/v1/audit"].map(String::from);
    let lists: Vec<String> =
        lists.into_iter().chain(["releases", "promotions", "revisions"].map(stream_path)).collect();
    for list in &lists {
        for cursor in ["x", "-1", "99999999999999999999", "after:", "%00"] {
            let response = admin.get(&format!("{list}?cursor={cursor}")).await;
            response.is_problem(400);
            assert!(response.body["detail"].as_str().unwrap().contains("`cursor`"), "{list} {cursor} {response:?}");
        }
        for limit in ["0", "501", "100000", "-1", "x", ""] {
            let response = admin.get(&format!("{list}?limit={limit}")).await;
            response.is_problem(400);
            assert!(response.body["detail"].as_str().unwrap().contains("from 1 to 500"), "{list} {limit} {response:?}");
        }
    }
    admin.get(&stream_path("releases?cursor=after:zzz")).await.is_problem(400);
    for query in ["revisions/1/diff?from=99999999999999999999", "document?revision=99999999999999999999"] {
        let response = admin.get(&stream_path(query)).await;
        response.is_problem(400);
        assert!(
            response.body["detail"].as_str().unwrap().contains("must be a whole number of at least"),
            "{query} {response:?}"
        );
    }
    // Pages follow each other, by their links.
    let (mut seen, mut path) = (Vec::new(), stream_path("releases?limit=1"));
    loop {
        let page = admin.get(&path).await.ok();
        seen.push(page.body["items"][0]["version"].clone());
        let link = page.header("link");
        let Some(cursor) = page.body["next"].as_str() else {
            assert_eq!(link, "", "the last page has no link");
            break;
        };
        let target = link.strip_prefix('<').and_then(|link| link.strip_suffix(">; rel=\"next\"")).unwrap();
        let encoded = cursor.replace(':', "%3A");
        assert_eq!(target, stream_path(&format!("releases?limit=1&cursor={encoded}")));
        path = target.to_owned();
    }
    assert_eq!(seen, ["1.0", "1.1", "1.2"]);
    server.stop().await;
}

/// Imports upstream's documents with these policies on the second release into `fedora-coreos/stable`. Returns the exit code and the
/// output.
fn import_policies(database: &Database, folder: &Path, policies: &Value) -> (Option<i32>, String) {
    let mut documents = upstream::plain(3);
    for (name, policy) in policies.as_object().unwrap() {
        documents.updates["releases"][1]["metadata"][name] = policy.clone();
    }
    documents.write(folder, "stable");
    let mut command = lockkeeper();
    command.env("DATABASE_URL", &database.url).args(["import", "fcos", "--stream", "stable", "--from"]).arg(folder);
    let output = command.output().unwrap();
    (output.status.code(), text(&output.stdout))
}

#[tokio::test]
async fn removing_a_local_policy_suppresses_no_policy_of_upstream() {
    let (database, folder) = (Database::new().await, tempfile::tempdir().unwrap());
    let server = Server::start(&database).await;
    let admin = Desk::new(&server, &database).manager("admin", "*").await;
    let stream = "/api/v1/products/fedora-coreos/streams/stable";
    let release = format!("{stream}/releases/44.1.0");
    let reason = json!({"reason": "ours"});
    assert_eq!(import_policies(&database, folder.path(), &json!({})).0, Some(0));
    for policy in ["barrier", "dead-end"] {
        admin.change(Method::PUT, &format!("{release}/{policy}?acknowledge=true"), Some(&reason)).await.ok();
        admin.change(Method::DELETE, &format!("{release}/{policy}?acknowledge=true"), None).await.ok();
    }
    // Set, and removed by a revert.
    let before = admin.get(stream).await.ok().body["revision"].as_i64().unwrap();
    for policy in ["barrier", "dead-end"] {
        admin.change(Method::PUT, &format!("{release}/{policy}?acknowledge=true"), Some(&reason)).await.ok();
    }
    let revert = format!("{stream}/revisions/{before}/revert?acknowledge=true");
    admin.change(Method::POST, &revert, None).await.ok();
    let policies = json!({"barrier": {"reason": "theirs"}, "deadend": {"reason": "install again"}});
    let (code, output) = import_policies(&database, folder.path(), &policies);
    assert_eq!(code, Some(0), "{output}");
    let shown = admin.get(&release).await.ok().body;
    assert_eq!(
        (&shown["barrier"]["reason"], &shown["dead_end"]["reason"]),
        (&json!("theirs"), &json!("install again"))
    );

    // A removed policy of upstream stays removed, and every import reports it.
    for policy in ["barrier", "dead-end"] {
        admin.change(Method::DELETE, &format!("{release}/{policy}?acknowledge=true"), None).await.ok();
    }
    for _ in 0..2 {
        let (code, output) = import_policies(&database, folder.path(), &policies);
        assert_eq!(code, Some(3), "{output}");
        for what in ["barrier (theirs)", "dead end (install again)"] {
            let line = format!(
                "drift: release 44.1.0: upstream marks it as a {what}, which was removed here and stays removed"
            );
            assert!(output.contains(&line), "{output}");
        }
    }
    server.stop().await;
}

#[tokio::test]
async fn a_schedule_in_the_past_is_a_warning() {
    let (database, folder) = (Database::new().await, tempfile::tempdir().unwrap());
    let server = Server::start(&database).await;
    let admin = Desk::new(&server, &database).manager("admin", "*").await;
    admin.creates_stream(&document()).await;
    admin.post(&stream_path("releases"), &json!({"version": "1.3", "payloads": payload(3)})).await;
    admin.post(&stream_path("releases/1.3/rollouts"), &json!({"start_share": 0.0})).await;
    admin.post_empty(&stream_path("releases/1.3/publish?acknowledge=true")).await;
    // A year in the past: the server's clock is in 2026.
    let early = json!({"start": "2025-09-21T14:00:00Z", "duration": "PT48H"});
    let path = stream_path("releases/1.3/rollouts");
    let response = admin.change(Method::POST, &path, Some(&early)).await;
    response.is_problem(409);
    let message = response.body["findings"][0]["message"].as_str().unwrap();
    assert!(message.contains("ended at 2025-09-23T14:00:00Z"), "{response:?}");
    admin.post(&format!("{path}?acknowledge=true"), &early).await;
    // Known findings are not reported again, and a constant share has no end.
    admin.post(&path, &json!({"start": "2025-09-21T14:00:00Z", "start_share": 0.5})).await;

    // The first import only counts ended rollouts, later imports report new ones.
    let ended = json!({"start_epoch": 1_600_000_000, "start_percentage": 0.0, "duration_minutes": 2880});
    let mut documents = upstream::plain(3);
    for release in 0..2 {
        documents.updates["releases"][release]["metadata"]["rollout"] = ended.clone();
    }
    documents.write(folder.path(), "stable");
    let output = import(&database, folder.path(), &[]);
    assert!(output.contains("warning: stream stable: 2 rollouts ended before this import"), "{output}");
    assert_eq!(output.matches("ended at").count(), 0, "{output}");
    documents.updates["releases"][2]["metadata"]["rollout"] = ended;
    documents.write(folder.path(), "stable");
    let output = import(&database, folder.path(), &[]);
    assert_eq!(output.matches("warning: release 44.2.0: rollout 1 ended at").count(), 1, "{output}");
    assert_eq!(output.matches("ended").count(), 1, "{output}");
    server.stop().await;
}

#[test]
fn an_error_in_a_document_names_file_line_column_and_field() {
    let folder = tempfile::tempdir().unwrap();
    let good = upstream::plain(2);
    let import_error = |releases: &[u8]| {
        good.write(folder.path(), "stable");
        std::fs::write(folder.path().join("prod/streams/stable/releases.json"), releases).unwrap();
        let mut command = lockkeeper();
        command
            .env("DATABASE_URL", "postgres://127.0.0.1:1/none")
            .args(["import", "fcos", "--from"])
            .arg(folder.path());
        let output = command.output().unwrap();
        assert!(!output.status.success());
        text(&output.stderr)
    };
    let error_with = |from: &str, to: &[u8]| {
        let text = serde_json::to_string_pretty(&good.releases).unwrap();
        let (before, after) = text.split_once(from).unwrap();
        import_error(&[before.as_bytes(), to, after.as_bytes()].concat())
    };
    for (error, expected) in [
        (error_with("\"44.1.0\"", b"\"\""), "releases.json: releases[1].version: must not be empty at line "),
        (error_with("/builds/1", b"\xff"), "releases.json: releases[1].metadata: invalid unicode code point at line "),
        (error_with("\"44.1.0\"", b"7"), "releases.json: releases[1].version: invalid type"),
        (import_error(b"[] x"), "releases.json: the document: "),
    ] {
        assert!(error.contains(expected) && error.contains(" column "), "{expected}: {error}");
    }
}

#[tokio::test]
async fn a_byte_order_mark_is_skipped_and_impossible_times_are_reported() {
    let (database, folder) = (Database::new().await, tempfile::tempdir().unwrap());
    let mut documents = upstream::plain(3);
    for (release, start) in [(0, -5_i64), (1, 1_784_728_800_000)] {
        documents.updates["releases"][release]["metadata"]["rollout"] = json!({"start_epoch": start});
    }
    documents.updates["releases"][2]["metadata"]["rollout"] =
        json!({"start_epoch": 1_784_728_800, "duration_minutes": u64::MAX});
    documents.write(folder.path(), "stable");
    for path in ["prod/streams/stable/releases.json", "updates/stable.json"] {
        let path = folder.path().join(path);
        let content = std::fs::read(&path).unwrap();
        std::fs::write(&path, [b"\xef\xbb\xbf", content.as_slice()].concat()).unwrap();
    }
    let output = import(&database, folder.path(), &[]);
    assert!(output.contains("revision 1"), "{output}");
    for (place, value) in [("releases[0]", "-5"), ("releases[1]", "1784728800000")] {
        let line = format!(
            "warning: updates.json: {place}.metadata.rollout.start_epoch: is {value}, not a time from 1970 to 9999"
        );
        assert!(output.contains(&line), "{output}");
    }
    assert!(
        output.contains("releases[2].metadata.rollout.duration_minutes: ends the rollout after the year 9999"),
        "{output}"
    );
}

#[tokio::test]
async fn invalid_identifiers_are_rejected_or_reported() {
    let (database, folder) = (Database::new().await, tempfile::tempdir().unwrap());
    let server = Server::start(&database).await;
    let admin = Desk::new(&server, &database).manager("admin", "*").await;
    admin.creates_stream(&document()).await;
    let commit = ids::commit(1);
    let tag = "quay.io/fedora/fedora-coreos:stable";
    admin.post(&stream_path("releases"), &json!({"version": "1.3", "payloads": payload(3)})).await;
    let forms = [("checksum", format!("{commit}\n")), ("checksum", commit.to_uppercase()), ("oci", tag.to_owned())];
    for (scheme, id) in &forms {
        let form = if *scheme == "oci" { "host[:port]/path@sha256:" } else { "64 lower-case hexadecimal digits" };
        let item = json!({"arch": "x86_64", "scheme": scheme, "id": id});
        let mut written = document();
        written["releases"][0]["aliases"] = json!([item]);
        for (method, path, body, field) in [
            (Method::POST, "releases", json!({"version": "1.4", "payloads": [item]}), "payloads[0].id"),
            (Method::PUT, &format!("releases/1.3/payloads/x86_64/{scheme}"), json!({"id": id}), "id"),
            (Method::POST, "releases/1.2/aliases", item.clone(), "id"),
            (Method::PUT, "document", written, "releases[0].aliases[0].id"),
        ] {
            let response = admin.change(method, &format!("{}?acknowledge=true", stream_path(path)), Some(&body)).await;
            response.is_problem(422);
            assert_eq!(error_paths(&response.body), [field], "{response:?}");
            assert!(response.body["errors"][0]["message"].as_str().unwrap().contains(form), "{response:?}");
        }
    }
    // A trailing slash of a mirror is removed; other forms are rejected.
    let settings = json!({"arches": ["x86_64"], "mirrors": ["registry.local:5000/os/"]});
    admin.change(Method::PUT, STABLE, Some(&settings)).await.ok();
    assert_eq!(admin.get(STABLE).await.ok().body["settings"]["mirrors"], json!(["registry.local:5000/os"]));
    let settings = json!({"arches": ["x86_64"], "mirrors": ["https://registry.local/os"]});
    let response = admin.change(Method::PUT, STABLE, Some(&settings)).await;
    response.is_problem(422);
    assert_eq!(error_paths(&response.body), ["mirrors[0]"]);

    // An import reports and accepts upstream's invalid identifiers, and a document may contain them afterwards.
    let mut documents = upstream::plain(2);
    documents.releases["releases"][1]["oci-images"] =
        json!([{"architecture": "x86_64", "image": "x", "digest-ref": tag}]);
    documents.write(folder.path(), "stable");
    let output = import(&database, folder.path(), &[]);
    assert!(
        output.contains(&format!("warning: releases[1].payloads: is {tag:?}, expected a pull spec by digest")),
        "{output}"
    );
    server.shows("fedora-coreos/stable", 1).await;
    let path = "/api/v1/products/fedora-coreos/streams/stable/document";
    let shown = admin.get(path).await.ok().body;
    let put = admin.change(Method::PUT, &format!("{path}?acknowledge=true"), Some(&shown)).await.ok();
    assert_eq!(put.body["changed"], json!(false));
    server.stop().await;
}
