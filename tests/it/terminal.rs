//! Hostile text from nodes, upstream and other servers: commands and logs print it escaped, so that it neither controls a terminal nor
//! imitates a row.

use crate::support::{
    client,
    postgres::Database,
    process::Serving,
    program::{lockkeeper, text},
    site::{Reply, Site},
    upstream::{Documents, write},
};
use lockkeeper::domain::hash::ContentHash;
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    process::{Command, Output},
};

/// Clears the screen, changes the title, sets a colour (as an eight-bit control), reverses the direction of text, contains every mark and
/// line separator of Unicode, and adds a row.
const HOSTILE: &str = "\u{1b}[2J\u{1b}]0;x\u{7}\u{9b}31m\u{202e}\u{2066}\u{200f}\u{61c}\u{feff}\u{2028}\u{2029}\u{85}\u{7f}\r\nFORGED\t9\tfedora-coreos/stable";
/// The part of it that a version may contain.
const HOSTILE_VERSION: &str = "44.1\u{202e}\u{2066}\u{200f}\u{feff}\u{2028}";

/// Returns true for characters that must never be printed: controls, bidirectional controls, line separators, and the byte order mark.
fn is_control(c: char) -> bool {
    matches!(u32::from(c), 0..=0x1f | 0x7f..=0x9f | 0x61c | 0x200e | 0x200f | 0x2028..=0x202e | 0x2066..=0x2069 | 0xfeff)
}

/// Asserts that the output has no control characters other than line ends and tabs, and no forged row.
fn assert_safe(command: &str, printed: &[u8]) {
    let printed = std::str::from_utf8(printed).unwrap();
    let found = printed.chars().find(|c| is_control(*c) && !matches!(c, '\n' | '\t'));
    assert_eq!(found, None, "{command}: {printed:?}");
    let forged = printed.lines().find(|line| line.trim_start().starts_with("FORGED"));
    assert_eq!(forged, None, "{command}: {printed:?}");
}

/// Returns the names of all commands without subcommands.
fn commands() -> BTreeSet<String> {
    fn walk(command: &clap::Command, name: &str, found: &mut BTreeSet<String>) {
        for command in command.get_subcommands().filter(|command| command.get_name() != "help") {
            let name = format!("{name} {}", command.get_name()).trim_start().to_owned();
            if command.has_subcommands() {
                walk(command, &name, found);
            } else {
                found.insert(name);
            }
        }
    }
    let mut found = BTreeSet::new();
    walk(&lockkeeper::cli::command(), "", &mut found);
    found
}

/// The commands that were run, with everything that they printed.
#[derive(Default)]
struct Session {
    seen: BTreeMap<String, Vec<u8>>,
}

impl Session {
    /// Runs a command with more arguments, and checks its output.
    fn run(&mut self, name: &str, prepare: impl FnOnce(&mut Command)) -> Output {
        let mut command = lockkeeper();
        command.args(name.split(' '));
        prepare(&mut command);
        let output = command.output().unwrap();
        assert_safe(name, &output.stdout);
        assert_safe(name, &output.stderr);
        let seen = self.seen.entry(name.to_owned()).or_default();
        seen.extend_from_slice(&output.stdout);
        seen.extend_from_slice(&output.stderr);
        output
    }

    /// Asserts that the output of a command contains a text.
    fn assert_shows(&self, name: &str, what: &str) {
        let seen = text(&self.seen[name]);
        assert!(seen.contains(what), "{name} does not show {what:?}: {seen}");
    }
}

fn documents(reason: &str) -> Documents {
    let commit =
        |id: &str| json!([{"architecture": "x86_64", "checksum": id}, {"architecture": HOSTILE, "checksum": "a"}]);
    let policy = json!({"barrier": {"reason": reason}, "deadend": {"reason": format!("dead {reason}")}});
    Documents {
        releases: json!({"releases": [
            {"version": HOSTILE_VERSION, "commits": commit(HOSTILE)},
            {"version": "44.2", "commits": commit("b")},
        ]}),
        updates: json!({"releases": [
            {"version": HOSTILE_VERSION, "metadata": policy},
            {"version": "44.2", "metadata": {"rollout": {"start_percentage": 1.0}}},
            {"version": format!("{HOSTILE} is no version"), "metadata": {}},
        ]}),
    }
}

/// Starts a server that answers with hostile unknown payloads, graphs, images, and health checks.
fn hostile_site() -> Site {
    Site::start(|path| {
        if path.contains("unknown-payloads") {
            let known = json!({"product": HOSTILE, "stream": HOSTILE, "arch": HOSTILE, "scheme": HOSTILE,
                               "version": HOSTILE});
            let mut unknown = known.clone();
            unknown.as_object_mut().unwrap().remove("version");
            unknown["payload"] = HOSTILE.into();
            unknown["polls"] = 3.into();
            unknown["known_elsewhere"] = json!([known]);
            return Reply::new(200, json!({"payloads": [unknown], "others": 1}).to_string());
        }
        if path.contains("/graph") {
            let node = json!({"version": HOSTILE, "payload": HOSTILE, "metadata": {HOSTILE: HOSTILE}});
            return Reply::new(200, json!({"nodes": [node], "edges": []}).to_string());
        }
        if path.starts_with("/v2/") {
            let platform = json!({"os": "linux", "architecture": HOSTILE});
            let entry = json!({"digest": format!("sha256:{:064x}", 1), "platform": platform});
            return Reply::new(200, json!({"schemaVersion": 2, "manifests": [entry]}).to_string());
        }
        Reply::new(503, HOSTILE)
    })
}

/// Writes a backup with hostile metadata.
fn hostile_backup(file: &Path) {
    let header = json!({"format": "lockkeeper backup 1", "program": HOSTILE, "made_at": "2026-07-22T12:00:00Z",
                        "installation": HOSTILE, "migrations": []});
    let rows = format!("{header}\n{}\n\\.\n", json!({"table": HOSTILE, "columns": [HOSTILE]}));
    let seal = json!({"sha256": ContentHash::from_content(rows.as_bytes()).to_string()});
    std::fs::write(file, zstd::encode_all(format!("{rows}{seal}\n").as_bytes(), 3).unwrap()).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
#[expect(clippy::too_many_lines, reason = "every command, one after the other")]
async fn no_command_prints_control_characters() {
    let (database, other, folder) = (Database::new().await, Database::new().await, tempfile::tempdir().unwrap());
    let path = |name: &str| folder.path().join(name);
    let mut session = Session::default();
    let on = |command: &mut Command, arguments: &[&str]| {
        command.args(arguments).arg("--data-dir").arg(path("data")).env("DATABASE_URL", &database.url);
    };
    let upstream = path("upstream");
    let from = upstream.to_str().unwrap();

    // From upstream into the database, and out again.
    session.run("database migrate", |command| on(command, &[]));
    documents(HOSTILE).write(&upstream, "stable");
    let imported = session.run("import fcos", |command| on(command, &["--from", from]));
    assert_eq!(imported.status.code(), Some(0), "{}", text(&imported.stderr));
    session.assert_shows("import fcos", "dead \\u001b[2J");
    session.assert_shows("import fcos", "is no version is not in releases.json");
    let shown = session.run("document show", |command| on(command, &["--stream", "stable"]));
    // Escaped values in a document keep their meaning.
    let release = lockkeeper::exchange::documents::read(&text(&shown.stdout)).unwrap().releases[0].clone();
    assert_eq!(release.version.as_str(), HOSTILE_VERSION);
    assert_eq!(release.barrier.as_ref().unwrap().reason.as_str(), HOSTILE);
    let changed = text(&shown.stdout).replace("dead ", "local ");
    std::fs::write(path("stable.toml"), changed).unwrap();
    let file = path("stable.toml");
    for more in [&["--dry-run"][..], &[]] {
        let output = session.run("document put", |command| {
            on(command.arg(&file).args(["--reason", "test"]), more);
        });
        assert!(output.status.success(), "{}", text(&output.stderr));
    }
    session.assert_shows("document put", "local \\u001b[2J");
    let key: String = HOSTILE.chars().map(|c| format!("\\U{:08x}", u32::from(c))).collect::<Vec<_>>().concat();
    std::fs::write(path("wrong.toml"), format!("\"{key}\" = 1")).unwrap();
    session.run("document put", |command| on(command.arg(path("wrong.toml")).args(["--reason", "test"]), &[]));
    session.assert_shows("document put", "wrong.toml:");
    // The local value is kept, and the difference is printed.
    documents(&format!("{HOSTILE} again")).write(&upstream, "stable");
    let drifted = session.run("import fcos", |command| on(command, &["--from", from]));
    assert_eq!(drifted.status.code(), Some(3));
    std::fs::write(upstream.join("updates/stable.json"), json!({"stream": HOSTILE, "releases": []}).to_string())
        .unwrap();
    session.run("import fcos", |command| on(command, &["--from", from]));
    documents(HOSTILE).write(&upstream, "stable");
    let graph = session.run("graph fcos", |command| {
        command.args(["--from", from, "--stream", "stable", "--arch", "x86_64", "--at", "1790000000"]);
    });
    let graph: Value = serde_json::from_slice(&graph.stdout).unwrap();
    assert_eq!(graph["nodes"][0]["payload"], HOSTILE);
    let exported = path("exported");
    session.run("export fcos", |command| on(command.arg("--to").arg(&exported), &[]));
    let updates: Value = serde_json::from_slice(&std::fs::read(exported.join("updates/stable.json")).unwrap()).unwrap();
    assert_eq!(updates["releases"][0]["metadata"]["deadend"]["reason"], format!("local {HOSTILE}"));

    // Removals by upstream are reported.
    let metadata = json!({"stream": "stable", "architectures": {"x86_64": {"artifacts": {HOSTILE: {}}}}});
    write(&upstream, "streams/stable.json", &metadata.to_string());
    session.run("import fcos", |command| on(command, &["--from", from]));
    let empty = json!({"stream": "stable", "architectures": {"x86_64": {}}});
    write(&upstream, "streams/stable.json", &empty.to_string());
    let lost = session.run("import fcos", |command| on(command, &["--from", from]));
    assert_eq!(lost.status.code(), Some(3), "{}", text(&lost.stderr));
    let mut removed = documents(HOSTILE);
    removed.releases["releases"].as_array_mut().unwrap().remove(0);
    removed.write(&upstream, "stable");
    let refused = session.run("import fcos", |command| on(command, &["--from", from]));
    assert!(text(&refused.stderr).contains("no longer lists 1 release ("), "{}", text(&refused.stderr));
    let allowed = session.run("import fcos", |command| on(command, &["--from", from, "--allow-removals"]));
    assert!(text(&allowed.stdout).contains("no longer lists it; it was withdrawn"), "{}", text(&allowed.stdout));

    // Tokens with hostile names.
    let create = ["--role", "viewer", "--on", "*", "--for", "1h", "--name", HOSTILE];
    let refused = session.run("token create", |command| on(command, &create));
    assert!(!refused.status.success(), "{}", text(&refused.stdout));
    let create = ["--role", "viewer", "--streams", "*", "--expires-in", "1h", "--name", "x"];
    session.run("token create", |command| on(command, &create));
    // Earlier versions accepted any name, and the name may come from a backup.
    let renamed = sqlx::query("update tokens set name = $1").bind(HOSTILE);
    renamed.execute(&mut database.connection().await).await.unwrap();
    let listed = session.run("token list", |command| on(command, &[]));
    assert_eq!(text(&listed.stdout).trim_end().matches('\t').count(), 6, "{}", text(&listed.stdout));
    session.run("token revoke", |command| on(command.arg(HOSTILE), &[]));
    session.run("key list", |command| on(command, &[]));
    session.run("key revoke", |command| on(command.args([HOSTILE, "--reason", "x"]), &[]));

    // Other servers.
    let site = hostile_site();
    let url = site.url();
    let unknown = session.run("fleet unknown", |command| {
        command.args(["--url", &url]);
    });
    assert_eq!(text(&unknown.stdout).lines().count(), 2, "{}", text(&unknown.stdout));
    assert_eq!(text(&unknown.stdout).lines().next().unwrap().matches('\t').count(), 5);
    let local = Site::start(|_| Reply::new(200, r#"{"nodes":[],"edges":[]}"#));
    let shadow = ["--upstream", &url, "--local", &local.url(), "--stream", "stable", "--arch", "x86_64", "--ids", "0"];
    session.run("shadow", |command| {
        command.args(shadow);
    });
    session.assert_shows("shadow", "release \\u001b[2J");
    let address = site.address.to_string();
    let refused = session.run("image add", |command| {
        on(command.arg(format!("{address}/acme/os:stable")), &["--stream", "stable", "--reason", HOSTILE]);
    });
    assert!(text(&refused.stderr).contains(" is for \\u"), "{}", text(&refused.stderr));
    session.run("health", |command| {
        command.env("LOCKKEEPER_LISTEN", &address);
    });
    session.assert_shows("health", "\\u001b[2J");
    session.run("doctor", |command| on(command.env("LOCKKEEPER_LISTEN", &address), &[]));
    session.assert_shows("doctor", "about to expire: \\u001b[2J");
    session.assert_shows("doctor", "but not ready: \\u001b[2J");

    // Backups with hostile table names and metadata.
    let table = format!("create table \"{}\" (n int)", HOSTILE.split('\r').next().unwrap());
    sqlx::query(sqlx::AssertSqlSafe(table)).execute(&mut database.connection().await).await.unwrap();
    session.run("backup", |command| on(command.arg("--to").arg(path("backup")), &[]));
    session.assert_shows("backup", "not tables of Lockkeeper: \\u001b[2J");
    hostile_backup(&path("hostile.backup"));
    session.run("restore", |command| {
        command.arg("--check").arg("--from").arg(path("hostile.backup"));
    });
    session.assert_shows("restore", "created by \\u001b[2J");
    for name in ["hostile.backup", "backup"] {
        session.run("restore", |command| {
            command.arg("--from").arg(path(name)).env("DATABASE_URL", &other.url);
        });
        session.run("document restore", |command| {
            on(command.arg("--from").arg(path(name)), &["--stream", "stable", "--reason", HOSTILE]);
        });
    }

    // A local stop with a hostile reason.
    session.run("stop", |command| on(command, &["--local", "--reason", HOSTILE]));
    session.run("stop", |command| on(command, &["--local", "--reason", "again"]));
    session.assert_shows("stop", "already stopped: ");
    session.run("doctor", |command| on(command, &[]));
    session.run("stop", |command| on(command, &["--local", "--lift"]));

    // An image with a hostile name.
    for statement in [
        "delete from dead_ends where $1 <> ''",
        "update releases set state = 'published' where $1 <> ''",
        "update payloads set scheme = 'oci', payload = payload || $1 where not alias",
    ] {
        sqlx::query(statement).bind(HOSTILE).execute(&mut database.connection().await).await.unwrap();
    }
    session.run("image check", |command| on(command, &[]));
    session.assert_shows("image check", "\\u001b[2J");
    session.run("image check", |command| on(command, &["--json"]));

    // Rows that another program wrote to the database.
    session.run("database exec", |command| on(command, &["--", HOSTILE]));
    sqlx::query("update streams set protection = $1::json")
        .bind(json!({HOSTILE: 1}).to_string())
        .execute(&mut database.connection().await)
        .await
        .unwrap();
    session.run("database check", |command| on(command, &[]));
    session.assert_shows("database check", "\\u001b[2J");
    session.run("doctor", |command| on(command, &[]));

    // The service: its log of rows that it cannot read, and of polls.
    for format in ["text", "json"] {
        let settings = [
            ("LOCKKEEPER_LOG__FORMAT", format),
            ("LOCKKEEPER_LOG__FILTER", "trace"),
            ("LOCKKEEPER_LOG__ACCESS_SHARE", "1"),
        ];
        let log = serve(&database, &settings).await;
        assert_safe("serve", log.as_bytes());
        let shown = ["\\u001b[2J", "\\u{1b}[2J", "\\x1b[2J"];
        // JSON lines do not contain the causes of an error.
        assert!(format == "json" || shown.iter().any(|shown| log.contains(shown)), "{log}");
        session.seen.insert("serve".into(), log.into_bytes());
    }
    let missing: Vec<String> = commands().into_iter().filter(|name| !session.seen.contains_key(name)).collect();
    assert_eq!(missing, Vec::<String>::new(), "commands that this test does not run");
}

/// Starts a service on a database that it cannot read, sends requests, stops it, and returns its log.
async fn serve(database: &Database, settings: &[(&str, &str)]) -> String {
    let serving = Serving::start(database, settings);
    crate::support::eventually("the log says what cannot be read", async || {
        serving.log().contains("cannot be prepared yet")
    })
    .await;
    let hostile: String = form_urlencoded::byte_serialize(HOSTILE.as_bytes()).collect();
    for path in [
        format!("/v1/graph?stream={hostile}&basearch={hostile}&os_checksum={hostile}&node_uuid={hostile}"),
        format!("/{hostile}/v1/graph?stream=stable&basearch=x86_64"),
        format!("/api/v1/products/{hostile}/streams"),
    ] {
        client().get(format!("http://{}{path}", serving.address)).send().await.unwrap();
    }
    serving.ended()
}

#[tokio::test(flavor = "multi_thread")]
async fn polls_cannot_forge_rows_of_unknown_payloads() {
    let (database, folder) = (Database::new().await, tempfile::tempdir().unwrap());
    crate::support::upstream::plain(2).write(folder.path(), "stable");
    assert!(crate::support::program::import(&database.url, folder.path()).status.success());
    let serving = Serving::ready(&database, &[]).await;
    let digest = "c".repeat(64);
    let poll = async |payload: &str| {
        let payload: String = form_urlencoded::byte_serialize(payload.as_bytes()).collect();
        let url = format!("http://{}/v1/graph?stream=stable&basearch=x86_64&os_checksum={payload}", serving.address);
        assert_eq!(client().get(url).send().await.unwrap().status(), 200);
    };
    for payload in [
        HOSTILE.to_owned(),
        format!("{HOSTILE}@sha256:{digest}"),
        format!("quay.io/os\n7\tfedora-coreos/stable\tx86_64\tchecksum\tquay.io/os@sha256:{digest}"),
        format!("core@node17.example/os@sha256:{digest}"),
        format!("192.0.2.7:5000/os@sha256:{digest}"),
        format!("[2001:db8::7]/os@sha256:{digest}"),
    ] {
        poll(&payload).await;
    }
    poll(&format!("quay.io/os/os@sha256:{digest}")).await;
    poll(&digest).await;
    let url = format!("http://{}", serving.address);
    let output = lockkeeper().args(["fleet", "unknown", "--url", &url]).output().unwrap();
    assert_safe("fleet unknown", &output.stdout);
    let mut rows: Vec<String> = text(&output.stdout).lines().map(ToOwned::to_owned).collect();
    rows.sort();
    let row = |payload: &str| format!("1\tfedora-coreos/stable\tx86_64\tchecksum\t{payload}");
    assert_eq!(rows, [row(&digest), row(&format!("quay.io/os/os@sha256:{digest}")), "6\tother payloads".to_owned()]);
}
