//! Redirects are followed within the requested origin only.

use crate::support::{
    program::{lockkeeper, text},
    site::{Reply, Site},
    upstream,
};
use std::process::Output;

const UNKNOWNS: &str = r#"{"payloads":[],"others":7}"#;

/// Runs every command that sends requests, against this site.
fn run_every_command(site: &Site) -> Vec<(&'static str, Output)> {
    let url = site.url();
    let run = |arguments: &[&str]| {
        let mut command = lockkeeper();
        command.args(arguments).env("LOCKKEEPER_LISTEN", site.address.to_string());
        command.env("DATABASE_URL", "postgres://127.0.0.1:1/none");
        command.env("LOCKKEEPER_DATABASE__CONNECT_TIMEOUT", "100ms").output().unwrap()
    };
    let shadow =
        ["shadow", "--upstream", &url, "--local", &url, "--stream", "stable", "--arch", "x86_64", "--ids", "0"];
    vec![
        ("import", run(&["import", "fcos", "--stream", "stable", "--from", &url])),
        ("fleet unknown", run(&["fleet", "unknown", "--url", &url])),
        ("shadow", run(&shadow)),
        ("health", run(&["health"])),
        ("doctor", run(&["doctor"])),
    ]
}

#[test]
fn no_command_follows_a_redirect_to_another_port() {
    let target = Site::start(|_| Reply::new(200, UNKNOWNS));
    let to = format!("{}/secret", target.url());
    let named = to.clone();
    let site = Site::start(move |_| Reply::redirect(&to));
    for (command, output) in run_every_command(&site) {
        let message = text(&output.stderr) + &text(&output.stdout);
        assert!(!output.status.success(), "{command}: {message}");
        assert!(message.contains(&named) && message.contains("was not followed"), "{command}: {message}");
    }
    assert_eq!(target.requested_paths(), Vec::<String>::new());
    assert!(site.requested_paths().len() >= 5);
}

#[test]
fn a_redirect_to_another_host_is_not_followed_and_its_password_is_hidden() {
    let target = Site::start(|_| Reply::new(200, UNKNOWNS));
    // The same machine under another name is another origin.
    let to = format!("http://user:secret@localhost:{}/x", target.address.port());
    let site = Site::start(move |_| Reply::redirect(&to));
    let output = lockkeeper().args(["fleet", "unknown", "--url", &site.url()]).output().unwrap();
    let message = text(&output.stderr);
    let shown = format!("redirects to http://localhost:{}/x, which is another origin", target.address.port());
    assert!(!output.status.success() && message.contains(&shown) && !message.contains("secret"), "{message}");
    assert_eq!(target.requested_paths(), Vec::<String>::new());
}

#[test]
fn a_redirect_from_https_to_http_is_not_followed() {
    let site = Site::start_tls(|_| Reply::new(200, "alive"));
    let address = site.address;
    let health = |address: std::net::SocketAddr| {
        let mut command = lockkeeper();
        command.arg("health").env("LOCKKEEPER_LISTEN", address.to_string());
        command.env("LOCKKEEPER_TLS__CERTIFICATE", "a").env("LOCKKEEPER_TLS__KEY", "b").output().unwrap()
    };
    assert!(health(address).status.success());
    let plain = Site::start(|_| Reply::new(200, "alive"));
    let to = plain.url();
    let shown = to.clone();
    let site = Site::start_tls(move |_| Reply::redirect(&to));
    let output = health(site.address);
    let message = text(&output.stderr);
    assert!(!output.status.success() && message.contains(&shown) && message.contains("was not followed"), "{message}");
    assert_eq!(plain.requested_paths(), Vec::<String>::new());
}

/// Starts a site that redirects a number of times within its origin before it answers.
fn redirecting(redirects: usize) -> Site {
    Site::start(move |path| {
        let hop = path.strip_prefix("/hop/").map_or(0, |hop| hop.parse().unwrap());
        if hop < redirects { Reply::redirect(&format!("/hop/{}", hop + 1)) } else { Reply::new(200, UNKNOWNS) }
    })
}

#[test]
fn at_most_five_redirects_within_an_origin_are_followed() {
    let run = |site: &Site| lockkeeper().args(["fleet", "unknown", "--url", &site.url()]).output().unwrap();
    let output = run(&redirecting(5));
    assert_eq!(text(&output.stdout), "7\tother payloads\n", "{}", text(&output.stderr));
    let site = redirecting(6);
    let output = run(&site);
    let message = text(&output.stderr);
    assert!(!output.status.success() && message.contains("more than 5 times, the last time to http://"), "{message}");
    assert_eq!(site.requested_paths().len(), 6);
}

#[tokio::test]
async fn an_import_follows_redirects_within_its_site() {
    let folder = tempfile::tempdir().unwrap();
    upstream::plain(1).write(folder.path(), "stable");
    let root = folder.path().to_owned();
    let site = Site::start(move |path| match path.strip_prefix("/moved/") {
        Some(path) => std::fs::read(root.join(path)).map_or(Reply::new(404, ""), |content| Reply::new(200, content)),
        None => Reply::redirect(&format!("/moved{path}")),
    });
    let location = lockkeeper::exchange::fcos::source::Location::parse(&site.url()).unwrap();
    let releases = location.fetch("prod/streams/stable/releases.json").await.unwrap().unwrap();
    assert_eq!(releases, std::fs::read(folder.path().join("prod/streams/stable/releases.json")).unwrap());
    assert_eq!(location.fetch("prod/streams/next/releases.json").await.unwrap(), None);
}
