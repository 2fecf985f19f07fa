//! Releases from images in a real registry.

use crate::support::{
    manager::{ApiResponse, Manager, below, with_reason},
    postgres::Database,
    program::{lockkeeper, text},
    registry::{DOCKER_IMAGE, PASSWORD, Pushed, Registry, USER, entry},
    server::Server,
    setup::Setup,
};
use base64::{Engine, engine::general_purpose::STANDARD};
use lockkeeper::config::Settings;
use reqwest::Method;
use serde_json::{Value, json};
use std::{fs::Permissions, os::unix::fs::PermissionsExt, path::Path, process::Output};

/// Starts a service that may read from a registry with a private address.
async fn service(host: &str, change: impl FnOnce(&mut Settings)) -> Setup {
    let database = Database::new().await;
    let server = Server::start_with(&database, |settings| {
        settings.registries.allow = vec![host.to_owned().try_into().unwrap()];
        settings.registries.private.clone_from(&settings.registries.allow);
        change(settings);
    })
    .await;
    Setup { server, database }
}

/// Creates a stream without releases, for two arches.
async fn with_stream(setup: &Setup) -> Manager<'_> {
    let admin = setup.desk().manager("admin", "*").await;
    admin
        .creates_stream(&json!({"format": 1, "product": "os", "stream": "stable", "arches": ["aarch64", "x86_64"]}))
        .await;
    admin
}

async fn create(caller: &Manager<'_>, body: &Value) -> ApiResponse {
    caller.change(Method::POST, &format!("{}?acknowledge=true", below("releases")), Some(body)).await
}

/// Pushes an index of an image for each of two arches, and of an attestation. Returns the digests of the images.
async fn push_two(registry: &Registry, tag: &str, version: &str) -> [String; 2] {
    let [amd, arm] = ["amd64", "arm64"].map(|arch| Pushed::new(arch, version));
    let amd = Pushed {
        annotations: json!({"org.opencontainers.image.revision": "abc123"}),
        labels: json!({"org.opencontainers.image.version": version, "org.opencontainers.image.source": "https://example.org/os"}),
        ..amd
    };
    let arm = Pushed { annotations: amd.annotations.clone(), labels: amd.labels.clone(), ..arm };
    let digests = [registry.push("acme/os", None, &amd).await, registry.push("acme/os", None, &arm).await];
    let [amd, arm] = &digests;
    // The registry has the attestation, too: it is the manifest of any image here.
    let entries = [entry(amd, "linux", "amd64"), entry(arm, "linux", "arm64"), entry(arm, "unknown", "unknown")];
    registry.push_index("acme/os", tag, &entries).await;
    digests
}

#[tokio::test]
async fn an_index_becomes_a_release_once() {
    let Some(registry) = Registry::start() else { return };
    let setup = service(&registry.host, |_| {}).await;
    let admin = with_stream(&setup).await;
    let [amd, arm] = push_two(&registry, "stable", "44.1").await;
    let body = json!({"image": format!("{}/acme/os:stable", registry.host), "notes": "a fix"});

    let preview = admin.change(Method::POST, &format!("{}?dry_run=true", below("releases")), Some(&body)).await.ok();
    assert_eq!(
        (preview.status, &preview.body["created"], &preview.body["changed"]),
        (200, &json!("44.1"), &json!(true))
    );
    assert_eq!(preview.body["changes"][0]["subject"], "release 44.1", "{}", preview.text);
    let build = |digest: &str| format!("{}/acme/os@{digest}", registry.host);
    assert_eq!(preview.body["builds"], json!({"aarch64": build(&arm), "x86_64": build(&amd)}));
    admin.get(&below("releases/44.1")).await.is_problem(404);

    let added = create(&admin, &body).await.ok();
    assert_eq!((added.status, added.header("location")), (201, &*below("releases/44%2E1")));
    assert_eq!((&added.body["created"], &added.body["existing"]), (&json!("44.1"), &Value::Null));
    assert_eq!(added.body["builds"], Value::Null);
    let release = admin.get(&below("releases/44.1")).await.ok().body;
    let payload = |arch: &str, digest: &str| json!({"arch": arch, "scheme": "oci", "id": format!("{}/acme/os@{digest}", registry.host)});
    assert_eq!(release["payloads"], json!([payload("aarch64", &arm), payload("x86_64", &amd)]));
    assert_eq!(release["state"], "draft");
    let details = "- created: 2026-07-01T00:00:00Z\n- revision: abc123\n- source: https://example.org/os";
    assert_eq!(release["notes"], format!("a fix\n\n{details}"));

    for version in [json!(null), json!("45")] {
        let mut again = body.clone();
        again["version"] = version;
        let repeated = create(&admin, &again).await.ok();
        assert_eq!((repeated.status, repeated.header("location")), (200, ""));
        assert_eq!((&repeated.body["changed"], &repeated.body["existing"]), (&json!(false), &json!("44.1")));
        assert_eq!(repeated.body["revision"], added.body["revision"]);
    }
}

#[tokio::test]
async fn a_single_image_of_either_type_is_a_release_and_a_moved_tag_the_next() {
    let Some(registry) = Registry::start() else { return };
    let setup = service(&registry.host, |_| {}).await;
    let admin = with_stream(&setup).await;
    let image = json!({"image": format!("{}/acme/os:stable", registry.host)});
    let mut versions = Vec::new();
    for (number, media_type) in [DOCKER_IMAGE, crate::support::registry::IMAGE, DOCKER_IMAGE].into_iter().enumerate() {
        let mut pushed = Pushed { media_type, ..Pushed::new("amd64", "44.1") };
        pushed.labels["build"] = json!(number.to_string());
        let digest = registry.push("acme/os", Some("stable"), &pushed).await;
        let by_tag = create(&admin, &image).await.ok().body;
        versions.push(by_tag["created"].as_str().unwrap().to_owned());
        let by_digest = json!({"image": format!("{}/acme/os@{digest}", registry.host)});
        assert_eq!(create(&admin, &by_digest).await.ok().body["existing"], by_tag["created"]);
    }
    assert_eq!(versions, ["44.1", "44.1.1", "44.1.2"]);
    let given = json!({"image": format!("{}/acme/os:stable", registry.host), "version": "44.1"});
    let pushed = Pushed { labels: json!({}), ..Pushed::new("amd64", "") };
    registry.push("acme/os", Some("stable"), &pushed).await;
    create(&admin, &given).await.is_problem(409);
    let unlabelled = create(&admin, &image).await;
    unlabelled.is_problem(422);
    assert_eq!(unlabelled.body["errors"][0]["path"], "version");
}

/// Asserts that a request is refused for its image, and returns why.
fn refused(response: &ApiResponse) -> &str {
    response.is_problem(422);
    assert_eq!(response.body["errors"][0]["path"], "image", "{response:?}");
    response.body["errors"][0]["message"].as_str().unwrap()
}

#[tokio::test]
async fn what_cannot_be_read_is_refused_with_the_reason() {
    let Some(registry) = Registry::start() else { return };
    let setup = service(&registry.host, |_| {}).await;
    let admin = with_stream(&setup).await;
    let digest = registry.push("acme/os", Some("arm"), &Pushed::new("arm", "1")).await;
    registry.push_index("acme/os", "arms", &[entry(&digest, "linux", "arm")]).await;
    registry.push_index("acme/os", "windows", &[entry(&digest, "windows", "amd64")]).await;
    registry
        .push_index(
            "acme/os",
            "liar",
            &[entry(&registry.push("acme/os", None, &Pushed::new("arm64", "1")).await, "linux", "amd64")],
        )
        .await;
    registry.push_index("acme/os", "many", &vec![entry(&digest, "unknown", "unknown"); 65]).await;
    registry.push("acme/os", Some("z"), &Pushed::new("s390x", "1")).await;
    let host = &registry.host;
    for (image, why) in [
        ("os:1".to_owned(), "must begin with a registry"),
        (format!("{host}/acme/os"), "must end with a tag"),
        (format!("{host}/acme/os:none"), "has no image"),
        ("ghcr.io/acme/os:1".to_owned(), "ghcr.io is not in the setting registries.allow"),
        (format!("{host}/acme/os:arm"), "is for arm, expected amd64"),
        (format!("{host}/acme/os:arms"), "is for arm, expected amd64"),
        (format!("{host}/acme/os:windows"), "has no image for linux"),
        (format!("{host}/acme/os:liar"), "is listed as an image for x86_64, and is one for aarch64"),
        (format!("{host}/acme/os:many"), "is an index of 65 images, of at most 64"),
        (format!("{host}/acme/os:z"), "is built for s390x, and the stream serves aarch64, x86_64"),
    ] {
        let response = create(&admin, &json!({"image": image})).await;
        assert!(refused(&response).contains(why), "{image}: {response:?}");
    }
    let both =
        json!({"image": format!("{host}/acme/os:z"), "payloads": [{"arch": "x86_64", "scheme": "oci", "id": "x"}]});
    create(&admin, &both).await.is_problem(422);
    create(&admin, &json!({})).await.is_problem(422);
}

#[tokio::test]
async fn the_settings_decide_which_registries_are_asked() {
    let image = json!({"image": "127.0.0.1:9/acme/os:1"});
    let allow = |settings: &mut Settings, hosts: &[&str]| {
        settings.registries.allow = hosts.iter().map(|&host| host.to_owned().try_into().unwrap()).collect();
        settings.registries.private.clear();
    };
    let setup = service("ghcr.io", |settings| allow(settings, &[])).await;
    let response = create(&with_stream(&setup).await, &image).await;
    assert!(refused(&response).contains("the setting registries.allow is empty"));
    let setup = service("ghcr.io", |settings| allow(settings, &["127.0.0.1:9", "localhost:9"])).await;
    let admin = with_stream(&setup).await;
    for host in ["127.0.0.1", "localhost"] {
        let response = create(&admin, &json!({"image": format!("{host}:9/acme/os:1")})).await;
        assert!(refused(&response).contains("registries.private"), "{response:?}");
    }
}

#[tokio::test]
async fn an_arch_that_the_stream_does_not_serve_is_left_out_with_a_warning() {
    let Some(registry) = Registry::start() else { return };
    let setup = service(&registry.host, |_| {}).await;
    let admin = with_stream(&setup).await;
    let amd = registry.push("acme/os", None, &Pushed::new("amd64", "1")).await;
    let z = registry.push("acme/os", None, &Pushed::new("s390x", "1")).await;
    registry.push_index("acme/os", "1", &[entry(&amd, "linux", "amd64"), entry(&z, "linux", "s390x")]).await;
    let added = create(&admin, &json!({"image": format!("{}/acme/os:1", registry.host)})).await.ok();
    assert_eq!(added.body["findings"][0]["name"], "arch-not-served", "{added:?}");
    let payloads = admin.get(&below("releases/1")).await.ok().body["payloads"].clone();
    assert_eq!((payloads.as_array().unwrap().len(), &payloads[0]["arch"]), (1, &json!("x86_64")));
}

#[tokio::test]
async fn a_publisher_publishes_an_image_with_the_default_rollout_only() {
    let Some(registry) = Registry::start() else { return };
    let setup = service(&registry.host, |_| {}).await;
    let admin = with_stream(&setup).await;
    let settings = json!({"arches": ["aarch64", "x86_64"], "default_rollout": "week"});
    admin.change(Method::PUT, &below(""), Some(&settings)).await.ok();
    let publisher = setup.desk().manager("publisher", "os/*").await;
    push_two(&registry, "stable", "44.1").await;
    let image = format!("{}/acme/os:stable", registry.host);
    let rollouts = json!({"image": image, "publish": true, "rollouts": [{"preset": "week"}]});
    create(&publisher, &rollouts).await.is_problem(403);
    let without_rollouts = json!({"image": image, "publish": true});
    let path = format!("{}&acknowledge=true", with_reason(&below("releases")));
    publisher.ask(Method::POST, &path, &[], Some(&without_rollouts)).await.is_problem(428);
    create(&publisher, &without_rollouts).await.ok();
    let release = admin.get(&below("releases/44.1")).await.ok().body;
    assert_eq!((&release["state"], release["rollouts"].as_array().unwrap().len()), (&json!("published"), 1));
    let viewer = setup.desk().manager("viewer", "os/*").await;
    create(&viewer, &without_rollouts).await.is_problem(403);
}

/// Writes an auth file for a registry.
fn auth_file(folder: &Path, host: &str, mode: u32) -> std::path::PathBuf {
    let path = folder.join("auth.json");
    let auth = STANDARD.encode(format!("{USER}:{PASSWORD}"));
    std::fs::write(&path, json!({"auths": {host: {"auth": auth}}}).to_string()).unwrap();
    std::fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
    path
}

#[tokio::test]
async fn credentials_come_from_a_private_file_and_are_never_shown() {
    let Some(registry) = Registry::start_protected() else { return };
    let folder = tempfile::tempdir().unwrap();
    let path = auth_file(folder.path(), &registry.host, 0o600);
    let setup = service(&registry.host, |settings| settings.registries.auth_file = Some(path.clone())).await;
    let admin = with_stream(&setup).await;
    push_two(&registry, "stable", "44.1").await;
    let image = json!({"image": format!("{}/acme/os:stable", registry.host)});
    create(&admin, &image).await.ok();
    auth_file(folder.path(), &registry.host, 0o644);
    let unsafe_file = create(&admin, &image).await;
    unsafe_file.is_problem(500);
    assert!(!unsafe_file.text.contains("auth.json"));
    auth_file(folder.path(), "other.example", 0o600);
    let response = create(&admin, &image).await;
    assert!(refused(&response).ends_with("there are no credentials for it"));
    let wrong = STANDARD.encode(format!("{USER}:wrong-password"));
    std::fs::write(&path, json!({"auths": {&registry.host: {"auth": wrong}}}).to_string()).unwrap();
    let response = create(&admin, &image).await;
    assert!(refused(&response).contains("refuses access") && !response.text.contains("wrong-password"));
}

/// Runs `lockkeeper image add` for the stream of these tests.
async fn add(database: &Database, arguments: &[&str], environment: &[(&str, &Path)]) -> Output {
    let mut command = lockkeeper();
    command.env("DATABASE_URL", &database.url).env("HOME", "/nonexistent");
    command.env_remove("REGISTRY_AUTH_FILE").env_remove("XDG_RUNTIME_DIR").envs(environment.iter().copied());
    command
        .args(["image", "add", "--product", "os", "--stream", "stable", "--reason", "the test says so"])
        .args(arguments);
    tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap()
}

/// Asserts that a command succeeded, and returns its output.
fn done(output: &Output) -> String {
    assert!(output.status.success(), "{}", text(&output.stderr));
    text(&output.stdout)
}

#[tokio::test]
async fn the_command_adds_an_image_of_any_registry_once() {
    let Some(registry) = Registry::start() else { return };
    // The API may not name the registry; the command may.
    let setup = service("ghcr.io", |_| {}).await;
    let admin = with_stream(&setup).await;
    push_two(&registry, "stable", "44.1").await;
    let image = format!("{}/acme/os:stable", registry.host);
    let run =
        async |arguments: &[&str]| add(&setup.database, &[&[&*image, "--acknowledge"], arguments].concat(), &[]).await;

    let preview = done(&run(&["--publish", "--dry-run"]).await);
    assert!(
        preview.contains("\nos/stable: would change\n") && preview.contains("release 44.1: published"),
        "{preview}"
    );
    // What was found, by arch.
    let is_build = |line: &&str| line.starts_with("x86_64: ") && line.contains("/acme/os@sha256:");
    assert_eq!(preview.lines().filter(is_build).count(), 1, "{preview}");
    admin.get(&below("releases/44.1")).await.is_problem(404);
    assert!(done(&run(&["--publish"]).await).starts_with("os/stable: revision 2\n"));
    let release = admin.get(&below("releases/44.1")).await.ok().body;
    assert_eq!((&release["state"], &release["rollouts"][0]["duration"]), (&json!("published"), &json!("PT48H")));
    let again = done(&run(&["--publish"]).await);
    assert_eq!(again, "os/stable: no changes, still revision 2\nrelease 44.1 has this image already\n");

    push_two(&registry, "stable", "44.2").await;
    let refused = run(&["--rollout", "no-such-preset"]).await;
    assert!(!refused.status.success() && text(&refused.stderr).contains("no-such-preset"), "{}", text(&refused.stderr));
    done(&run(&["--version", "custom", "--rollout", "week"]).await);
    let release = admin.get(&below("releases/custom")).await.ok().body;
    assert_eq!((&release["state"], release["rollouts"][0]["steps"].as_array().unwrap().len()), (&json!("draft"), 6));
    let missing = add(&setup.database, &[&format!("{}/acme/os:none", registry.host)], &[]).await;
    assert!(!missing.status.success() && text(&missing.stderr).contains("has no image"));
}

#[tokio::test]
async fn the_command_uses_a_preset_of_the_product_and_the_default_rollout() {
    let Some(registry) = Registry::start() else { return };
    let setup = service("ghcr.io", |_| {}).await;
    let admin = with_stream(&setup).await;
    let preset = json!({"rollouts": [{"selector": {"groups": ["canary"]}, "start_share": 1.0}, {"duration": "PT24H"}]});
    admin.change(Method::PUT, "/api/v1/products/os/presets/canaries", Some(&preset)).await.ok();
    let settings = json!({"arches": ["aarch64", "x86_64"], "default_rollout": "week"});
    admin.change(Method::PUT, &below(""), Some(&settings)).await.ok();
    let image = format!("{}/acme/os:stable", registry.host);
    for (version, arguments, count, field) in
        [("1", &["--publish", "--rollout", "canaries"][..], 2, "selector"), ("2", &["--publish"], 1, "steps")]
    {
        push_two(&registry, "stable", version).await;
        done(&add(&setup.database, &[&[&*image, "--acknowledge"], arguments].concat(), &[]).await);
        let rollouts = admin.get(&below(&format!("releases/{version}"))).await.ok().body["rollouts"].clone();
        assert_eq!(rollouts.as_array().unwrap().len(), count);
        assert!(!rollouts[0][field].is_null(), "{rollouts}");
    }
}

#[tokio::test]
async fn the_command_finds_credentials_where_container_tools_keep_them() {
    let Some(registry) = Registry::start_protected() else { return };
    let setup = service("ghcr.io", |_| {}).await;
    let _admin = with_stream(&setup).await;
    push_two(&registry, "stable", "44.1").await;
    let image = format!("{}/acme/os:stable", registry.host);
    let folder = tempfile::tempdir().unwrap();
    for inner in ["containers", ".docker"] {
        std::fs::create_dir(folder.path().join(inner)).unwrap();
    }
    let file = auth_file(folder.path(), &registry.host, 0o600);
    let run = async |environment: &[(&str, &Path)]| add(&setup.database, &[&image, "--dry-run"], environment).await;
    assert!(text(&run(&[]).await.stderr).contains("there are no credentials for it"));
    done(&run(&[("REGISTRY_AUTH_FILE", &file)]).await);
    std::fs::copy(&file, folder.path().join("containers/auth.json")).unwrap();
    done(&run(&[("XDG_RUNTIME_DIR", folder.path())]).await);
    std::fs::copy(&file, folder.path().join(".docker/config.json")).unwrap();
    done(&run(&[("HOME", folder.path())]).await);
    std::fs::set_permissions(&file, Permissions::from_mode(0o640)).unwrap();
    let refused = run(&[("REGISTRY_AUTH_FILE", &file)]).await;
    let error = text(&refused.stderr);
    assert!(!refused.status.success() && error.contains("set it to 0600") && !error.contains(PASSWORD), "{error}");
}
