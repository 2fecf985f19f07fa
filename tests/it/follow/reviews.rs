//! Releases that are not published before a person, or something else, decides: their tags wait, and are tried again.

use super::{Desk, stream};
use crate::support::{
    ids,
    imitated_registry::{ImitatedRegistry, TagAnswer::Image},
    registry::{Pushed, Registry, entry},
};
use futures_util::{FutureExt, future::BoxFuture};
use lockkeeper::{
    domain::{
        image_check::{ImageAnswer, ImageState},
        image_targets::ImageArches,
        payload::PayloadId,
    },
    manage::ImageSource,
};
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
};

#[tokio::test]
async fn a_release_with_a_warning_waits_for_a_person_or_a_later_tag() {
    let registry = ImitatedRegistry::start();
    let desk = Desk::new().await;
    desk.write_stream(&stream("stable", &registry.host, &json!({"as": "publish"}))).await;
    let mut of_next = Pushed::new("amd64", "1");
    of_next.labels["com.coreos.stream"] = "next".into();
    registry.set("v1", Image(of_next.clone()));
    let mut follower = desk.follower(&[&registry.host]).await;
    follower.look().await.unwrap();
    assert_eq!((desk.releases("stable").await, desk.handled("stable").await), (vec![], vec![]));
    let problem = desk.problem("stable").await;
    let expected = "tag v1: a person has to acknowledge and publish it: warning: release 1: ";
    assert!(problem.starts_with(expected) && problem.ends_with("[LK1110]"), "{problem}");
    assert_eq!(desk.retried("stable").await, [problem.trim_start_matches("tag ")]);
    let state = desk.status("stable").await.state;
    assert_eq!((state.error, state.failures, state.waiting.count), (None, 0, 0));

    // The next tag is published. The one before it would lead nodes back: it becomes a draft, with its warning.
    registry.push("v2");
    desk.look_later(&mut follower).await;
    assert_eq!(desk.releases("stable").await, ["2 published"]);
    assert_eq!((desk.problem("stable").await.as_str(), desk.retried("stable").await.len()), ("", 1));
    desk.look_later(&mut follower).await;
    assert_eq!(desk.releases("stable").await, ["2 published", "1 draft"]);
    let status = desk.status("stable").await;
    assert_eq!(desk.handled("stable").await, ["v1 drafted", "v2 published"]);
    assert_eq!(status.retried, []);
    let [warning] = &status.tags[0].warnings[..] else { panic!("{status:?}") };
    assert!(warning.ends_with("[LK1110]"), "{warning}");
}

#[tokio::test]
async fn warnings_that_following_leads_to_do_not_hold_releases_up_and_are_shown() {
    let Some(registry) = Registry::start() else { return };
    let desk = Desk::new().await;
    let mut document = stream("stable", &registry.host, &json!({"as": "publish"}));
    document["arches"] = json!(["aarch64", "x86_64"]);
    desk.write_stream(&document).await;
    let push = async |tag: &str, arches: &[&'static str]| {
        let mut entries = Vec::new();
        for arch in arches {
            let digest = registry.push("acme/os", None, &Pushed::new(arch, &tag[1..])).await;
            entries.push(entry(&digest, "linux", arch));
        }
        registry.push_index("acme/os", tag, &entries).await;
    };
    push("v1", &["amd64", "arm64"]).await;
    let mut follower = desk.follower(&[&registry.host]).await;
    follower.look().await.unwrap();
    push("v2", &["amd64", "s390x"]).await;
    desk.look_later(&mut follower).await;
    assert_eq!(desk.releases("stable").await, ["1 published", "2 published"]);
    let warnings = desk.status("stable").await.tags[0].warnings.clone();
    let codes: BTreeSet<&str> = warnings.iter().map(|warning| warning.rsplit(' ').next().unwrap()).collect();
    assert_eq!(codes, ["[LK1004]", "[LK1007]", "[LK1109]"].into(), "{warnings:?}");
}

/// Returns the image of a release of the base.
fn base_image(version: &str) -> String {
    ids::image("quay.io/fedora/fedora-coreos", version)
}

/// Returns the base, with releases of these versions. 44.2 is a barrier.
fn base(versions: &[&str]) -> Value {
    let release = |version: &&str| {
        let payloads = json!([{"arch": "x86_64", "scheme": "oci", "id": base_image(version)}]);
        let mut release = json!({"version": version, "payloads": payloads, "rollouts": [{"start_share": 1.0}]});
        if *version == "44.2" {
            release["barrier"] = json!({"reason": "new signing keys"});
        }
        release
    };
    let releases: Vec<Value> = versions.iter().map(release).collect();
    json!({"format": 1, "product": "os", "stream": "base", "origin": "local", "arches": ["x86_64"], "releases": releases})
}

/// Pushes an image that is built on a release of the base.
fn push_on(registry: &ImitatedRegistry, tag: &str, version: &str) {
    let mut image = Pushed::new("amd64", &tag[1..]);
    let digest = base_image(version).split_once('@').unwrap().1.to_owned();
    image.annotations = json!({"org.opencontainers.image.base.digest": digest});
    registry.set(tag, Image(image));
}

/// Returns a stream of images that are built on releases of the base.
fn derived(host: &str, mode: &str) -> Value {
    let mut document = stream("stable", host, &json!({"as": mode}));
    document["base"] = "os/base".into();
    document["edge_rule"] = "derived".into();
    document
}

#[tokio::test]
async fn a_release_that_skips_a_barrier_of_the_base_is_not_published() {
    let registry = ImitatedRegistry::start();
    let desk = Desk::new().await;
    desk.write_stream(&base(&["44.1", "44.2", "44.3"])).await;
    desk.write_stream(&derived(&registry.host, "publish")).await;
    push_on(&registry, "v1", "44.1");
    let mut follower = desk.follower(&[&registry.host]).await;
    follower.look().await.unwrap();
    assert_eq!(desk.releases("stable").await, ["1 published"]);
    push_on(&registry, "v2", "44.3");
    desk.look_later(&mut follower).await;
    assert_eq!(desk.releases("stable").await, ["1 published"]);
    let problem = desk.problem("stable").await;
    assert!(problem.starts_with("tag v2: a person has to acknowledge") && problem.contains("[LK1015]"), "{problem}");

    // The image to build, and after that the next one.
    push_on(&registry, "v3", "44.2");
    desk.look_later(&mut follower).await;
    push_on(&registry, "v4", "44.3");
    desk.look_later(&mut follower).await;
    desk.look_later(&mut follower).await;
    let mut releases = desk.releases("stable").await;
    releases.sort();
    assert_eq!(releases, ["1 published", "2 draft", "3 published", "4 published"]);
    assert_eq!(desk.problem("stable").await, "");
}

#[tokio::test]
async fn a_tag_waits_until_the_release_that_it_is_built_on_is_there() {
    let registry = ImitatedRegistry::start();
    let desk = Desk::new().await;
    desk.write_stream(&base(&["44.1"])).await;
    desk.write_stream(&derived(&registry.host, "draft")).await;
    push_on(&registry, "v1", "44.3");
    let mut follower = desk.follower(&[&registry.host]).await;
    follower.look().await.unwrap();
    let problem = desk.problem("stable").await;
    assert!(problem.contains("built_on: the image for x86_64 says neither"), "{problem}");
    for _ in 0..20 {
        desk.look_later(&mut follower).await;
    }
    let retried = desk.status("stable").await.retried;
    assert_eq!(desk.handled("stable").await, Vec::<String>::new());
    assert_eq!((retried.len(), desk.problem("stable").await), (1, problem));
    // In two hours in which nothing changed, the time between two tries has doubled up to an hour.
    assert!((4..8).contains(&retried[0].tries), "{retried:?}");

    // The base gets the release, and the next look makes one.
    desk.write_stream(&base(&["44.1", "44.3"])).await;
    desk.look_later(&mut follower).await;
    assert_eq!((desk.releases("stable").await, desk.problem("stable").await.as_str()), (vec!["1 draft".into()], ""));
    assert_eq!(desk.status("stable").await.retried, []);
}

#[tokio::test]
async fn a_rollout_that_is_too_fast_waits_until_it_is_allowed() {
    let registry = ImitatedRegistry::start();
    let desk = Desk::new().await;
    let mut document = stream("stable", &registry.host, &json!({"as": "publish", "rollout": "emergency-3h"}));
    document["protection"] = json!({"shortest_rollout": "PT24H"});
    desk.write_stream(&document).await;
    registry.push("v1");
    let mut follower = desk.follower(&[&registry.host]).await;
    follower.look().await.unwrap();
    assert_eq!(desk.releases("stable").await, Vec::<String>::new());
    let problem = desk.problem("stable").await;
    assert!(
        problem.starts_with("tag v1: the release would have errors: ") && problem.contains("[LK1101]"),
        "{problem}"
    );
    document["protection"] = json!({});
    desk.write_stream(&document).await;
    desk.look_later(&mut follower).await;
    assert_eq!(
        (desk.releases("stable").await, desk.problem("stable").await.as_str()),
        (vec!["1 published".into()], "")
    );
}

/// Knows whether images are there.
struct Images(Mutex<ImageState>);

impl ImageSource for Images {
    fn ask<'a>(&'a self, images: &'a ImageArches) -> BoxFuture<'a, BTreeMap<PayloadId, ImageAnswer>> {
        let answer = ImageAnswer { state: *self.0.lock().unwrap(), problem: Some("why".into()) };
        let answers = images.keys().map(|image| (image.clone(), answer.clone())).collect();
        async { answers }.boxed()
    }
}

#[tokio::test]
async fn an_image_that_is_gone_or_unknown_is_not_published_until_it_is_there() {
    let registry = ImitatedRegistry::start();
    let images = Arc::new(Images(Mutex::new(ImageState::Gone)));
    let mut desk = Desk::new().await;
    desk.manage = desk.manage.with_required_images(images.clone());
    desk.write_stream(&stream("stable", &registry.host, &json!({"as": "publish"}))).await;
    registry.push("v1");
    let mut follower = desk.follower(&[&registry.host]).await;
    follower.look().await.unwrap();
    let problem = desk.problem("stable").await;
    assert!(problem.ends_with("is gone: why; push it again [LK1301]"), "{problem}");
    *images.0.lock().unwrap() = ImageState::Unknown;
    desk.look_later(&mut follower).await;
    let problem = desk.problem("stable").await;
    assert!(problem.contains("a person has to acknowledge") && problem.ends_with("[LK1302]"), "{problem}");
    assert_eq!(desk.releases("stable").await, Vec::<String>::new());
    *images.0.lock().unwrap() = ImageState::Present;
    desk.minutes(60);
    follower.look().await.unwrap();
    assert_eq!(
        (desk.releases("stable").await, desk.problem("stable").await.as_str()),
        (vec!["1 published".into()], "")
    );
}
