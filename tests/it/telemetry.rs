//! Traces, metrics and logs, at a collector and at `/metrics`.

use crate::support::{
    client,
    collector::{Collector, Span},
    eventually,
    issuer::{Issuer, Key},
    postgres::Database,
    process::Serving,
    program::{import, token},
    server::Server,
    upstream,
};
use jsonwebtoken::Algorithm;
use serde_json::json;
use std::{collections::BTreeMap, path::PathBuf};

/// The ids of a caller's trace and span.
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

#[tokio::test(flavor = "multi_thread")]
async fn a_trace_spans_a_write_and_the_swap_on_another_replica() {
    let (database, collector) = (Database::new().await, Collector::start().await);
    let folder = tempfile::tempdir().unwrap();
    upstream::plain(2).write(folder.path(), "stable");
    import(&database.url, folder.path());
    let token = token(&database.url, folder.path());
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
    eventually("both have exported their swap", async || spans("swap the catalog").len() >= 2).await;
    eventually("the request was exported", async || !spans("PUT /api/v1/").is_empty()).await;

    // The request without the sampled flag is not traced.
    let [request] = spans("PUT /api/v1/").try_into().unwrap();
    assert_eq!((request.trace.as_str(), request.parent.as_str()), (TRACE, CALLER));
    let seen = collector.seen.lock().unwrap().spans.clone();
    assert!(seen.iter().all(|span| span.trace == TRACE), "{seen:#?}");
    let by_id: BTreeMap<&str, &Span> = seen.iter().map(|span| (span.id.as_str(), span)).collect();
    let mut swapped: Vec<&str> = Vec::new();
    for swap in seen.iter().filter(|span| span.name == "swap the catalog") {
        // The ancestors of the swap: the transaction that announced it, and its request.
        let mut ancestor = by_id[swap.parent.as_str()];
        assert_eq!(ancestor.instance, request.instance);
        while ancestor.id != request.id {
            ancestor = by_id[ancestor.parent.as_str()];
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
async fn metrics_and_logs_reach_a_collector_and_are_flushed_at_the_end() {
    let (database, collector) = (Database::new().await, Collector::start().await);
    let folder = tempfile::tempdir().unwrap();
    upstream::plain(2).write(folder.path(), "stable");
    import(&database.url, folder.path());
    let serving = Serving::ready(&database, &sent_to(&collector)).await;
    let poll = format!("http://{}/v1/graph?stream=stable&basearch=x86_64", serving.address);
    let answer = client().get(poll).header("traceparent", format!("00-{TRACE}-{CALLER}-01")).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    eventually("polls are exported", async || {
        collector.seen.lock().unwrap().metrics.contains(&("lockkeeper.polls".into(), "{poll}".into()))
    })
    .await;
    assert!(serving.stop());
    let seen = collector.seen.lock().unwrap();
    assert_eq!(seen.services.iter().map(String::as_str).collect::<Vec<_>>(), ["lockkeeper-test"]);
    assert!(seen.metrics.contains(&("http.server.request.duration".into(), "s".into())), "{:#?}", seen.metrics);
    for message in ["ready", "stopping, finishing requests in flight"] {
        assert!(seen.logs.iter().any(|log| log == message), "{message} is not in {:#?}", seen.logs);
    }
    // A poll is traced if its caller's traceparent is sampled.
    assert!(seen.spans.iter().any(|span| span.name == "GET /v1/graph" && span.trace == TRACE), "{:#?}", seen.spans);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unavailable_collector_delays_nothing() {
    let database = Database::new().await;
    let folder = tempfile::tempdir().unwrap();
    upstream::plain(2).write(folder.path(), "stable");
    import(&database.url, folder.path());
    // One endpoint refuses connections, and one accepts them and never responds.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    for endpoint in ["http://127.0.0.1:1".to_owned(), format!("http://{}", silent.local_addr().unwrap())] {
        let serving = Serving::ready(
            &database,
            &[
                ("LOCKKEEPER_TELEMETRY__OTLP_ENDPOINT", &endpoint),
                ("LOCKKEEPER_TELEMETRY__METRICS_INTERVAL", "100ms"),
                ("LOCKKEEPER_TELEMETRY__TRACE_SHARE", "1"),
                ("OTEL_BSP_SCHEDULE_DELAY", "10"),
                ("OTEL_BSP_MAX_QUEUE_SIZE", "16"),
            ],
        )
        .await;
        let url = format!("http://{}/v1/graph?stream=stable&basearch=x86_64", serving.address);
        for _ in 0..100 {
            let poll = client().get(&url).header("traceparent", format!("00-{TRACE}-{CALLER}-01"));
            assert_eq!(poll.send().await.unwrap().status(), 200);
        }
        assert!(serving.stop());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_filter_does_not_affect_traces() {
    let (database, collector) = (Database::new().await, Collector::start().await);
    let mut settings = sent_to(&collector).to_vec();
    // The test reads the address from the log.
    settings.push(("LOCKKEEPER_LOG__FILTER", "warn,lockkeeper::server::listen=info"));
    let serving = Serving::start(&database, &settings);
    let poll = format!("http://{}/v1/graph?stream=stable&basearch=x86_64", serving.address);
    let traced = || client().get(&poll).header("traceparent", format!("00-{TRACE}-{CALLER}-01")).send();
    eventually("it answers", async || traced().await.is_ok_and(|answer| answer.status() == 404)).await;
    eventually("the poll was exported", async || {
        let seen = collector.seen.lock().unwrap();
        seen.spans.iter().any(|span| span.name == "GET /v1/graph" && span.trace == TRACE)
    })
    .await;
    assert!(serving.stop());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_traced_poll_is_answered_without_a_collector() {
    let database = Database::new().await;
    // No request other than polls is allowed.
    let server = Server::start_with(&database, |settings| settings.limits.max_requests = 0).await;
    let poll = server.request(reqwest::Method::GET, "/v1/graph?stream=stable&basearch=x86_64");
    let traced = poll.header("traceparent", format!("00-{TRACE}-{CALLER}-01")).send().await.unwrap();
    assert_eq!(traced.status(), 404);
    assert_eq!(server.get("/streams/stable.json").await.0, 503);
    server.stop().await;
}

/// Agents parse the error of an overloaded service like any other.
#[tokio::test(flavor = "multi_thread")]
async fn a_poll_whose_graph_cannot_be_rendered_gets_an_error_of_the_protocol() {
    let (database, folder) = (Database::new().await, tempfile::tempdir().unwrap());
    upstream::plain(2).write(folder.path(), "stable");
    import(&database.url, folder.path());
    let server = Server::start_with(&database, |settings| settings.limits.max_requests = 0).await;
    let poll = server.request(reqwest::Method::GET, "/v1/graph?stream=stable&basearch=x86_64").send().await.unwrap();
    assert_eq!((poll.status().as_u16(), poll.headers()["retry-after"].to_str().unwrap()), (503, "1"));
    let error: serde_json::Value = serde_json::from_slice(&poll.bytes().await.unwrap()).unwrap();
    assert_eq!(error["kind"], "unavailable");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_service_works_without_metrics() {
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

/// Returns the path of the list of metrics, which has one metric with its labels per line.
fn list_path() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("docker/prometheus/metrics.txt")
}

/// Returns the metrics in Prometheus' text format, each with all labels of its lines.
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
async fn the_list_of_metrics_matches_the_export() {
    let (database, folder) = (Database::new().await, tempfile::tempdir().unwrap());
    for stream in ["next", "stable"] {
        upstream::ramping(3).write(folder.path(), stream);
    }
    import(&database.url, folder.path());
    // An unreadable stream, and one that may not fall behind its base.
    let mut connection = database.connection().await;
    for statement in [
        "alter table releases drop constraint releases_state_known",
        "update releases set state = 'unknown' from streams where streams.id = stream_id and streams.name = 'next'",
        "update streams set base_lag = 0 where name = 'stable'",
    ] {
        sqlx::query(statement).execute(&mut connection).await.unwrap();
    }
    let key = Key::new("first", Algorithm::EdDSA);
    let issuer = Issuer::start(&[&key]).await;
    let certified = rcgen::generate_simple_self_signed(vec!["localhost".into()]).unwrap();
    let (certificate, private) = (folder.path().join("tls.crt"), folder.path().join("tls.key"));
    std::fs::write(&certificate, certified.cert.pem()).unwrap();
    std::fs::write(&private, certified.signing_key.serialize_pem()).unwrap();
    // A token that expires.
    token(&database.url, folder.path());
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
    // A token of the issuer, whose keys are then fetched.
    let claims = json!({"iss": issuer.url, "aud": "lockkeeper", "sub": "x", "exp": 4_000_000_000_i64});
    let response = secure.get(url("/api/v1/products")).bearer_auth(key.sign(&claims)).send().await.unwrap();
    assert_eq!(response.status(), 200);
    let read = async || secure.get(url("/metrics")).send().await.unwrap().text().await.unwrap();
    eventually("all metrics are exported", async || {
        let text = read().await;
        ["catalog_broken{", "token_next_expiry", "keys_age", "images_gone", "follow_failing", "base_lagging"]
            .iter()
            .all(|name| text.contains(name))
    })
    .await;
    let exported = exported(&read().await);
    let known = std::fs::read_to_string(list_path()).unwrap();
    let header = known.lines().filter(|line| line.starts_with('#')).map(str::to_owned);
    let lines = exported.iter().map(|(name, labels)| format!("{name}{{{}}}", labels.join(",")));
    let lines = header.chain(lines).map(|line| line + "\n").collect::<String>();
    if std::env::var_os("UPDATE_METRICS").is_some() {
        std::fs::write(list_path(), &lines).unwrap();
    }
    assert_eq!(known, lines, "UPDATE_METRICS=1 rewrites it");
    server.stop().await;
}
