//! What operators see: traces, metrics and logs, at a collector and at `/metrics`.

use crate::support::{
    client,
    collector::{Collector, Span},
    eventually,
    issuer::{Issuer, Key},
    manager::Desk,
    postgres::Database,
    process::Serving,
    program::{import, lockkeeper, text},
    server::Server,
    upstream,
};
use jsonwebtoken::Algorithm;
use serde_json::json;
use std::{collections::BTreeMap, path::PathBuf, time::Duration};

/// A trace that somebody else began, and the span that they are in.
const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const CALLER: &str = "00f067aa0ba902b7";

fn sent_to(collector: &Collector) -> [(&str, &str); 5] {
    [
        ("LOCKKEEPER_TELEMETRY__OTLP_ENDPOINT", &collector.url),
        ("LOCKKEEPER_TELEMETRY__TRACE_SHARE", "0"),
        ("LOCKKEEPER_TELEMETRY__METRICS_INTERVAL", "100ms"),
        ("OTEL_BSP_SCHEDULE_DELAY", "100"),
        ("OTEL_SERVICE_NAME", "lockkeeper-test"),
    ]
}

fn token(database: &Database, folder: &std::path::Path) -> String {
    let mut command = lockkeeper();
    command
        .args(["token", "create", "--name", "ci", "--role", "manager", "--on", "*", "--for", "90d", "--data-dir"])
        .arg(folder);
    let output = command.env("DATABASE_URL", &database.url).output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    text(&output.stdout).trim().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn one_trace_leads_from_a_write_through_the_database_to_the_swap_on_another_replica() {
    let (database, collector) = (Database::new().await, Collector::start().await);
    let folder = tempfile::tempdir().unwrap();
    upstream::plain(2).write(folder.path(), "stable");
    import(&database.url, folder.path());
    let token = token(&database, folder.path());
    let settings = sent_to(&collector);
    let first = Serving::ready(&database, &settings).await;
    let second = Serving::ready(&database, &settings).await;

    let url = format!(
        "http://{}/api/v1/products/fedora-coreos/streams/stable/releases/44.1.0/dead-end?acknowledge=true&reason=test",
        first.address
    );
    let flags = ["00", "01"].map(|flags| format!("00-{TRACE}-{CALLER}-{flags}"));
    for (traceparent, reason) in flags.iter().zip(["not to be traced", "to be traced"]) {
        let request = client().put(&url).bearer_auth(&token);
        let request = request.header("traceparent", traceparent).header("if-match", "*");
        let request = request.header("content-type", "application/json").body(json!({"reason": reason}).to_string());
        let answer = request.send().await.unwrap();
        assert!(answer.status().is_success(), "{}", answer.text().await.unwrap());
    }
    let spans = |name: &str| -> Vec<Span> {
        let seen = collector.seen.lock().unwrap();
        seen.spans.iter().filter(|span| span.name.starts_with(name)).cloned().collect()
    };
    eventually("both have told of their swap", async || spans("swap the catalog").len() >= 2).await;
    eventually("the request was told of", async || !spans("PUT /api/v1/").is_empty()).await;

    // What was asked not to be traced is not.
    let [request] = spans("PUT /api/v1/").try_into().unwrap();
    assert_eq!((request.trace.as_str(), request.parent.as_str()), (TRACE, CALLER));
    let seen = collector.seen.lock().unwrap().spans.clone();
    assert!(seen.iter().all(|span| span.trace == TRACE), "{seen:#?}");
    let by_id: BTreeMap<&str, &Span> = seen.iter().map(|span| (span.id.as_str(), span)).collect();
    let mut swapped: Vec<&str> = Vec::new();
    for swap in seen.iter().filter(|span| span.name == "swap the catalog") {
        // Up from the swap: the transaction that announced it, and the request that it was part of.
        let mut above = by_id[swap.parent.as_str()];
        assert_eq!(above.instance, request.instance);
        while above.id != request.id {
            above = by_id[above.parent.as_str()];
        }
        swapped.push(&swap.instance);
    }
    let transactions = seen.iter().filter(|span| span.parent == request.id && span.instance == request.instance);
    assert_ne!(transactions.count(), 0, "{seen:#?}");
    swapped.sort_unstable();
    swapped.dedup();
    assert_eq!(swapped.len(), 2, "{seen:#?}");
    assert!(swapped.contains(&request.instance.as_str()));
    assert!(first.stop() && second.stop());
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_and_logs_reach_a_collector_and_what_is_left_is_sent_at_the_end() {
    let (database, collector) = (Database::new().await, Collector::start().await);
    let folder = tempfile::tempdir().unwrap();
    upstream::plain(2).write(folder.path(), "stable");
    import(&database.url, folder.path());
    let serving = Serving::ready(&database, &sent_to(&collector)).await;
    let poll = format!("http://{}/v1/graph?stream=stable&basearch=x86_64", serving.address);
    let answer = client().get(poll).header("traceparent", format!("00-{TRACE}-{CALLER}-01")).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    eventually("polls are told of", async || {
        collector.seen.lock().unwrap().metrics.contains(&("lockkeeper.polls".into(), "{poll}".into()))
    })
    .await;
    assert!(serving.stop());
    let seen = collector.seen.lock().unwrap();
    assert_eq!(seen.services.iter().map(String::as_str).collect::<Vec<_>>(), ["lockkeeper-test"]);
    assert!(seen.metrics.contains(&("http.server.request.duration".into(), "s".into())), "{:#?}", seen.metrics);
    for told in ["ready", "stopping: requests in flight are finished"] {
        assert!(seen.logs.iter().any(|log| log == told), "{told} is not in {:#?}", seen.logs);
    }
    // A poll is traced where its caller wants it.
    assert!(seen.spans.iter().any(|span| span.name == "GET /v1/graph" && span.trace == TRACE), "{:#?}", seen.spans);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_that_is_away_holds_nothing_up() {
    let database = Database::new().await;
    let folder = tempfile::tempdir().unwrap();
    upstream::plain(2).write(folder.path(), "stable");
    import(&database.url, folder.path());
    let serving = Serving::ready(
        &database,
        &[
            ("LOCKKEEPER_TELEMETRY__OTLP_ENDPOINT", "http://127.0.0.1:1"),
            ("LOCKKEEPER_TELEMETRY__METRICS_INTERVAL", "100ms"),
            ("LOCKKEEPER_TELEMETRY__TRACE_SHARE", "1"),
        ],
    )
    .await;
    let url = format!("http://{}/v1/graph?stream=stable&basearch=x86_64", serving.address);
    for _ in 0..20 {
        assert_eq!(client().get(&url).send().await.unwrap().status(), 200);
    }
    assert!(serving.stop());
}

#[tokio::test(flavor = "multi_thread")]
async fn without_metrics_there_are_none_and_all_else_goes_on() {
    let database = Database::new().await;
    let folder = tempfile::tempdir().unwrap();
    upstream::plain(2).write(folder.path(), "stable");
    import(&database.url, folder.path());
    let server = Server::start_with(&database, |settings| settings.telemetry.metrics = false).await;
    assert_eq!(server.get("/v1/graph?stream=stable&basearch=x86_64").await.0, 200);
    assert_eq!(server.get("/metrics").await.0, 404);
    assert_eq!(server.readiness().await["detail"], "answering");
    server.stop().await;
}

/// What `docker/prometheus/metrics.txt` lists: a metric and its labels a line.
fn listed() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("docker/prometheus/metrics.txt")
}

/// The metrics in a text of Prometheus's, and the labels that any of their lines have.
fn exported(text: &str) -> BTreeMap<String, Vec<String>> {
    let kinds: BTreeMap<&str, &str> =
        text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' ')).collect();
    let mut metrics = BTreeMap::<String, Vec<String>>::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let (series, _) = line.rsplit_once(' ').unwrap();
        let (name, labels) = series.split_once('{').unwrap_or((series, "}"));
        let family = ["_bucket", "_sum", "_count"].iter().find_map(|end| {
            let family = name.strip_suffix(end)?;
            (kinds.get(family) == Some(&"histogram")).then_some(family)
        });
        let known = metrics.entry(family.unwrap_or(name).to_owned()).or_default();
        for label in labels.trim_end_matches('}').split("\",").filter_map(|label| label.split_once("=\"")) {
            if label.0 != "le" && !known.iter().any(|known| known == label.0) {
                known.push(label.0.to_owned());
            }
        }
    }
    for labels in metrics.values_mut() {
        labels.sort();
    }
    metrics
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_dashboard_and_the_alerts_read_is_what_is_exported() {
    let (database, folder) = (Database::new().await, tempfile::tempdir().unwrap());
    for stream in ["next", "stable"] {
        upstream::ramping(3).write(folder.path(), stream);
    }
    import(&database.url, folder.path());
    // A stream that cannot be read.
    let mut connection = database.connection().await;
    for statement in [
        "alter table releases drop constraint releases_state_known",
        "update releases set state = 'odd' from streams where streams.id = stream_id and streams.name = 'next'",
    ] {
        sqlx::query(statement).execute(&mut connection).await.unwrap();
    }
    let key = Key::new("first", Algorithm::EdDSA);
    let issuer = Issuer::start(&[&key]).await;
    let certified = rcgen::generate_simple_self_signed(vec!["localhost".into()]).unwrap();
    let (certificate, private) = (folder.path().join("tls.crt"), folder.path().join("tls.key"));
    std::fs::write(&certificate, certified.cert.pem()).unwrap();
    std::fs::write(&private, certified.signing_key.serialize_pem()).unwrap();
    // Somebody whose token expires.
    token(&database, folder.path());
    let server = Server::start_with(&database, |settings| {
        settings.auth.issuers = vec![issuer.settings()];
        settings.tls.certificate = Some(certificate);
        settings.tls.key = Some(private);
    })
    .await;
    let root = reqwest::Certificate::from_pem(certified.cert.pem().as_bytes()).unwrap();
    let secure = reqwest::Client::builder().no_proxy().tls_certs_only([root]).build().unwrap();
    let url = |path: &str| format!("https://localhost:{}{path}", server.agents.port());
    for path in ["/v1/graph?stream=stable&basearch=x86_64&rollout_wariness=1.0", "/v1/graph?stream=stable"] {
        secure.get(url(path)).send().await.unwrap();
    }
    // Somebody of the issuer's, whose keys are fetched.
    let claims = json!({"iss": issuer.url, "aud": "lockkeeper", "sub": "x", "exp": 4_000_000_000_i64});
    let asked = secure.get(url("/api/v1/products")).bearer_auth(key.sign(&claims)).send().await.unwrap();
    assert_eq!(asked.status(), 200);
    let read = async || secure.get(url("/metrics")).send().await.unwrap().text().await.unwrap();
    eventually("all of it was counted", async || {
        let text = read().await;
        ["catalog_broken_total{", "token_next_expiry", "keys_age"].iter().all(|name| text.contains(name))
    })
    .await;
    let exported = exported(&read().await);
    let known = std::fs::read_to_string(listed()).unwrap();
    let told = known.lines().filter(|line| line.starts_with('#')).map(str::to_owned);
    let lines = exported.iter().map(|(name, labels)| format!("{name}{{{}}}", labels.join(",")));
    let lines = told.chain(lines).map(|line| line + "\n").collect::<String>();
    if std::env::var_os("UPDATE_METRICS").is_some() {
        std::fs::write(listed(), &lines).unwrap();
    }
    assert_eq!(known, lines, "UPDATE_METRICS=1 writes it anew");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_sends_requests_here_sees_the_end_before_it_comes() {
    let database = Database::new().await;
    let serving = Serving::ready(&database, &[("LOCKKEEPER_DRAIN_DELAY", "1h")]).await;
    serving.terminate();
    let ready = format!("http://{}/healthz/ready", serving.address);
    // Though it says that it stops, it still answers: an hour is for ever here.
    eventually("it says that it stops", async || {
        let answer = client().get(&ready).send().await.unwrap();
        answer.status() == 503 && answer.text().await.unwrap().contains("stopping")
    })
    .await;
    let poll = format!("http://{}/v1/graph?stream=stable&basearch=x86_64", serving.address);
    assert!(client().get(poll).timeout(Duration::from_secs(30)).send().await.is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn sides_that_are_off_are_not_served_at_all() {
    let database = Database::new().await;
    let desk_server = Server::start(&database).await;
    let viewer = Desk::of(&desk_server, &database).manager("viewer", "*").await;
    for (off, agents, managers) in [("AGENTS", 404, 200), ("MANAGERS", 400, 404)] {
        let serving = Serving::ready(&database, &[(&format!("LOCKKEEPER_LISTENERS__{off}"), "off")]).await;
        let status = async |path: &str| {
            let request = client().get(format!("http://{}{path}", serving.address));
            request.bearer_auth(viewer.token.as_ref().unwrap()).send().await.unwrap().status()
        };
        assert_eq!(status("/v1/graph").await, agents, "{off}");
        assert_eq!(status("/api/v1/products").await, managers, "{off}");
        assert_eq!(status("/healthz/ready").await, 200, "{off}");
        assert!(serving.stop());
    }
    let output = lockkeeper()
        .arg("serve")
        .env("LOCKKEEPER_LISTENERS__AGENTS", "off")
        .env("LOCKKEEPER_LISTENERS__MANAGERS", "off")
        .output()
        .unwrap();
    assert!(!output.status.success() && text(&output.stderr).contains("agents and managers are both off"));
    desk_server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_leaves_the_schema_alone_waits_until_it_is_there() {
    let database = Database::new().await;
    let serving = Serving::start(&database, &[("LOCKKEEPER_DATABASE__MIGRATE", "false")]);
    eventually("it says what it waits for", async || serving.log().contains("lockkeeper database migrate")).await;
    let ready = format!("http://{}/healthz/ready", serving.address);
    assert_eq!(client().get(&ready).send().await.unwrap().status(), 503);
    for _ in 0..2 {
        let migrated = lockkeeper().args(["database", "migrate"]).env("DATABASE_URL", &database.url).output().unwrap();
        assert!(migrated.status.success(), "{}", text(&migrated.stderr));
    }
    eventually("it is ready", async || serving.log().contains("serve: ready")).await;
    assert_eq!(client().get(&ready).send().await.unwrap().status(), 200);
    assert!(serving.stop());
}

#[tokio::test(flavor = "multi_thread")]
async fn systemd_is_told_when_it_is_ready_that_it_lives_and_that_it_stops() {
    let (database, folder) = (Database::new().await, tempfile::tempdir().unwrap());
    let path = folder.path().join("notify");
    let socket = tokio::net::UnixDatagram::bind(&path).unwrap();
    let serving = Serving::start(&database, &[("NOTIFY_SOCKET", path.to_str().unwrap()), ("WATCHDOG_USEC", "50000")]);
    let mut told = Vec::new();
    let mut hear = async |wanted: &str| {
        let hearing = async {
            while !told.iter().any(|told| told == wanted) {
                let mut line = [0; 256];
                let length = socket.recv(&mut line).await.unwrap();
                told.push(text(&line[..length]).trim().to_owned());
            }
        };
        assert!(tokio::time::timeout(Duration::from_mins(1), hearing).await.is_ok(), "no {wanted}");
    };
    hear("READY=1").await;
    hear("WATCHDOG=1").await;
    serving.terminate();
    hear("STOPPING=1").await;
    assert!(serving.stop());
}
