//! Registries that fail, or attack the service that asks them.

use crate::support::{
    eventually,
    manager::{ApiResponse, Manager, below},
    postgres::Database,
    program::{lockkeeper, text},
    registry::{PASSWORD, Pushed, USER, digest},
    server::Server,
    setup::Setup,
    site::Site,
    wire::unless_closed,
};
use base64::{Engine, engine::general_purpose::STANDARD};
use jiff::SignedDuration;
use lockkeeper::config::{HostPattern, Settings};
use reqwest::Method;
use serde_json::json;
use std::{
    io::{Read, Write},
    net::TcpStream,
    os::unix::fs::PermissionsExt,
};

fn image() -> Pushed {
    Pushed::new("amd64", "44.1")
}

/// Writes a response with these header lines, and closes the connection.
fn reply(connection: &mut TcpStream, status: u16, headers: &str, body: &str) {
    let length = body.len();
    let text = format!("HTTP/1.1 {status} -\r\n{headers}content-length: {length}\r\nconnection: close\r\n\r\n{body}");
    unless_closed(connection.write_all(text.as_bytes()));
}

fn path(head: &str) -> &str {
    head.split(' ').nth(1).unwrap_or_default()
}

fn pattern(host: &str) -> HostPattern {
    host.to_owned().try_into().unwrap()
}

/// Starts a service that may read from a server on loopback, with an empty stream.
async fn service(site: &Site, change: impl FnOnce(&mut Settings)) -> Setup {
    let database = Database::new().await;
    let host = pattern(&site.address.to_string());
    let server = Server::start_with(&database, |settings| {
        settings.registries.allow = vec![host.clone()];
        settings.registries.private = vec![host];
        change(settings);
    })
    .await;
    Setup { server, database }
}

async fn admin(setup: &Setup) -> Manager<'_> {
    let admin = setup.desk().manager("admin", "*").await;
    admin.creates_stream(&json!({"format": 1, "product": "os", "stream": "stable", "arches": ["x86_64"]})).await;
    admin
}

async fn create(caller: &Manager<'_>, site: &Site) -> ApiResponse {
    let body = json!({"image": format!("{}/acme/os:1", site.address)});
    caller.change(Method::POST, &format!("{}?acknowledge=true", below("releases")), Some(&body)).await
}

/// Asserts that the registry is blamed, and returns for what.
fn blamed(response: &ApiResponse) -> &str {
    response.is_problem(502);
    assert_eq!(response.body["type"], "/problems/bad-gateway");
    response.body["detail"].as_str().unwrap()
}

/// Answers a request.
type Answer = Box<dyn Fn(&mut TcpStream) + Send + Sync>;

#[tokio::test]
async fn a_registry_that_fails_is_blamed() {
    let manifest = image().manifest();
    let half = manifest[..manifest.len() / 2].to_owned();
    let answers: [(&str, Answer); 9] = [
        ("status 429", Box::new(|to| reply(to, 429, "retry-after: 60\r\n", ""))),
        ("status 500", Box::new(|to| reply(to, 500, "", "it broke"))),
        ("redirects a manifest", Box::new(|to| reply(to, 302, "location: https://ghcr.io/\r\n", ""))),
        ("cannot be read", Box::new(|to| reply(to, 200, "", "<html>"))),
        (
            "both an index and an image",
            Box::new(|to| {
                reply(to, 200, "", r#"{"schemaVersion": 2, "manifests": [], "config": {"digest": "sha256:1"}}"#);
            }),
        ),
        ("without the SHA-256", Box::new(|to| reply(to, 200, "", r#"{"schemaVersion": 2}"#))),
        ("neither by `Basic` nor by `Bearer`", Box::new(|to| reply(to, 401, "www-authenticate: Negotiate\r\n", ""))),
        (
            "failed",
            Box::new(move |to| {
                let head = format!("HTTP/1.1 200 -\r\ncontent-length: {}\r\n\r\n{half}", 2 * half.len());
                unless_closed(to.write_all(head.as_bytes()));
            }),
        ),
        (
            "more than 4194304 bytes",
            Box::new(|to| {
                unless_closed(to.write_all(b"HTTP/1.1 200 -\r\ncontent-length: 1073741824\r\n\r\n"));
                let block = vec![b' '; 1 << 20];
                // The client hangs up long before the end.
                while to.write_all(&block).is_ok() {}
            }),
        ),
    ];
    for (expected, answer) in answers {
        let site = Site::start_raw(move |_, connection| answer(connection));
        let setup = service(&site, |_| {}).await;
        let response = create(&admin(&setup).await, &site).await;
        assert!(blamed(&response).contains(expected), "{expected}: {response:?}");
    }
}

#[tokio::test]
async fn content_must_have_the_digest_that_it_is_asked_for_by() {
    let manifest = image().manifest();
    let site = Site::start_raw(move |head, connection| match path(head) {
        "/v2/acme/os/manifests/1" => reply(connection, 200, "", &manifest),
        _ => reply(connection, 200, "", &Pushed::new("amd64", "other").config()),
    });
    let setup = service(&site, |_| {}).await;
    let response = create(&admin(&setup).await, &site).await;
    assert!(blamed(&response).contains("sent other content than sha256:"), "{response:?}");
}

/// Reads until the client closes the connection.
fn stay_silent(connection: &mut TcpStream) {
    let mut rest = [0; 64];
    while unless_closed(connection.read(&mut rest)).unwrap_or(0) > 0 {}
}

#[tokio::test]
async fn a_registry_that_does_not_answer_is_given_up() {
    let site = Site::start_raw(|_, connection| stay_silent(connection));
    let setup = service(&site, |_| {}).await;
    // The stream is created by a service that has the time.
    let admin = admin(&setup).await;
    let impatient = Server::start_with(&setup.database, |settings| {
        settings.registries.allow = vec![pattern(&site.address.to_string())];
        settings.registries.private.clone_from(&settings.registries.allow);
        settings.limits.answer_timeout = SignedDuration::from_secs(2);
    })
    .await;
    let impatient = Manager::with(&impatient, admin.token.as_deref());
    let response = create(&impatient, &site).await;
    assert!(blamed(&response).ends_with("did not answer in time"), "{response:?}");
}

#[tokio::test]
async fn nothing_is_locked_while_a_registry_is_asked() {
    let site = Site::start_raw(|_, connection| stay_silent(connection));
    let setup = service(&site, |_| {}).await;
    let admin = admin(&setup).await;
    let asked = async {
        eventually("the registry is asked", async || !site.requested_paths().is_empty()).await;
        admin.post(&below("releases"), &json!({"version": "1"})).await;
    };
    tokio::select! {
        response = create(&admin, &site) => panic!("{response:?}"),
        () = asked => {}
    }
}

/// Starts a registry that requires the password, and sends its configs from another place.
fn redirecting(location: impl Fn() -> String + Send + Sync + 'static) -> Site {
    let manifest = image().manifest();
    Site::start_raw(move |head, connection| {
        if !head.to_ascii_lowercase().contains("authorization: ") {
            reply(connection, 401, "www-authenticate: Basic realm=\"x\"\r\n", "");
        } else if path(head).starts_with("/v2/acme/os/manifests/") {
            reply(connection, 200, "", &manifest);
        } else {
            reply(connection, 307, &format!("location: {}\r\n", location()), "");
        }
    })
}

/// Sets an auth file with a password for a host, in a folder that lives as long as the test.
fn with_password(settings: &mut Settings, folder: &tempfile::TempDir, host: &str) {
    let path = folder.path().join("auth.json");
    let auth = STANDARD.encode(format!("{USER}:{PASSWORD}"));
    std::fs::write(&path, json!({"auths": {host: {"auth": auth}}}).to_string()).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    settings.registries.auth_file = Some(path);
}

#[tokio::test]
async fn a_redirected_config_is_read_without_credentials_from_a_listed_host_only() {
    let store = Site::start_raw(|_, connection| reply(connection, 200, "", &image().config()));
    let target = format!("{}/config?signature=1", store.url());
    let site = redirecting(move || target.clone());
    let folder = tempfile::tempdir().unwrap();
    let password = |settings: &mut Settings| with_password(settings, &folder, &site.address.to_string());

    let setup = service(&site, password).await;
    let response = create(&admin(&setup).await, &site).await;
    assert!(blamed(&response).contains("refers to a private address: 127.0.0.1"), "{response:?}");
    assert_eq!(store.requested_paths(), Vec::<String>::new());

    let setup = service(&site, |settings| {
        password(settings);
        settings.registries.private.push(pattern(&store.address.to_string()));
    })
    .await;
    create(&admin(&setup).await, &site).await.ok();
    let [request] = &store.requested_paths()[..] else { panic!("{:?}", store.requested_paths()) };
    assert_eq!(path(request), "/config?signature=1");
    assert!(!request.to_ascii_lowercase().contains("authorization"), "{request}");
}

#[tokio::test]
async fn redirects_stay_on_https_and_off_private_networks() {
    for (location, expected) in [
        ("http://ghcr.io/config", "refers to ghcr.io without https"),
        ("ftp://ghcr.io/config", "refers to ghcr.io without https"),
        ("https://10.0.0.1/config", "10.0.0.1, which is not public"),
        ("https://169.254.169.254/latest", "169.254.169.254, which is not public"),
        ("https://[::ffff:127.0.0.1]/", "which is not public"),
        ("https://localhost:1/config", "which is not public"),
        ("http://localhost:1/config", "which is not public"),
        ("file:///etc/passwd", "without https"),
        ("/v2/acme/os/blobs/again", "redirects more than 5 times"),
    ] {
        let site = redirecting(move || location.into());
        let folder = tempfile::tempdir().unwrap();
        let host = site.address.to_string();
        let setup = service(&site, |settings| with_password(settings, &folder, &host)).await;
        let response = create(&admin(&setup).await, &site).await;
        assert!(blamed(&response).contains(expected), "{location}: {response:?}");
        assert!(site.requested_paths().len() < 12);
    }
}

/// Starts a registry that requires a token of another server.
fn with_tokens(realm: String) -> Site {
    let (manifest, config) = (image().manifest(), image().config());
    Site::start_raw(move |head, connection| {
        if !head.contains("Bearer the-token") {
            let challenge = format!("www-authenticate: Bearer realm=\"{realm}\",service=\"the registry\"\r\n");
            reply(connection, 401, &challenge, "");
        } else if path(head).contains("/manifests/") {
            reply(connection, 200, "", &manifest);
        } else {
            assert!(path(head).ends_with(&digest(config.as_bytes())));
            reply(connection, 200, "", &config);
        }
    })
}

#[tokio::test]
async fn a_token_is_fetched_once_from_a_server_that_is_permitted() {
    let tokens = Site::start_raw(|_, connection| reply(connection, 200, "", r#"{"token": "the-token"}"#));
    let site = with_tokens(format!("{}/token", tokens.url()));
    let setup = service(&site, |_| {}).await;
    let response = create(&admin(&setup).await, &site).await;
    assert!(blamed(&response).contains("which is not public"), "{response:?}");
    assert_eq!(tokens.requested_paths(), Vec::<String>::new());

    let setup = service(&site, |settings| settings.registries.private.push(pattern(&tokens.address.to_string()))).await;
    create(&admin(&setup).await, &site).await.ok();
    let [request] = &tokens.requested_paths()[..] else { panic!("{:?}", tokens.requested_paths()) };
    assert_eq!(path(request), "/token?service=the+registry&scope=repository%3Aacme%2Fos%3Apull");
    assert!(!request.to_ascii_lowercase().contains("authorization"), "{request}");
}

#[tokio::test]
async fn token_servers_are_not_trusted() {
    let token = |status: u16, body: &'static str| Site::start_raw(move |_, to| reply(to, status, "", body));
    for (tokens, expected) in [
        (token(500, ""), "answered a token request with the status 500"),
        (token(200, "{}"), "sent no token"),
        (token(200, "<html>"), "sent no token"),
        (Site::start_raw(|_, to| reply(to, 302, "location: http://127.0.0.1:1/\r\n", "")), "with the status 302"),
    ] {
        let site = with_tokens(tokens.url());
        let setup =
            service(&site, |settings| settings.registries.private.push(pattern(&tokens.address.to_string()))).await;
        let response = create(&admin(&setup).await, &site).await;
        assert!(blamed(&response).contains(expected), "{expected}: {response:?}");
    }
    let site = with_tokens("http://auth.example/token".into());
    let setup = service(&site, |_| {}).await;
    let response = create(&admin(&setup).await, &site).await;
    assert!(blamed(&response).contains("refers to auth.example without https"), "{response:?}");
}

#[tokio::test]
async fn a_command_trusts_the_registry_that_it_names_and_no_other() {
    let store = Site::start_raw(|_, connection| reply(connection, 200, "", &image().config()));
    let (manifest, target) = (image().manifest(), store.url());
    let site = Site::start_raw(move |head, connection| {
        if path(head).contains("/manifests/") {
            reply(connection, 200, "", &manifest);
        } else {
            reply(connection, 307, &format!("location: {target}/\r\n"), "");
        }
    });
    let mut command = lockkeeper();
    command.env("DATABASE_URL", "postgres://127.0.0.1:1/none").env("HOME", "/nonexistent");
    command.env_remove("REGISTRY_AUTH_FILE").env_remove("XDG_RUNTIME_DIR");
    command.args(["image", "add", &format!("{}/acme/os:1", site.address), "--stream", "stable", "--reason", "test"]);
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    assert!(
        !output.status.success() && text(&output.stderr).contains("which is not public"),
        "{}",
        text(&output.stderr)
    );
    assert_eq!((site.requested_paths().len(), store.requested_paths().len()), (2, 0));
}
