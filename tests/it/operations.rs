//! Every operation of the API, one by one: refused to whom it has to be, and done for whoever may. What is asked comes from the
//! description of the API itself, so that none is forgotten.

use crate::support::{
    issuer::{Issuer, Key, rsa_public_pem},
    manager::{Desk, Manager, document, with_reason},
    postgres::Database,
    server::Server,
};
use jiff::SignedDuration;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use lockkeeper::{
    api::openapi,
    auth::{Grant, Role},
};
use reqwest::Method;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// How an operation is asked for, and whom it takes.
struct Case {
    role: Role,
    /// Below the stream where it begins with no slash, else below `/api/v1`.
    path: &'static str,
    body: Value,
    /// What is different about the stream that it is done to.
    prepare: fn(&mut Value),
}

const fn as_it_is(_: &mut Value) {}

fn case(role: Role, path: &'static str) -> Case {
    Case { role, path, body: Value::Null, prepare: as_it_is }
}

fn with(role: Role, path: &'static str, body: Value) -> Case {
    Case { body, ..case(role, path) }
}

fn stopped(document: &mut Value) {
    document["emergency_stop"] = json!({"since": "2026-09-21T00:00:00Z", "reason": "fire"});
}

fn cases() -> BTreeMap<&'static str, Case> {
    use Role::{Admin, Manager, Publisher, Viewer};
    let policy = json!({"reason": "because"});
    BTreeMap::from([
        ("list_products", case(Viewer, "/products")),
        ("show_product", case(Viewer, "/products/PRODUCT")),
        ("list_streams", case(Viewer, "/products/PRODUCT/streams")),
        ("show_stream", case(Viewer, "")),
        ("put_stream", with(Admin, "", json!({"arches": ["x86_64"], "mirrors": ["other.example/os"]}))),
        ("list_releases", case(Viewer, "releases")),
        ("create_release", with(Publisher, "releases", json!({"version": "1.5"}))),
        ("show_release", case(Viewer, "releases/1.3")),
        ("change_release", with(Publisher, "releases/1.3", json!({"notes": "other"}))),
        ("remove_release", case(Publisher, "releases/1.4")),
        ("publish_release", case(Publisher, "releases/1.4/publish")),
        ("withdraw_release", case(Publisher, "releases/1.3/withdraw")),
        ("list_payloads", case(Viewer, "releases/1.3/payloads")),
        ("put_payload", with(Publisher, "releases/1.4/payloads/x86_64/checksum", json!({"id": "abc"}))),
        ("remove_payload", case(Publisher, "releases/1.4/payloads/x86_64/oci")),
        ("list_aliases", case(Viewer, "releases/1.3/aliases")),
        (
            "create_alias",
            with(Manager, "releases/1.3/aliases", json!({"arch": "x86_64", "scheme": "oci", "id": "other"})),
        ),
        ("remove_alias", case(Manager, "releases/1.3/aliases/x86_64/oci?id=alias")),
        ("list_artifacts", case(Viewer, "releases/1.3/artifacts")),
        (
            "put_artifact",
            with(Publisher, "releases/1.3/artifacts/x86_64/live.iso", json!({"url": "https://builds.example/x"})),
        ),
        ("remove_artifact", case(Publisher, "releases/1.3/artifacts/x86_64/metal.raw")),
        ("show_barrier", case(Viewer, "releases/1.1/barrier")),
        ("put_barrier", with(Manager, "releases/1.2/barrier", policy.clone())),
        ("remove_barrier", case(Manager, "releases/1.1/barrier")),
        ("show_dead_end", case(Viewer, "releases/1.1/dead-end")),
        ("put_dead_end", with(Manager, "releases/1.2/dead-end", policy)),
        ("remove_dead_end", case(Manager, "releases/1.1/dead-end")),
        ("list_blocked_updates", case(Viewer, "releases/1.3/blocked-updates")),
        (
            "create_blocked_update",
            with(Manager, "releases/1.3/blocked-updates", json!({"first": "1.1", "last": "1.1", "reason": "no"})),
        ),
        ("remove_blocked_update", case(Manager, "releases/1.3/blocked-updates/1")),
        ("list_rollouts", case(Viewer, "releases/1.3/rollouts")),
        ("create_rollout", with(Manager, "releases/1.4/rollouts", json!({"preset": "week"}))),
        ("show_rollout", case(Viewer, "releases/1.3/rollouts/1")),
        (
            "put_rollout",
            with(Manager, "releases/1.3/rollouts/3", json!({"preset": "linear-48h", "start": "2026-10-01T00:00:00Z"})),
        ),
        ("remove_rollout", case(Manager, "releases/1.4/rollouts/1")),
        ("start_rollout", case(Manager, "releases/1.3/rollouts/3/start")),
        ("pause_rollout", case(Publisher, "releases/1.3/rollouts/1/pause")),
        ("resume_rollout", case(Manager, "releases/1.3/rollouts/2/resume")),
        ("accelerate_rollout", with(Manager, "releases/1.3/rollouts/1/accelerate", json!({"within": "PT6H"}))),
        ("hold_rollout", with(Publisher, "releases/1.3/rollouts/1/hold", json!({"share": 0.5}))),
        ("complete_rollout", case(Manager, "releases/1.3/rollouts/1/complete")),
        ("abort_rollout", case(Publisher, "releases/1.3/rollouts/1/abort")),
        ("list_presets", case(Viewer, "/presets")),
        ("list_promotions", case(Viewer, "promotions")),
        (
            "create_promotion",
            with(
                Manager,
                "promotions",
                json!({"from": {"stream": "STREAM", "version": "1.3"}, "version": "2.0", "payloads": []}),
            ),
        ),
        ("show_stop", case(Viewer, "emergency-stop")),
        ("stop_stream", case(Publisher, "emergency-stop")),
        ("lift_stop", Case { prepare: stopped, ..case(Manager, "emergency-stop") }),
        ("stop_product", case(Publisher, "/products/PRODUCT/emergency-stop")),
        ("lift_product_stop", Case { prepare: stopped, ..case(Manager, "/products/PRODUCT/emergency-stop") }),
        ("list_revisions", case(Viewer, "revisions")),
        ("show_revision", case(Viewer, "revisions/1")),
        ("diff_revision", case(Viewer, "revisions/1/diff")),
        ("revert_revision", case(Manager, "revisions/1/revert")),
        ("show_document", case(Viewer, "document")),
        ("put_document", with(Manager, "document", json!("DOCUMENT"))),
        ("show_graph", case(Viewer, "graph?arch=x86_64&scheme=oci")),
        ("explain_node", case(Viewer, "explain?arch=x86_64&scheme=oci&release=1.2&wariness=0.9")),
        ("lint_stream", case(Viewer, "lint")),
        ("list_tokens", case(Admin, "/tokens")),
        (
            "create_token",
            with(Admin, "/tokens", json!({"name": "ci", "role": "viewer", "on": "PRODUCT/STREAM", "for": "P1D"})),
        ),
        ("show_token", case(Admin, "/tokens/TOKEN")),
        ("revoke_token", case(Admin, "/tokens/TOKEN")),
        ("list_acts", case(Viewer, "/audit?product=PRODUCT&stream=STREAM")),
    ])
}

/// What the API describes: the operation's name, method and path.
fn described() -> Vec<(String, Method, String)> {
    let description = serde_json::to_value(openapi::description()).unwrap();
    let mut operations = Vec::new();
    for (path, item) in description["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let Ok(method) = method.to_uppercase().parse::<Method>() else { continue };
            operations.push((operation["operationId"].as_str().unwrap().to_owned(), method, path.clone()));
        }
    }
    operations
}

#[test]
fn every_operation_has_a_case() {
    let described: BTreeSet<String> = described().into_iter().map(|(name, ..)| name).collect();
    let mut tested: BTreeSet<String> = cases().keys().map(ToString::to_string).collect();
    // It needs no token, and is asked below.
    tested.insert("describe_service".into());
    assert_eq!(described, tested);
}

#[test]
fn every_operation_says_what_it_takes_and_how_it_fails() {
    let description = serde_json::to_value(openapi::description()).unwrap();
    let schemas = &description["components"]["schemas"];
    let has_example = |schema: &Value| {
        let name = schema["$ref"].as_str().and_then(|name| name.rsplit('/').next());
        name.is_none_or(|name| schemas[name]["example"] != Value::Null)
    };
    for (path, item) in description["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let name = &operation["operationId"];
            assert!(operation["summary"].as_str().is_some_and(|summary| summary.len() > 5), "{name} says what it is");
            let responses = operation["responses"].as_object().unwrap();
            assert!(responses.keys().any(|status| status.starts_with('2')), "{name} can succeed");
            let problems = if path == "/api/v1" { vec!["503"] } else { vec!["400", "401", "403", "404", "422", "503"] };
            for status in problems {
                let content = &responses[status]["content"]["application/problem+json"]["schema"];
                assert_eq!(content["$ref"], "#/components/schemas/Problem", "{name} {status}");
            }
            if method != "get" {
                assert!(responses.contains_key("409") && responses.contains_key("412"), "{name}");
            }
            let body = &operation["requestBody"]["content"]["application/json"]["schema"];
            assert!(body.is_null() || has_example(body), "{name} has an example: {body}");
        }
    }
}

struct House {
    server: Server,
    database: Database,
    issuer: Issuer,
    key: Key,
}

impl House {
    async fn new() -> Self {
        let key = Key::new("first", Algorithm::RS256);
        let (issuer, database) = (Issuer::start(&[&key]).await, Database::new().await);
        let settings = issuer.settings();
        let server = Server::start_with(&database, |all| all.auth.issuers = vec![settings]).await;
        Self { server, database, issuer, key }
    }

    /// Tokens that are good for nothing, each by what is wrong with it.
    async fn worthless(&self, desk: &Desk<'_>) -> Vec<(&'static str, Option<String>)> {
        let now = 1_790_000_000;
        let claims = json!({"iss": self.issuer.url, "aud": "lockkeeper", "sub": "x", "exp": now + 600, "groups": ["release-managers"]});
        let with = |field: &str, value: Value| {
            let mut claims = claims.clone();
            claims[field] = value;
            claims
        };
        // What is right about them is taken.
        let good = Manager::with(&self.server, Some(&self.key.sign(&claims)));
        assert_eq!(good.get("/api/v1/presets").await.status, 200);
        let part = |value: &Value| base64(value.to_string().as_bytes());
        let none = format!("{}.{}.", part(&json!({"alg": "none", "typ": "JWT", "kid": "first"})), part(&claims));
        let hs256 = Header { kid: Some("first".into()), ..Header::new(Algorithm::HS256) };
        let confused = encode(&hs256, &claims, &EncodingKey::from_secret(rsa_public_pem().as_bytes())).unwrap();
        let admin = Grant { role: Role::Admin, on: "*".parse().unwrap() };
        let ours = desk.tokens(now).await;
        let hour = SignedDuration::from_hours(1);
        let revoked = ours.give(&desk.key(), "gone", &admin, hour, "local:test").await.unwrap();
        let row = ours.list().await.unwrap().into_iter().find(|row| row.name == "gone").unwrap();
        assert!(ours.revoke(&row.id, "local:test").await.unwrap());
        let earlier = desk.tokens(now - 7200).await;
        let expired = earlier.give(&desk.key(), "old", &admin, hour, "local:test").await.unwrap();
        vec![
            ("no token", None),
            ("nonsense", Some("x".into())),
            ("wrong issuer", Some(self.key.sign(&with("iss", json!("http://127.0.0.1:1"))))),
            ("expired", Some(self.key.sign(&with("exp", json!(now - 600))))),
            ("expired, ours", Some(expired)),
            ("wrong audience", Some(self.key.sign(&with("aud", json!("somebody else"))))),
            ("no algorithm", Some(none)),
            ("a shared secret that is the public key", Some(confused)),
            ("revoked", Some(revoked)),
        ]
    }
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let digit = |chunk: &[u8], nth: usize| {
        let bits = chunk.iter().chain([0; 2].iter()).take(3).fold(0u32, |bits, byte| bits << 8 | u32::from(*byte));
        char::from(DIGITS[usize::try_from(bits >> (18 - 6 * nth) & 63).unwrap()])
    };
    bytes.chunks(3).flat_map(|chunk| (0..=chunk.len()).map(move |nth| digit(chunk, nth))).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_operation_is_refused_to_whom_it_has_to_be_and_done_for_whoever_may() {
    let house = House::new().await;
    let desk = Desk::of(&house.server, &house.database);
    let (admin, worthless) = (desk.manager("admin", "*").await, house.worthless(&desk).await);
    let (cases, mut done) = (cases(), 0);
    for (name, method, described) in described().into_iter().filter(|(name, ..)| name != "describe_service") {
        let case = &cases[name.as_str()];
        let product = name.replace('_', "-");
        let mut stream = document(&product, "stable");
        (case.prepare)(&mut stream);
        admin.makes(&stream).await;
        let given = desk.tokens(1_790_000_000).await;
        let grant = Grant { role: Role::Viewer, on: "*".parse().unwrap() };
        given.give(&desk.key(), &product, &grant, SignedDuration::from_hours(1), "local:test").await.unwrap();
        let token = given.list().await.unwrap().into_iter().find(|row| row.name == product).unwrap().id;

        let fill = |text: &str| text.replace("PRODUCT", &product).replace("STREAM", "stable").replace("TOKEN", &token);
        let below = fill(case.path);
        let path = match below.strip_prefix('/') {
            Some(rest) => format!("/api/v1/{rest}"),
            None => format!("/api/v1/products/{product}/streams/stable/{below}").trim_end_matches('/').to_owned(),
        };
        assert!(matches(&described, path.split('?').next().unwrap()), "{name} is at {described}, not {path}");
        let body = match case.body.as_str() {
            Some("DOCUMENT") => Some(Value::clone(&stream)),
            _ => Some(serde_json::from_str(&fill(&case.body.to_string())).unwrap())
                .filter(|body: &Value| !body.is_null()),
        };
        let path = if method == Method::GET { path } else { format!("{}&acknowledge=true", with_reason(&path)) };
        let ask = async |who: &Manager<'_>| who.ask(method.clone(), &path, &[("if-match", "*")], body.as_ref()).await;

        for (what, token) in &worthless {
            let told = ask(&Manager::with(&house.server, token.as_deref())).await;
            told.is_problem(401);
            assert!(told.header("www-authenticate").starts_with("Bearer"), "{name}, {what}");
        }
        let stranger = desk.manager("admin", "elsewhere/*").await;
        match name.as_str() {
            // They show what whoever asks may see.
            "list_presets" => {}
            "list_products" => assert_eq!(ask(&stranger).await.ok().body["items"], json!([])),
            "list_tokens" => assert!(!ask(&stranger).await.ok().body.to_string().contains(&product)),
            "show_token" | "revoke_token" => ask(&stranger).await.is_problem(404),
            _ => ask(&stranger).await.is_problem(403),
        }
        if let Some(below) = Role::ALL.into_iter().rfind(|role| *role < case.role) {
            ask(&desk.manager(below.as_str(), "*").await).await.is_problem(403);
        }
        let on = if case.role == Role::Admin && name.contains("token") { "*".into() } else { format!("{product}/*") };
        let told = ask(&desk.manager(case.role.as_str(), &on).await).await;
        assert!((200..300).contains(&told.status), "{name}: {told:?}");
        done += 1;
    }
    assert_eq!(done, cases.len());
    house.server.stop().await;
}

/// Is this path one of those that a pattern with `{parts}` describes?
fn matches(pattern: &str, path: &str) -> bool {
    let (pattern, path): (Vec<&str>, Vec<&str>) = (pattern.split('/').collect(), path.split('/').collect());
    pattern.len() == path.len() && pattern.iter().zip(&path).all(|(part, text)| part.starts_with('{') || part == text)
}

/// The description that is committed is the one that is served. `UPDATE_OPENAPI=1` writes it anew.
#[test]
fn the_committed_description_is_what_the_code_says() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("openapi/lockkeeper.v1.json");
    let said = serde_json::to_string_pretty(&openapi::description()).unwrap() + "\n";
    if std::env::var_os("UPDATE_OPENAPI").is_some() {
        std::fs::write(&path, &said).unwrap();
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(committed == said, "openapi/lockkeeper.v1.json is not what the code says; make openapi renews it");
}

#[tokio::test]
async fn the_description_and_its_page_are_served_to_anybody() {
    let database = Database::new().await;
    let server = Server::start(&database).await;
    let nobody = Manager::with(&server, None);
    let told = nobody.get("/api/v1/openapi.json").await.ok();
    assert_eq!(told.body, serde_json::to_value(openapi::description()).unwrap());
    let service = nobody.get("/api/v1").await.ok().body;
    assert_eq!(service["links"]["openapi"], "/api/v1/openapi.json");
    let page = nobody.get("/api/v1/docs/").await.ok().body;
    assert!(page.as_str().unwrap().contains("swagger-ui"), "{page}");
    let settings = nobody.get("/api/v1/docs/swagger-initializer.js").await.ok().body;
    assert!(settings.as_str().unwrap().contains("/api/v1/openapi.json"), "{settings}");
    nobody.get("/api/v1/products").await.is_problem(401);
    nobody.get("/api/v1/nothing").await.is_problem(404);
    nobody.ask(Method::POST, "/api/v1/products", &[], None).await.is_problem(405);
    server.stop().await;
}
