//! Tests of releases that are made of images.

use super::*;
use crate::{
    domain::{
        finding::Severity,
        image::ImageDetails,
        origin::Origin,
        payload::{PayloadId, Repository},
        release::ReleaseState,
    },
    manage::testing::{apply, found, id, key, next, refusal, stream, version},
};
use proptest::{collection, prelude::*, sample::select};
use std::collections::BTreeSet;

fn image(builds: &[(&str, u8)]) -> Image {
    let build = |(arch, number): &(&str, u8)| (Arch::parse(arch).unwrap(), ContentHash([*number; 32]));
    Image {
        repository: Repository::parse("ghcr.io/acme/os").unwrap(),
        builds: builds.iter().map(build).collect(),
        versions: BTreeSet::from(["6".to_owned()]),
        bases: BTreeMap::new(),
        polled_stream: None,
        details: ImageDetails::default(),
    }
}

fn add(image: Image, version: &str) -> AddImage {
    let draft = Release::published(self::version(version), Origin::Upstream);
    let (rollouts, is_published) = (Vec::new(), false);
    AddImage { stream: id(), image, draft, is_labelled: true, rollouts, is_published, fallback: None, built_on: None }
}

fn payload_of(stream: &Stream, version: &str, arch: &str) -> Option<PayloadId> {
    found(stream, version).payloads.get(&key(arch)).map(|payload| payload.id.clone())
}

#[test]
fn a_release_gets_the_builds_for_the_arches_of_the_stream() {
    let command = add(image(&[("aarch64", 0xaa), ("s390x", 0xcc), ("x86_64", 0xbb)]), "6");
    let added = apply(&command, &stream()).unwrap();
    assert_eq!((added.created.as_deref(), added.existing), (Some("6"), None));
    let id = |arch| payload_of(&added.stream, "6", arch).map(|id| id.to_string());
    assert_eq!(id("x86_64"), Some(format!("ghcr.io/acme/os@sha256:{}", "bb".repeat(32))));
    assert_eq!(id("aarch64"), Some(format!("ghcr.io/acme/os@sha256:{}", "aa".repeat(32))));
    assert_eq!(id("s390x"), None);
    let [finding] = &added.findings[..] else { panic!("{:?}", added.findings) };
    assert_eq!((finding.code, finding.severity), (Code::ArchNotServed, Severity::Warning));
    assert_eq!(finding.message, "its image is built for s390x, too, which os/stable does not serve");
    assert_eq!(found(&added.stream, "6").state, ReleaseState::Draft);
}

#[test]
fn an_image_for_other_arches_is_refused() {
    let refused = refusal(&add(image(&[("s390x", 1)]), "6"), &stream());
    assert_eq!(refused, "image: is built for s390x, and the stream serves aarch64, x86_64");
    let served = Stream { releases: Vec::new(), arches: BTreeSet::new(), ..stream() };
    assert!(apply(&add(image(&[("s390x", 1)]), "6"), &served).unwrap().findings.is_empty());
}

#[test]
fn an_image_that_is_a_release_changes_nothing() {
    let before = next(&add(image(&[("x86_64", 0xbb)]), "6"), &stream());
    for (version, is_published) in [("6", false), ("7", true)] {
        let again = AddImage { is_published, ..add(image(&[("s390x", 0xcc), ("x86_64", 0xbb)]), version) };
        let after = apply(&again, &before).unwrap();
        assert_eq!((&after.stream, after.created, after.existing.as_deref()), (&before, None, Some("6")));
    }
    let partly = refusal(&add(image(&[("aarch64", 0xaa), ("x86_64", 0xbb)]), "7"), &before);
    assert_eq!(partly, "releases have some builds of the image already, but none has all of them: 6 for x86_64");
}

#[test]
fn a_version_of_a_label_gets_a_suffix_and_a_given_one_does_not() {
    let taken = add(image(&[("x86_64", 0xbb)]), "4");
    assert_eq!(apply(&taken, &stream()).unwrap().created.as_deref(), Some("4.1"));
    let given = AddImage { is_labelled: false, ..taken };
    assert_eq!(refusal(&given, &stream()), "release 4 exists already");
}

#[test]
fn the_version_is_given_or_labelled() {
    let labelled = |labels: &[&str]| Image {
        versions: labels.iter().map(|&label| label.to_owned()).collect(),
        ..image(&[("x86_64", 1)])
    };
    let version_of = |labels: &[&str], given: Option<&str>| {
        let found = super::version_of(&labelled(labels), given.map(version).as_ref());
        found.map(|version| version.to_string()).map_err(|refusal| refusal.to_string())
    };
    assert_eq!(version_of(&["6"], None).unwrap(), "6");
    assert_eq!(version_of(&["6"], Some("7")).unwrap(), "7");
    assert_eq!(version_of(&[], Some("7")).unwrap(), "7");
    assert!(version_of(&[], None).unwrap_err().starts_with("version: is required"));
    assert!(version_of(&["6", "7"], None).unwrap_err().ends_with("labelled differently: 6, 7"));
    assert!(version_of(&["a\nb"], None).unwrap_err().contains("contains '\\n'"));
}

#[test]
fn a_published_release_gets_the_rollout_that_its_stream_has_or_the_fallback() {
    let published = AddImage {
        is_published: true,
        fallback: Some(Preset::Linear48h),
        ..add(image(&[("x86_64", 0xbb), ("aarch64", 0xaa)]), "6")
    };
    let ramp = |stream: &Stream| found(stream, "6").rollouts[0].ramp.clone();
    let start = |stream: &Stream| ramp(stream).start();
    let fallback = next(&published, &stream());
    assert_eq!(found(&fallback, "6").state, ReleaseState::Published);
    assert_eq!(ramp(&fallback), Preset::Linear48h.ramp(start(&fallback)));
    let with_default = Stream { default_rollout: Some(Preset::Week), ..stream() };
    let by_default = next(&published, &with_default);
    assert_eq!(ramp(&by_default), Preset::Week.ramp(start(&by_default)));
    let draft = next(&AddImage { is_published: false, ..published }, &stream());
    assert!(found(&draft, "6").rollouts.is_empty());
}

proptest! {
    /// Whatever images are added in whatever order, with versions that repeat: every digest becomes one release, and repeats change nothing.
    #[test]
    fn every_digest_is_one_release(images in collection::vec((1_u8..9, select(vec!["6", "7", "6.1"])), 1..12)) {
        let mut present = stream();
        let mut seen = BTreeSet::new();
        for (number, label) in images {
            let after = apply(&add(image(&[("x86_64", 0xf0 | number)]), label), &present).unwrap();
            let is_new = seen.insert(number);
            prop_assert_eq!(after.existing.is_none(), is_new);
            prop_assert_eq!(after.stream == present, !is_new);
            let version = after.created.or(after.existing).unwrap();
            let payload = payload_of(&after.stream, &version, "x86_64").unwrap();
            prop_assert!(payload.as_str().ends_with(&ContentHash([0xf0 | number; 32]).to_string()));
            let is_labelled = version.strip_prefix(label).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'));
            prop_assert!(is_labelled || !is_new);
            present = after.stream;
        }
        prop_assert_eq!(present.releases.len(), stream().releases.len() + seen.len());
    }
}
