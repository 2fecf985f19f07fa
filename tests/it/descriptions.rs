//! Descriptions of products and streams: set, shown and removed, and never lost by accident.

use crate::support::{
    manager::{ApiResponse, Desk, Manager, STABLE, below, with_reason},
    setup::Setup,
};
use lockkeeper::domain::ids::StreamId;
use reqwest::Method;
use serde_json::{Value, json};

const PRODUCT: &str = "/api/v1/products/os";
const TEXT: &str = "Machines in shops.\nAsk the desk: Zoë.";

async fn set(caller: &Manager<'_>, path: &str, body: &Value) -> ApiResponse {
    let path = format!("{}&acknowledge=true", with_reason(path));
    caller.ask(Method::PUT, &path, &[("if-match", "*")], Some(body)).await
}

async fn settings(caller: &Manager<'_>) -> Value {
    caller.get(STABLE).await.ok().body["settings"].clone()
}

/// Returns the settings with another description; null leaves it out.
fn described(settings: &Value, text: &Value) -> Value {
    let mut settings = settings.clone();
    settings.as_object_mut().unwrap().shift_remove("description");
    if !text.is_null() {
        settings["description"] = text.clone();
    }
    settings
}

#[tokio::test]
async fn a_stream_has_a_description_in_settings_document_history_and_differences() {
    let setup = Setup::new().await;
    let admin = setup.admin().await;
    let before = settings(&admin).await;
    assert_eq!(before["description"], "");
    let report = set(&admin, STABLE, &described(&before, &json!(TEXT))).await.ok().body;
    let expected = json!([{"subject": "description", "after": TEXT, "target": {"kind": "description"}}]);
    assert_eq!(report["changes"], expected);
    assert_eq!(settings(&admin).await["description"], TEXT);
    let document = admin.get(&below("document")).await.ok().body;
    assert_eq!(document["description"], TEXT);

    // Settings without one leave it as it is, and the empty text removes it.
    let same = set(&admin, STABLE, &described(&before, &Value::Null)).await.ok().body;
    assert_eq!((&same["changed"], &same["revision"]), (&json!(false), &json!(2)));
    assert_eq!(set(&admin, STABLE, &before).await.ok().body["changed"], true);
    assert_eq!(admin.get(&below("document")).await.ok().body.get("description"), None);
    assert_eq!(admin.get(&below("document?revision=2")).await.ok().body["description"], TEXT);
    let undone = admin.change(Method::POST, &below("revisions/3/undo?acknowledge=true"), None).await.ok().body;
    assert_eq!(undone["changes"][0]["subject"], "description");
    assert_eq!(settings(&admin).await["description"], TEXT);

    // A document replaces it, which requires the role for settings.
    let manager = setup.desk().manager("manager", "os/*").await;
    let mut written = admin.get(&below("document")).await.ok().body;
    written.as_object_mut().unwrap().shift_remove("revision");
    assert_eq!(set(&manager, &below("document"), &written).await.ok().body["changed"], false);
    written.as_object_mut().unwrap().shift_remove("description");
    set(&manager, &below("document"), &written).await.is_problem(403);
    assert_eq!(set(&admin, &below("document"), &written).await.ok().body["changed"], true);
    assert_eq!(settings(&admin).await, before);
    setup.server.stop().await;
}

#[tokio::test]
async fn another_process_reads_the_description_from_the_rows() {
    let setup = Setup::new().await;
    let admin = setup.admin().await;
    let before = settings(&admin).await;
    set(&admin, STABLE, &described(&before, &json!(TEXT))).await.ok();
    let mut transaction = setup.database.store().await.begin("test").await.unwrap();
    let stream = StreamId { product: "os".parse().unwrap(), stream: "stable".parse().unwrap() };
    let head = transaction.head(&stream).await.unwrap().unwrap();
    let stream = transaction.load_stream(&head).await.unwrap();
    assert_eq!(stream.description.unwrap().as_str(), TEXT);
    setup.server.stop().await;
}

#[tokio::test]
async fn a_product_has_a_description() {
    let setup = Setup::new().await;
    let admin = setup.admin().await;
    let product = async || admin.get(PRODUCT).await.ok().body;
    let with = |text: &str| json!({"protocol": "fedora-coreos", "description": text});
    let plain = json!({"protocol": "fedora-coreos"});
    assert_eq!(product().await.get("description"), None);
    let preview = set(&admin, &format!("{PRODUCT}?dry_run=true"), &with(TEXT)).await.ok().body;
    assert_eq!((&preview["changed"], product().await.get("description")), (&json!(true), None));
    for (body, changed, shown) in [
        (with(TEXT), true, Some(TEXT)),
        (with(TEXT), false, Some(TEXT)),
        (plain.clone(), false, Some(TEXT)),
        (with(""), true, None),
        (plain, false, None),
    ] {
        let report = set(&admin, PRODUCT, &body).await.ok();
        assert_eq!((report.status, &report.body["changed"]), (200, &json!(changed)), "{body}");
        assert_eq!(product().await.get("description").and_then(Value::as_str), shown, "{body}");
    }
    let audit = admin.get("/api/v1/audit?product=os").await.ok().body;
    let entries = audit["items"].as_array().unwrap().iter().filter(|entry| entry["action"] == "product.set");
    let subjects: Vec<&Value> = entries.map(|entry| &entry["subject"]).collect();
    assert_eq!(subjects, ["description", "description"]);

    let created = set(&admin, "/api/v1/products/other", &with("for tests")).await.ok();
    assert_eq!(created.status, 201);
    assert_eq!(admin.get("/api/v1/products/other").await.ok().body["description"], "for tests");
    setup.server.stop().await;
}

#[tokio::test]
async fn descriptions_are_text_that_can_be_shown() {
    let setup = Setup::new().await;
    let admin = setup.admin().await;
    let before = settings(&admin).await;
    for bad in [" ", "a\tb", "\u{1b}[31m", "a\u{202e}b", "a\u{0}", &"x".repeat(1001)] {
        let bodies = [
            (STABLE.to_owned(), described(&before, &json!(bad))),
            (PRODUCT.to_owned(), json!({"protocol": "fedora-coreos", "description": bad})),
            (format!("{PRODUCT}/presets/p"), json!({"description": bad, "rollouts": [{}]})),
            (below("document"), described(&admin.get(&below("document")).await.ok().body, &json!(bad))),
        ];
        for (path, body) in bodies {
            let refused = set(&admin, &path, &body).await;
            refused.is_problem(422);
            assert_eq!(refused.body["errors"][0]["path"], "description", "{bad:?} {refused:?}");
        }
    }
    setup.server.stop().await;
}

#[tokio::test]
async fn descriptions_require_the_role_of_settings() {
    let setup = Setup::new().await;
    let admin = setup.admin().await;
    let before = settings(&admin).await;
    let manager = Desk::new(&setup.server, &setup.database).manager("manager", "*").await;
    set(&manager, STABLE, &described(&before, &json!(TEXT))).await.is_problem(403);
    set(&manager, PRODUCT, &json!({"protocol": "fedora-coreos", "description": TEXT})).await.is_problem(403);
    setup.server.stop().await;
}
