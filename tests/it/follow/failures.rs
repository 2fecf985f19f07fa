//! Tags, registries and settings that fail: what fails does not keep others out, and is tried again.

use super::{Desk, INTERVAL, SECRET, id, parsed, settings, stream};
use crate::support::{
    imitated_registry::{
        ImitatedRegistry, TagAnswer,
        TagAnswer::{Closed, Image, Status, WithoutManifest},
    },
    registry::Pushed,
};
use jiff::SignedDuration;
use lockkeeper::{
    config::RegistrySettings,
    follower::Follower,
    manage::{
        Command,
        commands::{documents::PutDocument, streams::DeleteStream},
    },
};
use serde_json::{Value, json};
use std::{
    os::unix::fs::PermissionsExt,
    sync::{Mutex, mpsc},
};

/// Follows a registry with a stream that has a release of its first tag, `v1`.
async fn following(registry: &ImitatedRegistry, change: &Value) -> (Desk, Follower) {
    let desk = Desk::new().await;
    desk.write_stream(&stream("stable", &registry.host, change)).await;
    registry.push("v1");
    let mut follower = desk.follower(&[&registry.host]).await;
    assert_eq!(follower.look().await.unwrap(), 1);
    assert_eq!(desk.releases("stable").await.len(), 1);
    registry.requests();
    (desk, follower)
}

#[tokio::test]
async fn tags_that_fail_are_shown_and_tried_again_and_the_others_become_releases() {
    let registry = ImitatedRegistry::start();
    let (desk, mut follower) = following(&registry, &json!({})).await;
    registry.set("v2", Status(403));
    registry.set("v3", Status(500));
    registry.set("v4", Status(404));
    registry.set("v5", WithoutManifest(Pushed::new("amd64", "5"), 500));
    registry.push("v6");
    desk.look_later(&mut follower).await;
    assert_eq!(desk.releases("stable").await, ["1 draft", "6 draft"]);
    let host = &registry.host;
    let expected = [
        format!("v2: the registry refuses access to {host}/acme/os:v2: there are no credentials for it"),
        format!("v3: {host} answered with the status 500"),
        format!("v4: the registry has no image {host}/acme/os:v4"),
        format!("v5: {host} answered with the status 500"),
    ];
    assert_eq!(desk.retried("stable").await, expected);
    // The newest tag is a release, so there is no alert, and the next look is not delayed.
    let state = desk.status("stable").await.state;
    assert_eq!((state.error, state.tag_error, state.failures, state.waiting.count), (None, None, 0, 0));

    for tag in ["v2", "v3", "v4", "v5"] {
        registry.push(tag);
    }
    desk.look_later(&mut follower).await;
    assert_eq!(desk.releases("stable").await, ["1 draft", "6 draft", "2 draft", "3 draft", "4 draft", "5 draft"]);
    assert_eq!(desk.retried("stable").await, Vec::<String>::new());
}

#[tokio::test]
async fn tags_that_fail_do_not_keep_newer_ones_out() {
    let registry = ImitatedRegistry::start();
    let (desk, mut follower) = following(&registry, &json!({})).await;
    for number in 2..22 {
        registry.set(&format!("v{number}"), Status(if number % 4 == 0 { 500 } else { 404 }));
    }
    registry.push("v22");
    for _ in 0..3 {
        desk.look_later(&mut follower).await;
    }
    assert_eq!(desk.releases("stable").await, ["1 draft", "22 draft"]);
    let state = desk.status("stable").await.state;
    assert_eq!((state.failures, state.waiting.count, state.tag_error), (0, 0, None));

    // They are tried less and less often, and a new tag is tried at once.
    registry.requests();
    let mut tries = Vec::new();
    for _ in 0..10 {
        desk.look_later(&mut follower).await;
        tries.push(registry.requests().iter().filter(|request| request.starts_with("HEAD")).count());
    }
    assert!(tries.iter().all(|tries| *tries <= 12), "{tries:?}");
    assert!(tries.iter().sum::<usize>() < 100, "{tries:?}");
    registry.push("v23");
    desk.look_later(&mut follower).await;
    assert_eq!(desk.releases("stable").await, ["1 draft", "22 draft", "23 draft"]);
}

#[tokio::test]
async fn a_tag_is_not_lost_if_the_registry_lists_it_before_it_has_its_image() {
    let registry = ImitatedRegistry::start();
    let (desk, mut follower) = following(&registry, &json!({})).await;
    registry.set("v2", Status(404));
    desk.look_later(&mut follower).await;
    let missing = format!("tag v2: the registry has no image {}/acme/os:v2", registry.host);
    assert_eq!((desk.problem("stable").await, desk.status("stable").await.state.failures), (missing, 0));
    // The list of tags stays the same.
    registry.push("v2");
    desk.look_later(&mut follower).await;
    assert_eq!(desk.releases("stable").await, ["1 draft", "2 draft"]);
    assert_eq!(desk.problem("stable").await, "");
    registry.requests();
    desk.look_later(&mut follower).await;
    assert_eq!(registry.requests(), ["GET list", "HEAD v2", "HEAD v1"]);
    assert!(desk.status("stable").await.state.etag.is_some());
}

#[tokio::test]
async fn a_registry_that_limits_requests_or_is_down_is_not_asked_for_every_tag() {
    let registry = ImitatedRegistry::start();
    let (desk, mut follower) = following(&registry, &json!({})).await;
    let host = &registry.host;
    let add = |answer: &TagAnswer| {
        for number in 2..12 {
            registry.set(&format!("v{number}"), answer.clone());
        }
    };
    add(&Status(429));
    desk.look_later(&mut follower).await;
    assert_eq!(registry.requests(), ["GET list", "HEAD v2"]);
    let state = desk.status("stable").await.state;
    let limited = format!("{host} answered with the status 429: it limits requests");
    assert_eq!((state.error, state.failures, state.waiting.count), (Some(limited), 1, 10));
    assert_eq!(desk.retried("stable").await, Vec::<String>::new());

    add(&Closed);
    desk.minutes(2 * INTERVAL);
    follower.look().await.unwrap();
    assert_eq!(registry.requests(), ["GET list", "HEAD v2"]);
    let state = desk.status("stable").await.state;
    assert!(state.error.unwrap().starts_with(&format!("the request to {host} failed")));
    assert_eq!((state.failures, state.waiting.count, desk.retried("stable").await.len()), (2, 9, 1));

    // Of each group, three tags at most: of those that are new, that were handled, and that had no answer.
    add(&Status(503));
    registry.set("v1", Status(503));
    desk.minutes(4 * INTERVAL);
    follower.look().await.unwrap();
    assert_eq!(registry.requests(), ["GET list", "HEAD v3", "HEAD v4", "HEAD v5", "HEAD v1", "HEAD v2"]);
    let state = desk.status("stable").await.state;
    let none = format!("no tag can be read: tag v1: {host} answered with the status 503");
    assert_eq!((state.error, state.failures, state.waiting.count), (Some(none), 3, 6));

    for number in 1..12 {
        registry.push(&format!("v{number}"));
    }
    desk.minutes(60);
    follower.look().await.unwrap();
    assert_eq!((desk.releases("stable").await.len(), desk.problem("stable").await.as_str()), (11, ""));
}

#[tokio::test]
async fn a_tag_without_an_answer_is_tried_after_the_others() {
    let registry = ImitatedRegistry::start();
    let (desk, mut follower) = following(&registry, &json!({"as": "publish"})).await;
    registry.set("v2", Closed);
    registry.push("v3");
    desk.look_later(&mut follower).await;
    assert_eq!((desk.releases("stable").await.len(), desk.waiting("stable").await.0), (1, vec!["v3".into()]));
    desk.minutes(2 * INTERVAL);
    follower.look().await.unwrap();
    assert_eq!(desk.releases("stable").await, ["1 published", "3 published"]);
    assert_eq!((desk.problem("stable").await.as_str(), desk.status("stable").await.state.failures), ("", 0));
    // Its layers are not sent either.
    registry.set("v2", WithoutManifest(Pushed::new("amd64", "2"), 500));
    desk.minutes(60);
    follower.look().await.unwrap();
    registry.push("v2");
    desk.minutes(60);
    follower.look().await.unwrap();
    assert_eq!(desk.releases("stable").await, ["1 published", "3 published", "2 draft"]);
}

/// Follows a registry, and changes the stream while the follower waits for the second list of tags.
async fn changed_during_a_look(change: Box<dyn Fn(Value) -> Box<dyn Command>>) -> Desk {
    let registry = ImitatedRegistry::start();
    let (desk, mut follower) = following(&registry, &json!({})).await;
    registry.push("v2");
    let (asked, is_asked) = mpsc::channel();
    let (go_on, may_go_on) = mpsc::channel::<()>();
    let may_go_on = Mutex::new(may_go_on);
    registry.before_list(move || {
        asked.send(()).unwrap();
        // The sender is dropped.
        assert!(may_go_on.lock().unwrap().recv().is_err());
    });
    desk.minutes(INTERVAL);
    let changing = async {
        tokio::task::spawn_blocking(move || is_asked.recv().unwrap()).await.unwrap();
        let document = serde_json::to_value(desk.stream("stable").await.to_document()).unwrap();
        desk.run(&*change(document)).await;
        drop(go_on);
    };
    let (looks, ()) = tokio::join!(Box::pin(follower.look()), Box::pin(changing));
    assert_eq!(looks.unwrap(), 1);
    desk
}

async fn rows(desk: &Desk, table: &str) -> i64 {
    let pool = desk.database.pool().await;
    let query = sqlx::AssertSqlSafe(format!("select count(*) from {table}"));
    sqlx::query_scalar(query).fetch_one(&pool).await.unwrap()
}

#[tokio::test]
async fn a_look_saves_nothing_if_following_ended_meanwhile() {
    let put = |document: &Value| -> Box<dyn Command> { Box::new(PutDocument { written: parsed(document) }) };
    let ended = move |mut document: Value| {
        document.as_object_mut().unwrap().remove("follow");
        put(&document)
    };
    let desk = changed_during_a_look(Box::new(ended)).await;
    assert_eq!((rows(&desk, "follow_states").await, desk.releases("stable").await.len()), (0, 1));

    let deleted = |_| -> Box<dyn Command> { Box::new(DeleteStream { stream: id("stable") }) };
    let desk = changed_during_a_look(Box::new(deleted)).await;
    assert_eq!((rows(&desk, "follow_states").await, rows(&desk, "followed_tags").await), (0, 0));

    // With another pattern, the next look is a first one.
    let other = move |mut document: Value| {
        document["follow"]["tags"] = "^w".into();
        put(&document)
    };
    let desk = changed_during_a_look(Box::new(other)).await;
    let status = desk.status("stable").await;
    assert_eq!((status.state.followed_since, desk.releases("stable").await.len()), (None, 1));
}

#[tokio::test]
async fn tags_that_are_not_listed_for_a_month_are_forgotten() {
    let registry = ImitatedRegistry::start();
    let (desk, mut follower) = following(&registry, &json!({"as": "publish"})).await;
    registry.push("v2");
    desk.look_later(&mut follower).await;
    registry.delete("v1");
    registry.delete("v2");
    desk.look_later(&mut follower).await;
    assert_eq!(rows(&desk, "followed_tags where missing_since is not null").await, 2);
    desk.minutes(31 * 24 * 60);
    follower.look().await.unwrap();
    assert_eq!((rows(&desk, "followed_tags").await, desk.handled("stable").await), (1, vec!["v2 published".into()]));

    // The image is a release already, and the newest tag is still known.
    registry.push("v1");
    registry.set("v01", Image(Pushed::new("amd64", "0.1")));
    desk.look_later(&mut follower).await;
    assert_eq!(desk.releases("stable").await, ["1 published", "2 published", "0.1 draft"]);
    assert_eq!(desk.handled("stable").await[..2], ["v1 existing", "v01 drafted"]);
}

#[tokio::test]
async fn a_publication_that_was_not_saved_counts() {
    let registry = ImitatedRegistry::start();
    let (desk, mut follower) = following(&registry, &json!({"as": "publish"})).await;
    // As if the process had ended after the publication.
    let forget = "update follow_states set published_at = null, seen_revision = null";
    sqlx::query(forget).execute(&desk.database.pool().await).await.unwrap();
    registry.push("v2");
    desk.clock.advance(SignedDuration::from_secs(10));
    assert_eq!(desk.manage.wake_follows(&["acme/os".into()]).await.unwrap(), 1);
    assert_eq!(follower.look().await.unwrap(), 1);
    assert_eq!((desk.releases("stable").await.len(), desk.waiting("stable").await.0), (1, vec!["v2".into()]));
    desk.look_later(&mut follower).await;
    assert_eq!(desk.releases("stable").await, ["1 published", "2 published"]);
}

#[tokio::test]
async fn the_path_of_the_auth_file_is_not_shown() {
    let registry = ImitatedRegistry::start();
    let desk = Desk::new().await;
    desk.write_stream(&stream("stable", &registry.host, &json!({}))).await;
    registry.push("v1");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("auth.json");
    std::fs::write(&path, SECRET).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
    let settings = RegistrySettings { auth_file: Some(path), ..settings(&[&registry.host]) };
    let mut follower = Follower::new(desk.database.store().await, desk.manage.clone(), &settings);
    follower.look().await.unwrap();
    let expected = "the file of the setting registries.auth_file cannot be read: has the mode 0644";
    let problem = desk.problem("stable").await;
    assert!(problem.starts_with(expected), "{problem}");
    assert!(!problem.contains("auth.json") && !problem.contains(SECRET), "{problem}");
}
