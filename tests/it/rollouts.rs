//! Rollouts over HTTP: their ids, gates, and all of them at a time.

use crate::support::{
    eventually, ids,
    manager::{Desk, Manager, STABLE, below, document, with_reason},
    server::Server,
    setup::Setup,
    time::{HOUR, at},
};
use reqwest::Method;
use serde_json::{Value, json};

const ROLLOUTS: &str = "releases/1.3/rollouts";

/// Returns the ids of the rollouts of release 1.3, in their order.
async fn order(admin: &Manager<'_>) -> Vec<u64> {
    let listed = admin.get(&below(ROLLOUTS)).await.ok().body;
    let items = listed["items"].as_array().unwrap();
    let positions: Vec<u64> = items.iter().map(|item| item["position"].as_u64().unwrap()).collect();
    assert!(positions.iter().copied().eq(1..=items.len() as u64), "{positions:?}");
    items.iter().map(|item| item["id"].as_u64().unwrap()).collect()
}

async fn rollout(admin: &Manager<'_>, id: u64) -> Value {
    admin.get(&below(&format!("{ROLLOUTS}/{id}"))).await.ok().body
}

async fn write(admin: &Manager<'_>, path: &str, body: &Value) -> Value {
    let path = format!("{}&acknowledge=true", with_reason(&below(path)));
    admin.ask(Method::PUT, &path, &[("if-match", "*")], Some(body)).await.ok().body
}

/// Returns the subjects of the changes of a report.
fn subjects(report: &Value) -> Vec<&str> {
    report["changes"].as_array().unwrap().iter().map(|change| change["subject"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn ids_stay_through_inserts_reorders_documents_and_reverts() {
    let setup = Setup::new().await;
    let admin = setup.admin().await;
    assert_eq!(order(&admin).await, [1, 2, 3]);
    let second = rollout(&admin, 2).await;
    let new = json!({"preset": "week", "start": at(30), "selector": {"groups": ["canary"]}, "before": 2});
    let inserted = admin.post(&below(ROLLOUTS), &new).await;
    assert_eq!(inserted.header("location"), below("releases/1%2E3/rollouts/4"));
    let subject = ["release 1.3, rollout 4", "release 1.3, order of rollouts"];
    let mut found = subjects(&inserted.body);
    found.sort_unstable();
    assert_eq!(found, [subject[1], subject[0]], "no other rollout is reported");
    assert_eq!(order(&admin).await, [1, 4, 2, 3]);
    let now_third = rollout(&admin, 2).await;
    assert_eq!((&second["position"], &now_third["position"]), (&json!(2), &json!(3)));
    assert_eq!((&second["start"], &second["state"]), (&now_third["start"], &now_third["state"]));

    let ordered = write(&admin, &format!("{ROLLOUTS}/order"), &json!({"ids": [4, 1, 2, 3]})).await;
    assert_eq!(subjects(&ordered), ["release 1.3, order of rollouts"]);
    assert_eq!(order(&admin).await, [4, 1, 2, 3]);
    for wrong in [json!([1, 2, 3]), json!([1, 2, 3, 4, 4]), json!([1, 2, 3, 5]), json!([0, 1, 2, 3])] {
        let path = with_reason(&below(&format!("{ROLLOUTS}/order")));
        let refused = admin.ask(Method::PUT, &path, &[("if-match", "*")], Some(&json!({"ids": wrong}))).await;
        refused.is_problem(422);
        assert_eq!(refused.body["errors"][0]["path"], "ids", "{wrong}");
    }

    // A document without ids, in another order: each rollout is the one with its plan, or for its nodes.
    let mut written = admin.get(&below("document")).await.ok().body;
    let listed = written["releases"][3]["rollouts"].as_array_mut().unwrap();
    listed.reverse();
    for rollout in listed {
        rollout.as_object_mut().unwrap().shift_remove("id");
    }
    write(&admin, "document", &written).await;
    assert_eq!(order(&admin).await, [3, 2, 1, 4]);

    // The first revision has three rollouts. The next new one does not get the id of the fourth.
    admin.change(Method::POST, &below("revisions/1/revert?acknowledge=true"), None).await.ok();
    assert_eq!(order(&admin).await, [1, 2, 3]);
    let document = admin.get(&below("document")).await.ok().body;
    assert_eq!(document["releases"][3]["last_rollout_id"], 4);
    let again = admin.post(&below(ROLLOUTS), &json!({"preset": "week", "start": at(30)})).await;
    assert_eq!((again.body["created"].as_str(), order(&admin).await), (Some("5"), vec![1, 2, 3, 5]));
    admin.get(&below(&format!("{ROLLOUTS}/4"))).await.is_problem(404);
    setup.server.stop().await;
}

#[tokio::test]
async fn documents_with_wrong_ids_are_refused() {
    let setup = Setup::new().await;
    let admin = setup.admin().await;
    let document = admin.get(&below("document")).await.ok().body;
    for (path, value, message) in [
        ("id", json!(2), "2 is the id of another rollout of the release"),
        ("id", json!(0), "is 0, expected a number between 1 and 1000000000"),
        ("id", json!(1001), "has the last rollout id 1001, at most 1000 is allowed"),
    ] {
        let mut written = document.clone();
        written["releases"][3]["rollouts"][0][path] = value;
        let refused =
            admin.ask(Method::PUT, &with_reason(&below("document")), &[("if-match", "*")], Some(&written)).await;
        refused.is_problem(422);
        assert_eq!(refused.body["errors"][0]["message"], message, "{}", refused.body);
    }
    setup.server.stop().await;
}

/// Rows that the version before has written have no ids: their rollouts are numbered by position, and keep the ids that are known.
#[tokio::test]
async fn rollouts_of_the_version_before_have_ids() {
    let setup = Setup::new().await;
    let admin = setup.admin().await;
    write(&admin, &format!("{ROLLOUTS}/order"), &json!({"ids": [3, 1, 2]})).await;
    setup.server.stop().await;
    let pool = sqlx::PgPool::connect(&setup.database.url).await.unwrap();
    // Such a process writes the rows of the rollouts anew, with one more, and leaves the release as it is.
    let copied = "insert into rollouts (release_id, position, start_epoch, start_share, course, duration_minutes, end_share, state, origin)
        select release_id, 3, start_epoch, start_share, course, duration_minutes, end_share, 'active', rollouts.origin from rollouts
        join releases on releases.id = release_id where version = '1.3' and rollouts.position = 0";
    assert_eq!(sqlx::query(copied).execute(&pool).await.unwrap().rows_affected(), 1);
    let server = Server::start(&setup.database).await;
    let admin = Desk::new(&server, &setup.database).manager("admin", "*").await;
    assert_eq!(order(&admin).await, [3, 1, 2, 4]);
    server.stop().await;
    // What was never written by this version: ids are positions.
    sqlx::query("update releases set rollout_ids = '{}', last_rollout_id = 0").execute(&pool).await.unwrap();
    let server = Server::start(&setup.database).await;
    let admin = Desk::new(&server, &setup.database).manager("admin", "*").await;
    assert_eq!(order(&admin).await, [1, 2, 3, 4]);
    let added = admin.post(&below(ROLLOUTS), &json!({"preset": "week", "start": at(30), "before": 1})).await;
    assert_eq!((added.body["created"].as_str(), order(&admin).await), (Some("5"), vec![5, 1, 2, 3, 4]));
    server.stop().await;
}

/// What the version before reads of a gated plan: the steps before the gate, each at its end.
#[tokio::test]
async fn the_version_before_opens_no_gate() {
    let setup = Setup::new().await;
    let admin = setup.admin().await;
    let steps = json!([
        {"after": "PT1H", "share": 0.1, "over": "PT2H"},
        {"after": "PT24H", "share": 0.3, "gate": true},
        {"after": "PT24H", "share": 1.0, "over": "PT48H"},
    ]);
    admin.post(&below(ROLLOUTS), &json!({"start": at(30), "steps": steps, "before": 1})).await;
    let pool = sqlx::PgPool::connect(&setup.database.url).await.unwrap();
    let known: (Vec<String>, Vec<f64>) = sqlx::query_as(
        "select step_minutes::text[], step_shares from rollouts join releases on releases.id = release_id
         where version = '1.3' and rollouts.position = 0",
    )
    .fetch_one(&pool)
    .await
    .unwrap();
    assert_eq!(known, (vec!["180".into()], vec![0.1]));
    assert_eq!(rollout(&admin, 4).await["steps"], steps);
    setup.server.stop().await;
}

/// Canaries now, 5 % a day later once a release manager says so, everyone over the 48 hours after that.
#[tokio::test]
async fn a_gated_rollout_waits_until_it_is_advanced() {
    let setup = Setup::new().await;
    let admin = setup.admin().await;
    let payloads = json!([{"arch": "x86_64", "scheme": "oci", "id": ids::image("quay.io/os/os", "gated")}]);
    admin.post(&below("releases"), &json!({"version": "1.5", "payloads": payloads})).await;
    let canaries = json!({"start_share": 1, "selector": {"groups": ["canary"]}});
    let rest = json!({"steps": [{"after": "PT24H", "share": 0.05, "gate": true}, {"after": "PT24H", "share": 1, "over": "PT48H"}]});
    for new in [canaries, rest] {
        admin.post(&below("releases/1.5/rollouts"), &new).await;
    }
    admin.post_empty(&below("releases/1.5/publish?acknowledge=true")).await;
    let path = below("releases/1.5/rollouts/2");
    let show = async || {
        let shown = admin.get(&path).await.ok().body;
        (shown["state"].as_str().unwrap().to_owned(), shown["open_share"].as_f64().unwrap(), shown)
    };
    let offered = async |wariness: &str, group: &str| {
        let query = format!(
            "basearch=x86_64&stream=stable&oci=true&os_checksum={}&group={group}&rollout_wariness={wariness}",
            ids::image("quay.io/os/os", 2).replace(':', "%3A")
        );
        let answer: Value = serde_json::from_str(&setup.server.get(&format!("/os/v1/graph?{query}")).await.1).unwrap();
        answer["nodes"].as_array().unwrap().iter().any(|node| node["version"] == "1.5")
    };
    let advance =
        async |body: Value| admin.change(Method::POST, &format!("{path}/advance?acknowledge=true"), Some(&body)).await;
    let (state, share, shown) = show().await;
    assert_eq!((state.as_str(), share), ("running", 0.0));
    assert_eq!(shown["gate"], json!({"at": at(24), "share": 0.05}));
    assert_eq!((&shown["planned_fully_open_at"], &shown["fully_open_at"]), (&json!(at(72)), &Value::Null));
    eventually("the release is offered to canaries", || offered("0.9", "canary")).await;
    assert!(!offered("0.01", "default").await);
    let early = advance(json!({})).await;
    early.is_problem(409);
    assert_eq!(early.body["detail"], "the rollout does not wait at a gate; to open it further, give a share");
    setup.hours(30);
    assert_eq!(show().await.0, "waiting");
    assert!(!offered("0.01", "default").await, "a gate does not open by itself");
    let live = admin.get("/api/v1/rollouts?state=waiting").await.ok().body;
    assert_eq!(live["items"].as_array().unwrap().len(), 1);
    let (stream, waiting) = (&live["items"][0]["stream"], &live["items"][0]);
    assert_eq!((stream, &waiting["release"], &waiting["id"]), (&json!("stable"), &json!("1.5"), &json!(2)));
    assert_eq!(waiting["gate"], json!({"at": at(24), "share": 0.05}));
    let preview = admin.post(&format!("{path}/advance?dry_run=true"), &json!({})).await.body;
    assert_eq!((&preview["changed"], &preview["dry_run"]), (&json!(true), &json!(true)));
    assert_eq!(show().await.0, "waiting");
    advance(json!({})).await.ok();
    let (state, share, shown) = show().await;
    assert_eq!((state.as_str(), share, &shown["gate"]), ("running", 0.05, &Value::Null));
    // The plan continues where it waited: 6 hours later than planned.
    assert_eq!((&shown["stood_still_seconds"], &shown["fully_open_at"]), (&json!(6 * HOUR), &json!(at(78))));
    assert_eq!(shown["planned_fully_open_at"], at(72));
    eventually("the gate is open", || offered("0.04", "default")).await;
    assert!(!offered("0.06", "default").await);
    setup.hours(54);
    assert!((show().await.1 - 0.525).abs() < 1e-6);
    // Every time in which it stood still, with who and why.
    admin.post_empty(&format!("{path}/pause")).await;
    setup.hours(55);
    admin.post_empty(&below("rollouts/resume?acknowledge=true")).await;
    let pauses = admin.get(&format!("{path}/pauses")).await.ok().body["items"].clone();
    let [gate, pause] = pauses.as_array().unwrap().as_slice() else { panic!("{pauses}") };
    assert_eq!((&gate["kind"], &gate["from"], &gate["until"]), (&json!("gate"), &json!(at(24)), &json!(at(30))));
    assert_eq!((&gate["seconds"], &gate["begun"]), (&json!(6 * HOUR), &Value::Null));
    assert_eq!((&pause["kind"], &pause["from"], &pause["until"]), (&json!("pause"), &json!(at(54)), &json!(at(55))));
    assert_eq!(
        (&pause["begun"]["reason"], &pause["ended"]["reason"]),
        (&json!("the test says so"), &json!("the test says so"))
    );
    for (body, status, message) in [
        (json!({"over": "PT1H"}), 422, "requires a share"),
        (json!({"share": 2}), 422, "is 2, expected a share between 0 and 1"),
    ] {
        let refused = advance(body).await;
        refused.is_problem(status);
        assert_eq!(refused.body["errors"][0]["message"], message);
    }
    setup.server.stop().await;
}

#[tokio::test]
async fn an_aborted_rollout_is_restarted_in_its_place() {
    let setup = Setup::new().await;
    let admin = setup.admin().await;
    let restart = async |query: &str| {
        admin.change(Method::POST, &below(&format!("{ROLLOUTS}/1/restart?acknowledge=true{query}")), None).await
    };
    let refused = restart("").await;
    refused.is_problem(409);
    assert_eq!(refused.body["detail"], "a rollout that is active cannot be restarted");
    admin.post_empty(&below(&format!("{ROLLOUTS}/1/abort"))).await;
    setup.hours(1);
    let preview = restart("&dry_run=true").await.ok().body;
    assert_eq!((&preview["dry_run"], &preview["created"]), (&json!(true), &json!("4")));
    assert_eq!(order(&admin).await, [1, 2, 3]);
    let restarted = restart("").await;
    assert_eq!((restarted.status, restarted.header("location")), (201, below("releases/1%2E3/rollouts/4").as_str()));
    assert_eq!(order(&admin).await, [4, 1, 2, 3]);
    let [new, old] = [rollout(&admin, 4).await, rollout(&admin, 1).await];
    assert_eq!((&new["state"], &new["start"], &new["open_share"]), (&json!("running"), &json!(at(1)), &json!(0.0)));
    assert_eq!((&new["duration"], &old["state"]), (&old["duration"], &json!("aborted")));
    setup.server.stop().await;
}

#[tokio::test]
async fn all_rollouts_of_a_stream_and_of_a_product_are_paused_and_resumed() {
    let setup = Setup::new().await;
    let admin = setup.admin().await;
    admin.creates_stream(&document("os", "next")).await;
    let states = async |stream: &str| -> Vec<Value> {
        let path = format!("/api/v1/products/os/streams/{stream}/{ROLLOUTS}");
        let listed = admin.get(&path).await.ok().body;
        listed["items"].as_array().unwrap().iter().map(|item| item["state"].clone()).collect()
    };
    assert_eq!(states("stable").await, ["running", "paused", "scheduled"]);
    let paused = admin.post_empty(&below("rollouts/pause")).await.body;
    assert_eq!((&paused["changed"], &paused["impact"]), (&json!(true), &Value::Null));
    assert_eq!(states("stable").await, ["paused"; 3]);
    assert_eq!(states("next").await, ["running", "paused", "scheduled"]);
    assert_eq!(admin.post_empty(&below("rollouts/pause")).await.body["changed"], false);
    let all = admin.post_empty("/api/v1/products/os/rollouts/pause").await.body;
    let streams: Vec<&Value> = all["streams"].as_array().unwrap().iter().map(|report| &report["stream"]).collect();
    assert_eq!((&all["changed"], streams), (&json!(true), vec![&json!("next")]));
    setup.hours(6);
    assert_eq!(rollout(&admin, 1).await["open_share"], 0.25, "what was open stays open");
    let resumed = admin.post_empty("/api/v1/products/os/rollouts/resume").await.body;
    assert_eq!(resumed["streams"].as_array().unwrap().len(), 2);
    for stream in ["stable", "next"] {
        assert_eq!(states(stream).await, ["running", "running", "scheduled"], "{stream}");
    }
    let first = rollout(&admin, 1).await;
    let shown = (&first["open_share"], &first["stood_still_seconds"], &first["planned_fully_open_at"]);
    assert_eq!(shown, (&json!(0.25), &json!(6 * HOUR), &json!(at(36))));
    assert_eq!(first["fully_open_at"], at(42));
    setup.server.stop().await;
}

#[tokio::test]
async fn rollouts_in_progress_are_listed_across_streams() {
    let setup = Setup::new().await;
    let admin = setup.admin().await;
    for (product, stream) in [("os", "next"), ("os-lab", "stable")] {
        admin.creates_stream(&document(product, stream)).await;
    }
    let list = async |query: &str| -> Vec<String> {
        let listed = admin.get(&format!("/api/v1/rollouts{query}")).await.ok().body;
        let name = |item: &Value| {
            let [product, stream, release] = ["product", "stream", "release"].map(|key| item[key].as_str().unwrap());
            format!("{product}/{stream} {release} {} {}", item["id"], item["state"].as_str().unwrap())
        };
        listed["items"].as_array().unwrap().iter().map(name).collect()
    };
    let of = |stream: &str| ["1 running", "2 paused", "3 scheduled"].map(|rollout| format!("{stream} 1.3 {rollout}"));
    assert_eq!(list("").await, [of("os/next"), of("os/stable"), of("os-lab/stable")].concat());
    assert_eq!(list("?product=os-lab").await, of("os-lab/stable"));
    assert_eq!(list("?stream=next&state=paused").await, ["os/next 1.3 2 paused"]);
    assert_eq!(list("?state=waiting").await, [""; 0]);
    for (query, path, message) in [
        ("?state=draft", "state", "must be one of scheduled, running, waiting, paused, is \"draft\""),
        ("?product=-", "product", "contains '-', expected 1 to 64 of"),
    ] {
        let refused = admin.get(&format!("/api/v1/rollouts{query}")).await;
        refused.is_problem(422);
        let error = &refused.body["errors"][0];
        assert_eq!(error["path"], path, "{error}");
        assert!(error["message"].as_str().unwrap().contains(message), "{error}");
    }
    // A page, and the link to the next one.
    let mut next = Some("/api/v1/rollouts?limit=4".to_owned());
    let mut found = Vec::new();
    while let Some(path) = next {
        let page = admin.get(&path).await.ok();
        found.push(page.body["items"].as_array().unwrap().len());
        next = page.body["next"].as_str().map(|cursor| format!("/api/v1/rollouts?limit=4&cursor={cursor}"));
    }
    assert_eq!(found, [4, 4, 1]);
    // Only what the caller may read.
    let desk = Desk::new(&setup.server, &setup.database);
    let viewer = desk.manager("viewer", "os/next").await;
    let listed = viewer.get("/api/v1/rollouts").await.ok().body;
    assert_eq!(listed["items"].as_array().unwrap().len(), 3);
    viewer.get("/api/v1/rollouts?product=os-lab").await.is_problem(403);
    setup.server.stop().await;
}

/// The most common act as one document: canaries now, 5 % tomorrow after a person says so, everyone over the 48 hours after that.
#[tokio::test]
async fn a_release_is_created_with_its_rollouts_and_published_at_once() {
    let setup = Setup::new().await;
    let admin = setup.admin().await;
    let revision = |report: &Value| report["revision"].as_i64().unwrap();
    let payloads = json!([{"arch": "x86_64", "scheme": "oci", "id": ids::image("quay.io/os/os", "at once")}]);
    let release = json!({"version": "1.5", "payloads": payloads, "publish": true, "rollouts": [
        {"selector": {"groups": ["canary"]}, "start_share": 1},
        {"steps": [{"after": "PT24H", "share": 0.05, "gate": true}, {"after": "PT24H", "share": 1, "over": "PT48H"}]},
    ]});
    let path = below("releases?acknowledge=true");
    admin.ask(Method::POST, &with_reason(&path), &[], Some(&release)).await.is_problem(428);
    let preview = admin.post(&format!("{path}&dry_run=true"), &release).await.body;
    assert_eq!((&preview["dry_run"], &preview["created"], revision(&preview)), (&json!(true), &json!("1.5"), 1));
    let created = admin.post(&path, &release).await.body;
    assert_eq!((revision(&created), &created["created"]), (2, &json!("1.5")));
    let shown = admin.get(&below("releases/1.5")).await.ok().body;
    let states: Vec<&Value> = shown["rollouts"].as_array().unwrap().iter().map(|rollout| &rollout["state"]).collect();
    assert_eq!((&shown["state"], &shown["age"], states), (&json!("published"), &json!(4), vec![&json!("running"); 2]));
    assert_eq!(shown["rollouts"][1]["gate"], json!({"at": at(24), "share": 0.05}));
    let history = admin.get(&below("releases/1.5/rollouts/2/history")).await.ok().body["items"].clone();
    let actions: Vec<&Value> = history.as_array().unwrap().iter().map(|entry| &entry["action"]).collect();
    assert_eq!(actions, ["release.create"]);

    // Each error names its field, and nothing is created.
    for (change, error_path) in [
        (json!({"rollouts": [{"preset": "week"}, {"preset": "month"}]}), "rollouts[1].preset"),
        (json!({"rollouts": [{"preset": "week", "before": 1}]}), "rollouts[0].before"),
        (json!({"rollouts": [{"end_share": 0.5}]}), "rollouts[0].end_share"),
        (json!({"barrier": {"reason": " "}}), "barrier.reason"),
    ] {
        let mut wrong = json!({"version": "1.6", "payloads": [], "publish": false});
        wrong.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        let refused = admin.change(Method::POST, &path, Some(&wrong)).await;
        refused.is_problem(422);
        assert_eq!(refused.body["errors"][0]["path"], error_path);
    }
    let none = admin.change(Method::POST, &path, Some(&json!({"version": "1.6", "publish": true}))).await;
    none.is_problem(409);
    admin.get(&below("releases/1.6")).await.is_problem(404);

    // A publisher creates and publishes only what needs no rollout.
    let publisher = Desk::new(&setup.server, &setup.database).manager("publisher", "os/*").await;
    let mut other = release.clone();
    other["version"] = "1.7".into();
    other["payloads"][0]["id"] = ids::image("quay.io/os/os", "a publisher's").into();
    let refused = publisher.change(Method::POST, &path, Some(&other)).await;
    refused.is_problem(403);
    assert_eq!(refused.body["detail"], "requires role `manager` on `os/stable`: the release has rollouts");
    other.as_object_mut().unwrap().shift_remove("rollouts");
    assert_eq!(publisher.post(&path, &other).await.body["created"], "1.7");
    setup.server.stop().await;
}

#[tokio::test]
async fn releases_are_listed_by_what_they_are() {
    let setup = Setup::new().await;
    let admin = setup.admin().await;
    let list = async |query: &str| -> Vec<String> {
        let listed = admin.get(&below(&format!("releases{query}"))).await.ok().body;
        let items = listed["items"].as_array().unwrap();
        items.iter().map(|item| item["version"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(list("?order=newest").await, ["1.4", "1.3", "1.2", "1.1", "1.0"]);
    assert_eq!(list("?state=published&order=newest").await, ["1.3", "1.2", "1.1", "1.0"]);
    assert_eq!(list("?state=draft").await, ["1.4"]);
    assert_eq!((list("?version=1.3").await, list("?version=1").await.len()), (vec!["1.3".into()], 5));
    assert_eq!((list("?arch=x86_64").await.len(), list("?arch=aarch64").await.len()), (5, 0));
    for (query, path) in [("?state=new", "state"), ("?order=up", "order"), ("?arch=X", "arch")] {
        let refused = admin.get(&below(&format!("releases{query}"))).await;
        refused.is_problem(422);
        assert_eq!(refused.body["errors"][0]["path"], path);
    }
    let (mut found, mut query) = (Vec::new(), "?order=newest&limit=2".to_owned());
    loop {
        let page = admin.get(&below(&format!("releases{query}"))).await.ok().body;
        found.extend(page["items"].as_array().unwrap().iter().map(|item| item["version"].clone()));
        let Some(next) = page["next"].as_str() else { break };
        query = format!("?order=newest&limit=2&cursor={next}");
    }
    assert_eq!(found, ["1.4", "1.3", "1.2", "1.1", "1.0"]);
    setup.server.stop().await;
}

#[tokio::test]
async fn releases_are_found_across_streams_by_version_or_payload() {
    let setup = Setup::new().await;
    let admin = setup.admin().await;
    admin.creates_stream(&document("os", "next")).await;
    let find = async |query: &str| -> Vec<String> {
        let found = admin.get(&format!("/api/v1/releases{query}")).await.ok().body;
        let name = |item: &Value| format!("{} {}", item["stream"].as_str().unwrap(), item["version"].as_str().unwrap());
        found["items"].as_array().unwrap().iter().map(name).collect()
    };
    let both = ["next 1.3", "stable 1.3"];
    assert_eq!(find("?version=1.3").await, both);
    let image = ids::image("quay.io/os/os", 3);
    let digest = image.rsplit_once('@').unwrap().1;
    assert_eq!(find(&format!("?payload={image}")).await, both);
    assert_eq!(find(&format!("?payload={digest}&product=os")).await, both);
    let alias = ids::image("quay.io/os/os", "alias");
    assert_eq!(find(&format!("?payload={alias}")).await, both);
    assert_eq!(find("?version=9").await, [""; 0]);
    admin.get("/api/v1/releases").await.is_problem(422);
    let viewer = Desk::new(&setup.server, &setup.database).manager("viewer", "os/next").await;
    let found = viewer.get("/api/v1/releases?version=1.3").await.ok().body;
    assert_eq!(found["items"].as_array().unwrap().len(), 1);
    setup.server.stop().await;
}

#[tokio::test]
async fn promotion_drift_is_what_one_stream_has_and_the_other_has_not() {
    let setup = Setup::new().await;
    let admin = setup.admin().await;
    let payload = |name: &str| json!([{"arch": "x86_64", "scheme": "oci", "id": ids::image("quay.io/os/os", name)}]);
    let testing = json!({"format": 1, "product": "os", "stream": "testing", "origin": "local", "arches": ["x86_64"], "releases": [
        {"version": "2.0", "payloads": payload("two")},
        {"version": "2.1", "payloads": payload("three")},
        {"version": "2.2", "payloads": payload("four")},
    ]});
    admin.creates_stream(&testing).await;
    let drift = async || admin.get(&below("promotions/drift?from=testing")).await.ok().body;
    assert_eq!(
        drift().await,
        json!({"from": "testing", "revision": 1, "newest_promoted": null, "missing": ["2.2", "2.1", "2.0"], "missing_count": 3})
    );
    let promotion = json!({"from": {"stream": "testing", "version": "2.1"}, "version": "1.9"});
    admin.post(&below("promotions"), &promotion).await;
    let after = drift().await;
    assert_eq!(after["newest_promoted"], json!({"version": "2.1", "promoted_as": "1.9"}));
    assert_eq!(after["missing"], json!(["2.2"]));
    admin.get(&below("promotions/drift")).await.is_problem(400);
    admin.get(&below("promotions/drift?from=nothing")).await.is_problem(404);
    let viewer = Desk::new(&setup.server, &setup.database).manager("viewer", "os/stable").await;
    viewer.get(&below("promotions/drift?from=testing")).await.is_problem(403);
    setup.server.stop().await;
}

#[tokio::test]
async fn publishers_publish_with_the_default_rollout_of_the_stream() {
    let setup = Setup::new().await;
    let admin = setup.admin().await;
    let settings = admin.get(STABLE).await.ok().body["settings"].clone();
    assert_eq!(settings["default_rollout"], "none");
    for (name, status) in [("fast", 422), ("week", 200)] {
        let mut changed = settings.clone();
        changed["default_rollout"] = name.into();
        let path = format!("{}&acknowledge=true", with_reason(STABLE));
        let answer = admin.ask(Method::PUT, &path, &[("if-match", "*")], Some(&changed)).await;
        assert_eq!(answer.status, status, "{answer:?}");
        if status == 200 {
            assert_eq!(subjects(&answer.body), ["default rollout"]);
        }
    }
    let payloads = json!([{"arch": "x86_64", "scheme": "oci", "id": ids::image("quay.io/os/os", "by default")}]);
    let release = json!({"version": "1.5", "payloads": payloads, "publish": true});
    let publisher = Desk::new(&setup.server, &setup.database).manager("publisher", "os/*").await;
    publisher.post(&below("releases?acknowledge=true"), &release).await;
    let shown = admin.get(&below("releases/1.5/rollouts")).await.ok().body;
    let rollout = &shown["items"][0];
    assert_eq!((&rollout["id"], &rollout["start"], &rollout["start_share"]), (&json!(1), &json!(at(0)), &json!(0.01)));
    assert_eq!(admin.get(&below("document")).await.ok().body["default_rollout"], "week");
    setup.server.stop().await;
}

#[tokio::test]
async fn a_batch_is_one_revision_or_nothing() {
    let setup = Setup::new().await;
    let admin = setup.admin().await;
    let batch = async |caller: &Manager<'_>, commands: Value| {
        let body = json!({"commands": commands});
        caller.change(Method::POST, &below("batch?acknowledge=true"), Some(&body)).await
    };
    let pause = |id: u32| json!({"operation": "pause_rollout", "release": "1.3", "rollout": id});
    let publish = json!({"operation": "publish_release", "release": "1.4"});
    let hold = json!({"operation": "hold_rollout", "release": "1.4", "rollout": 1, "share": 0.5});
    let report = batch(&admin, json!([pause(1), pause(3), publish, hold])).await.ok().body;
    assert_eq!(report["revision"], 2);
    let subject = ["release 1.3, rollout 1", "release 1.3, rollout 3", "release 1.4", "release 1.4, rollout 1"];
    assert_eq!(subjects(&report), subject);

    // The last one is refused: nothing is done.
    let refused = batch(&admin, json!([{"operation": "resume_rollouts"}, pause(2), pause(2)])).await;
    refused.is_problem(409);
    assert_eq!(rollout(&admin, 1).await["state"], "paused");
    for (commands, path) in [
        (json!([{"operation": "hold_rollout", "release": "1.4", "rollout": 1, "share": 2}]), "commands[0].share"),
        (json!([pause(1), {"operation": "publish_release", "release": ""}]), "commands[1].release"),
        (
            json!([{"operation": "create_rollout", "release": "1.3", "rollout": {"preset": "fast"}}]),
            "commands[0].rollout.preset",
        ),
        (json!([{"operation": "set_barrier", "release": "1.3", "reason": " "}]), "commands[0].reason"),
        (json!([]), "commands"),
    ] {
        let refused = batch(&admin, commands).await;
        refused.is_problem(422);
        assert_eq!(refused.body["errors"][0]["path"], path);
    }
    let publisher = Desk::new(&setup.server, &setup.database).manager("publisher", "os/*").await;
    let refused = batch(&publisher, json!([{"operation": "resume_rollout", "release": "1.3", "rollout": 1}])).await;
    refused.is_problem(403);
    assert_eq!(refused.body["detail"], "requires role `manager` on `os/stable`: it contains `rollout.resume`");
    setup.server.stop().await;
}
