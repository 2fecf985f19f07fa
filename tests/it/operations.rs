//! Every operation of the API: refused without authentication or role, and carried out with it. The operations come from the OpenAPI
//! description, so that none is forgotten.

use crate::support::{
    ids,
    issuer::{Issuer, Key, rsa_public_pem},
    manager::{ApiResponse, Desk, Manager, document, with_reason},
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

/// A request for an operation, and the role that it requires.
struct Case {
    role: Role,
    /// The path below `/api/v1` if it begins with a slash, else below the stream.
    path: &'static str,
    body: Value,
    /// Changes the stream before the request.
    prepare: fn(&mut Value),
}

const fn unchanged(_: &mut Value) {}

fn case(role: Role, path: &'static str) -> Case {
    Case { role, path, body: Value::Null, prepare: unchanged }
}

fn with(role: Role, path: &'static str, body: Value) -> Case {
    Case { body, ..case(role, path) }
}

fn stopped(document: &mut Value) {
    document["emergency_stop"] = json!({"since": "2026-09-21T00:00:00Z", "reason": "fire"});
}

/// Removes the rollouts of the draft: publishers may change its payloads then.
fn plain_draft(document: &mut Value) {
    document["releases"][4]["rollouts"] = json!([]);
}

/// Removes everything but the draft: nothing was published.
fn only_drafts(document: &mut Value) {
    document["releases"].as_array_mut().unwrap().drain(..4);
    document.as_object_mut().unwrap().remove("blocked_updates");
}

/// Gives the stream a base with one release, a barrier and dead end, on which all of its releases are built.
fn based(document: &mut Value) {
    document["base"] = "basis/stable".into();
    for release in document["releases"].as_array_mut().unwrap() {
        release["built_on"] = json!([{"arch": "x86_64", "version": "0"}]);
    }
}

fn basis() -> Value {
    let payload = json!({"arch": "x86_64", "scheme": "oci", "id": ids::image("quay.io/basis/os", "0")});
    let policy = json!({"reason": "keys"});
    let release = json!({"version": "0", "payloads": [payload], "barrier": policy, "dead_end": policy});
    json!({"format": 1, "product": "basis", "stream": "stable", "arches": ["x86_64"], "releases": [release]})
}

/// Aborts the first rollout of the newest release.
fn aborted(document: &mut Value) {
    document["releases"][3]["rollouts"][0]["state"] = "aborted".into();
}

fn listed(document: &mut Value) {
    document["releases"][3]["predecessors"] = json!({"versions": ["1.2"]});
}

fn image(name: &str) -> String {
    ids::image("quay.io/os/os", name)
}

/// The path of a preset of the product.
const CANARIES: &str = "/products/PRODUCT/presets/canaries";

/// Returns the operations that are not about one stream.
fn cases_of_products() -> [(&'static str, Case); 17] {
    use Role::{Admin, Manager, Publisher, Viewer};
    [
        ("get_overview", case(Viewer, "/overview?product=PRODUCT")),
        ("get_caller", case(Viewer, "/whoami")),
        ("follow_events", case(Viewer, "/events?product=PRODUCT&follow=false")),
        ("find_releases", case(Viewer, "/releases?product=PRODUCT&version=1.")),
        ("list_live_rollouts", case(Viewer, "/rollouts?product=PRODUCT")),
        ("pause_product_rollouts", case(Publisher, "/products/PRODUCT/rollouts/pause")),
        ("resume_product_rollouts", case(Manager, "/products/PRODUCT/rollouts/resume")),
        ("list_products", case(Viewer, "/products")),
        ("get_product", case(Viewer, "/products/PRODUCT")),
        ("set_product", with(Admin, "/products/PRODUCT", json!({"protocol": "fedora-coreos"}))),
        ("delete_product", Case { prepare: only_drafts, ..case(Admin, "/products/PRODUCT") }),
        ("list_streams", case(Viewer, "/products/PRODUCT/streams")),
        ("delete_stream", Case { prepare: only_drafts, ..case(Admin, "") }),
        ("list_product_presets", case(Viewer, "/products/PRODUCT/presets")),
        ("get_product_preset", case(Viewer, "/products/PRODUCT/presets/week")),
        ("set_product_preset", with(Admin, CANARIES, json!({"rollouts": [{"start_share": 0.5}]}))),
        ("delete_product_preset", case(Admin, CANARIES)),
    ]
}

/// Returns the operations on rollouts of one stream.
fn cases_of_rollouts() -> [(&'static str, Case); 19] {
    use Role::{Manager, Publisher, Viewer};
    [
        ("list_rollouts", case(Viewer, "releases/1.3/rollouts")),
        ("create_rollout", with(Manager, "releases/1.4/rollouts", json!({"preset": "week"}))),
        ("get_rollout", case(Viewer, "releases/1.3/rollouts/1")),
        ("list_rollout_history", case(Viewer, "releases/1.3/rollouts/1/history")),
        ("list_rollout_pauses", case(Viewer, "releases/1.3/rollouts/1/pauses")),
        (
            "replace_rollout",
            with(Manager, "releases/1.3/rollouts/3", json!({"preset": "linear-48h", "start": "2026-10-01T00:00:00Z"})),
        ),
        ("delete_rollout", case(Manager, "releases/1.4/rollouts/1")),
        ("start_rollout", case(Manager, "releases/1.3/rollouts/3/start")),
        ("pause_rollout", case(Publisher, "releases/1.3/rollouts/1/pause")),
        ("resume_rollout", case(Manager, "releases/1.3/rollouts/2/resume")),
        ("accelerate_rollout", with(Manager, "releases/1.3/rollouts/1/accelerate", json!({"within": "PT6H"}))),
        ("advance_rollout", with(Manager, "releases/1.3/rollouts/1/advance", json!({"share": 1, "over": "PT6H"}))),
        ("hold_rollout", with(Publisher, "releases/1.3/rollouts/1/hold", json!({"share": 0.5}))),
        ("complete_rollout", case(Manager, "releases/1.3/rollouts/1/complete")),
        ("abort_rollout", case(Publisher, "releases/1.3/rollouts/1/abort")),
        ("restart_rollout", Case { prepare: aborted, ..case(Manager, "releases/1.3/rollouts/1/restart") }),
        ("order_rollouts", with(Manager, "releases/1.3/rollouts/order", json!({"ids": [2, 1, 3]}))),
        ("pause_rollouts", case(Publisher, "rollouts/pause")),
        ("resume_rollouts", case(Manager, "rollouts/resume")),
    ]
}

/// Returns the operations on the base of a stream.
fn cases_of_bases() -> [(&'static str, Case); 6] {
    use Role::{Manager, Publisher, Viewer};
    let on_base = |case: Case| Case { prepare: based, ..case };
    [
        ("get_base", on_base(case(Viewer, "base"))),
        ("set_base_barrier", on_base(case(Manager, "base/barriers/0"))),
        ("delete_base_barrier", on_base(case(Manager, "base/barriers/0"))),
        ("set_base_dead_end", on_base(case(Manager, "base/dead-ends/0"))),
        ("delete_base_dead_end", on_base(case(Manager, "base/dead-ends/0"))),
        ("set_built_on", on_base(with(Publisher, "releases/1.4/built-on", json!({"built_on": {"x86_64": "0"}})))),
    ]
}

fn cases() -> BTreeMap<&'static str, Case> {
    use Role::{Admin, Manager, Publisher, Viewer};
    let policy = json!({"reason": "because"});
    let token = json!({"name": "ci", "role": "viewer", "streams": "PRODUCT/STREAM", "expires_in": "P1D"});
    let mut cases = BTreeMap::from([
        ("get_stream", case(Viewer, "")),
        ("get_stream_follow", case(Viewer, "follow")),
        ("set_stream", with(Admin, "", json!({"arches": ["x86_64"], "mirrors": ["other.example/os"]}))),
        ("list_releases", case(Viewer, "releases")),
        ("create_release", with(Publisher, "releases", json!({"version": "1.5"}))),
        ("get_release", case(Viewer, "releases/1.3")),
        ("update_release", with(Publisher, "releases/1.3", json!({"notes": "other"}))),
        ("delete_release", case(Publisher, "releases/1.4")),
        ("publish_release", case(Publisher, "releases/1.4/publish")),
        ("withdraw_release", case(Publisher, "releases/1.3/withdraw")),
        ("list_payloads", case(Viewer, "releases/1.3/payloads")),
        (
            "set_payload",
            Case {
                prepare: plain_draft,
                ..with(Publisher, "releases/1.4/payloads/x86_64/checksum", json!({"id": ids::commit("abc")}))
            },
        ),
        ("delete_payload", Case { prepare: plain_draft, ..case(Publisher, "releases/1.4/payloads/x86_64/oci") }),
        ("list_aliases", case(Viewer, "releases/1.3/aliases")),
        (
            "create_alias",
            with(Manager, "releases/1.3/aliases", json!({"arch": "x86_64", "scheme": "oci", "id": image("other")})),
        ),
        ("delete_alias", case(Manager, format!("releases/1.3/aliases/x86_64/oci?id={}", image("alias")).leak())),
        ("list_artifacts", case(Viewer, "releases/1.3/artifacts")),
        (
            "set_artifact",
            with(Publisher, "releases/1.3/artifacts/x86_64/live.iso", json!({"url": "https://builds.example/x"})),
        ),
        ("delete_artifact", case(Publisher, "releases/1.3/artifacts/x86_64/metal.raw")),
        ("get_barrier", case(Viewer, "releases/1.1/barrier")),
        ("set_barrier", with(Manager, "releases/1.2/barrier", policy.clone())),
        ("delete_barrier", case(Manager, "releases/1.1/barrier")),
        ("get_dead_end", case(Viewer, "releases/1.1/dead-end")),
        ("set_dead_end", with(Manager, "releases/1.2/dead-end", policy)),
        ("delete_dead_end", case(Manager, "releases/1.1/dead-end")),
        ("get_predecessors", Case { prepare: listed, ..case(Viewer, "releases/1.3/predecessors") }),
        ("set_predecessors", with(Manager, "releases/1.3/predecessors", json!({"versions": ["1.1", "1.2"]}))),
        ("delete_predecessors", Case { prepare: listed, ..case(Manager, "releases/1.3/predecessors") }),
        ("list_blocked_updates", case(Viewer, "releases/1.3/blocked-updates")),
        (
            "create_blocked_update",
            with(Manager, "releases/1.3/blocked-updates", json!({"first": "1.1", "last": "1.1", "reason": "no"})),
        ),
        ("delete_blocked_update", case(Manager, "releases/1.3/blocked-updates/1")),
        ("list_presets", case(Viewer, "/presets")),
        ("list_promotions", case(Viewer, "promotions")),
        ("get_promotion_drift", case(Viewer, "promotions/drift?from=stable")),
        (
            "create_promotion",
            with(
                Manager,
                "promotions",
                json!({"from": {"stream": "STREAM", "version": "1.3"}, "version": "2.0", "payloads": []}),
            ),
        ),
        ("get_emergency_stop", case(Viewer, "emergency-stop")),
        ("stop_stream", case(Publisher, "emergency-stop")),
        ("lift_emergency_stop", Case { prepare: stopped, ..case(Manager, "emergency-stop") }),
        ("get_product_emergency_stop", case(Viewer, "/products/PRODUCT/emergency-stop")),
        ("stop_product", case(Publisher, "/products/PRODUCT/emergency-stop")),
        ("lift_product_emergency_stop", case(Manager, "/products/PRODUCT/emergency-stop")),
        ("list_revisions", case(Viewer, "revisions")),
        ("get_revision", case(Viewer, "revisions/1")),
        ("diff_revision", case(Viewer, "revisions/1/diff")),
        ("report_revision", case(Viewer, "revisions/1/report")),
        (
            "run_batch",
            with(
                Publisher,
                "batch",
                json!({"commands": [{"operation": "pause_rollout", "release": "1.3", "rollout": 1}]}),
            ),
        ),
        ("revert_stream", case(Manager, "revisions/1/revert")),
        ("undo_revision", case(Publisher, "revisions/1/undo")),
        ("get_document", case(Viewer, "document")),
        ("replace_document", with(Manager, "document", json!("DOCUMENT"))),
        ("get_graph", case(Viewer, "graph?arch=x86_64&scheme=oci")),
        ("explain_node", case(Viewer, "explain?arch=x86_64&scheme=oci&release=1.2&wariness=0.9")),
        ("lint_stream", case(Viewer, "lint")),
        ("list_image_checks", case(Viewer, "image-checks")),
        ("list_tokens", case(Admin, "/tokens")),
        ("create_token", with(Admin, "/tokens", token)),
        ("get_token", case(Admin, "/tokens/TOKEN")),
        ("revoke_token", case(Admin, "/tokens/TOKEN")),
        ("list_audit_entries", case(Viewer, "/audit?product=PRODUCT&stream=STREAM")),
    ]);
    cases.extend(cases_of_products());
    cases.extend(cases_of_rollouts());
    cases.extend(cases_of_bases());
    cases
}

/// Returns the operations of the description: id, method and path.
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
    // This operation needs no token and has its own test.
    tested.insert("get_service".into());
    // This one is for registries, with their own secret, and has its own tests.
    tested.insert("report_registry_event".into());
    assert_eq!(described, tested);
}

#[test]
fn every_operation_describes_its_request_and_its_errors() {
    let description = serde_json::to_value(openapi::description()).unwrap();
    let schemas = &description["components"]["schemas"];
    let has_example = |schema: &Value| {
        let name = schema["$ref"].as_str().and_then(|name| name.rsplit('/').next());
        name.is_none_or(|name| schemas[name]["example"] != Value::Null)
    };
    for (path, item) in description["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let name = &operation["operationId"];
            assert!(operation["summary"].as_str().is_some_and(|summary| summary.len() > 5), "{name} has a summary");
            let responses = operation["responses"].as_object().unwrap();
            assert!(responses.keys().any(|status| status.starts_with('2')), "{name} can succeed");
            let is_report = name == "report_registry_event";
            let problems = match path.as_str() {
                "/api/v1" => vec!["503"],
                _ if is_report => vec!["400", "401", "404", "413", "429", "503"],
                _ => vec!["400", "401", "403", "404", "422", "503"],
            };
            for status in problems {
                let content = &responses[status]["content"]["application/problem+json"]["schema"];
                assert_eq!(content["$ref"], "#/components/schemas/Problem", "{name} {status}");
            }
            if method != "get" && !is_report {
                assert!(responses.contains_key("409") && responses.contains_key("412"), "{name}");
            }
            let body = &operation["requestBody"]["content"]["application/json"]["schema"];
            assert!(body.is_null() || has_example(body), "{name} has an example: {body}");
        }
    }
}

struct Setup {
    server: Server,
    database: Database,
    issuer: Issuer,
    key: Key,
}

impl Setup {
    async fn new() -> Self {
        let key = Key::new("first", Algorithm::RS256);
        let (issuer, database) = (Issuer::start(&[&key]).await, Database::new().await);
        let settings = issuer.settings();
        let server = Server::start_with(&database, |all| {
            all.auth.issuers = vec![settings];
            all.limits.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()];
        })
        .await;
        Self { server, database, issuer, key }
    }

    /// Returns invalid tokens, with the reason why each is invalid.
    async fn invalid_tokens(&self, desk: &Desk<'_>) -> Vec<(&'static str, Option<String>)> {
        let now = 1_790_000_000;
        let claims = json!({"iss": self.issuer.url, "aud": "lockkeeper", "sub": "x", "exp": now + 600, "groups": ["release-managers"]});
        let with = |field: &str, value: Value| {
            let mut claims = claims.clone();
            claims[field] = value;
            claims
        };
        // The unaltered claims are accepted.
        let good = Manager::with(&self.server, Some(&self.key.sign(&claims)));
        assert_eq!(good.get("/api/v1/presets").await.status, 200);
        let part = |value: &Value| base64(value.to_string().as_bytes());
        let none = format!("{}.{}.", part(&json!({"alg": "none", "typ": "JWT", "kid": "first"})), part(&claims));
        let hs256 = Header { kid: Some("first".into()), ..Header::new(Algorithm::HS256) };
        let confused = encode(&hs256, &claims, &EncodingKey::from_secret(rsa_public_pem().as_bytes())).unwrap();
        let admin = Grant { role: Role::Admin, on: "*".parse().unwrap() };
        let hour = SignedDuration::from_hours(1);
        let (row, revoked) = desk.issue(now, "gone", &admin, hour).await;
        desk.revoke(&row.id).await;
        let (_, expired) = desk.issue(now - 7200, "old", &admin, hour).await;
        vec![
            ("no token", None),
            ("nonsense", Some("x".into())),
            ("wrong issuer", Some(self.key.sign(&with("iss", json!("http://127.0.0.1:1"))))),
            ("expired", Some(self.key.sign(&with("exp", json!(now - 600))))),
            ("expired, of this service", Some(expired)),
            ("wrong audience", Some(self.key.sign(&with("aud", json!("other"))))),
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
async fn every_operation_checks_authentication_and_role() {
    let setup = Setup::new().await;
    let desk = Desk::new(&setup.server, &setup.database);
    let (admin, invalid_tokens) = (desk.manager("admin", "*").await, setup.invalid_tokens(&desk).await);
    admin.creates_stream(&basis()).await;
    let (cases, mut tested) = (cases(), 0);
    let mut wrong_requests = 0;
    for (name, method, described) in
        described().into_iter().filter(|(name, ..)| !["get_service", "report_registry_event"].contains(&name.as_str()))
    {
        let case = &cases[name.as_str()];
        let product = name.replace('_', "-");
        let mut stream = document(&product, "stable");
        (case.prepare)(&mut stream);
        admin.creates_stream(&stream).await;
        if name == "lift_product_emergency_stop" {
            admin.post_empty(&format!("/api/v1/products/{product}/emergency-stop")).await;
        }
        if name == "delete_product" {
            admin.change(Method::DELETE, &format!("/api/v1/products/{product}/streams/stable"), None).await.ok();
        }
        if name == "delete_product_preset" {
            let path = format!("/api/v1/products/{product}/presets/canaries");
            admin.change(Method::PUT, &path, Some(&json!({"rollouts": [{}]}))).await.ok();
        }
        let grant = Grant { role: Role::Viewer, on: "*".parse().unwrap() };
        let (row, _) = desk.issue(1_790_000_000, &product, &grant, SignedDuration::from_hours(1)).await;
        let token = row.id;

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
        let ask =
            async |caller: &Manager<'_>| caller.ask(method.clone(), &path, &[("if-match", "*")], body.as_ref()).await;

        for (number, (what, token)) in invalid_tokens.iter().enumerate() {
            // Each from its own address: failures are limited per address.
            let from = format!("10.{tested}.{number}.1");
            let headers = [("if-match", "*"), ("x-forwarded-for", from.as_str())];
            let caller = Manager::with(&setup.server, token.as_deref());
            let response = caller.ask(method.clone(), &path, &headers, body.as_ref()).await;
            response.is_problem(401);
            assert!(response.header("www-authenticate").starts_with("Bearer"), "{name}, {what}");
        }
        let stranger = desk.manager("admin", "elsewhere/*").await;
        match name.as_str() {
            // These return what the caller may see.
            "list_presets" | "get_caller" => {}
            "list_products" => assert_eq!(ask(&stranger).await.ok().body["items"], json!([])),
            "list_tokens" => assert!(!ask(&stranger).await.ok().body.to_string().contains(&product)),
            "get_token" | "revoke_token" => ask(&stranger).await.is_problem(404),
            _ => ask(&stranger).await.is_problem(403),
        }
        let below = match Role::ALL.iter().rfind(|role| **role < case.role) {
            Some(below) => Some(desk.manager(below.as_str(), "*").await),
            None => None,
        };
        if let Some(below) = &below {
            ask(below).await.is_problem(403);
        }
        // A caller without the role learns nothing about other errors of the request.
        let shows_what_the_caller_may_see = [
            "list_presets",
            "get_caller",
            "get_overview",
            "list_live_rollouts",
            "follow_events",
            "find_releases",
            "list_products",
            "list_tokens",
            "get_token",
            "revoke_token",
            "create_token",
            "list_audit_entries",
        ];
        let strangers = [Some(stranger).filter(|_| !shows_what_the_caller_may_see.contains(&name.as_str())), below];
        for caller in strangers.iter().flatten() {
            for response in wrong(caller, &method, &path).await {
                assert_eq!(response.status, 403, "{name}: {response:?}");
                wrong_requests += 1;
            }
        }
        let on = if case.role == Role::Admin && name.contains("token") { "*".into() } else { format!("{product}/*") };
        let caller = desk.manager(case.role.as_str(), &on).await;
        let response = ask(&caller).await;
        match name.as_str() {
            // The first revision is not undone. Others are undone by their actors only.
            "undo_revision" => response.is_problem(409),
            _ => assert!((200..300).contains(&response.status), "{name}: {response:?}"),
        }
        if method == Method::GET {
            let separator = if path.contains('?') { '&' } else { '?' };
            let refused = caller.get(&format!("{path}{separator}colour=red")).await;
            refused.is_problem(400);
            assert_eq!(refused.body["detail"], "unknown query parameter \"colour\"", "{name}");
        }
        tested += 1;
    }
    assert_eq!(tested, cases.len());
    assert!(wrong_requests > 500, "{wrong_requests}");
    setup.server.stop().await;
}

/// Sends an operation in every invalid form, and returns the responses.
async fn wrong(caller: &Manager<'_>, method: &Method, path: &str) -> Vec<ApiResponse> {
    let bare = path.split('?').next().unwrap();
    let mut responses = Vec::new();
    for query in ["", "?nonsense=1", "?limit=x&at=never&arch=%00&revision=-1&dry_run=perhaps", "?reason="] {
        responses.push(caller.ask(method.clone(), &format!("{bare}{query}"), &[], None).await);
    }
    if *method == Method::GET {
        return responses;
    }
    for headers in
        [&[("if-match", "nonsense")][..], &[("if-match", "*"), ("if-none-match", "*")], &[("idempotency-key", " ")]]
    {
        responses.push(caller.ask(method.clone(), path, headers, None).await);
    }
    for body in [json!(null), json!("nonsense"), json!({"unknown": true}), json!([vec![0; 100_000]])] {
        // The server closes the connection of a body that it does not read. The next request must not be sent on it.
        let headers = [("if-match", "*"), ("connection", "close")];
        responses.push(caller.ask(method.clone(), path, &headers, Some(&body)).await);
    }
    for (kind, body) in [("text/plain", "nonsense"), ("application/json", "{"), ("application/json", "")] {
        let request = caller.request(method.clone(), path).header("content-type", kind);
        let request = request.header("connection", "close").body(body);
        responses.push(ApiResponse::from(request.send().await.unwrap()).await);
    }
    assert!(caller.announce_body(method, path).await.starts_with("HTTP/1.1 403 "), "{path}");
    responses
}

/// Returns true if a path matches a pattern with `{parameters}`.
fn matches(pattern: &str, path: &str) -> bool {
    let (pattern, path): (Vec<&str>, Vec<&str>) = (pattern.split('/').collect(), path.split('/').collect());
    pattern.len() == path.len() && pattern.iter().zip(&path).all(|(part, text)| part.starts_with('{') || part == text)
}

/// The committed description is the one that is served. `UPDATE_OPENAPI=1` renews it.
#[test]
fn the_committed_description_matches_the_code() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("openapi/lockkeeper.v1.json");
    let generated = serde_json::to_string_pretty(&openapi::description()).unwrap() + "\n";
    if std::env::var_os("UPDATE_OPENAPI").is_some() {
        std::fs::write(&path, &generated).unwrap();
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(committed == generated, "openapi/lockkeeper.v1.json differs from the code: renew it with `make openapi`");
}

#[tokio::test]
async fn the_description_and_its_page_need_no_token() {
    let database = Database::new().await;
    let server = Server::start(&database).await;
    let anonymous = Manager::with(&server, None);
    let response = anonymous.get("/api/v1/openapi.json").await.ok();
    assert_eq!(response.body, serde_json::to_value(openapi::description()).unwrap());
    let service = anonymous.get("/api/v1").await.ok().body;
    assert_eq!(service["links"]["openapi"], "/api/v1/openapi.json");
    let page = anonymous.get("/api/v1/docs/").await.ok().body;
    assert!(page.as_str().unwrap().contains("swagger-ui"), "{page}");
    let settings = anonymous.get("/api/v1/docs/swagger-initializer.js").await.ok().body;
    assert!(settings.as_str().unwrap().contains("/api/v1/openapi.json"), "{settings}");
    anonymous.get("/api/v1/products").await.is_problem(401);
    anonymous.get("/api/v1/nothing").await.is_problem(404);
    anonymous.ask(Method::POST, "/api/v1/products", &[], None).await.is_problem(405);
    server.stop().await;
}
