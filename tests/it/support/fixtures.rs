//! Test documents: the fixtures of this repository, and real metadata, which is only present next to some checkouts.

use super::upstream::Documents;
use serde_json::Value;
use std::path::{Path, PathBuf};

/// Returns the folder of real Fedora CoreOS metadata. Tests that need it are ignored for that reason; `scripts/run-tests.sh` runs them if
/// the folder exists.
pub(crate) fn fcos() -> PathBuf {
    let folder = std::env::var_os("LOCKKEEPER_FIXTURES")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/fixtures"), PathBuf::from)
        .join("fcos");
    assert!(folder.is_dir(), "there is no real metadata at {}", folder.display());
    folder
}

/// The states of the fixtures, oldest first.
pub(crate) const STATES: [&str; 3] = ["first", "second", "third"];

/// The streams that each state has.
pub(crate) const STREAMS: [&str; 4] = ["dormant", "next", "stable", "testing"];

/// Returns the folder of the fixtures; `tests/fixtures/README.md` lists their special cases.
pub(crate) fn own() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/fcos")
}

/// Returns the documents of a stream in one of the states.
pub(crate) fn documents(state: &str, stream: &str) -> Documents {
    let folder = own().join(state);
    Documents {
        releases: json(&folder.join(format!("prod/streams/{stream}/releases.json"))),
        updates: json(&folder.join(format!("updates/{stream}.json"))),
    }
}

/// Reads a document, which may begin with a byte order mark.
pub(crate) fn json(path: &Path) -> Value {
    let text = std::fs::read_to_string(path).unwrap();
    serde_json::from_str(text.trim_start_matches('\u{feff}')).unwrap()
}
