//! What release managers do all day, over HTTP.

use crate::support::{
    manager::{Desk, Manager, STABLE, Told, document, with_reason},
    postgres::Database,
    server::Server,
};
use jiff::Timestamp;
use reqwest::Method;
use serde_json::{Value, json};

const NOW: i64 = 1_790_000_000;
const HOUR: i64 = 3600;

fn at(hours: i64) -> String {
    Timestamp::from_second(NOW + hours * HOUR).unwrap().to_string()
}

struct House {
    server: Server,
    database: Database,
}

impl House {
    async fn new() -> Self {
        let database = Database::new().await;
        Self { server: Server::start(&database).await, database }
    }

    fn desk(&self) -> Desk<'_> {
        Desk::of(&self.server, &self.database)
    }

    fn hours(&self, hours: i64) {
        self.server.at(NOW + hours * HOUR);
    }
}

fn below(path: &str) -> String {
    format!("{STABLE}/{path}").trim_end_matches('/').to_owned()
}

async fn open_share(manager: &Manager<'_>, rollout: &str) -> Value {
    manager.get(&below(rollout)).await.ok().body["open_share"].clone()
}

/// A stream of two releases without payload troubles, and a draft to be opened.
async fn small(admin: &Manager<'_>) {
    let payload = |n: usize| json!([{"arch": "x86_64", "scheme": "oci", "id": format!("quay.io/small/os@sha256:{n}")}]);
    admin
        .makes(&json!({"format": 1, "product": "os", "stream": "stable", "arches": ["x86_64"], "origin": "local", "releases": [
            {"version": "1", "payloads": payload(1)},
            {"version": "2", "payloads": payload(2), "rollouts": [{"start_share": 1.0}]},
            {"version": "3", "state": "draft", "payloads": payload(3)},
        ]}))
        .await;
}

#[tokio::test]
async fn a_release_is_drafted_opened_slowly_watched_paused_and_taken_back() {
    let house = House::new().await;
    let desk = house.desk();
    let (pipeline, manager) = (desk.manager("publisher", "os/stable").await, desk.manager("manager", "os/*").await);
    let admin = desk.manager("admin", "*").await;
    let made = admin
        .ask(Method::PUT, &with_reason(STABLE), &[("if-none-match", "*")], Some(&json!({"arches": ["x86_64"]})))
        .await;
    assert_eq!((made.status, made.header("etag"), made.header("location")), (201, "\"1\"", STABLE));
    for (version, id) in [("1", "a"), ("2", "b")] {
        let payload = json!([{"arch": "x86_64", "scheme": "checksum", "id": id}]);
        let drafted = pipeline.post(&below("releases"), &json!({"version": version, "payloads": payload})).await;
        assert_eq!((drafted.status, drafted.header("location")), (201, below(&format!("releases/{version}")).as_str()));
        if version == "2" {
            manager.post(&below("releases/2/rollouts"), &json!({"preset": "linear-48h", "start": at(10)})).await;
        }
        pipeline.does(&below(&format!("releases/{version}/publish"))).await;
    }
    let rollout = below("releases/2/rollouts/1");
    let show = async |name: &str| manager.get(&rollout).await.ok().body[name].clone();
    assert_eq!((show("state").await, show("open_share").await), (json!("scheduled"), json!(0.0)));
    manager.does(&format!("{rollout}/start")).await;
    house.hours(12);
    assert_eq!((show("state").await, show("open_share").await), (json!("running"), json!(0.25)));
    let paused = pipeline.does(&format!("{rollout}/pause")).await;
    let reach = &paused.body["reach"][0];
    assert_eq!((reach["share_affected_now"].as_f64(), reach["share_affected_ever"].as_f64()), (Some(0.0), Some(0.75)));
    house.hours(100);
    assert_eq!((show("state").await, show("open_share").await), (json!("paused"), json!(0.25)));
    // What was left of its time is left.
    manager.does(&format!("{rollout}/resume")).await;
    house.hours(118);
    assert_eq!(show("open_share").await, json!(0.625));
    manager.post(&format!("{rollout}/hold"), &json!({"share": 0.75})).await;
    house.hours(200);
    assert_eq!(show("open_share").await, json!(0.75));
    manager.does(&format!("{rollout}/complete")).await;
    assert_eq!(show("open_share").await, json!(1.0));
    let wrong = manager.change(Method::POST, &format!("{rollout}/pause"), None).await;
    wrong.is_problem(409);
    assert_eq!(wrong.body["detail"], "a rollout that is completed cannot be paused");
    // What only closes is not held up by warnings.
    let withdrawn = pipeline.does(&below("releases/2/withdraw")).await;
    assert_eq!(withdrawn.body["reach"][0]["lost"], 1);
    let nodes = house.server.get("/os/v1/graph?basearch=x86_64&stream=stable&rollout_wariness=0").await;
    assert_eq!(nodes.0, 200);

    let history = manager.get(&below("revisions?limit=2")).await.ok().body;
    assert_eq!(history["items"][0]["actor"], "token:publisher on os/stable");
    assert_eq!(history["items"][0]["reason"], "the test says so");
    let more = manager.get(&below(&format!("revisions?limit=100&cursor={}", history["next"].as_str().unwrap()))).await;
    assert_eq!(more.ok().body["items"].as_array().unwrap().len() + 2, withdrawn_revision(&withdrawn));
    let acts = manager.get("/api/v1/audit?product=os&stream=stable").await.ok().body;
    assert_eq!(acts["items"][0]["action"], "release.withdraw");
    assert_eq!(acts["items"][0]["subject"], "releases/2/withdraw");
    assert_eq!(acts["items"][0]["revision"], withdrawn.body["revision"]);
    house.server.stop().await;
}

fn withdrawn_revision(told: &Told) -> usize {
    usize::try_from(told.body["revision"].as_u64().unwrap()).unwrap()
}

#[tokio::test]
async fn an_emergency_stop_holds_everything_until_it_is_lifted() {
    let house = House::new().await;
    let desk = house.desk();
    let (admin, pipeline) = (desk.manager("admin", "*").await, desk.manager("publisher", "os/*").await);
    for stream in ["stable", "next"] {
        admin.makes(&document("os", stream)).await;
    }
    let before = open_share(&admin, "releases/1.3/rollouts/1").await;
    let stopped = pipeline.does("/api/v1/products/os/emergency-stop").await.body;
    assert_eq!(stopped["items"].as_array().unwrap().len(), 2);
    house.hours(20);
    assert_eq!(open_share(&admin, "releases/1.3/rollouts/1").await, before, "the share stays where it is");
    let state = admin.get(&below("emergency-stop")).await.ok().body;
    assert_eq!(state["emergency_stop"]["reason"], "the test says so");
    for (path, body) in [
        ("releases/1.3/rollouts/1/resume", None),
        ("releases/1.4/publish", None),
        ("releases/1.3/rollouts/1/complete", None),
        ("releases/1.3/rollouts", Some(json!({"preset": "week"}))),
        ("releases/1.2/rollouts", Some(json!({"preset": "emergency-3h", "before": 1}))),
    ] {
        let told = admin.change(Method::POST, &below(&format!("{path}?acknowledge=true")), body.as_ref()).await;
        told.is_problem(409);
        assert!(told.body["detail"].as_str().unwrap().contains("lift the stop first"), "{path}: {told:?}");
    }
    // Nor by the back door.
    let mut opened = admin.get(&below("document")).await.ok().body;
    opened.as_object_mut().unwrap().remove("emergency_stop");
    opened["releases"][3]["rollouts"] = json!([{"start_share": 1.0}]);
    let put = admin.change(Method::PUT, &below("document?acknowledge=true"), Some(&opened)).await;
    put.is_problem(409);
    // What closes goes on.
    pipeline.does(&below("releases/1.3/rollouts/2/abort")).await;
    // Taking back a barrier strands those before it: that wants to be seen, and can be done all the same.
    let barrier = json!({"reason": "keys"});
    admin.change(Method::PUT, &below("releases/1.2/barrier?acknowledge=true"), Some(&barrier)).await.ok();
    let stranding = pipeline.change(Method::POST, &below("releases/1.2/withdraw"), None).await;
    stranding.is_problem(409);
    assert_eq!(stranding.body["findings"][0]["severity"], "error");
    pipeline.does(&below("releases/1.2/withdraw?acknowledge=true")).await;
    pipeline.change(Method::DELETE, &below("emergency-stop"), None).await.is_problem(403);
    admin.change(Method::DELETE, "/api/v1/products/os/emergency-stop", None).await.ok();
    let share = open_share(&admin, "releases/1.3/rollouts/1").await;
    assert_eq!(share, before, "nothing is resumed by lifting");
    admin.does(&below("releases/1.3/rollouts/1/resume?acknowledge=true")).await;
    house.server.stop().await;
}

#[tokio::test]
async fn freeze_windows_and_the_shortest_rollout_are_kept() {
    let house = House::new().await;
    let desk = house.desk();
    let admin = desk.manager("admin", "*").await;
    small(&admin).await;
    let protection = json!({"shortest_rollout": "PT24H", "freeze_windows": [{"from": at(1), "until": at(3), "reason": "a holiday"}]});
    let settings = json!({"arches": ["x86_64"], "protection": protection});
    admin.change(Method::PUT, STABLE, Some(&settings)).await.ok();
    assert_eq!(admin.get(STABLE).await.ok().body["settings"]["protection"], protection);

    admin.post(&below("releases/3/rollouts"), &json!({"preset": "emergency-3h"})).await;
    let hasty = admin.change(Method::POST, &below("releases/3/publish?acknowledge=true"), None).await;
    hasty.is_problem(409);
    assert!(
        hasty.body["findings"][0]["message"].as_str().unwrap().contains("the shortest rollout of this stream is PT24H")
    );
    admin.change(Method::PUT, &below("releases/3/rollouts/1"), Some(&json!({"preset": "linear-48h"}))).await.ok();
    house.hours(2);
    let frozen = admin.change(Method::POST, &below("releases/3/publish"), None).await;
    frozen.is_problem(409);
    let detail = frozen.body["detail"].as_str().unwrap();
    assert!(detail.contains("a holiday") && detail.contains(&at(3)), "{detail}");
    house.hours(3);
    admin.does(&below("releases/3/publish")).await;
    let rollout = below("releases/3/rollouts/1");
    let fast = admin.change(Method::POST, &format!("{rollout}/accelerate"), Some(&json!({"within": "PT1H"}))).await;
    fast.is_problem(409);
    admin.change(Method::POST, &format!("{rollout}/complete"), None).await.is_problem(409);
    admin.post(&format!("{rollout}/accelerate"), &json!({"within": "PT24H"})).await;
    house.server.stop().await;
}

#[tokio::test]
async fn a_dry_run_tells_everything_and_changes_nothing() {
    let house = House::new().await;
    let desk = house.desk();
    let admin = desk.manager("admin", "*").await;
    small(&admin).await;
    admin.post(&below("releases/3/rollouts"), &json!({"start_share": 0.3})).await;
    let before = admin.get(&below("document")).await.ok();
    let looked = admin.does(&below("releases/3/publish?dry_run=true")).await;
    assert_eq!((looked.status, looked.header("etag")), (200, before.header("etag")));
    assert_eq!((&looked.body["dry_run"], &looked.body["changed"]), (&json!(true), &json!(true)));
    let reach = &looked.body["reach"][0];
    assert_eq!((reach["gained"].as_u64(), reach["share_affected_now"].as_f64()), (Some(2), Some(0.3)));
    assert_eq!(reach["gained_updates"][0], json!({"from": "1", "to": "3"}));
    // Dangers are told by a dry run, and refused otherwise; warnings want to be seen.
    let barrier = json!({"reason": "keys"});
    let settings = json!({"arches": ["x86_64", "s390x"]});
    admin.change(Method::PUT, &format!("{STABLE}?acknowledge=true"), Some(&settings)).await.ok();
    let danger = admin.change(Method::PUT, &below("releases/2/barrier?dry_run=true"), Some(&barrier)).await.ok();
    assert_eq!(danger.body["findings"][0]["severity"], "error");
    admin.change(Method::PUT, &below("releases/2/barrier?acknowledge=true"), Some(&barrier)).await.is_problem(409);
    let unseen = admin.change(Method::POST, &below("releases/3/publish"), None).await;
    unseen.is_problem(409);
    assert_eq!(unseen.body["findings"][0]["message"], "has no payload on s390x");
    assert_eq!(admin.get(&below("releases/3")).await.ok().body["state"], "draft");
    let lint = admin.get(&below("lint")).await.ok().body;
    assert_eq!(lint["items"][0]["severity"], "warning");
    admin.does(&below("releases/3/publish?acknowledge=true")).await;
    house.server.stop().await;
}

#[tokio::test]
async fn a_request_that_names_itself_is_done_once() {
    let house = House::new().await;
    let desk = house.desk();
    let admin = desk.manager("admin", "*").await;
    small(&admin).await;
    let other = Server::start(&house.database).await;
    let elsewhere = Manager::with(&other, admin.token.as_deref());
    let path = with_reason(&below("releases"));
    let ask = async |who: &Manager<'_>, key: &str, version: &str| {
        who.ask(Method::POST, &path, &[("idempotency-key", key)], Some(&json!({"version": version}))).await
    };
    let first = ask(&admin, "once", "4").await.ok();
    for who in [&admin, &elsewhere] {
        let again = ask(who, "once", "4").await;
        assert_eq!((again.status, &again.body, again.header("etag")), (201, &first.body, first.header("etag")));
        assert_eq!(again.header("location"), first.header("location"));
    }
    let misused = ask(&elsewhere, "once", "5").await;
    misused.is_problem(422);
    assert!(misused.body["detail"].as_str().unwrap().contains("Idempotency-Key"));
    ask(&admin, "another", "4").await.is_problem(409);
    // Names are one's own.
    let somebody = desk.manager("publisher", "os/*").await;
    ask(&somebody, "once", "6").await.ok();
    // At the same time, on two processes.
    let both = tokio::join!(ask(&admin, "twice", "7"), ask(&elsewhere, "twice", "7"));
    assert_eq!((both.0.status, &both.0.body), (201, &both.1.body));
    // After a restart.
    other.stop().await;
    let third = Server::start(&house.database).await;
    let there = Manager::with(&third, admin.token.as_deref());
    assert_eq!(ask(&there, "once", "4").await.body, first.body);
    // A refusal is not kept: what was refused may be done later.
    let publish = with_reason(&below("releases/4/publish"));
    let headers = [("idempotency-key", "later"), ("if-match", "*")];
    admin.ask(Method::POST, &publish, &headers, None).await.is_problem(409);
    let payload = json!({"id": "x"});
    admin.change(Method::PUT, &below("releases/4/payloads/x86_64/oci"), Some(&payload)).await.ok();
    admin.ask(Method::POST, &format!("{publish}&acknowledge=true"), &headers, None).await.ok();
    // Tokens too: the very same one.
    let wanted = json!({"name": "ci", "role": "viewer", "on": "os/*", "for": "P1D"});
    let give = async || {
        let told =
            admin.ask(Method::POST, &with_reason("/api/v1/tokens"), &[("idempotency-key", "t")], Some(&wanted)).await;
        told.ok().body
    };
    let given = give().await;
    assert_eq!(give().await, given);
    let ci = Manager::with(&house.server, given["token"].as_str());
    ci.get(STABLE).await.ok();
    let token = format!("/api/v1/tokens/{}", given["about"]["id"].as_str().unwrap());
    admin.change(Method::DELETE, &token, None).await.ok();
    ci.get(STABLE).await.is_problem(401);
    third.stop().await;
    house.server.stop().await;
}

#[tokio::test]
async fn nobody_overwrites_what_they_have_not_seen() {
    let house = House::new().await;
    let desk = house.desk();
    let admin = desk.manager("admin", "*").await;
    small(&admin).await;
    let release = below("releases/2");
    let notes = |text: &str| json!({"notes": text});
    let patch = async |tag: Option<&str>, text: &str| {
        let headers: Vec<_> = tag.map(|tag| ("if-match", tag)).into_iter().collect();
        admin.ask(Method::PATCH, &with_reason(&release), &headers, Some(&notes(text))).await
    };
    let seen = admin.get(&release).await.ok();
    patch(None, "a").await.is_problem(428);
    let changed = patch(Some(seen.header("etag")), "a").await.ok();
    assert_eq!(changed.header("etag"), "\"2\"");
    for stale in [seen.header("etag"), "W/\"2\"", "\"02\"", "\"x\"", "2"] {
        patch(Some(stale), "b").await.is_problem(412);
    }
    assert_eq!(admin.get(&release).await.ok().body["notes"], "a");
    let same = patch(Some("\"2\""), "a").await.ok();
    assert_eq!((same.header("etag"), &same.body["changed"]), ("\"2\"", &json!(false)));
    let held = admin.ask(Method::GET, &below("document"), &[("if-none-match", "\"2\"")], None).await;
    assert_eq!((held.status, held.header("etag"), &held.body), (304, "\"2\"", &Value::Null));
    // What only closes waits for nobody.
    admin.ask(Method::POST, &with_reason(&below("releases/2/rollouts/1/abort")), &[], None).await.ok();
    // What opens has to be seen.
    admin.ask(Method::POST, &with_reason(&below("releases/3/publish")), &[], None).await.is_problem(428);
    house.server.stop().await;
}

#[tokio::test]
async fn what_is_wrong_is_said_field_by_field() {
    let house = House::new().await;
    let desk = house.desk();
    let admin = desk.manager("admin", "*").await;
    small(&admin).await;
    let errors = async |method: Method, path: &str, body: Value| {
        let told = admin.change(method, &below(path), Some(&body)).await;
        told.is_problem(422);
        let errors = told.body["errors"].as_array().unwrap();
        let error =
            |error: &Value| format!("{}: {}", error["path"].as_str().unwrap(), error["message"].as_str().unwrap());
        errors.iter().map(error).collect::<Vec<_>>().join("\n")
    };
    let told = [
        errors(Method::POST, "releases", json!({"version": "", "payloads": [{"arch": "X", "scheme": "oci", "id": ""}]})).await,
        errors(Method::POST, "releases", json!({"version": "9", "payload": []})).await,
        errors(Method::POST, "releases", json!({"version": "9", "payloads": [{"arch": 1}]})).await,
        errors(Method::POST, "releases/3/rollouts", json!({"preset": "fast"})).await,
        errors(Method::POST, "releases/3/rollouts", json!({"preset": "week", "duration": "PT1H"})).await,
        errors(Method::POST, "releases/3/rollouts", json!({"start": "soon", "start_share": 2.0})).await,
        errors(Method::POST, "releases/3/rollouts", json!({"preset": "week", "before": 7})).await,
        errors(Method::POST, "releases/2/rollouts/1/hold", json!({"share": -1})).await,
        errors(Method::POST, "releases/2/rollouts/1/accelerate", json!({"within": "1h"})).await,
        errors(Method::PUT, "releases/2/barrier", json!({"reason": " ", "arches": []})).await,
        errors(Method::POST, "releases/2/blocked-updates", json!({"first": "0", "last": "1", "reason": "no"})).await,
        errors(Method::PUT, "releases/3/artifacts/x86_64/a", json!({"url": "x", "sha256": "x"})).await,
        errors(Method::PUT, "", json!({"arches": ["a", "a"], "protection": {"freeze_windows": [{"from": "x", "until": "y", "reason": "z"}]}})).await,
        errors(Method::PUT, "document", json!({"format": 1, "product": "os", "stream": "next"})).await,
    ];
    insta::assert_snapshot!(told.join("\n--\n"));
    let big = json!({"notes": "x".repeat(70_000)});
    admin.change(Method::PATCH, &below("releases/2"), Some(&big)).await.is_problem(413);
    let headers = [("if-match", "*"), ("content-type", "text/plain")];
    admin.ask(Method::PATCH, &with_reason(&below("releases/2")), &headers, None).await.is_problem(415);
    admin.ask(Method::PATCH, &below("releases/2"), &headers, None).await.is_problem(415);
    let silent = admin.ask(Method::POST, &below("releases/2/rollouts/1/pause"), &[], None).await;
    silent.is_problem(422);
    assert_eq!(silent.body["errors"][0]["path"], "reason");
    for (path, status) in [
        ("releases?limit=0", 400),
        ("releases?limit=x", 400),
        ("revisions?cursor=x", 400),
        ("graph", 400),
        ("graph?arch=s390x", 404),
        ("explain?arch=x86_64&scheme=oci", 422),
        ("explain?arch=x86_64&scheme=oci&release=9", 404),
        ("explain?arch=x86_64&scheme=oci&release=1&wariness=2", 422),
        ("revisions/99", 404),
        ("revisions/x", 404),
        ("releases/9", 404),
        ("releases/1/rollouts/1", 404),
        ("nothing", 404),
    ] {
        let told = admin.get(&below(path)).await;
        assert_eq!(told.status, status, "{path}: {told:?}");
        told.is_problem(status);
    }
    house.server.stop().await;
}

#[tokio::test]
async fn what_was_done_can_be_taken_back() {
    let house = House::new().await;
    let desk = house.desk();
    let admin = desk.manager("admin", "*").await;
    small(&admin).await;
    let then = admin.get(&below("document")).await.ok().body;
    admin.post(&below("releases/3/rollouts"), &json!({"preset": "week"})).await;
    admin.does(&below("releases/3/publish")).await;
    admin.change(Method::PUT, &below("releases/2/dead-end?acknowledge=true"), Some(&json!({"reason": "x"}))).await.ok();
    let reverted = admin.does(&below("revisions/1/revert?acknowledge=true")).await;
    assert_eq!(reverted.body["revision"], 5);
    let now = admin.get(&below("document")).await.ok().body;
    let mut wanted = then.clone();
    wanted["releases"][2]["state"] = json!("withdrawn");
    wanted["releases"][2]["rollouts"] = now["releases"][2]["rollouts"].clone();
    wanted["releases"][1]["cleared"] = json!(["dead_end"]);
    assert_eq!(now, wanted, "what was published is known, and offered no more");
    let diff = admin.get(&below("revisions/5/diff?from=1")).await.ok().body;
    let subjects: Vec<&str> =
        diff.as_array().unwrap().iter().map(|change| change["subject"].as_str().unwrap()).collect();
    assert_eq!(subjects, ["release 2, dead_end of upstream", "release 3", "release 3, rollout 1"]);
    assert_eq!(admin.get(&below("revisions/1/diff")).await.ok().body[0]["before"], Value::Null);
    // The past is seen as it was.
    assert_eq!(admin.get(&below("document?revision=1")).await.ok().body, then);
    let graph = admin.get(&below("graph?arch=x86_64&scheme=oci&wariness=1&revision=3")).await.ok().body;
    assert_eq!(graph["releases"].as_array().unwrap().len(), 3);
    house.server.stop().await;
}

#[tokio::test]
async fn a_release_is_promoted_into_another_stream() {
    let house = House::new().await;
    let desk = house.desk();
    let admin = desk.manager("admin", "*").await;
    admin.makes(&document("os", "testing")).await;
    small(&admin).await;
    let promoted = admin
        .post(&below("promotions"), &json!({"from": {"stream": "testing", "version": "1.3"}, "version": "4"}))
        .await;
    assert_eq!((promoted.status, promoted.header("location")), (201, below("releases/4").as_str()));
    let release = admin.get(&below("releases/4")).await.ok().body;
    assert_eq!(
        (&release["state"], &release["notes"], &release["rollouts"]),
        (&json!("draft"), &json!("new"), &json!([]))
    );
    assert_eq!(release["promoted_from"], json!({"stream": "testing", "version": "1.3"}));
    let list = admin.get(&below("promotions")).await.ok().body;
    assert_eq!(
        list["items"],
        json!([{"version": "4", "state": "draft", "from": {"stream": "testing", "version": "1.3"}}])
    );
    // Its payload may stand in one release of a stream alone.
    let again = json!({"from": {"stream": "testing", "version": "1.3"}, "version": "5"});
    admin.change(Method::POST, &below("promotions"), Some(&again)).await.is_problem(422);
    let own = json!({"from": {"stream": "testing", "version": "1.3"}, "version": "5",
        "payloads": [{"arch": "x86_64", "scheme": "oci", "id": "own"}]});
    admin.post(&below("promotions"), &own).await;
    // Who may not read there, may not copy from there.
    let narrow = desk.manager("manager", "os/stable").await;
    narrow.change(Method::POST, &below("promotions"), Some(&own)).await.is_problem(403);
    house.server.stop().await;
}

#[tokio::test]
async fn reading_may_be_open_to_all_and_writing_never_is() {
    let database = Database::new().await;
    let server = Server::start_with(&database, |settings| {
        settings.api.anonymous_role = Some(lockkeeper::config::AnonymousRole::Viewer);
    })
    .await;
    let desk = Desk::of(&server, &database);
    small(&desk.manager("admin", "*").await).await;
    let nobody = Manager::with(&server, None);
    assert_eq!(nobody.get(&below("releases")).await.ok().body["items"].as_array().unwrap().len(), 3);
    nobody.change(Method::POST, &below("releases/2/withdraw"), None).await.is_problem(401);
    nobody.get("/api/v1/tokens").await.is_problem(403);
    Manager::with(&server, Some("x")).get(STABLE).await.is_problem(401);
    server.stop().await;
}

#[tokio::test]
async fn without_its_database_it_says_when_to_come_back() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start_alone(folder.path(), NOW, |_| {});
    let told = Manager::with(&server, Some("x")).get(STABLE).await;
    told.is_problem(503);
    assert_eq!(told.header("retry-after"), "10");
    server.stop().await;
}
