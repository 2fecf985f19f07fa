//! Nothing that identifies a node is stored or logged.

use crate::support::{
    client,
    collector::Collector,
    postgres::Database,
    process::Serving,
    program::{import, lockkeeper, text},
    upstream,
};
use sqlx::Row;

const IDS: [&str; 2] = ["46d354cf6750611965bb70cbc6c2d868", "c007e9f0a2864b6f2035bbe1941f65e2"];

const TOKEN: &str = "eyJhbGciOiJFZERTQSJ9.eyJqdGkiOiJzZWNyZXQifQ.c2lnbmF0dXJlIG9mIGEgdG9rZW4";

#[tokio::test(flavor = "multi_thread")]
async fn no_node_id_is_logged_kept_or_sent_back() {
    let database = Database::new().await;
    let folder = tempfile::tempdir().unwrap();
    upstream::plain(2).write(folder.path(), "stable");
    import(&database.url, folder.path());
    let collector = Collector::start().await;
    let serving = Serving::ready(
        &database,
        &[
            ("LOCKKEEPER_LOG__FILTER", "trace"),
            ("LOCKKEEPER_LOG__ACCESS_SHARE", "1"),
            ("LOCKKEEPER_TELEMETRY__OTLP_ENDPOINT", &collector.url),
            ("LOCKKEEPER_TELEMETRY__TRACE_SHARE", "1"),
        ],
    )
    .await;
    let address = serving.address.clone();
    let mut answers = String::new();
    for id in IDS {
        for query in [
            "stream=stable&basearch=x86_64",
            "stream=stable",
            "stream=nope&basearch=x86_64",
            "stream=stable&basearch=no",
            "stream=stable&basearch=x86_64&oci=maybe",
            "stream=stable&stream=stable",
            "stream=stable&basearch=x86_64&os_checksum=00",
        ] {
            let url = format!("http://{address}/v1/graph?{query}&node_uuid={id}");
            let traced = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
            client().get(&url).header("traceparent", traced).send().await.unwrap();
            let response = client().get(url).send().await.unwrap();
            answers += &format!("{:?}", response.headers());
            answers += &response.text().await.unwrap();
        }
    }
    // Tokens are not logged either.
    let managed = format!("http://{address}/api/v1/products?limit=1");
    assert_eq!(client().get(managed).bearer_auth(TOKEN).send().await.unwrap().status(), 401);
    answers += &client().get(format!("http://{address}/metrics")).send().await.unwrap().text().await.unwrap();
    assert!(answers.contains("lockkeeper_polls_total"));
    let seen = serving.ended();
    assert!(seen.contains("request answered"), "{seen}");
    let exported = collector.seen.lock().unwrap().everything.clone();
    assert!(["GET /v1/graph", "request answered", "lockkeeper.polls"].iter().all(|known| exported.contains(known)));
    let rows = everything(&database).await;
    assert!(rows.contains("44.1.0"));
    for id in IDS.into_iter().chain(TOKEN.split('.')) {
        for (what, text) in [("log", &seen), ("answers", &answers), ("rows", &rows), ("telemetry", &exported)] {
            assert!(!text.contains(id), "a node id is in the {what}");
        }
    }
    let usage = lockkeeper().args(["graph", "fcos", "--node-uuid", IDS[0]]).output().unwrap();
    assert!(!text(&usage.stderr).contains(IDS[0]));
}

/// Returns every row of every table as text.
async fn everything(database: &Database) -> String {
    let mut connection = database.connection().await;
    let tables = sqlx::query("select table_name from information_schema.tables where table_schema = 'public'")
        .fetch_all(&mut connection)
        .await
        .unwrap();
    let mut rows = String::new();
    for table in tables {
        let statement = format!("select t::text from {} t", table.get::<String, _>(0));
        for row in sqlx::query(sqlx::AssertSqlSafe(statement)).fetch_all(&mut connection).await.unwrap() {
            rows += &row.get::<String, _>(0);
        }
    }
    rows
}
