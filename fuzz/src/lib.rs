//! The checks of the fuzz targets. `tests/it/fuzz_corpora.rs` also includes this file and runs every committed corpus file through the
//! same functions.
//!
//! A target takes untrusted bytes. It panics if the result of processing them breaks a property; each file describes its properties.

pub mod backup;
pub mod document;
pub mod graph;
pub mod merge;
pub mod poll;
pub mod release_notes;
pub mod signed;
pub mod upstream;

/// A target: the name of its binary and its corpus folder, and its check.
pub type Target = (&'static str, fn(&[u8]));

/// Every target.
pub const TARGETS: [Target; 9] = [
    ("backup", backup::check),
    ("document_json", document::check_json),
    ("document_toml", document::check_toml),
    ("jwks", signed::check_key_set),
    ("merge", merge::check),
    ("poll", poll::check),
    ("release_notes", release_notes::check),
    ("token", signed::check_token),
    ("upstream", upstream::check),
];

/// The separator between the parts of an input.
const SEPARATOR: &[u8] = b"\n-----\n";

/// Splits an input into its parts. Missing parts are empty.
fn parts<const COUNT: usize>(input: &[u8]) -> [&[u8]; COUNT] {
    let mut rest = input;
    std::array::from_fn(|_| {
        let end = rest.windows(SEPARATOR.len()).position(|window| window == SEPARATOR);
        let (part, remainder) = rest.split_at(end.unwrap_or(rest.len()));
        rest = remainder.strip_prefix(SEPARATOR).unwrap_or_default();
        part
    })
}
