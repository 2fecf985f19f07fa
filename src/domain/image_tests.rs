use super::*;
use crate::domain::{
    document::parts,
    ids::{ProductName, StreamId, StreamName},
    origin::Origin,
    payload::Payload,
    release::Release,
};
use proptest::{collection, prelude::*, sample::select};

fn stream(releases: impl IntoIterator<Item = Release>) -> Stream {
    let id = StreamId { product: ProductName::parse("os").unwrap(), stream: StreamName::parse("stable").unwrap() };
    Stream { releases: releases.into_iter().map(Into::into).collect(), ..Stream::empty(id) }
}

fn version(text: &str) -> Version {
    Version::parse(text).unwrap()
}

fn release(text: &str) -> Release {
    Release::published(version(text), Origin::Local)
}

fn digest(number: u8) -> ContentHash {
    ContentHash([number; 32])
}

fn image(details: ImageDetails) -> Image {
    let repository = Repository::parse("ghcr.io/acme/os").unwrap();
    let (builds, versions, bases) = (BTreeMap::new(), BTreeSet::new(), BTreeMap::new());
    Image { repository, builds, versions, bases, polled_stream: None, details }
}

fn with_build(version: &str, repository: &str, arch: &str, number: u8) -> Release {
    let key = PayloadKey { arch: Arch::parse(arch).unwrap(), scheme: Scheme::oci() };
    let id = PayloadId::parse(&format!("{repository}@sha256:{}", digest(number))).unwrap();
    let payloads = [(key, Payload { id, synthetic: false })].into_iter().collect();
    Release { payloads, ..release(version) }
}

fn builds(of: &[(&str, u8)]) -> BTreeMap<Arch, ContentHash> {
    of.iter().map(|(arch, number)| (Arch::parse(arch).unwrap(), digest(*number))).collect()
}

#[test]
fn arches_of_images_are_those_of_streams() {
    let names = |name: &str| arch_of_image(name).map(|arch| arch.to_string());
    for (image, stream) in [("amd64", "x86_64"), ("arm64", "aarch64"), ("ppc64le", "ppc64le"), ("s390x", "s390x")] {
        assert_eq!(names(image).as_deref(), Some(stream));
    }
    for other in ["arm", "386", "riscv64", "x86_64", "unknown", ""] {
        assert_eq!(names(other), None);
    }
}

proptest! {
    /// A label that is free is the version. Otherwise it gets the smallest suffix that is free.
    #[test]
    fn a_version_is_free_and_the_first_of_its_kind(taken in collection::btree_set(select(vec!["1", "1.1", "1.2", "1.3", "2", "2.1"]), 0..6)) {
        let stream = stream(taken.iter().map(|text| release(text)));
        for label in ["1", "2", "3"] {
            let found = free_version(&stream, &version(label)).unwrap();
            prop_assert!(!taken.contains(found.as_str()));
            let earlier = std::iter::once(label.to_owned()).chain((1..).map(|number| format!("{label}.{number}")));
            for candidate in earlier.take_while(|candidate| candidate != found.as_str()) {
                prop_assert!(taken.contains(&*candidate), "{candidate} is free");
            }
        }
    }

    /// Whatever labels say, notes have a line for each detail, and can be stored and read again.
    #[test]
    fn each_detail_is_one_line_of_the_notes(texts in collection::vec("\\PC{0,40}|[\\x00-\\x1fa\u{85}\u{2028}]{0,20}|a{2000}", 5)) {
        let detail = |index: usize| Some(texts[index].clone());
        let (created, revision, source) = (detail(0), detail(1), detail(2));
        let details = ImageDetails { created, revision, source, base_name: detail(3), base_digest: detail(4) };
        let notes = image(details).notes(Some("given")).unwrap().unwrap();
        let lines: Vec<&str> = notes.as_str().lines().collect();
        prop_assert!(lines.len() <= 7 && lines[0] == "given");
        prop_assert!(lines.iter().skip(2).all(|line| line.starts_with("- ") && line.chars().count() < 540), "{lines:?}");
    }
}

#[test]
fn notes_are_absent_without_details() {
    assert_eq!(image(ImageDetails::default()).notes(None).unwrap(), None);
    let source = Some("https://example.org/os".into());
    let notes = image(ImageDetails { source, ..ImageDetails::default() }).notes(None).unwrap().unwrap();
    assert_eq!(notes.as_str(), "- source: https://example.org/os");
}

#[test]
fn builds_are_found_by_digest_under_any_name() {
    let stream = stream([
        with_build("1", "ghcr.io/acme/os", "x86_64", 1),
        with_build("2", "mirror.example/os", "x86_64", 2),
        with_build("3", "ghcr.io/acme/os", "aarch64", 3),
    ]);
    let found = |of: &[(&str, u8)]| find_builds(&stream, &builds(of));
    assert_eq!(found(&[("x86_64", 1)]), Presence::In(version("1")));
    assert_eq!(found(&[("x86_64", 2)]), Presence::In(version("2")));
    assert_eq!(found(&[("x86_64", 3)]), Presence::Absent);
    assert_eq!(found(&[("aarch64", 9), ("x86_64", 9)]), Presence::Absent);
    for partial in [&[("aarch64", 9), ("x86_64", 1)], &[("aarch64", 3), ("x86_64", 1)]] {
        assert!(matches!(found(partial), Presence::Partial(_)));
    }
}

#[test]
fn a_payload_has_the_form_of_its_scheme() {
    let id = image(ImageDetails::default()).payload_id(digest(0xab)).unwrap();
    assert_eq!(id.as_str(), format!("ghcr.io/acme/os@sha256:{}", "ab".repeat(32)));
    let document = toml::from_str(&format!("arch = \"x86_64\"\nscheme = \"oci\"\nid = \"{id}\"")).unwrap();
    parts::payload(&document).unwrap();
}
