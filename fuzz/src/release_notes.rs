//! Upstream's release notes in YAML: parsing terminates in bounded time and memory (libFuzzer's limits), is deterministic, and reads a
//! version as JSON does, of which YAML is a superset.

use lockkeeper::protocol::fcos::wire::{self, ReleaseNotes};
use serde_json::json;

/// Checks a document, and the same bytes as a version in a JSON document.
pub fn check(input: &[u8]) {
    if let Ok(notes) = wire::from_yaml(input) {
        assert_eq!(wire::from_yaml(input), Ok(notes));
    }
    let Ok(text) = std::str::from_utf8(input) else {
        assert!(wire::from_yaml(input).is_err(), "YAML in another encoding than UTF-8 is rejected");
        return;
    };
    let document = json!({"releases": {text: []}}).to_string();
    let expected: ReleaseNotes = wire::from_json(document.as_bytes()).expect("a document");
    if let Ok(notes) = wire::from_yaml(document.as_bytes()) {
        assert_eq!(notes, expected, "{document}");
    }
}
