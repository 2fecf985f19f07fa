//! The daily work of release managers, over HTTP.

use crate::support::{
    ids,
    manager::{ApiResponse, Desk, Manager, STABLE, below, document, with_reason},
    postgres::Database,
    server::Server,
    setup::Setup,
    time::{NOW, at},
};
use jiff::{SignedDuration, Timestamp};
use lockkeeper::auth::Grant;
use reqwest::Method;
use serde_json::{Value, json};

async fn open_share(manager: &Manager<'_>, rollout: &str) -> Value {
    manager.get(&below(rollout)).await.ok().body["open_share"].clone()
}

/// Creates a stream of two published releases and a draft, without lint findings.
async fn small(admin: &Manager<'_>) {
    let payload = |n: usize| json!([{"arch": "x86_64", "scheme": "oci", "id": ids::image("quay.io/small/os", n)}]);
    admin
        .creates_stream(&json!({"format": 1, "product": "os", "stream": "stable", "arches": ["x86_64"], "origin": "local", "releases": [
            {"version": "1", "payloads": payload(1)},
            {"version": "2", "payloads": payload(2), "rollouts": [{"start_share": 1.0}]},
            {"version": "3", "state": "draft", "payloads": payload(3)},
        ]}))
        .await;
}

#[tokio::test]
async fn a_release_is_drafted_rolled_out_paused_resumed_and_withdrawn() {
    let setup = Setup::new().await;
    let desk = setup.desk();
    let (pipeline, manager) = (desk.manager("publisher", "os/stable").await, desk.manager("manager", "os/*").await);
    let admin = desk.manager("admin", "*").await;
    let made = admin
        .ask(Method::PUT, &with_reason(STABLE), &[("if-none-match", "*")], Some(&json!({"arches": ["x86_64"]})))
        .await;
    assert_eq!((made.status, made.header("etag"), made.header("location")), (201, "\"1\"", STABLE));
    for (version, id) in [("1", "a"), ("2", "b")] {
        let payload = json!([{"arch": "x86_64", "scheme": "checksum", "id": ids::commit(id)}]);
        let drafted = pipeline.post(&below("releases"), &json!({"version": version, "payloads": payload})).await;
        assert_eq!((drafted.status, drafted.header("location")), (201, below(&format!("releases/{version}")).as_str()));
        if version == "2" {
            manager.post(&below("releases/2/rollouts"), &json!({"preset": "linear-48h", "start": at(10)})).await;
        }
        pipeline.post_empty(&below(&format!("releases/{version}/publish"))).await;
    }
    let rollout = below("releases/2/rollouts/1");
    let show = async |name: &str| manager.get(&rollout).await.ok().body[name].clone();
    assert_eq!((show("state").await, show("open_share").await), (json!("scheduled"), json!(0.0)));
    manager.post_empty(&format!("{rollout}/start")).await;
    setup.hours(12);
    assert_eq!((show("state").await, show("open_share").await), (json!("running"), json!(0.25)));
    let looked = pipeline.post_empty(&format!("{rollout}/pause?dry_run=true")).await;
    let paused = pipeline.post_empty(&format!("{rollout}/pause")).await;
    let impact = &looked.body["impact"][0];
    assert_eq!(
        (impact["share_affected_now"].as_f64(), impact["share_affected_eventually"].as_f64()),
        (Some(0.0), Some(0.75))
    );
    assert_eq!(paused.body["impact"], Value::Null, "a pause does not wait for an impact report");
    setup.hours(100);
    assert_eq!((show("state").await, show("open_share").await), (json!("paused"), json!(0.25)));
    // The remaining time of the ramp is kept.
    manager.post_empty(&format!("{rollout}/resume")).await;
    setup.hours(118);
    assert_eq!(show("open_share").await, json!(0.625));
    manager.post(&format!("{rollout}/hold"), &json!({"share": 0.75})).await;
    setup.hours(200);
    assert_eq!(show("open_share").await, json!(0.75));
    // The way on from a held share.
    let lower = manager.change(Method::POST, &format!("{rollout}/advance"), Some(&json!({"share": 0.75}))).await;
    lower.is_problem(409);
    manager.post(&format!("{rollout}/advance"), &json!({"share": 0.95, "over": "PT20H"})).await;
    assert_eq!(show("open_share").await, json!(0.75));
    setup.hours(210);
    assert_eq!(show("open_share").await, json!(0.85));
    manager.post(&format!("{rollout}/advance"), &json!({"share": 0.9})).await;
    setup.hours(300);
    assert_eq!(show("open_share").await, json!(0.9));
    manager.post_empty(&format!("{rollout}/complete")).await;
    assert_eq!(show("open_share").await, json!(1.0));
    let wrong = manager.change(Method::POST, &format!("{rollout}/pause"), None).await;
    wrong.is_problem(409);
    assert_eq!(wrong.body["detail"], "a rollout that is completed cannot be paused");
    // Restrictive changes are not held up by warnings.
    let withdrawn = pipeline.post_empty(&below("releases/2/withdraw")).await;
    assert_eq!(withdrawn.body["impact"], Value::Null);
    let nodes = setup.server.get("/os/v1/graph?basearch=x86_64&stream=stable&rollout_wariness=0").await;
    assert_eq!(nodes.0, 200);

    let history = manager.get(&below("revisions?limit=2")).await.ok().body;
    assert!(history["items"][0]["actor"].as_str().unwrap().starts_with("token:"));
    assert_eq!(history["items"][0]["actor_name"], "publisher on os/stable");
    assert_eq!(history["items"][0]["reason"], "the test says so");
    let more = manager.get(&below(&format!("revisions?limit=100&cursor={}", history["next"].as_str().unwrap()))).await;
    assert_eq!(more.ok().body["items"].as_array().unwrap().len() + 2, withdrawn_revision(&withdrawn));
    let entries = manager.get("/api/v1/audit?product=os&stream=stable").await.ok().body;
    assert_eq!(entries["items"][0]["action"], "release.withdraw");
    assert_eq!(entries["items"][0]["subject"], "releases/2/withdraw");
    assert_eq!(entries["items"][0]["revision"], withdrawn.body["revision"]);
    setup.server.stop().await;
}

fn withdrawn_revision(response: &ApiResponse) -> usize {
    usize::try_from(response.body["revision"].as_u64().unwrap()).unwrap()
}

#[tokio::test]
async fn an_emergency_stop_blocks_increases_until_it_is_lifted() {
    let setup = Setup::new().await;
    let desk = setup.desk();
    let (admin, pipeline) = (desk.manager("admin", "*").await, desk.manager("publisher", "os/*").await);
    for stream in ["stable", "next"] {
        admin.creates_stream(&document("os", stream)).await;
    }
    let before = open_share(&admin, "releases/1.3/rollouts/1").await;
    let stopped = pipeline.post_empty("/api/v1/products/os/emergency-stop").await.body;
    assert_eq!((&stopped["changed"], &stopped["emergency_stop"]["reason"]), (&json!(true), &json!("the test says so")));
    let again = pipeline.post_empty("/api/v1/products/os/emergency-stop").await.body;
    assert_eq!((&again["changed"], &again["emergency_stop"]), (&json!(false), &stopped["emergency_stop"]));
    setup.hours(20);
    let rollout = admin.get(&below("releases/1.3/rollouts/1")).await.ok().body;
    let shares = (&rollout["open_share"], &rollout["open_share_if_lifted"], &rollout["fully_open_at"]);
    assert_eq!(shares, (&json!(0.0), &before, &Value::Null), "plan time is frozen");
    let state = admin.get(&below("emergency-stop")).await.ok().body;
    assert_eq!(state["product_emergency_stop"]["reason"], "the test says so");
    assert_eq!(
        admin.get("/api/v1/products/os/emergency-stop").await.ok().body["emergency_stop"],
        stopped["emergency_stop"]
    );
    for (path, body) in [
        ("releases/1.3/rollouts/1/resume", None),
        ("releases/1.4/publish", None),
        ("releases/1.3/rollouts/1/complete", None),
        ("releases/1.3/rollouts", Some(json!({"preset": "week"}))),
        ("releases/1.2/rollouts", Some(json!({"preset": "emergency-3h", "before": 1}))),
    ] {
        let refused = admin.change(Method::POST, &below(&format!("{path}?acknowledge=true")), body.as_ref()).await;
        refused.is_problem(409);
        assert!(refused.body["detail"].as_str().unwrap().contains("lift the stop first"), "{path}: {refused:?}");
    }
    // A document cannot lift the stop or open a release either.
    let mut opened = admin.get(&below("document")).await.ok().body;
    opened.as_object_mut().unwrap().remove("emergency_stop");
    opened["releases"][3]["rollouts"] = json!([{"start_share": 1.0}]);
    let put = admin.change(Method::PUT, &below("document?acknowledge=true"), Some(&opened)).await;
    put.is_problem(409);
    // Restrictive changes are allowed.
    pipeline.post_empty(&below("releases/1.3/rollouts/2/abort")).await;
    // Withdrawing a barrier strands older nodes: an error that is reported and does not refuse a restrictive change.
    let barrier = json!({"reason": "keys"});
    admin.change(Method::PUT, &below("releases/1.2/barrier?acknowledge=true"), Some(&barrier)).await.ok();
    let stranding = pipeline.post_empty(&below("releases/1.2/withdraw")).await.body;
    assert!(stranding["findings"].is_null() && stranding["impact"].is_null(), "it does not wait for them: {stranding}");
    assert_eq!(stranding["changes"][0]["target"]["kind"], "release");
    let report = admin.get(stranding["full_report"].as_str().unwrap()).await.ok().body;
    assert_eq!(report["findings"][0]["severity"], "error", "errors of restrictive changes are reported");
    assert_eq!((&report["changes"], &report["revision"]), (&stranding["changes"], &stranding["revision"]));
    assert!(report["impact"].is_array() && report.get("full_report").is_none(), "{report}");
    pipeline.change(Method::DELETE, "/api/v1/products/os/emergency-stop", None).await.is_problem(403);
    let lifted = admin.change(Method::DELETE, "/api/v1/products/os/emergency-stop", None).await.ok().body;
    assert_eq!(lifted["streams"].as_array().unwrap().len(), 2, "rollouts of both streams are paused: {lifted}");
    let share = open_share(&admin, "releases/1.3/rollouts/1").await;
    assert_eq!(share, before, "lifting resumes no rollout");
    admin.post_empty(&below("releases/1.3/rollouts/1/resume?acknowledge=true")).await;
    setup.server.stop().await;
}

#[tokio::test]
async fn freeze_windows_and_the_shortest_rollout_are_enforced() {
    let setup = Setup::new().await;
    let desk = setup.desk();
    let admin = desk.manager("admin", "*").await;
    small(&admin).await;
    let protection = json!({"shortest_rollout": "PT24H", "freeze_windows": [{"from": at(1), "until": at(3), "reason": "a holiday"}]});
    let settings = json!({"arches": ["x86_64"], "protection": protection});
    admin.change(Method::PUT, STABLE, Some(&settings)).await.ok();
    assert_eq!(admin.get(STABLE).await.ok().body["settings"]["protection"], protection);

    admin.post(&below("releases/3/rollouts"), &json!({"preset": "emergency-3h"})).await;
    let too_fast = admin.change(Method::POST, &below("releases/3/publish?acknowledge=true"), None).await;
    too_fast.is_problem(409);
    assert!(
        too_fast.body["findings"][0]["message"]
            .as_str()
            .unwrap()
            .contains("the shortest rollout of this stream is PT24H")
    );
    admin.change(Method::PUT, &below("releases/3/rollouts/1"), Some(&json!({"preset": "linear-48h"}))).await.ok();
    setup.hours(2);
    let frozen = admin.change(Method::POST, &below("releases/3/publish"), None).await;
    frozen.is_problem(409);
    let detail = frozen.body["detail"].as_str().unwrap();
    assert!(detail.contains("a holiday") && detail.contains(&at(3)), "{detail}");
    setup.hours(3);
    admin.post_empty(&below("releases/3/publish")).await;
    let rollout = below("releases/3/rollouts/1");
    let fast = admin.change(Method::POST, &format!("{rollout}/accelerate"), Some(&json!({"within": "PT1H"}))).await;
    fast.is_problem(409);
    admin.change(Method::POST, &format!("{rollout}/complete"), None).await.is_problem(409);
    admin.post(&format!("{rollout}/accelerate"), &json!({"within": "PT24H"})).await;
    setup.server.stop().await;
}

#[tokio::test]
async fn a_dry_run_reports_everything_and_changes_nothing() {
    let setup = Setup::new().await;
    let desk = setup.desk();
    let admin = desk.manager("admin", "*").await;
    small(&admin).await;
    admin.post(&below("releases/3/rollouts"), &json!({"start_share": 0.3})).await;
    let before = admin.get(&below("document")).await.ok();
    let looked = admin.post_empty(&below("releases/3/publish?dry_run=true")).await;
    assert_eq!((looked.status, looked.header("etag")), (200, before.header("etag")));
    assert_eq!((&looked.body["dry_run"], &looked.body["changed"]), (&json!(true), &json!(true)));
    let impact = &looked.body["impact"][0];
    assert_eq!((impact["gained"].as_u64(), impact["share_affected_now"].as_f64()), (Some(2), Some(0.3)));
    assert_eq!(impact["gained_updates"][0], json!({"from": "1", "to": "3"}));
    // A dry run reports errors; otherwise they refuse the change. Warnings must be acknowledged.
    let barrier = json!({"reason": "keys"});
    let payload = json!({"id": ids::image("quay.io/small/os", "s390x")});
    let older = below("releases/1/payloads/s390x/oci?acknowledge=true");
    admin.change(Method::PUT, &older, Some(&payload)).await.ok();
    let danger = admin.change(Method::PUT, &below("releases/2/barrier?dry_run=true"), Some(&barrier)).await.ok();
    assert_eq!(danger.body["findings"][0]["severity"], "error");
    admin.change(Method::PUT, &below("releases/2/barrier?acknowledge=true"), Some(&barrier)).await.is_problem(409);
    let unseen = admin.change(Method::POST, &below("releases/3/publish"), None).await;
    unseen.is_problem(409);
    assert_eq!(unseen.body["findings"][0]["message"], "has no payload on s390x");
    assert_eq!(admin.get(&below("releases/3")).await.ok().body["state"], "draft");
    let lint = admin.get(&below("lint")).await.ok().body;
    assert_eq!(lint["items"][0]["severity"], "warning");
    admin.post_empty(&below("releases/3/publish?acknowledge=true")).await;
    setup.server.stop().await;
}

#[tokio::test]
async fn a_request_with_an_idempotency_key_is_carried_out_once() {
    let setup = Setup::new().await;
    let desk = setup.desk();
    let admin = desk.manager("admin", "*").await;
    small(&admin).await;
    let other = Server::start(&setup.database).await;
    let elsewhere = Manager::with(&other, admin.token.as_deref());
    let path = with_reason(&below("releases"));
    let ask = async |caller: &Manager<'_>, key: &str, version: &str| {
        caller.ask(Method::POST, &path, &[("idempotency-key", key)], Some(&json!({"version": version}))).await
    };
    let first = ask(&admin, "once", "4").await.ok();
    for caller in [&admin, &elsewhere] {
        let again = ask(caller, "once", "4").await;
        assert_eq!((again.status, &again.body, again.header("etag")), (201, &first.body, first.header("etag")));
        assert_eq!(again.header("location"), first.header("location"));
    }
    let misused = ask(&elsewhere, "once", "5").await;
    misused.is_problem(422);
    assert!(misused.body["detail"].as_str().unwrap().contains("Idempotency-Key"));
    ask(&admin, "another", "4").await.is_problem(409);
    // Keys are separate per caller.
    let other_caller = desk.manager("publisher", "os/*").await;
    ask(&other_caller, "once", "6").await.ok();
    // At the same time, on two processes.
    let both = tokio::join!(ask(&admin, "twice", "7"), ask(&elsewhere, "twice", "7"));
    assert_eq!((both.0.status, &both.0.body), (201, &both.1.body));
    // After a restart.
    other.stop().await;
    let third = Server::start(&setup.database).await;
    let there = Manager::with(&third, admin.token.as_deref());
    assert_eq!(ask(&there, "once", "4").await.body, first.body);
    // A refusal is not stored: the same key may succeed later.
    let publish = with_reason(&below("releases/4/publish"));
    let headers = [("idempotency-key", "later"), ("if-match", "*")];
    admin.ask(Method::POST, &publish, &headers, None).await.is_problem(409);
    let payload = json!({"id": ids::image("quay.io/small/os", "x")});
    admin.change(Method::PUT, &below("releases/4/payloads/x86_64/oci"), Some(&payload)).await.ok();
    admin.ask(Method::POST, &format!("{publish}&acknowledge=true"), &headers, None).await.ok();
    // A repeated request for a token gets the same token.
    let wanted = json!({"name": "ci", "role": "viewer", "streams": "os/*", "expires_in": "P1D"});
    let issue = async || {
        let path = with_reason("/api/v1/tokens");
        admin.ask(Method::POST, &path, &[("idempotency-key", "t")], Some(&wanted)).await.ok().body
    };
    let issued = issue().await;
    assert_eq!(issue().await, issued);
    let ci = Manager::with(&setup.server, issued["token"].as_str());
    ci.get(STABLE).await.ok();
    let token = format!("/api/v1/tokens/{}", issued["metadata"]["id"].as_str().unwrap());
    admin.change(Method::DELETE, &token, None).await.ok();
    ci.get(STABLE).await.is_problem(401);
    third.stop().await;
    setup.server.stop().await;
}

#[tokio::test]
async fn a_write_from_a_stale_revision_is_refused() {
    let setup = Setup::new().await;
    let desk = setup.desk();
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
    // An absent field is not null, which removes the notes.
    admin.change(Method::PATCH, &release, Some(&json!({}))).await.is_problem(422);
    assert_eq!(admin.get(&release).await.ok().body["notes"], "a");
    let held = admin.ask(Method::GET, &below("document"), &[("if-none-match", "\"2\"")], None).await;
    assert_eq!((held.status, held.header("etag"), &held.body), (304, "\"2\"", &Value::Null));
    // Restrictive changes need no precondition.
    admin.ask(Method::POST, &with_reason(&below("releases/2/rollouts/1/abort")), &[], None).await.ok();
    // A change that increases offers needs one.
    admin.ask(Method::POST, &with_reason(&below("releases/3/publish")), &[], None).await.is_problem(428);
    setup.server.stop().await;
}

#[tokio::test]
async fn invalid_fields_are_reported_by_path() {
    let setup = Setup::new().await;
    let desk = setup.desk();
    let admin = desk.manager("admin", "*").await;
    small(&admin).await;
    let errors = async |method: Method, path: &str, body: Value| {
        let response = admin.change(method, &below(path), Some(&body)).await;
        response.is_problem(422);
        let errors = response.body["errors"].as_array().unwrap();
        let error =
            |error: &Value| format!("{}: {}", error["path"].as_str().unwrap(), error["message"].as_str().unwrap());
        errors.iter().map(error).collect::<Vec<_>>().join("\n")
    };
    let lines = [
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
    insta::assert_snapshot!(lines.join("\n--\n"));
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
        ("explain?arch=x86_64&scheme=oci&wariness=0.5", 422),
        ("explain?arch=x86_64&scheme=oci&release=9&wariness=0.5", 404),
        ("explain?arch=x86_64&scheme=oci&release=1&wariness=2", 422),
        ("revisions/99", 404),
        ("revisions/x", 404),
        ("releases/9", 404),
        ("releases/1/rollouts/1", 404),
        ("nothing", 404),
    ] {
        let response = admin.get(&below(path)).await;
        assert_eq!(response.status, status, "{path}: {response:?}");
        response.is_problem(status);
    }
    for (path, detail) in [
        ("releases?limit=0", "query parameter `limit` must be a whole number from 1 to 500, is \"0\""),
        ("releases?limit=x", "query parameter `limit` must be a whole number from 1 to 500, is \"x\""),
        ("releases?limit=1&limit=2", "query parameter `limit` is repeated"),
        ("releases?sort=desc", "unknown query parameter \"sort\""),
        ("graph", "query parameter `arch` is required"),
        ("graph?arch=x86_64&wariness=high", "query parameter `wariness` must be a number, is \"high\""),
    ] {
        assert_eq!(admin.get(&below(path)).await.body["detail"], detail, "{path}");
    }
    let perhaps = admin.change(Method::POST, &below("releases/3/publish?dry_run=perhaps"), None).await;
    perhaps.is_problem(400);
    assert_eq!(perhaps.body["detail"], "query parameter `dry_run` must be true or false, is \"perhaps\"");
    setup.server.stop().await;
}

#[tokio::test]
async fn a_revert_restores_a_revision() {
    let setup = Setup::new().await;
    let desk = setup.desk();
    let admin = desk.manager("admin", "*").await;
    small(&admin).await;
    let then = admin.get(&below("document")).await.ok().body;
    admin.post(&below("releases/3/rollouts"), &json!({"preset": "week"})).await;
    admin.post_empty(&below("releases/3/publish")).await;
    admin.change(Method::PUT, &below("releases/2/dead-end?acknowledge=true"), Some(&json!({"reason": "x"}))).await.ok();
    let reverted = admin.post_empty(&below("revisions/1/revert?acknowledge=true")).await;
    assert_eq!(reverted.body["revision"], 5);
    let now = admin.get(&below("document")).await.ok().body;
    let mut wanted = then.clone();
    wanted["releases"][2]["state"] = json!("withdrawn");
    wanted["releases"][2]["rollouts"] = now["releases"][2]["rollouts"].clone();
    assert_eq!(now, wanted, "a published release is withdrawn, not removed");
    let diff = admin.get(&below("revisions/5/diff?from=1")).await.ok().body;
    let subjects: Vec<&str> =
        diff.as_array().unwrap().iter().map(|change| change["subject"].as_str().unwrap()).collect();
    assert_eq!(subjects, ["release 3", "release 3, rollout 1"]);
    assert_eq!(admin.get(&below("revisions/1/diff")).await.ok().body[0]["before"], Value::Null);
    // Earlier revisions are unchanged.
    assert_eq!(admin.get(&below("document?revision=1")).await.ok().body, then);
    let graph = admin.get(&below("graph?arch=x86_64&scheme=oci&wariness=1&revision=3")).await.ok().body;
    assert_eq!(graph["releases"].as_array().unwrap().len(), 3);
    setup.server.stop().await;
}

#[tokio::test]
async fn a_release_is_promoted_into_another_stream() {
    let setup = Setup::new().await;
    let desk = setup.desk();
    let admin = desk.manager("admin", "*").await;
    admin.creates_stream(&document("os", "testing")).await;
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
    // A payload is unique in its stream.
    let again = json!({"from": {"stream": "testing", "version": "1.3"}, "version": "5"});
    admin.change(Method::POST, &below("promotions"), Some(&again)).await.is_problem(422);
    let own = json!({"from": {"stream": "testing", "version": "1.3"}, "version": "5",
        "payloads": [{"arch": "x86_64", "scheme": "oci", "id": ids::image("quay.io/small/os", "own")}]});
    admin.post(&below("promotions"), &own).await;
    // Promotion requires read access to the source stream.
    let narrow = desk.manager("manager", "os/stable").await;
    narrow.change(Method::POST, &below("promotions"), Some(&own)).await.is_problem(403);
    setup.server.stop().await;
}

#[tokio::test]
async fn anonymous_callers_may_be_allowed_to_read_but_never_to_write() {
    let database = Database::new().await;
    let server = Server::start_with(&database, |settings| {
        settings.api.anonymous_role = Some(lockkeeper::config::AnonymousRole::Viewer);
    })
    .await;
    let desk = Desk::new(&server, &database);
    small(&desk.manager("admin", "*").await).await;
    let anonymous = Manager::with(&server, None);
    let caller = anonymous.get("/api/v1/whoami").await.ok().body;
    let roles = json!([{"role": "viewer", "streams": "*"}]);
    assert_eq!(caller, json!({"actor": "anonymous", "name": "anonymous", "roles": roles}));
    let grant = Grant { role: "publisher".parse().unwrap(), on: "os/*".parse().unwrap() };
    let (row, token) = desk.issue(NOW, "ci", &grant, SignedDuration::from_hours(1)).await;
    let caller = Manager::with(&server, Some(&token)).get("/api/v1/whoami").await.ok().body;
    let expires_at = Timestamp::from_second(NOW + 3600).unwrap().to_string();
    let (actor, roles) = (format!("token:{}", row.id), json!([{"role": "publisher", "streams": "os/*"}]));
    assert_eq!(caller, json!({"actor": actor, "name": "ci", "roles": roles, "expires_at": expires_at}));
    assert_eq!(anonymous.get(&below("releases")).await.ok().body["items"].as_array().unwrap().len(), 3);
    anonymous.change(Method::POST, &below("releases/2/withdraw"), None).await.is_problem(401);
    anonymous.get("/api/v1/tokens").await.is_problem(401);
    Manager::with(&server, Some("x")).get(STABLE).await.is_problem(401);
    server.stop().await;
}

#[tokio::test]
async fn without_a_database_the_response_has_retry_after() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start_without_database(folder.path(), NOW, |_| {});
    let response = Manager::with(&server, Some("x")).get(STABLE).await;
    response.is_problem(503);
    assert_eq!(response.header("retry-after"), "10");
    server.stop().await;
}
