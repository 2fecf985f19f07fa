//! Impacts are computed off the runtime: they never delay an emergency stop.

use crate::support::{
    eventually,
    manager::{Desk, STABLE, document, with_reason},
    postgres::Database,
    server::Server,
};
use futures_util::future::{join_all, select_all};
use reqwest::Method;
use serde_json::{Value, json};

fn labels(count: usize, name: &str) -> Value {
    (0..count).map(|n| format!("{name}{n}")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn selectors_releases_and_rollouts_are_bounded() {
    let database = Database::new().await;
    let server = Server::start(&database).await;
    let admin = Desk::new(&server, &database).manager("admin", "*").await;
    admin.creates_stream(&document("os", "stable")).await;
    let rollout = |groups: usize| json!({"selector": {"groups": labels(groups, "g")}, "preset": "week"});
    let path = format!("{STABLE}/releases/1.4/rollouts");
    let response = admin.change(Method::POST, &path, Some(&rollout(65))).await;
    response.is_problem(422);
    assert_eq!(response.body["errors"][0]["path"], "releases[4].rollouts[1].selector.groups", "{response:?}");
    assert_eq!(response.body["errors"][0]["message"], "has 65 names, at most 64 are allowed");
    admin.post(&path, &rollout(64)).await;
    for _ in 2..32 {
        admin.post(&path, &rollout(1)).await;
    }
    admin.change(Method::POST, &path, Some(&rollout(1))).await.is_problem(422);
    // The same limits apply to documents.
    let mut wide = document("os", "next");
    wide["releases"][2]["rollouts"] = json!([{"start_share": 0.5, "selector": {"platforms": labels(65, "p")}}]);
    let put = format!("{}&acknowledge=true", with_reason("/api/v1/products/os/streams/next/document"));
    let response = admin.ask(Method::PUT, &put, &[("if-none-match", "*")], Some(&wide)).await;
    response.is_problem(422);
    server.stop().await;
}

/// Creates a stream and widens its rollouts in the database beyond the limits of requests. Returns the path of one of them.
async fn widened(database: &Database) -> String {
    let server = Server::start(database).await;
    Desk::new(&server, database).manager("admin", "*").await.creates_stream(&document("os", "stable")).await;
    // A service keeps the states of revisions in memory: only another one reads the changed rows.
    server.stop().await;
    let names = |name: &str| -> Vec<String> { (0..1700).map(|n| format!("{name}{n}")).collect() };
    let widened = sqlx::query("update rollouts set selector_groups = $1, selector_platforms = $2")
        .bind(names("g"))
        .bind(names("p"))
        .execute(&mut database.connection().await)
        .await
        .unwrap();
    assert!(widened.rows_affected() > 3);
    format!("{STABLE}/releases/1.3/rollouts/1")
}

/// Found by an attack: a stored rollout with 1,700 groups and 1,700 platforms made every stop fail.
#[tokio::test(flavor = "multi_thread")]
async fn a_wide_stored_rollout_does_not_delay_restrictive_changes() {
    let database = Database::new().await;
    let rollout = widened(&database).await;
    let server = Server::start(&database).await;
    let admin = Desk::new(&server, &database).manager("admin", "*").await;
    let response =
        admin.change(Method::POST, &format!("{rollout}/complete?dry_run=true&acknowledge=true"), None).await.ok();
    assert_eq!(response.body["impact"], Value::Null, "the computation takes too long and is given up");
    for path in [&*format!("{rollout}/pause"), &format!("{rollout}/abort"), &format!("{STABLE}/emergency-stop")] {
        let response = admin.post_empty(path).await;
        assert_eq!((&response.body["impact"], &response.body["changed"]), (&Value::Null, &json!(true)), "{path}");
    }
    server.stop().await;
}

/// Returns how often a stream was read to compute a change.
async fn computed_changes(server: &Server) -> usize {
    let metrics = server.metrics().await;
    let counts = metrics.lines().filter(|line| {
        line.starts_with("db_client_operation_duration_seconds_count{")
            && line.contains("db_operation_name=\"present\"")
    });
    counts.map(|line| line.rsplit(' ').next().unwrap().parse::<usize>().unwrap()).sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_is_answered_while_impacts_are_computed() {
    let database = Database::new().await;
    let rollout = widened(&database).await;
    let server = Server::start(&database).await;
    let admin = Desk::new(&server, &database).manager("admin", "*").await;
    let stop = format!("{STABLE}/emergency-stop");
    let is_overtaking = async || {
        let before = computed_changes(&server).await;
        // Two dry runs and a real change.
        let computing = ["&dry_run=true", "&dry_run=true", ""].map(|query| {
            let path = format!("{rollout}/complete?acknowledge=true{query}");
            Box::pin(async { admin.change(Method::POST, &{ path }, None).await })
        });
        let mut first = select_all(computing);
        let stopped = async {
            eventually("all are computed", async || computed_changes(&server).await >= before + 3).await;
            admin.post_empty(&stop).await;
        };
        tokio::select! {
            biased;
            _ = &mut first => return false,
            () = stopped => {}
        }
        let (response, _, others) = first.await;
        let responses = std::iter::once(response).chain(join_all(others).await);
        let dry_runs: Vec<_> = responses.filter(|response| response.body["dry_run"] == true).collect();
        assert!(
            dry_runs.len() == 2 && dry_runs.iter().all(|response| response.body["impact"].is_null()),
            "{dry_runs:?}"
        );
        true
    };
    let mut has_overtaken = is_overtaking().await;
    // On a busy machine, the computations may reach their deadline before the stop arrives.
    for _ in 0..4 {
        if has_overtaken {
            break;
        }
        admin.change(Method::DELETE, &format!("{stop}?acknowledge=true"), None).await;
        has_overtaken = is_overtaking().await;
    }
    assert!(has_overtaken, "the stop was never answered before the impacts were computed");
    server.stop().await;
}
