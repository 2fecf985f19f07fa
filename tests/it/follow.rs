//! Streams that follow repositories: their new tags become releases, once, in order, and when it is their time.

mod failures;
mod reviews;

use crate::support::{
    dialects, eventually,
    manager::{Manager, below, with_reason},
    postgres::Database,
    registry::{Pushed, Registry},
    server::Server,
    setup::Setup,
    site::{Reply, Site},
    time::NOW,
};
use hmac::{Hmac, KeyInit, Mac};
use jiff::{SignedDuration, Timestamp};
use lockkeeper::{
    auth::Identity,
    clock::{ManualClock, SharedClock},
    config::{RegistrySettings, Settings},
    domain::{
        document::{StreamDocument, Strictness},
        ids::StreamId,
        reason::Reason,
        rollout::share::OpenShare,
        stream::Stream,
    },
    follower::Follower,
    manage::{
        Command, Manage, Request,
        commands::{
            documents::PutDocument,
            stops::{LiftStop, StopStream},
            streams::DeleteStream,
        },
        read::FollowStatus,
    },
    operate::doctor::examine,
};
use reqwest::Method;
use serde_json::{Value, json};
use sha2::Sha256;
use std::{
    os::unix::fs::PermissionsExt,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

/// A database, and what one process does with it at the time of the test.
struct Desk {
    database: Database,
    clock: Arc<ManualClock>,
    manage: Manage,
}

fn settings(hosts: &[&str]) -> RegistrySettings {
    let allow: Vec<_> = hosts.iter().map(|host| (*host).to_owned().try_into().unwrap()).collect();
    RegistrySettings { private: allow.clone(), allow, ..RegistrySettings::default() }
}

/// Returns the document of a stream without releases, which follows a repository.
fn stream(name: &str, host: &str, change: &Value) -> Value {
    let mut follow = json!({"image": format!("{host}/acme/os"), "tags": r"^v\d+$", "as": "draft"});
    follow.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
    json!({"format": 1, "product": "os", "stream": name, "arches": ["x86_64"], "follow": follow})
}

impl Desk {
    async fn new() -> Self {
        let database = Database::new().await;
        let clock = Arc::new(ManualClock::new(Timestamp::from_second(NOW).unwrap()));
        let manage = Manage::new(database.store().await, clock.clone(), dialects());
        Self { database, clock, manage }
    }

    async fn follower(&self, hosts: &[&str]) -> Follower {
        Follower::new(self.database.store().await, self.manage.clone(), &settings(hosts))
    }

    async fn write_stream(&self, document: &Value) {
        self.run(&PutDocument { written: parsed(document) }).await;
    }

    async fn run(&self, command: &dyn Command) {
        let user = Identity::local("test");
        let request = Request { acknowledge: true, ..Request::new(&user, "a test") };
        self.manage.run(command, &request).await.unwrap();
    }

    fn minutes(&self, minutes: i64) {
        self.clock.advance(SignedDuration::from_mins(minutes));
    }

    async fn stream(&self, name: &str) -> Arc<Stream> {
        let user = Identity::local("test");
        self.manage.stream_reader(&user, id(name)).unwrap().present().await.unwrap().stream
    }

    async fn status(&self, name: &str) -> FollowStatus {
        let user = Identity::local("test");
        self.manage.stream_reader(&user, id(name)).unwrap().follow_status().await.unwrap()
    }

    /// Returns the releases of a stream in their order: `1 draft`.
    async fn releases(&self, name: &str) -> Vec<String> {
        let stream = self.stream(name).await;
        stream.releases.iter().map(|release| format!("{} {}", release.version, release.state.as_str())).collect()
    }

    /// Returns what became of tags, the newest first: `v1 drafted`.
    async fn handled(&self, name: &str) -> Vec<String> {
        let tags = self.status(name).await.tags;
        tags.iter().map(|tag| format!("{} {}", tag.tag, tag.outcome.as_str())).collect()
    }

    /// Returns the tags that could not become releases yet, in the order of their names, and why.
    async fn retried(&self, name: &str) -> Vec<String> {
        let mut retried = self.status(name).await.retried;
        retried.sort_by(|tag, other| tag.tag.cmp(&other.tag));
        retried.iter().map(|tag| format!("{}: {}", tag.tag, tag.error)).collect()
    }

    /// Returns why the last look failed, or why the newest tag became no release.
    async fn problem(&self, name: &str) -> String {
        let state = self.status(name).await.state;
        state.error.or(state.tag_error).unwrap_or_default()
    }

    /// Looks after the time between two looks.
    async fn look_later(&self, follower: &mut Follower) {
        self.minutes(INTERVAL);
        assert_eq!(follower.look().await.unwrap(), 1);
    }

    /// Returns the waiting tags, and why they wait.
    async fn waiting(&self, name: &str) -> (Vec<String>, String) {
        let waiting = self.status(name).await.state.waiting;
        assert_eq!(waiting.count, waiting.first.len());
        (waiting.first, waiting.because.unwrap_or_default())
    }
}

fn parsed(document: &Value) -> Stream {
    let document: StreamDocument = serde_json::from_value(document.clone()).unwrap();
    Stream::from_document(&document, Strictness::Strict).unwrap()
}

fn id(name: &str) -> StreamId {
    parsed(&json!({"format": 1, "product": "os", "stream": name})).id
}

/// Pushes an image whose version is that of the tag, without its `v`.
async fn push(registry: &Registry, tag: &str) -> String {
    registry.push("acme/os", Some(tag), &Pushed::new("amd64", &tag[1..])).await
}

/// More than the interval with its jitter.
const INTERVAL: i64 = 6;

#[tokio::test]
async fn new_tags_become_drafts_once() {
    let Some(registry) = Registry::start() else { return };
    let desk = Desk::new().await;
    desk.write_stream(&stream("stable", &registry.host, &json!({"rollout": "week"}))).await;
    for tag in ["v8", "v9", "v10", "next-1"] {
        push(&registry, tag).await;
    }
    let mut follower = desk.follower(&[&registry.host]).await;
    assert_eq!(follower.look().await.unwrap(), 1);
    // The tags before the newest one were there before.
    assert_eq!(desk.releases("stable").await, ["10 draft"]);
    assert_eq!(desk.handled("stable").await, ["v10 drafted"]);
    let draft = desk.stream("stable").await.releases[0].clone();
    assert_eq!(draft.rollouts.len(), 1);
    assert_eq!(draft.notes.as_ref().unwrap().as_str(), "- created: 2026-07-01T00:00:00Z");
    let user = Identity::local("test");
    let reader = desk.manage.stream_reader(&user, id("stable")).unwrap();
    let revision = desk.manage.stream_reader(&user, id("stable")).unwrap().present().await.unwrap().revision;
    let record = reader.revision(revision).await.unwrap();
    let expected = format!("tag v10 of {}/acme/os", registry.host);
    assert_eq!((record.meta.actor.id.as_str(), record.meta.reason.as_str()), ("follow", expected.as_str()));

    // Nothing is due, and a process that starts anew repeats nothing.
    assert_eq!(follower.look().await.unwrap(), 0);
    drop(follower);
    let mut follower = desk.follower(&[&registry.host]).await;
    desk.minutes(INTERVAL);
    assert_eq!(follower.look().await.unwrap(), 1);
    assert_eq!(desk.releases("stable").await, ["10 draft"]);

    for tag in ["v12", "v11"] {
        push(&registry, tag).await;
    }
    desk.minutes(INTERVAL);
    follower.look().await.unwrap();
    assert_eq!(desk.releases("stable").await, ["10 draft", "11 draft", "12 draft"]);
    let state = desk.status("stable").await.state;
    assert_eq!((state.error, state.failures, state.waiting.count), (None, 0, 0));
    assert_eq!((state.checked_at, state.succeeded_at), (Some(desk.manage.timestamp()), Some(desk.manage.timestamp())));
}

#[tokio::test]
async fn one_release_is_published_in_an_interval() {
    let Some(registry) = Registry::start() else { return };
    let desk = Desk::new().await;
    desk.write_stream(&stream("stable", &registry.host, &json!({"as": "publish"}))).await;
    push(&registry, "v1").await;
    let mut follower = desk.follower(&[&registry.host]).await;
    follower.look().await.unwrap();
    assert_eq!(desk.releases("stable").await, ["1 published"]);
    let rollout = desk.stream("stable").await.releases[0].rollouts[0].clone();
    // Over 48 hours, without another setting.
    assert_eq!(rollout.open_share(NOW_EPOCH.plus_seconds(24 * 3600)), OpenShare::Open(0.5));

    for tag in ["v3", "v2"] {
        push(&registry, tag).await;
    }
    desk.minutes(INTERVAL);
    follower.look().await.unwrap();
    assert_eq!(desk.releases("stable").await, ["1 published", "2 published"]);
    let (waiting, because) = desk.waiting("stable").await;
    assert_eq!(waiting, ["v3"]);
    assert!(because.starts_with("one release is published in 5m"), "{because}");
    // A report of the registry does not make it earlier.
    desk.clock.advance(SignedDuration::from_secs(10));
    assert_eq!(desk.manage.wake_follows(&["acme/os".into()]).await.unwrap(), 1);
    assert_eq!(follower.look().await.unwrap(), 1);
    assert_eq!(desk.waiting("stable").await.0, ["v3"]);
    desk.minutes(INTERVAL);
    follower.look().await.unwrap();
    assert_eq!(desk.releases("stable").await, ["1 published", "2 published", "3 published"]);
    assert_eq!(desk.waiting("stable").await, (vec![], String::new()));
}

const NOW_EPOCH: lockkeeper::domain::epoch::Epoch = lockkeeper::domain::epoch::Epoch(NOW);

#[tokio::test]
async fn a_moved_tag_is_new_and_an_older_one_becomes_a_draft() {
    let Some(registry) = Registry::start() else { return };
    let desk = Desk::new().await;
    desk.write_stream(&stream("stable", &registry.host, &json!({"as": "publish", "rollout": "emergency-3h"}))).await;
    push(&registry, "v2").await;
    let mut follower = desk.follower(&[&registry.host]).await;
    follower.look().await.unwrap();

    let mut moved = Pushed::new("amd64", "2");
    moved.labels["build"] = "2".into();
    registry.push("acme/os", Some("v2"), &moved).await;
    desk.minutes(INTERVAL);
    follower.look().await.unwrap();
    assert_eq!(desk.releases("stable").await, ["2 published", "2.1 published"]);
    assert_eq!(desk.handled("stable").await, ["v2 published"]);

    // It would lead nodes back.
    push(&registry, "v1").await;
    // Its image is a release already.
    registry.push("acme/os", Some("v3"), &moved).await;
    desk.minutes(INTERVAL);
    follower.look().await.unwrap();
    assert_eq!(desk.releases("stable").await, ["2 published", "2.1 published", "1 draft"]);
    desk.minutes(INTERVAL);
    follower.look().await.unwrap();
    assert_eq!(desk.handled("stable").await[0], "v3 existing");
    assert_eq!(desk.stream("stable").await.releases.len(), 3);
}

#[tokio::test]
async fn stops_and_freeze_windows_hold_publications_back() {
    let Some(registry) = Registry::start() else { return };
    let desk = Desk::new().await;
    desk.write_stream(&stream("stable", &registry.host, &json!({"as": "publish"}))).await;
    desk.write_stream(&stream("drafts", &registry.host, &json!({}))).await;
    let mut frozen = stream("frozen", &registry.host, &json!({"as": "publish"}));
    let until = Timestamp::from_second(NOW + 3600).unwrap();
    let from = Timestamp::from_second(NOW - 3600).unwrap();
    frozen["protection"] = json!({"freeze_windows": [{"from": from, "until": until, "reason": "fair"}]});
    desk.write_stream(&frozen).await;
    for name in ["stable", "drafts"] {
        desk.run(&StopStream { stream: id(name), reason: Reason::new("fire").unwrap() }).await;
    }
    push(&registry, "v1").await;
    let mut follower = desk.follower(&[&registry.host]).await;
    assert_eq!(follower.look().await.unwrap(), 3);
    assert_eq!(desk.releases("drafts").await, ["1 draft"]);
    let none: Vec<String> = Vec::new();
    for (name, expected) in [
        ("stable", format!("an emergency stop is in force since {}", Timestamp::from_second(NOW).unwrap())),
        ("frozen", format!("a freeze window is in force until {until}")),
    ] {
        assert_eq!(desk.releases(name).await, none);
        assert_eq!(desk.waiting(name).await, (vec!["v1".into()], expected));
        assert_eq!(desk.status(name).await.state.error, None);
    }
    desk.run(&LiftStop { stream: id("stable") }).await;
    desk.minutes(INTERVAL);
    follower.look().await.unwrap();
    assert_eq!((desk.releases("stable").await, desk.releases("frozen").await), (vec!["1 published".into()], none));
    desk.minutes(60);
    follower.look().await.unwrap();
    assert_eq!(desk.releases("frozen").await, ["1 published"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_processes_one_follows() {
    let Some(registry) = Registry::start() else { return };
    let desk = Desk::new().await;
    for number in 0..6 {
        desk.write_stream(&stream(&format!("s{number}"), &registry.host, &json!({"as": "publish"}))).await;
    }
    push(&registry, "v1").await;
    let (mut one, mut other) = (desk.follower(&[&registry.host]).await, desk.follower(&[&registry.host]).await);
    let (looks, others) = tokio::join!(one.look(), other.look());
    assert_eq!(looks.unwrap() + others.unwrap(), 6);
    for number in 0..6 {
        assert_eq!(desk.releases(&format!("s{number}")).await, ["1 published"]);
    }
    push(&registry, "v2").await;
    desk.minutes(INTERVAL);
    // The lock stays with the process that has it, until that ends.
    let (looks, others) = (one.look().await.unwrap(), other.look().await.unwrap());
    assert_eq!(looks + others, 6);
    drop(one);
    drop(other);
    let third = tokio::sync::Mutex::new(desk.follower(&[&registry.host]).await);
    desk.minutes(INTERVAL);
    eventually("the lock is free", async || third.lock().await.look().await.unwrap() == 6).await;
    for number in 0..6 {
        assert_eq!(desk.releases(&format!("s{number}")).await, ["1 published", "2 published"]);
    }
}

#[tokio::test]
async fn a_registry_that_fails_delays_its_own_streams_only() {
    let Some(registry) = Registry::start() else { return };
    let desk = Desk::new().await;
    let is_down = Arc::new(AtomicBool::new(true));
    let down = is_down.clone();
    let site = Site::start(move |path| match path {
        _ if down.load(Ordering::Relaxed) => Reply::new(503, "\u{1b}[31m broken"),
        path if path.contains("/tags/list") => Reply::new(200, r#"{"tags": []}"#),
        _ => Reply::new(404, ""),
    });
    let broken = site.address.to_string();
    desk.write_stream(&stream("broken", &broken, &json!({}))).await;
    desk.write_stream(&stream("other", "ghcr.io", &json!({}))).await;
    desk.write_stream(&stream("stable", &registry.host, &json!({}))).await;
    push(&registry, "v1").await;
    let mut follower = desk.follower(&[&registry.host, &broken]).await;
    assert_eq!(follower.look().await.unwrap(), 3);
    assert_eq!(desk.releases("stable").await, ["1 draft"]);
    let state = desk.status("broken").await.state;
    assert_eq!(state.error, Some(format!("{broken} answered with the status 503")));
    assert_eq!((state.failures, state.succeeded_at), (1, None));
    let other = desk.status("other").await.state.error.unwrap();
    assert_eq!(other, "ghcr.io is not in the setting registries.allow");

    let all = Settings { database: desk.database.settings(), listen: "127.0.0.1:1".into(), ..Settings::default() };
    let clock: SharedClock = desk.clock.clone();
    let found: Vec<String> = examine(&all, &clock)
        .await
        .into_iter()
        .filter(|finding| finding.what == "follow")
        .map(|finding| finding.found)
        .collect();
    let broken_found = format!("os/broken: {broken} answered with the status 503");
    assert_eq!(found, [broken_found.as_str(), "os/other: ghcr.io is not in the setting registries.allow"]);

    // The other two wait for longer.
    desk.minutes(INTERVAL);
    assert_eq!(follower.look().await.unwrap(), 1);
    desk.minutes(INTERVAL);
    assert_eq!(follower.look().await.unwrap(), 3);
    assert_eq!(desk.status("broken").await.state.failures, 2);
    is_down.store(false, Ordering::Relaxed);
    desk.minutes(30);
    follower.look().await.unwrap();
    let state = desk.status("broken").await.state;
    assert_eq!((state.error, state.failures, state.succeeded_at), (None, 0, Some(desk.manage.timestamp())));
    // Its first tags are those of the first look that did not fail.
    assert!(state.followed_since.is_some());
}

#[tokio::test]
async fn an_image_that_cannot_become_a_release_is_shown_and_the_next_one_is_made() {
    let Some(registry) = Registry::start() else { return };
    let desk = Desk::new().await;
    desk.write_stream(&stream("stable", &registry.host, &json!({}))).await;
    let wrong = Pushed { architecture: "riscv64", ..Pushed::new("amd64", "1") };
    registry.push("acme/os", Some("v1"), &wrong).await;
    let mut follower = desk.follower(&[&registry.host]).await;
    follower.look().await.unwrap();
    let status = desk.status("stable").await;
    let expected = "is for riscv64, expected amd64, arm64, ppc64le or s390x";
    assert!(status.tags[0].error.as_deref().unwrap().ends_with(expected), "{status:?}");
    assert!(status.state.tag_error.as_deref().unwrap().starts_with("tag v1: the image "), "{status:?}");
    assert_eq!((desk.handled("stable").await, status.state.failures), (vec!["v1 refused".into()], 0));

    // Its digest stays, so it is not tried again, and still shown.
    desk.minutes(INTERVAL);
    follower.look().await.unwrap();
    assert_eq!(desk.status("stable").await.tags, status.tags);
    assert_eq!(desk.problem("stable").await, status.state.tag_error.unwrap());

    let unlabelled = Pushed { labels: json!({}), ..Pushed::new("amd64", "") };
    registry.push("acme/os", Some("v2"), &unlabelled).await;
    // An arch that the stream does not serve is refused, and does not hold v2 back.
    registry.push("acme/os", Some("v3"), &Pushed::new("arm64", "3")).await;
    push(&registry, "v4").await;
    desk.minutes(INTERVAL);
    follower.look().await.unwrap();
    assert_eq!(desk.releases("stable").await, ["v2 draft", "4 draft"]);
    assert_eq!(desk.handled("stable").await, ["v4 drafted", "v2 drafted", "v1 refused"]);
    assert_eq!(desk.problem("stable").await, "");
    // It is not the image's fault: the stream may serve the arch later.
    let retried = desk.retried("stable").await;
    assert_eq!(retried, ["v3: image: is built for aarch64, and the stream serves x86_64"]);
}

#[tokio::test]
async fn another_setting_begins_anew() {
    let Some(registry) = Registry::start() else { return };
    let desk = Desk::new().await;
    let mut document = stream("stable", &registry.host, &json!({}));
    desk.write_stream(&document).await;
    for tag in ["v1", "w1", "w2"] {
        push(&registry, tag).await;
    }
    let mut follower = desk.follower(&[&registry.host]).await;
    follower.look().await.unwrap();
    assert_eq!(desk.releases("stable").await, ["1 draft"]);
    document["follow"]["tags"] = "^w".into();
    document["releases"] = serde_json::to_value(desk.stream("stable").await.to_document().releases).unwrap();
    desk.write_stream(&document).await;
    assert_eq!(desk.status("stable").await.state.checked_at, None);
    desk.clock.advance(SignedDuration::from_secs(10));
    assert_eq!(follower.look().await.unwrap(), 1);
    assert_eq!(desk.releases("stable").await, ["1 draft", "2 draft"]);

    document.as_object_mut().unwrap().remove("follow");
    document["releases"] = serde_json::to_value(desk.stream("stable").await.to_document().releases).unwrap();
    desk.write_stream(&document).await;
    desk.minutes(INTERVAL);
    assert_eq!(follower.look().await.unwrap(), 0);
    assert_eq!(desk.status("stable").await.follow, None);

    // What came while nothing was followed was there before.
    for tag in ["w3", "w4"] {
        push(&registry, tag).await;
    }
    let setting = stream("stable", &registry.host, &json!({"tags": "^w"}));
    document["follow"] = setting["follow"].clone();
    desk.write_stream(&document).await;
    assert_eq!(follower.look().await.unwrap(), 1);
    assert_eq!(desk.releases("stable").await, ["1 draft", "2 draft", "4 draft"]);

    // A stream of the name of a deleted one knows nothing of that.
    desk.run(&DeleteStream { stream: id("stable") }).await;
    desk.minutes(INTERVAL);
    assert_eq!(follower.look().await.unwrap(), 0);
    desk.write_stream(&setting).await;
    assert_eq!(follower.look().await.unwrap(), 1);
    assert_eq!(desk.releases("stable").await, ["4 draft"]);
}

/// Follows a registry that answers as the function says, and returns the stream's error and the requested paths.
async fn looked_at(answer: impl Fn(&str) -> Reply + Send + Sync + 'static) -> (String, Vec<String>) {
    let site = Site::start(answer);
    let (desk, host) = (Desk::new().await, site.address.to_string());
    desk.write_stream(&stream("stable", &host, &json!({}))).await;
    desk.follower(&[&host]).await.look().await.unwrap();
    (desk.problem("stable").await, site.requested_paths())
}

#[tokio::test]
async fn hostile_lists_of_tags_are_given_up() {
    let page = |number: usize, link: String| {
        let tags: Vec<String> = (0..1000).map(|tag| format!("x{number}-{tag}")).collect();
        Reply::new(200, json!({"tags": tags}).to_string()).with(&format!("link: {link}\r\n"))
    };
    let last = |path: &str| path.split("last=").nth(1).and_then(|last| last.parse().ok()).unwrap_or(0_usize);
    let (error, paths) = looked_at(move |path| {
        let next = last(path) + 1;
        page(next, format!("</v2/acme/os/tags/list?n=1000&last={next}>; rel=\"next\""))
    })
    .await;
    assert!(error.contains("lists more than 20000 tags"), "{error}");
    assert_eq!((paths.len(), paths[0].as_str()), (21, "/v2/acme/os/tags/list?n=1000"));

    let empty = |link: &'static str| Reply::new(200, r#"{"tags": null}"#).with(&format!("link: {link}\r\n"));
    let (error, paths) = looked_at(move |_| empty("</v2/acme/os/tags/list?again>; rel=\"next\"")).await;
    assert!(error.contains("on more than 200 pages") && paths.len() == 200, "{error}");
    for link in [
        "<http://169.254.169.254/v2/acme/os/tags/list>; rel=\"next\"",
        "<//other.example/v2/acme/os/tags/list>; rel=next",
        "</v2/acme/secret/tags/list>; rel=\"next\"",
        "</v2/acme/os/manifests/1>; rel=\"next\"",
    ] {
        let (error, paths) = looked_at(move |_| empty(link)).await;
        assert!(error.contains("goes on in another place") && paths.len() == 1, "{link}: {error}");
    }
    for link in ["next", "<http://[>; rel=\"next\"", "</x>; rel=\"first\""] {
        assert!(looked_at(move |_| empty(link)).await.0.contains("a link that cannot be read"), "{link}");
    }
    let (error, _) = looked_at(|_| Reply::new(200, format!("{{\"tags\": [\"{}\"]}}", "v".repeat(5 << 20)))).await;
    assert!(error.contains("more than 4194304 bytes"), "{error}");
    assert!(looked_at(|_| Reply::new(200, "<html>\u{1b}[31m")).await.0.contains("a list of tags that cannot be read"));
    assert!(looked_at(|_| Reply::redirect("https://ghcr.io/")).await.0.contains("which is not followed"));
    // What is not a tag is not asked for.
    let (error, paths) = looked_at(|_| Reply::new(200, r#"{"tags": ["v1/../../x", "v1\u0000", "", "v 1"]}"#)).await;
    assert_eq!((error.as_str(), paths.len()), ("", 1));
}

#[tokio::test]
async fn an_unchanged_list_is_not_sent_again() {
    let manifest = Pushed::new("amd64", "1").manifest();
    let digest = crate::support::registry::digest(manifest.as_bytes());
    let site = Site::start_raw(move |head, connection| {
        use std::io::Write;
        let is_known = head.to_ascii_lowercase().contains("if-none-match: \"one\"");
        let path = head.split(' ').nth(1).unwrap();
        let answer = if path.contains("/tags/list") {
            if is_known {
                "HTTP/1.1 304 -\r\nconnection: close\r\n\r\n".to_owned()
            } else {
                let body = r#"{"tags": ["v1"]}"#;
                let length = body.len();
                format!(
                    "HTTP/1.1 200 -\r\netag: \"one\"\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}"
                )
            }
        } else if path.ends_with("/manifests/v1") && head.starts_with("HEAD ") {
            format!(
                "HTTP/1.1 200 -\r\ndocker-content-digest: {digest}\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
            )
        } else if path.contains("/manifests/sha256:") {
            let length = manifest.len();
            format!("HTTP/1.1 200 -\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{manifest}")
        } else {
            let config = Pushed::new("amd64", "1").config();
            let length = config.len();
            format!("HTTP/1.1 200 -\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{config}")
        };
        connection.write_all(answer.as_bytes()).unwrap();
    });
    let (desk, host) = (Desk::new().await, site.address.to_string());
    desk.write_stream(&stream("stable", &host, &json!({}))).await;
    let mut follower = desk.follower(&[&host]).await;
    follower.look().await.unwrap();
    assert_eq!(desk.releases("stable").await, ["1 draft"]);
    let before = site.requested_paths().len();
    desk.minutes(INTERVAL);
    follower.look().await.unwrap();
    let requests = site.requested_paths().split_off(before);
    assert_eq!(requests.len(), 2, "{requests:?}");
    assert!(requests[0].to_ascii_lowercase().contains("if-none-match: \"one\""), "{requests:?}");
    assert!(requests[1].starts_with("HEAD /v2/acme/os/manifests/v1 "), "{requests:?}");
    assert_eq!((desk.status("stable").await.state.error, desk.releases("stable").await.len()), (None, 1));
}

/// Starts a service that may follow a registry and accepts its reports.
async fn service(host: &str, folder: &tempfile::TempDir) -> Setup {
    let database = Database::new().await;
    let path = secret_file(folder);
    let server = Server::start_with(&database, |all: &mut Settings| {
        all.registries = RegistrySettings { webhook_secret_file: Some(path), ..settings(&[host]) };
    })
    .await;
    Setup { server, database }
}

const SECRET: &str = "a secret of the registry";
const REPORTS: &str = "/api/v1/registry-events";

fn secret_file(folder: &tempfile::TempDir) -> PathBuf {
    let path = folder.path().join("secret");
    std::fs::write(&path, format!("{SECRET}\n")).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    path
}

fn signature(body: &str) -> String {
    let mac = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).unwrap().chain_update(body).finalize();
    mac.into_bytes().iter().fold("sha256=".to_owned(), |text, byte| format!("{text}{byte:02x}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_of_the_registry_leads_to_a_look_at_once() {
    let Some(registry) = Registry::start() else { return };
    let folder = tempfile::tempdir().unwrap();
    let setup = service(&registry.host, &folder).await;
    let admin = setup.desk().manager("admin", "*").await;
    push(&registry, "v1").await;
    admin.creates_stream(&stream("stable", &registry.host, &json!({}))).await;
    let follow = below("follow");
    let checked = async || admin.get(&follow).await.ok().body["checked_at"].clone();
    eventually("the first look", async || !checked().await.is_null()).await;
    let shown = admin.get(&follow).await.ok().body;
    assert_eq!(shown["follow"]["image"], format!("{}/acme/os", registry.host));
    assert_eq!((&shown["handled"][0]["outcome"], &shown["handled"][0]["release"]), (&json!("drafted"), &json!("1")));
    assert_eq!((&shown["error"], &shown["waiting"]["count"]), (&Value::Null, &json!(0)));

    let body = json!({"events": [{"action": "push", "target": {"repository": "acme/os", "tag": "v2"}}]}).to_string();
    let report = async |headers: &[(&str, &str)], body: &str| {
        let request = setup.server.request(Method::POST, REPORTS).body(body.to_owned());
        let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        crate::support::manager::ApiResponse::from(request.send().await.unwrap()).await
    };
    let (bearer, signed) = (format!("Bearer {SECRET}"), signature(&body));
    let wrong = report(&[("authorization", "Bearer a secret of the registrx")], &body).await;
    wrong.is_problem(401);
    report(&[], &body).await.is_problem(401);
    report(&[("x-hub-signature-256", &signature("other"))], &body).await.is_problem(401);
    report(&[("authorization", &bearer)], "{}").await.is_problem(400);
    report(&[("authorization", &bearer)], &" ".repeat(300 << 10)).await.is_problem(413);
    let other = report(&[("authorization", &bearer)], r#"{"repository": "acme/other"}"#).await.ok();
    assert_eq!((other.status, &other.body["streams"]), (202, &json!(0)));

    // The time of the next look has not come. Looks at one repository are a few seconds apart.
    push(&registry, "v2").await;
    setup.server.at(NOW + 6);
    let accepted = report(&[("x-hub-signature-256", &signed)], &body).await.ok();
    assert_eq!((accepted.status, &accepted.body["streams"]), (202, &json!(1)));
    let releases = async || admin.get(&below("releases")).await.ok().body["items"].as_array().unwrap().len();
    eventually("v2 is a release", async || releases().await == 2).await;
    push(&registry, "v3").await;
    let basic = reqwest::header::HeaderValue::from_str("Basic eDphIHNlY3JldCBvZiB0aGUgcmVnaXN0cnk=").unwrap();
    report(&[("authorization", basic.to_str().unwrap())], &body).await.ok();
    setup.server.at(NOW + 12);
    eventually("v3 is a release", async || releases().await == 3).await;
}

#[tokio::test]
async fn reports_are_not_accepted_without_a_secret() {
    let setup = Setup::new().await;
    let caller = Manager::with(&setup.server, None);
    caller.ask(Method::POST, REPORTS, &[("authorization", "Bearer ")], Some(&json!({}))).await.is_problem(404);
}

#[tokio::test]
async fn admins_set_what_a_stream_follows() {
    let setup = Setup::new().await;
    let admin = setup.admin().await;
    let put = async |caller: &Manager<'_>, follow: &Value| {
        let mut settings = admin.get(&below("")).await.ok().body["settings"].clone();
        settings["follow"] = follow.clone();
        caller.ask(Method::PUT, &with_reason(&below("")), &[("if-match", "*")], Some(&settings)).await
    };
    assert_eq!(admin.get(&below("")).await.ok().body["settings"]["follow"], "none");
    let follow = json!({"image": "ghcr.io/acme/os", "tags": r"^stable-\d+$", "as": "publish", "rollout": "week"});
    let report = put(&admin, &follow).await.ok().body;
    assert_eq!(report["changes"][0]["target"]["kind"], "follow");
    assert_eq!(report["changes"][0]["after"], r"tags ^stable-\d+$ of ghcr.io/acme/os as publish, rollout week");
    assert_eq!(admin.get(&below("")).await.ok().body["settings"]["follow"], follow);
    assert_eq!(admin.get(&below("document")).await.ok().body["follow"], follow);
    let shown = admin.get(&below("follow")).await.ok().body;
    assert_eq!((&shown["follow"], &shown["handled"]), (&follow, &json!([])));

    let manager = setup.desk().manager("manager", "os/stable").await;
    put(&manager, &json!("none")).await.is_problem(403);
    let mut document = admin.get(&below("document")).await.ok().body;
    document["follow"]["tags"] = "other".into();
    let path = with_reason(&below("document"));
    manager.ask(Method::PUT, &path, &[("if-match", "*")], Some(&document)).await.is_problem(403);

    for (follow, path) in [
        (json!("all"), "follow"),
        (json!({"image": "ghcr.io/acme/os:1", "tags": "x", "as": "draft"}), "follow.image"),
        (json!({"image": "acme/os", "tags": "x", "as": "draft"}), "follow.image"),
        (json!({"image": "ghcr.io/Acme/os", "tags": "x", "as": "draft"}), "follow.image"),
        (json!({"image": "ghcr.io/acme/os", "tags": "(", "as": "draft"}), "follow.tags"),
        (json!({"image": "ghcr.io/acme/os", "tags": "x", "as": "maybe"}), "follow.as"),
        (json!({"image": "ghcr.io/acme/os", "tags": "x", "as": "draft", "rollout": "x"}), "follow.rollout"),
        (json!({"image": "ghcr.io/acme/os", "tags": "x", "as": "draft", "tag": "x"}), "follow.tag"),
    ] {
        let refused = put(&admin, &follow).await;
        refused.is_problem(422);
        assert_eq!(refused.body["errors"][0]["path"], path, "{follow}: {refused:?}");
    }
    put(&admin, &json!("none")).await.ok();
    assert_eq!(admin.get(&below("follow")).await.ok().body["follow"], Value::Null);
    let stream = admin.get(&below("document")).await.ok().body;
    assert!(stream.get("follow").is_none(), "{stream}");
}
