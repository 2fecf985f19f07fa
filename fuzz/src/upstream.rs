//! Upstream's `releases.json`, `updates.json` and stream metadata, and a query for an image: accepted documents produce a stream that a
//! revision can store and are exported unchanged; an export without the originals produces the same releases again. A query finds an image
//! or is rejected.

use super::{document, graph::NOW, parts};
use http::HeaderMap;
use jiff::Timestamp;
use lockkeeper::{
    domain::{
        document::Strictness,
        ids::{ProductName, StreamId, StreamName},
        stream::Stream,
    },
    exchange::{
        Exported,
        fcos::{
            export::export,
            merge::merge,
            model::{Modelled, model},
            removals::Removals,
        },
    },
    protocol::fcos::{
        images::{self, ImageQuery},
        wire::{self, Releases, StreamMetadata, Updates},
    },
};
use serde_json::Value;

/// Checks the two documents that graphs are built from, the stream metadata, and a query of `/images`.
pub fn check(input: &[u8]) {
    let [releases, updates, metadata, query] = parts(input);
    check_image(metadata, query);
    let id = StreamId {
        product: ProductName::parse("fedora-coreos").expect("a name"),
        stream: StreamName::parse("stable").expect("a name"),
    };
    let Some(mut modelled) = read(&id, releases, updates) else { return };
    if let Ok(metadata) = wire::from_json::<StreamMetadata>(metadata)
        && modelled.add_metadata(&metadata).is_err()
    {
        return;
    }
    let stream = &modelled.stream;
    document::check_stream(stream, Strictness::Recorded);

    let originals = [("releases", releases), ("updates", updates)];
    let source = |kind: &str| originals.iter().find(|(name, _)| *name == kind).map(|(_, text)| *text);
    let exported = exports(stream, source);
    for (exported, (kind, original)) in exported.iter().zip(originals) {
        let original = json(original);
        if consists_of_objects(&original) {
            assert_eq!(json(&exported.body), original, "{kind} is exported unchanged");
        }
    }
    let again = read(&id, &exported[0].body, &exported[1].body).expect("an export can be imported");
    assert_eq!(again.stream.releases, stream.releases, "exported over the originals");
    let generated = exports(stream, |_| None);
    let again = read(&id, &generated[0].body, &generated[1].body).expect("an export can be imported");
    assert_eq!(again.stream.releases, stream.releases, "exported without the originals");

    assert_eq!(merge(None, &modelled, Removals::default()).as_ref(), Ok(&modelled));
    assert_eq!(merge(Some(stream), &modelled, Removals::default()).as_ref(), Ok(&modelled));
}

/// Parses the two documents and returns their stream if they are accepted.
pub fn read(id: &StreamId, releases: &[u8], updates: &[u8]) -> Option<Modelled> {
    let releases: Releases = wire::from_json(releases).ok()?;
    let updates: Updates = wire::from_json(updates).ok()?;
    model(id, &releases, &updates).ok()
}

fn exports<'a>(stream: &Stream, source: impl Fn(&str) -> Option<&'a [u8]>) -> Vec<Exported> {
    let exported = export(stream, Timestamp::UNIX_EPOCH, NOW, source);
    assert_eq!(exported.len(), 2, "releases.json and updates.json can always be exported");
    exported
}

fn json(text: &[u8]) -> Value {
    serde_json::from_slice(text).expect("JSON")
}

/// Returns true if everything that upstream writes as an object is one. The parser also accepts lists of the fields, which an export writes
/// as objects.
fn consists_of_objects(document: &Value) -> bool {
    let is_object = |value: &Value| value.is_null() || value.is_object();
    let items = |value: &Value| value.as_array().cloned().unwrap_or_default();
    document.is_object()
        && items(&document["releases"]).iter().all(|entry| {
            let policies = ["barrier", "deadend", "rollout"].map(|policy| &entry["metadata"][policy]);
            let payloads = [items(&entry["commits"]), items(&entry["oci-images"])].concat();
            entry.is_object() && payloads.iter().chain(policies).all(is_object) && !entry["metadata"].is_array()
        })
}

fn check_image(metadata: &[u8], query: &[u8]) {
    let Ok(query) = std::str::from_utf8(query) else { return };
    let Ok(wanted) = ImageQuery::parse(query) else { return };
    let Ok(metadata) = serde_json::from_slice(metadata) else { return };
    let Ok(image) = images::find(&metadata, &wanted) else { return };
    let (text, _) = image.rendered(false);
    let fields = json(text.as_bytes());
    assert!(fields.is_object() && fields.get("stream").is_some(), "{text}");
    let (text, _) = image.rendered(wanted.is_plain(&HeaderMap::new()));
    assert!(!text.is_empty());
}
