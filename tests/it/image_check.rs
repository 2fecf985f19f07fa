//! Images that registries no longer have: found by the check, shown, and held back from publication.

use crate::support::{
    eventually,
    manager::{ApiResponse, Manager, below},
    postgres::Database,
    program::{lockkeeper, text},
    registry::{Pushed, Registry, digest, entry, index},
    server::Server,
    setup::Setup,
    site::Site,
    time::{NOW, at},
    wire::unless_closed,
};
use jiff::{SignedDuration, Timestamp};
use lockkeeper::{
    clock::ManualClock,
    config::{HostPattern, RegistrySettings, Settings},
    domain::{
        ids::Arch,
        image_check::{ImageAnswer, ImageState},
        image_targets::ImageArches,
        payload::PayloadId,
    },
    image_check::{ImageChecker, Limits, ask},
    registry::{Registries, RegistryError, WantedImage},
    store::task_lock::Task,
};
use reqwest::Method;
use serde_json::{Value, json};
use std::{
    collections::BTreeSet,
    io::{Read, Write},
    net::TcpStream,
    process::Output,
    sync::{
        Arc,
        atomic::{AtomicI64, AtomicUsize, Ordering},
    },
    time::Duration,
};

const LIMITS: Limits = Limits { image: Duration::from_secs(30), all: Duration::from_secs(30) };

fn settings_for(host: &str) -> RegistrySettings {
    let allow: Vec<HostPattern> = vec![host.to_owned().try_into().unwrap()];
    let private = allow.clone();
    RegistrySettings { allow, private, check_interval: SignedDuration::ZERO, ..RegistrySettings::default() }
}

fn registries(host: &str) -> Registries {
    Registries::allowed(&settings_for(host), Duration::from_secs(30))
}

/// Starts a service that may ask a registry, and does not check images by itself.
async fn service(host: &str, change: impl FnOnce(&mut Settings)) -> Setup {
    let database = Database::new().await;
    let server = Server::start_with(&database, |settings| {
        settings.registries = settings_for(host);
        change(settings);
    })
    .await;
    Setup { server, database }
}

/// Creates an empty stream.
async fn with_stream<'a>(setup: &'a Setup, mirrors: &[&str]) -> Manager<'a> {
    let admin = setup.desk().manager("admin", "*").await;
    let stream = json!({"format": 1, "product": "os", "stream": "stable", "arches": ["x86_64"], "mirrors": mirrors});
    admin.creates_stream(&stream).await;
    admin
}

async fn acknowledged(caller: &Manager<'_>, path: &str, body: Option<&Value>) -> ApiResponse {
    caller.change(Method::POST, &format!("{}?acknowledge=true", below(path)), body).await
}

fn release(version: &str, image: &str) -> Value {
    let payload = json!({"arch": "x86_64", "scheme": "oci", "id": image});
    json!({"version": version, "payloads": [payload], "publish": true, "rollouts": [{"preset": "linear-48h"}]})
}

/// Publishes a release with an image.
async fn publish(caller: &Manager<'_>, version: &str, image: &str) {
    acknowledged(caller, "releases", Some(&release(version, image))).await.ok();
}

/// Checks images whenever a test asks for it.
struct Checks {
    checker: ImageChecker,
    clock: Arc<ManualClock>,
}

impl Checks {
    async fn new(database: &Database, registries: Registries) -> Self {
        let clock = Arc::new(ManualClock::new(Timestamp::from_second(NOW).unwrap()));
        let day = SignedDuration::from_hours(24);
        let checker = ImageChecker::new(database.store().await, clock.clone(), registries, day);
        Self { checker: checker.with_confirmation_after(Duration::ZERO), clock }
    }

    /// Returns true if a check was due, so many hours after `NOW`, and was done.
    async fn check(&self, hours: i64) -> bool {
        self.check_after(hours * 60).await
    }

    /// Returns true if a check was due, so many minutes after `NOW`, and was done.
    async fn check_after(&self, minutes: i64) -> bool {
        self.clock.set(Timestamp::from_second(NOW + minutes * 60).unwrap());
        self.checker.check_if_due().await.unwrap()
    }
}

/// Returns the images of the stream, each with its state.
async fn states(caller: &Manager<'_>) -> Vec<(String, String)> {
    let page = caller.get(&below("image-checks")).await.ok().body;
    let text = |item: &Value, field: &str| item[field].as_str().unwrap().to_owned();
    page["items"].as_array().unwrap().iter().map(|item| (text(item, "image"), text(item, "state"))).collect()
}

/// Returns the messages of the findings about images that are gone.
async fn gone(caller: &Manager<'_>) -> Vec<String> {
    let findings = caller.get(&below("lint")).await.ok().body["items"].clone();
    let about = findings.as_array().unwrap().iter().filter(|finding| finding["code"] == "LK1301");
    about.map(|finding| format!("{}: {}", finding["place"], finding["message"].as_str().unwrap())).collect()
}

/// Returns images that nodes of these arches pull.
fn wanted<'a>(images: impl IntoIterator<Item = &'a PayloadId>, arches: &[&str]) -> ImageArches {
    let arches: BTreeSet<Arch> = arches.iter().map(|arch| Arch::parse(arch).unwrap()).collect();
    images.into_iter().map(|image| (image.clone(), arches.clone())).collect()
}

async fn push(registry: &Registry, version: &str) -> (String, String) {
    let digest = registry.push("acme/os", Some("stable"), &Pushed::new("amd64", version)).await;
    (format!("{}/acme/os@{digest}", registry.host), digest)
}

#[tokio::test]
async fn a_deleted_image_is_found_shown_and_forgotten_when_it_is_back() {
    let Some(registry) = Registry::start() else { return };
    let setup = service(&registry.host, |_| {}).await;
    let admin = with_stream(&setup, &[]).await;
    let checks = Checks::new(&setup.database, registries(&registry.host)).await;
    let (old, old_digest) = push(&registry, "1").await;
    let (new, new_digest) = push(&registry, "2").await;
    publish(&admin, "1", &old).await;
    publish(&admin, "2", &new).await;
    // No update leads to the first release.
    assert_eq!(states(&admin).await, [(new.clone(), "not_checked".to_owned())]);
    registry.delete("acme/os", &format!("manifests/{old_digest}")).await;
    assert!(checks.check(0).await);
    assert_eq!(states(&admin).await, [(new.clone(), "present".to_owned())]);
    assert_eq!(gone(&admin).await, Vec::<String>::new());
    assert!(!checks.check(23).await, "a check is due a day later");

    registry.delete("acme/os", &format!("manifests/{new_digest}")).await;
    assert!(checks.check(24).await);
    let item = admin.get(&below("image-checks")).await.ok().body["items"][0].clone();
    let expected = json!({"image": new, "releases": [{"version": "2", "arch": "x86_64"}], "state": "gone",
        "checked_at": at(24), "missing_since": at(24), "problem": "the registry has no such image"});
    assert_eq!(item, expected);
    assert!(checks.check(48).await);
    let advice = "push it again, or withdraw the release";
    let message = format!("\"release 2\": x86_64: {new} is gone since {}: {advice}", at(24));
    assert_eq!(gone(&admin).await, [message]);
    let watching = Server::start_with(&setup.database, |settings| {
        settings.registries =
            RegistrySettings { check_interval: SignedDuration::from_hours(1000), ..settings_for(&registry.host) };
    })
    .await;
    eventually("the gauges show what is stored", async || {
        let metrics = watching.metrics().await;
        let shows = |line: &str| metrics.lines().any(|shown| shown == line);
        shows("lockkeeper_images_gone 1") && shows("lockkeeper_images_unknown 0")
    })
    .await;

    push(&registry, "2").await;
    assert!(!checks.check_after(48 * 60 + 14).await);
    assert!(checks.check_after(48 * 60 + 15).await, "a missing image is asked for again after a quarter of an hour");
    assert_eq!((states(&admin).await, gone(&admin).await.len()), (vec![(new.clone(), "present".to_owned())], 0));
    assert!(!checks.check(71).await, "the others are not asked for until a day is over");
    assert!(checks.check(72).await);
    assert_eq!(states(&admin).await, [(new.clone(), "present".to_owned())]);
    assert_eq!(gone(&admin).await, Vec::<String>::new());
    acknowledged(&admin, "releases/2/withdraw", None).await.ok();
    assert!(checks.check(96).await);
    let rows: i64 =
        sqlx::query_scalar("select count(*) from image_checks").fetch_one(&setup.database.pool().await).await.unwrap();
    assert_eq!((states(&admin).await.len(), rows), (0, 0));
}

#[tokio::test]
async fn an_image_without_one_of_its_blobs_is_gone() {
    let Some(registry) = Registry::start() else { return };
    let (image, _) = push(&registry, "1").await;
    let image = PayloadId::parse(&image).unwrap();
    let (registries, wanted) = (registries(&registry.host), wanted([&image], &["x86_64"]));
    assert_eq!(ask(&registries, &wanted, LIMITS).await[&image].state, ImageState::Present);
    let config = digest(Pushed::new("amd64", "1").config().as_bytes());
    registry.delete("acme/os", &format!("blobs/{config}")).await;
    let answer = &ask(&registries, &wanted, LIMITS).await[&image];
    let problem = format!("the registry has the manifest, but not its blob {config}");
    assert_eq!(answer, &ImageAnswer { state: ImageState::Gone, problem: Some(problem) });
}

#[tokio::test]
async fn the_mirrors_are_asked_for_the_same_digests() {
    let Some(registry) = Registry::start() else { return };
    let setup = service(&registry.host, |_| {}).await;
    let [mirror, other] = ["mirror/os", "zz/os"].map(|path| format!("{}/{path}", registry.host));
    let admin = with_stream(&setup, &[&mirror, &other]).await;
    publish(&admin, "1", &push(&registry, "1").await.0).await;
    let (image, digest) = push(&registry, "2").await;
    publish(&admin, "2", &image).await;
    registry.push("zz/os", None, &Pushed::new("amd64", "2")).await;
    assert!(Checks::new(&setup.database, registries(&registry.host)).await.check(0).await);
    let expected =
        [(image, "present"), (format!("{mirror}@{digest}"), "gone"), (format!("{other}@{digest}"), "present")];
    assert_eq!(states(&admin).await, expected.map(|(image, state)| (image, state.to_owned())));
    let page = admin.get(&below("image-checks?limit=2")).await.ok();
    let cursor = page.body["next"].as_str().unwrap();
    let rest = admin.get(&below(&format!("image-checks?limit=2&cursor={cursor}"))).await.ok().body;
    assert_eq!((rest["items"].as_array().unwrap().len(), &rest["next"]), (1, &Value::Null));
}

#[tokio::test]
async fn the_service_checks_by_itself() {
    let Some(registry) = Registry::start() else { return };
    let setup =
        service(&registry.host, |settings| settings.registries.check_interval = SignedDuration::from_secs(1)).await;
    let admin = with_stream(&setup, &[]).await;
    publish(&admin, "1", &push(&registry, "1").await.0).await;
    publish(&admin, "2", &push(&registry, "2").await.0).await;
    let seconds = AtomicI64::new(NOW);
    eventually("the image was checked", async || {
        // The clock of a test stands still until it is set. A check that began before the image was published may still end now.
        setup.server.at(seconds.fetch_add(2, Ordering::SeqCst));
        states(&admin).await[0].1 == "present"
    })
    .await;
    assert_eq!(setup.server.metric("lockkeeper_images_gone").await, "0");
}

/// Regression test: a server that ends idle transactions ended the lock of a task, and the task began anew for ever.
#[tokio::test]
async fn a_lock_is_held_although_the_server_ends_idle_transactions() {
    let database = Database::new().await;
    let store = database.store().await;
    let pool = database.pool().await;
    let name: String = sqlx::query_scalar("select current_database()::text").fetch_one(&pool).await.unwrap();
    let impatient = format!("alter database {name} set idle_in_transaction_session_timeout = '1ms'");
    sqlx::query(sqlx::AssertSqlSafe(impatient)).execute(&pool).await.unwrap();
    let [mut lock, mut other] =
        [store.task_lock(Task::ImageCheck).await.unwrap(), store.task_lock(Task::ImageCheck).await.unwrap()];
    assert!(lock.try_hold().await.unwrap());
    // A transaction that began after the lock's.
    let mut idle = database.connection().await;
    let pid: i32 = sqlx::query_scalar("select pg_backend_pid()").fetch_one(&mut idle).await.unwrap();
    sqlx::raw_sql("begin").execute(&mut idle).await.unwrap();
    let ended = eventually("the server ends it", async || {
        let known = "select count(*) from pg_stat_activity where pid = $1";
        sqlx::query_scalar::<_, i64>(known).bind(pid).fetch_one(&pool).await.unwrap() == 0
    });
    lock.hold_while(ended).await.unwrap();
    assert!(!other.try_hold().await.unwrap());
}

#[tokio::test]
async fn one_process_at_a_time_checks() {
    let site = Site::start_raw(|_, connection| reply(connection, 404, "", ""));
    let setup = service(&site.address.to_string(), |_| {}).await;
    let admin = with_stream(&setup, &[]).await;
    for version in ["1", "2"] {
        publish(&admin, version, &image(&site, version)).await;
    }
    let checks = Checks::new(&setup.database, registries(&site.address.to_string())).await;
    let mut lock = setup.database.store().await.task_lock(Task::ImageCheck).await.unwrap();
    assert!(lock.try_hold().await.unwrap());
    assert!(!checks.check(0).await);
    assert_eq!(site.requested_paths(), Vec::<String>::new());
    drop(lock);
    // PostgreSQL releases the lock once it notices that the connection is closed.
    eventually("the lock is free", async || checks.check(0).await).await;
    assert_eq!(states(&admin).await, [(image(&site, "2"), "gone".to_owned())]);
}

#[tokio::test]
async fn a_registry_that_is_not_allowed_is_not_asked() {
    let site = Site::start_raw(|_, connection| reply(connection, 404, "", ""));
    let setup = service("ghcr.io", |_| {}).await;
    let admin = with_stream(&setup, &[]).await;
    for version in ["1", "2"] {
        publish(&admin, version, &image(&site, version)).await;
    }
    assert!(Checks::new(&setup.database, registries("ghcr.io")).await.check(0).await);
    assert_eq!(states(&admin).await, [(image(&site, "2"), "not_allowed".to_owned())]);
    assert_eq!((gone(&admin).await.len(), site.requested_paths().len()), (0, 0));
}

/// Writes a response with these header lines, and closes the connection.
fn reply(connection: &mut TcpStream, status: u16, headers: &str, body: &str) {
    let length = body.len();
    let text = format!("HTTP/1.1 {status} -\r\n{headers}content-length: {length}\r\nconnection: close\r\n\r\n{body}");
    unless_closed(connection.write_all(text.as_bytes()));
}

/// Returns the manifest of an image with two layers.
fn manifest(version: &str) -> String {
    let mut manifest: Value = serde_json::from_str(&Pushed::new("amd64", version).manifest()).unwrap();
    let layer = |content: &str| json!({"mediaType": "layer", "size": 1, "digest": digest(content.as_bytes())});
    let elsewhere =
        json!({"mediaType": "layer", "size": 1, "digest": digest(b"elsewhere"), "urls": ["https://x.example/"]});
    manifest["layers"] = json!([layer("base"), layer(version), elsewhere]);
    manifest.to_string()
}

/// Returns the name of such an image on a server that imitates a registry.
fn image(site: &Site, version: &str) -> String {
    format!("{}/acme/os@{}", site.address, digest(manifest(version).as_bytes()))
}

/// Asks a server for such an image.
async fn ask_for(site: &Site, version: &str) -> ImageAnswer {
    let image = PayloadId::parse(&image(site, version)).unwrap();
    let wanted = wanted([&image], &["x86_64"]);
    ask(&registries(&site.address.to_string()), &wanted, LIMITS).await.remove(&image).unwrap()
}

fn is_for(head: &str, method: &str, part: &str) -> bool {
    head.starts_with(&format!("{method} /v2/acme/os/{part}"))
}

/// Answers a request.
type Answer = Box<dyn Fn(&mut TcpStream) + Send + Sync>;

#[tokio::test]
async fn what_a_registry_does_not_say_is_unknown() {
    let other = Pushed::new("amd64", "other").manifest();
    let answers: [(&str, Answer); 9] = [
        ("status 500", Box::new(|to| reply(to, 500, "", ""))),
        ("status 410", Box::new(|to| reply(to, 410, "", ""))),
        ("status 429", Box::new(|to| reply(to, 429, "retry-after: 3600\r\n", ""))),
        ("status 429", Box::new(|to| reply(to, 429, "retry-after: 18446744073709551615\r\n", ""))),
        ("refuses access", Box::new(|to| reply(to, 401, "www-authenticate: Basic realm=\"x\"\r\n", ""))),
        ("refuses access", Box::new(|to| reply(to, 403, "", ""))),
        ("redirects a manifest", Box::new(|to| reply(to, 302, "location: https://ghcr.io/\r\n", ""))),
        ("sent other content", Box::new(move |to| reply(to, 200, "", &other))),
        (
            "failed",
            Box::new(|to| {
                unless_closed(to.write_all(b"HTTP/1.1 200 -\r\ncontent-length: 9\r\n\r\n{"));
            }),
        ),
    ];
    for (expected, answer) in answers {
        let site = Site::start_raw(move |_, connection| answer(connection));
        let found = ask_for(&site, "1").await;
        assert_eq!(found.state, ImageState::Unknown, "{expected}: {found:?}");
        assert!(found.problem.as_deref().unwrap().contains(expected), "{expected}: {found:?}");
    }
}

#[tokio::test]
async fn a_blob_that_a_registry_does_not_say_is_unknown_and_one_that_it_lacks_is_gone() {
    for (status, state) in
        [(404, ImageState::Gone), (500, ImageState::Unknown), (403, ImageState::Unknown), (307, ImageState::Present)]
    {
        let site = Site::start_raw(move |head, connection| {
            if is_for(head, "GET", "manifests/") {
                reply(connection, 200, "", &manifest("1"));
            } else if is_for(head, "HEAD", &format!("blobs/{}", digest(b"1"))) {
                reply(connection, status, "location: http://10.0.0.1/blob\r\n", "");
            } else {
                reply(connection, 200, "", "");
            }
        });
        assert_eq!(ask_for(&site, "1").await.state, state, "{status}");
        // The manifest, the config, and the layers that are not elsewhere.
        assert_eq!(site.requested_paths().len(), 4);
    }
}

#[tokio::test]
async fn blobs_are_asked_for_once_and_by_get_if_a_registry_has_no_head() {
    let site = Site::start_raw(|head, connection| {
        let version = if head.contains(&digest(manifest("1").as_bytes())) { "1" } else { "2" };
        match head.split(' ').next() {
            Some("HEAD") => reply(connection, 405, "", ""),
            _ if is_for(head, "GET", "manifests/") => reply(connection, 200, "", &manifest(version)),
            _ => reply(connection, 200, "", "content"),
        }
    });
    let images = ["1", "2"].map(|version| PayloadId::parse(&image(&site, version)).unwrap());
    let answers = ask(&registries(&site.address.to_string()), &wanted(&images, &["x86_64"]), LIMITS).await;
    assert!(answers.values().all(|answer| answer.state == ImageState::Present), "{answers:?}");
    let base = format!("GET /v2/acme/os/blobs/{}", digest(b"base"));
    assert_eq!(site.requested_paths().iter().filter(|head| head.starts_with(&base)).count(), 1);
}

#[tokio::test]
async fn of_an_index_the_images_for_the_arches_of_nodes_are_asked_for() {
    let [here, deleted, damaged] = ["here", "deleted", "damaged"].map(manifest);
    let name = |manifest: &str| digest(manifest.as_bytes());
    let index = index(&[
        entry(&name(&deleted), "windows", "amd64"),
        entry(&name(&deleted), "unknown", "unknown"),
        entry(&name(&here), "linux", "amd64"),
        entry(&name(&deleted), "linux", "arm64"),
        entry(&name(&damaged), "linux", "s390x"),
    ]);
    let (deleted, index_name) = (name(&deleted), name(&index));
    let layer = digest(b"damaged");
    let (kept, lost_layer) = ([index, here, damaged], layer.clone());
    let site = Site::start_raw(move |head, connection| {
        let manifest =
            kept.iter().find(|manifest| is_for(head, "GET", &format!("manifests/{}", digest(manifest.as_bytes()))));
        match manifest {
            Some(manifest) => reply(connection, 200, "", manifest),
            None if head.contains("manifests/") || head.contains(&lost_layer) => reply(connection, 404, "", ""),
            None => reply(connection, 200, "", ""),
        }
    });
    let image = PayloadId::parse(&format!("{}/acme/os@{index_name}", site.address)).unwrap();
    let registries = registries(&site.address.to_string());
    let gone = |problem: String| ImageAnswer { state: ImageState::Gone, problem: Some(problem) };
    let present = ImageAnswer { state: ImageState::Present, problem: None };
    for (arches, expected) in [
        (&["x86_64"][..], present),
        (&["ppc64le"], gone("the index has no image for ppc64le".into())),
        (&["x86_64", "aarch64"], gone(format!("the registry has the index, but not its image {deleted}"))),
        (&["s390x"], gone(format!("the registry has the manifest, but not its blob {layer}"))),
    ] {
        assert_eq!(ask(&registries, &wanted([&image], arches), LIMITS).await[&image], expected, "{arches:?}");
    }
}

#[tokio::test]
async fn a_registry_is_asked_again_when_it_wants_that_and_a_token_is_renewed() {
    // The first request of every three is too early, and each token is good for two requests.
    let (requests, tokens) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let site = Site::start_raw(move |head, connection| {
        let host = head.lines().find_map(|line| line.strip_prefix("host: ")).unwrap();
        if head.starts_with("GET /token") {
            let number = tokens.fetch_add(1, Ordering::SeqCst) + 1;
            requests.store(0, Ordering::SeqCst);
            return reply(connection, 200, "", &json!({"token": format!("token-{number}")}).to_string());
        }
        let token = format!("Bearer token-{}", tokens.load(Ordering::SeqCst));
        let number = requests.fetch_add(1, Ordering::SeqCst);
        if !head.contains(&token) || number >= 3 {
            let challenge = format!("www-authenticate: Bearer realm=\"http://{host}/token\"\r\n");
            return reply(connection, 401, &challenge, "");
        }
        if number == 0 {
            return reply(connection, 429, "retry-after: 0\r\n", "");
        }
        let body = if head.starts_with("GET") { manifest("1") } else { String::new() };
        reply(connection, 200, "", &body);
    });
    assert_eq!(ask_for(&site, "1").await, ImageAnswer { state: ImageState::Present, problem: None });
    let tokens = site.requested_paths().iter().filter(|head| head.starts_with("GET /token")).count();
    assert_eq!(tokens, 2, "{:?}", site.requested_paths());
}

#[tokio::test]
async fn a_registry_that_does_not_answer_is_given_up_and_its_other_images_too() {
    let site = Site::start_raw(|_, connection| {
        let mut rest = [0; 64];
        while unless_closed(connection.read(&mut rest)).unwrap_or(0) > 0 {}
    });
    let images = ["1", "2", "3", "4"].map(|version| WantedImage {
        reference: image(&site, version).parse().unwrap(),
        arches: [Arch::parse("x86_64").unwrap()].into(),
    });
    let registries = registries(&site.address.to_string());
    let found = registries.presence(&images, Duration::from_millis(200)).await;
    let is_timeout = |result: &Result<_, RegistryError>| matches!(result, Err(RegistryError::Timeout(_)));
    assert!(found[..3].iter().all(is_timeout) && matches!(found[3], Err(RegistryError::GivenUp(_))), "{found:?}");
    assert_eq!(site.requested_paths().len(), 3);
}

#[tokio::test]
async fn a_short_failure_is_not_reported() {
    let manifests = AtomicUsize::new(0);
    let site = Site::start_raw(move |head, connection| {
        if is_for(head, "GET", "manifests/") && manifests.fetch_add(1, Ordering::SeqCst) == 0 {
            return reply(connection, 404, "", "");
        }
        let body = if head.starts_with("GET") { manifest("2") } else { String::new() };
        reply(connection, 200, "", &body);
    });
    let setup = service(&site.address.to_string(), |_| {}).await;
    let admin = with_stream(&setup, &[]).await;
    for version in ["1", "2"] {
        publish(&admin, version, &image(&site, version)).await;
    }
    assert!(Checks::new(&setup.database, registries(&site.address.to_string())).await.check(0).await);
    assert_eq!(states(&admin).await, [(image(&site, "2"), "present".to_owned())]);
}

/// Runs `lockkeeper image check`.
async fn check(database: &Database, arguments: &[&str]) -> Output {
    let mut command = lockkeeper();
    command.env("DATABASE_URL", &database.url).env("HOME", "/nonexistent");
    command.env_remove("REGISTRY_AUTH_FILE").env_remove("XDG_RUNTIME_DIR");
    command.args(["image", "check"]).args(arguments);
    tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap()
}

#[tokio::test]
async fn the_command_says_what_is_gone_and_stores_it() {
    let Some(registry) = Registry::start() else { return };
    // The service may not ask the registry; the command may.
    let setup = service("ghcr.io", |_| {}).await;
    let admin = with_stream(&setup, &[]).await;
    publish(&admin, "1", &push(&registry, "1").await.0).await;
    let (image, digest) = push(&registry, "2").await;
    publish(&admin, "2", &image).await;
    let output = check(&setup.database, &[]).await;
    assert_eq!(text(&output.stdout), "1 images: 1 present, 0 gone, 0 unknown\n", "{}", text(&output.stderr));
    assert_eq!(output.status.code(), Some(0));

    registry.delete("acme/os", &format!("manifests/{digest}")).await;
    let output = check(&setup.database, &["--product", "os", "--stream", "stable"]).await;
    let expected = format!(
        "gone {image}: the registry has no such image; nodes are sent to it by os/stable 2 (x86_64)\n\
         1 images: 0 present, 1 gone, 0 unknown\n"
    );
    assert_eq!((text(&output.stdout), output.status.code()), (expected, Some(1)));
    assert_eq!((states(&admin).await, gone(&admin).await.len()), (vec![(image.clone(), "gone".to_owned())], 1));
    let output = check(&setup.database, &["--json"]).await;
    let printed: Value = serde_json::from_slice(&output.stdout).unwrap();
    let releases = json!([{"product": "os", "stream": "stable", "version": "2", "arch": "x86_64"}]);
    let expected = json!({"is_complete": true, "images": [{"image": image, "state": "gone",
        "problem": "the registry has no such image", "releases": releases}]});
    assert_eq!((printed, output.status.code()), (expected, Some(1)));
    let mut doctor = lockkeeper();
    doctor.env("DATABASE_URL", &setup.database.url).arg("doctor");
    let doctor = tokio::task::spawn_blocking(move || doctor.output().unwrap()).await.unwrap();
    let warning = "warn  images: 1 images that nodes are sent to are no longer in their registries\n";
    assert!(text(&doctor.stdout).contains(warning), "{}", text(&doctor.stdout));
    let output = check(&setup.database, &["--product", "another"]).await;
    assert_eq!(
        (text(&output.stdout), output.status.code()),
        ("0 images: 0 present, 0 gone, 0 unknown\n".into(), Some(0))
    );

    drop(registry);
    let output = check(&setup.database, &[]).await;
    assert!(text(&output.stdout).starts_with(&format!("unknown {image}: the request to ")), "{}", text(&output.stdout));
    assert_eq!(output.status.code(), Some(2));
    // What is known is kept.
    assert_eq!(states(&admin).await, [(image, "gone".to_owned())]);
}

#[tokio::test]
async fn the_command_says_if_it_cannot_store_what_it_finds() {
    let Some(registry) = Registry::start() else { return };
    let setup = service("ghcr.io", |_| {}).await;
    let admin = with_stream(&setup, &[]).await;
    for version in ["1", "2"] {
        publish(&admin, version, &push(&registry, version).await.0).await;
    }
    let database: String =
        sqlx::query_scalar("select current_database()::text").fetch_one(&setup.database.pool().await).await.unwrap();
    let read_only = format!("alter database {database} set default_transaction_read_only = on");
    sqlx::query(sqlx::AssertSqlSafe(read_only)).execute(&setup.database.pool().await).await.unwrap();
    let output = check(&setup.database, &[]).await;
    assert_eq!(text(&output.stdout), "1 images: 1 present, 0 gone, 0 unknown\n");
    let error = text(&output.stderr);
    assert!(error.contains("the service does not show these results: ") && output.status.success(), "{error}");
    assert_eq!(states(&admin).await[0].1, "not_checked");
}

/// Returns the codes of the findings for which a change is refused.
fn refused(response: &ApiResponse) -> Vec<&str> {
    response.is_problem(409);
    response.body["findings"].as_array().unwrap().iter().map(|finding| finding["code"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn a_release_whose_image_is_gone_is_not_published() {
    let Some(registry) = Registry::start() else { return };
    let setup = service(&registry.host, |settings| settings.registries.require_images = true).await;
    let admin = with_stream(&setup, &[]).await;
    publish(&admin, "1", &push(&registry, "1").await.0).await;
    let (image, digest) = push(&registry, "2").await;
    let draft = json!({"image": image, "version": "2", "rollouts": [{"preset": "linear-48h"}]});
    acknowledged(&admin, "releases", Some(&draft)).await.ok();
    registry.delete("acme/os", &format!("manifests/{digest}")).await;

    let response = acknowledged(&admin, "releases/2/publish", None).await;
    assert!(refused(&response).contains(&"LK1301"));
    let message = format!("x86_64: {image} is gone: the registry has no such image; push it again");
    let findings = response.body["findings"].as_array().unwrap();
    assert!(findings.iter().any(|finding| finding["message"] == message), "{response:?}");
    let batch = json!({"commands": [{"operation": "publish_release", "release": "2"}]});
    assert!(refused(&acknowledged(&admin, "batch", Some(&batch)).await).contains(&"LK1301"));
    let never = release("3", &image.replace("acme", "never"));
    assert!(refused(&acknowledged(&admin, "releases", Some(&never)).await).contains(&"LK1301"));
    let preview = admin.change(Method::POST, &below("releases/2/publish?dry_run=true"), None).await.ok().body;
    let found = preview["findings"].as_array().unwrap().iter().any(|finding| finding["code"] == "LK1301");
    assert!(found, "{preview}");
    // What publishes nothing asks for nothing.
    acknowledged(&admin, "releases/1/withdraw", None).await.ok();
    acknowledged(&admin, "releases", Some(&json!({"version": "4"}))).await.ok();
    assert_eq!(admin.get(&below("releases/2")).await.ok().body["state"], "draft");

    push(&registry, "2").await;
    acknowledged(&admin, "releases/2/publish", None).await.ok();
    drop(registry);
    let response =
        admin.change(Method::POST, &below("releases"), Some(&release("5", &image.replace("acme", "other")))).await;
    assert!(refused(&response).contains(&"LK1302"), "{response:?}");
    let report = acknowledged(&admin, "releases", Some(&release("5", &image.replace("acme", "other")))).await.ok().body;
    let found = report["findings"].as_array().unwrap().iter().find(|finding| finding["code"] == "LK1302").unwrap();
    assert!(found["message"].as_str().unwrap().starts_with("x86_64: it is not known whether "), "{found}");
}

#[tokio::test]
async fn nothing_is_locked_while_a_publication_waits_for_a_registry() {
    let site = Site::start_raw(|_, connection| {
        let mut rest = [0; 64];
        while unless_closed(connection.read(&mut rest)).unwrap_or(0) > 0 {}
    });
    let setup = service(&site.address.to_string(), |settings| settings.registries.require_images = true).await;
    let admin = with_stream(&setup, &[]).await;
    let (body, meanwhile) = (release("1", &image(&site, "1")), async {
        eventually("the registry is asked", async || !site.requested_paths().is_empty()).await;
        admin.post(&below("releases"), &json!({"version": "2"})).await;
    });
    tokio::select! {
        response = acknowledged(&admin, "releases", Some(&body)) => panic!("{response:?}"),
        () = meanwhile => {}
    }
}
