//! Nothing that identifies a node is kept or logged.

use crate::support::{
    client,
    postgres::Database,
    process::Serving,
    program::{import, lockkeeper, text},
    upstream,
};
use sqlx::Row;

const IDS: [&str; 2] = ["46d354cf6750611965bb70cbc6c2d868", "c007e9f0a2864b6f2035bbe1941f65e2"];

#[tokio::test(flavor = "multi_thread")]
async fn no_node_id_is_logged_kept_or_sent_back() {
    let database = Database::new().await;
    let folder = tempfile::tempdir().unwrap();
    upstream::plain(2).write(folder.path(), "stable");
    import(&database.url, folder.path());
    let serving =
        Serving::ready(&database, &[("LOCKKEEPER_LOG__FILTER", "trace"), ("LOCKKEEPER_LOG__ACCESS_SHARE", "1")]).await;
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
            let response = client().get(url).send().await.unwrap();
            answers += &format!("{:?}", response.headers());
            answers += &response.text().await.unwrap();
        }
    }
    answers += &client().get(format!("http://{address}/metrics")).send().await.unwrap().text().await.unwrap();
    assert!(answers.contains("lockkeeper_polls_total"));
    let seen = serving.ended();
    assert!(seen.contains("a request was answered"), "{seen}");
    let rows = everything(&database).await;
    assert!(rows.contains("44.1.0"));
    for id in IDS {
        for (what, text) in [("log", &seen), ("answers", &answers), ("rows", &rows)] {
            assert!(!text.contains(id), "a node id is in the {what}");
        }
    }
    let usage = lockkeeper().args(["graph", "fcos", "--node-uuid", IDS[0]]).output().unwrap();
    assert!(!text(&usage.stderr).contains(IDS[0]));
}

/// Every row of every table, as text.
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
