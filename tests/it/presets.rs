//! Presets of products: set, listed, and used wherever rollouts are created.

use crate::support::{
    ids,
    manager::{ApiResponse, Manager, below, with_reason},
    setup::Setup,
    time::at,
};
use reqwest::Method;
use serde_json::{Value, json};

const PRESETS: &str = "/api/v1/products/os/presets";

/// Canaries now, 5 % a day later once a manager says so, and everyone within 48 hours after that.
fn canaries_first() -> Value {
    json!({"description": "Canaries first.", "rollouts": [
        {"selector": {"groups": ["canary"]}, "start_share": 1.0},
        {"steps": [{"after": "PT24H", "share": 0.05, "gate": true}, {"after": "PT24H", "share": 1.0, "over": "PT48H"}]},
    ]})
}

fn path_of(name: &str) -> String {
    format!("{PRESETS}/{name}")
}

async fn set(caller: &Manager<'_>, name: &str, preset: &Value) -> ApiResponse {
    caller.change(Method::PUT, &path_of(name), Some(preset)).await
}

/// Returns a service with the stream of [`Setup::admin`] and the preset `canaries-first`.
async fn with_preset(setup: &Setup) -> Manager<'_> {
    let admin = setup.admin().await;
    set(&admin, "canaries-first", &canaries_first()).await.ok();
    admin
}

/// Returns the plans of the rollouts of a release: their selectors, starts and ramps.
async fn plans(caller: &Manager<'_>, version: &str) -> Vec<Value> {
    let listed = caller.get(&below(&format!("releases/{version}/rollouts"))).await.ok().body;
    let fields = ["id", "selector", "start", "start_share", "duration", "end_share", "steps"];
    let plan = |rollout: &Value| {
        let mut plan = rollout.clone();
        plan.as_object_mut().unwrap().retain(|name, _| fields.contains(&name.as_str()));
        plan
    };
    listed["items"].as_array().unwrap().iter().map(plan).collect()
}

/// Returns the plans of the preset's rollouts, with the ids from `first` on.
fn expected(first: u32, start: &str) -> Vec<Value> {
    let rollouts = canaries_first()["rollouts"].as_array().unwrap().clone();
    let plan = |(id, mut rollout): (u32, Value)| {
        (rollout["id"], rollout["start"]) = (id.into(), start.into());
        rollout
    };
    (first..).zip(rollouts).map(plan).collect()
}

/// Asserts that a request is refused, and returns the path and the message of its only error.
fn error(response: &ApiResponse) -> (String, String) {
    response.is_problem(422);
    let [error] = &response.body["errors"].as_array().unwrap()[..] else { panic!("{response:?}") };
    let text = |name: &str| error[name].as_str().unwrap().to_owned();
    (text("path"), text("message"))
}

#[tokio::test]
async fn a_preset_is_set_listed_replaced_and_deleted() {
    let setup = Setup::new().await;
    let admin = setup.admin().await;
    let preview =
        admin.change(Method::PUT, &format!("{}?dry_run=true", path_of("p")), Some(&canaries_first())).await.ok();
    assert_eq!((preview.status, &preview.body["changed"], &preview.body["created"]), (200, &json!(true), &json!("p")));
    admin.get(&path_of("p")).await.is_problem(404);

    let added = set(&admin, "p", &canaries_first()).await.ok();
    assert_eq!((added.status, added.header("location"), &added.body["created"]), (201, &*path_of("p"), &json!("p")));
    let mut shown = canaries_first();
    (shown["name"], shown["built_in"]) = ("p".into(), false.into());
    assert_eq!(admin.get(&path_of("p")).await.ok().body, shown);
    let same = set(&admin, "p", &canaries_first()).await.ok();
    assert_eq!((same.status, &same.body["changed"], same.body.get("created")), (200, &json!(false), None));
    let replaced = set(&admin, "p", &json!({"rollouts": [{"duration": "PT24H", "freeze": "wait"}]})).await.ok();
    assert_eq!((replaced.status, &replaced.body["changed"]), (200, &json!(true)));
    let rollouts = json!([{"duration": "PT24H", "freeze": "wait"}]);
    let expected = json!({"name": "p", "built_in": false, "rollouts": rollouts});
    assert_eq!(admin.get(&path_of("p")).await.ok().body, expected);

    // The presets of the service are listed with their rollouts.
    let listed = admin.get(PRESETS).await.ok().body;
    let names: Vec<&str> =
        listed["items"].as_array().unwrap().iter().map(|item| item["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["emergency-3h", "linear-48h", "p", "week"]);
    let linear = admin.get(&path_of("linear-48h")).await.ok().body;
    assert_eq!((&linear, &linear["built_in"]), (&listed["items"][1], &json!(true)));
    assert_eq!(linear["rollouts"], json!([{"start_share": 0.0, "duration": "PT48H"}]));
    let page = admin.get(&format!("{PRESETS}?limit=2")).await.ok();
    let next = page.body["next"].as_str().unwrap();
    let rest = admin.get(&format!("{PRESETS}?limit=2&cursor={next}")).await.ok().body;
    assert_eq!(rest["items"], json!([listed["items"][2], listed["items"][3]]));

    let deleted = admin.change(Method::DELETE, &path_of("p"), None).await.ok();
    assert_eq!(deleted.body["changed"], true);
    admin.get(&path_of("p")).await.is_problem(404);
    admin.change(Method::DELETE, &path_of("p"), None).await.is_problem(404);
    let audit = admin.get("/api/v1/audit?product=os&limit=3").await.ok().body;
    let entries = audit["items"].as_array().unwrap();
    let entries: Vec<_> = entries.iter().map(|entry| (entry["action"].as_str().unwrap(), &entry["subject"])).collect();
    let subject = json!("presets/p");
    assert_eq!(entries, ["preset.remove", "preset.set", "preset.set"].map(|action| (action, &subject)));
    setup.server.stop().await;
}

#[tokio::test]
async fn invalid_presets_are_refused() {
    let setup = Setup::new().await;
    let admin = setup.admin().await;
    let one = json!({"rollouts": [{"start_share": 0.5}]});
    for name in ["linear-48h", "week", "none"] {
        let expected = format!("is {name:?}, which the service uses itself");
        assert_eq!(error(&set(&admin, name, &one).await), ("name".into(), expected));
    }
    set(&admin, "Fast", &one).await.is_problem(404);
    for (body, path) in [
        (json!({"rollouts": []}), "rollouts"),
        (json!({"rollouts": vec![json!({}); 33]}), "rollouts"),
        (json!({}), ""),
        (json!({"rollouts": [{"start": at(1)}]}), "rollouts[0].start"),
        (json!({"rollouts": [{"preset": "week"}]}), "rollouts[0].preset"),
        (json!({"rollouts": [{}, {"start_share": 2}]}), "rollouts[1].start_share"),
        (json!({"rollouts": [{"duration": "48h"}]}), "rollouts[0].duration"),
        (json!({"rollouts": [{"freeze": "thaw"}]}), "rollouts[0].freeze"),
        (
            json!({"rollouts": [{"steps": [{"after": "PT1H", "share": 0.5}, {"after": "PT1H", "share": 1}]}]}),
            "rollouts[0].steps[1].after",
        ),
        (json!({"rollouts": [{"selector": {"groups": []}}]}), "rollouts[0].selector.groups"),
    ] {
        assert_eq!(error(&set(&admin, "p", &body).await).0, path, "{body}");
    }
    for path in ["/api/v1/products/none/presets", "/api/v1/products/none/presets/week"] {
        admin.get(path).await.is_problem(404);
    }
    admin.change(Method::PUT, "/api/v1/products/none/presets/p", Some(&one)).await.is_problem(404);
    assert_eq!(admin.get(PRESETS).await.ok().body["items"].as_array().unwrap().len(), 3);
    setup.server.stop().await;
}

#[tokio::test]
async fn only_admins_of_the_product_set_presets_and_managers_of_a_stream_use_them() {
    let setup = Setup::new().await;
    let admin = with_preset(&setup).await;
    let desk = setup.desk();
    let (partly, manager) = (desk.manager("admin", "os/stable").await, desk.manager("manager", "os/stable").await);
    for caller in [&partly, &manager] {
        set(caller, "p", &canaries_first()).await.is_problem(403);
        caller.change(Method::DELETE, &path_of("canaries-first"), None).await.is_problem(403);
        assert_eq!(caller.get(PRESETS).await.ok().body["items"].as_array().unwrap().len(), 4);
    }
    let stranger = desk.manager("admin", "other/*").await;
    stranger.get(PRESETS).await.is_problem(403);
    let publisher = desk.manager("publisher", "os/*").await;
    let use_preset = json!({"preset": "canaries-first"});
    let path = below("releases/1.4/rollouts");
    publisher.change(Method::POST, &path, Some(&use_preset)).await.is_problem(403);
    manager.change(Method::POST, &path, Some(&use_preset)).await.ok();
    assert_eq!(plans(&admin, "1.4").await[1..], expected(2, &at(0)));
    setup.server.stop().await;
}

#[tokio::test]
async fn a_preset_gives_a_release_its_rollouts_and_the_preview_shows_them() {
    let setup = Setup::new().await;
    let admin = with_preset(&setup).await;
    let (body, path) =
        (json!({"preset": "canaries-first", "before": 2}), below("releases/1.3/rollouts?acknowledge=true"));
    let preview = admin.post(&format!("{path}&dry_run=true"), &body).await;
    let written = admin.post(&path, &body).await;
    for field in ["changes", "findings", "impact", "created"] {
        assert_eq!(preview.body[field], written.body[field], "{field}");
    }
    assert_eq!(written.header("location"), below("releases/1%2E3/rollouts/4"));
    let all = plans(&admin, "1.3").await;
    assert_eq!(
        (all[0]["id"].clone(), all[1..3].to_vec(), all[3]["id"].clone()),
        (json!(1), expected(4, &at(0)), json!(2))
    );

    // In another preset, they start with the moment of its use, or with the start of the request.
    setup.hours(1);
    admin.post(&below("releases/1.4/rollouts"), &json!({"preset": "canaries-first"})).await;
    admin.post(&below("releases/1.4/rollouts"), &json!({"preset": "canaries-first", "start": at(9)})).await;
    let all = plans(&admin, "1.4").await;
    assert_eq!(all[1..], [expected(2, &at(1)), expected(4, &at(9))].concat());
    setup.server.stop().await;
}

#[tokio::test]
async fn a_preset_stands_for_its_rollouts_in_a_list() {
    let setup = Setup::new().await;
    let admin = with_preset(&setup).await;
    let payloads = json!([{"arch": "x86_64", "scheme": "oci", "id": ids::image("quay.io/os/os", "new")}]);
    let beta = json!({"selector": {"groups": ["beta"]}, "preset": "week"});
    let release = |presets: &[&str]| {
        let named = presets.iter().map(|name| json!({"preset": name}));
        let rollouts: Vec<Value> = [beta.clone()].into_iter().chain(named).collect();
        json!({"version": "1.5", "payloads": payloads, "rollouts": rollouts, "publish": true})
    };
    let path = below("releases?acknowledge=true");
    let refused = admin.change(Method::POST, &path, Some(&release(&["canaries-first", "fast"]))).await;
    let known = "must be one of linear-48h, week, emergency-3h, canaries-first, is \"fast\"";
    assert_eq!(error(&refused), ("rollouts[2].preset".into(), known.into()));
    admin.post(&path, &release(&["canaries-first"])).await;
    let all = plans(&admin, "1.5").await;
    assert_eq!((&all[0]["id"], &all[0]["start_share"]), (&json!(1), &json!(0.01)));
    assert_eq!(all[1..], expected(2, &at(0)));

    // In a batch.
    let create = |preset: &str| {
        let rollout = json!({"preset": preset});
        json!({"operation": "create_rollout", "release": "1.4", "rollout": rollout})
    };
    let batch = async |commands: Value| {
        admin.change(Method::POST, &below("batch?acknowledge=true"), Some(&json!({"commands": commands}))).await
    };
    let refused = batch(json!([create("canaries-first"), create("fast")])).await;
    assert_eq!(error(&refused), ("commands[1].rollout.preset".into(), known.into()));
    batch(json!([create("canaries-first"), create("canaries-first")])).await.ok();
    assert_eq!(plans(&admin, "1.4").await[1..], [expected(2, &at(0)), expected(4, &at(0))].concat());
    setup.server.stop().await;
}

#[tokio::test]
async fn a_preset_of_the_product_is_combined_with_a_start_only() {
    let setup = Setup::new().await;
    let admin = with_preset(&setup).await;
    let path = below("releases/1.4/rollouts");
    for (body, path_of_error) in [
        (json!({"preset": "canaries-first", "duration": "PT1H"}), "preset"),
        (json!({"preset": "canaries-first", "selector": {"groups": ["beta"]}}), "selector"),
        (json!({"preset": "A name"}), "preset"),
    ] {
        assert_eq!(error(&admin.change(Method::POST, &path, Some(&body)).await).0, path_of_error, "{body}");
    }
    let replace = async |preset: &str| {
        admin.change(Method::PUT, &below("releases/1.4/rollouts/1"), Some(&json!({"preset": preset}))).await
    };
    let refused = error(&replace("canaries-first").await);
    assert_eq!(refused, ("preset".into(), "has 2 rollouts, but replaces a single one".into()));
    set(&admin, "half", &json!({"rollouts": [{"start_share": 0.5}]})).await.ok();
    replace("half").await.ok();
    assert_eq!(plans(&admin, "1.4").await, [json!({"id": 1, "start": at(0), "start_share": 0.5})]);
    setup.server.stop().await;
}

#[tokio::test]
async fn rollouts_stay_when_their_preset_changes_or_is_deleted() {
    let setup = Setup::new().await;
    let admin = with_preset(&setup).await;
    admin.post(&below("releases/1.4/rollouts"), &json!({"preset": "canaries-first"})).await;
    let (revision, before) = (admin.get(&below("")).await.ok().body["revision"].clone(), plans(&admin, "1.4").await);
    set(&admin, "canaries-first", &json!({"rollouts": [{"start_share": 1}]})).await.ok();
    assert_eq!(plans(&admin, "1.4").await, before);
    admin.change(Method::DELETE, &path_of("canaries-first"), None).await.ok();
    assert_eq!(plans(&admin, "1.4").await, before);
    assert_eq!(admin.get(&below("")).await.ok().body["revision"], revision);
    let refused =
        admin.change(Method::POST, &below("releases/1.4/rollouts"), Some(&json!({"preset": "canaries-first"}))).await;
    let message = "must be one of linear-48h, week, emergency-3h, is \"canaries-first\"";
    assert_eq!(error(&refused), ("preset".into(), message.into()));
    setup.server.stop().await;
}

#[tokio::test]
async fn protections_apply_to_the_rollouts_of_a_preset() {
    let setup = Setup::new().await;
    let admin = with_preset(&setup).await;
    set(&admin, "at-once", &json!({"rollouts": [{"start_share": 1}]})).await.ok();
    set(&admin, "waiting", &json!({"rollouts": [{"duration": "PT48H", "freeze": "wait"}]})).await.ok();
    let protect = async |protection: Value| {
        let path = format!("{}&acknowledge=true", with_reason(&below("")));
        let settings = json!({"arches": ["x86_64"], "protection": protection});
        admin.ask(Method::PUT, &path, &[("if-match", "*")], Some(&settings)).await.ok();
    };
    let payloads = |name: &str| json!([{"arch": "x86_64", "scheme": "oci", "id": ids::image("quay.io/os/os", name)}]);
    let publish = async |version: &str, preset: &str| {
        let release = json!({"version": version, "payloads": payloads(version), "rollouts": [{"preset": preset}], "publish": true});
        admin.change(Method::POST, &below("releases?acknowledge=true"), Some(&release)).await
    };
    protect(json!({"shortest_rollout": "PT24H", "canaries": ["canary"]})).await;
    let findings = async |preset: &str| {
        let release =
            json!({"version": "1.5", "payloads": payloads("1.5"), "rollouts": [{"preset": preset}], "publish": true});
        let report = admin.post(&below("releases?dry_run=true"), &release).await;
        report.body["findings"].to_string()
    };
    let own = json!({"version": "1.5", "payloads": payloads("1.5"), "rollouts": [{"start_share": 1}], "publish": true});
    let same = admin.change(Method::POST, &below("releases?acknowledge=true"), Some(&own)).await;
    let refused = publish("1.5", "at-once").await;
    assert_eq!((refused.status, &refused.body["findings"]), (same.status, &same.body["findings"]), "{refused:?}");
    refused.is_problem(409);
    assert_ne!(findings("at-once").await, findings("canaries-first").await);
    publish("1.5", "canaries-first").await.ok();

    protect(json!({"freeze_windows": [{"from": at(-1), "until": at(10), "reason": "holiday"}]})).await;
    publish("1.6", "canaries-first").await.is_problem(409);
    let draft = json!({"version": "1.6", "payloads": payloads("1.6"), "rollouts": [{"preset": "waiting"}]});
    admin.post(&below("releases?acknowledge=true"), &draft).await;
    assert_eq!(plans(&admin, "1.6").await[0]["start"], at(10));
    setup.server.stop().await;
}

#[tokio::test]
async fn an_invalid_row_of_a_preset_stops_no_change_that_does_not_use_it() {
    let setup = Setup::new().await;
    let admin = with_preset(&setup).await;
    let pool = setup.database.pool().await;
    sqlx::query("update presets set content = '{\"rollouts\": [{\"later\": true}]}'").execute(&pool).await.unwrap();
    admin.get(PRESETS).await.is_problem(500);
    admin
        .change(Method::POST, &below("releases/1.4/rollouts"), Some(&json!({"preset": "canaries-first"})))
        .await
        .is_problem(500);
    admin.post(&below("releases/1.4/rollouts"), &json!({"preset": "week"})).await;
    admin.post_empty("/api/v1/products/os/emergency-stop").await;
    setup.server.stop().await;
}
