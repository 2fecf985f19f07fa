//! Real upstream metadata, which lies beside the project where that is built; without it, tests that need it say so and pass.

use std::path::PathBuf;

/// The folder of Fedora CoreOS fixtures, or a line that says that this test did nothing.
pub(crate) fn fcos() -> Option<PathBuf> {
    let folder = std::env::var_os("LOCKKEEPER_FIXTURES")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/fixtures"), PathBuf::from)
        .join("fcos");
    if folder.is_dir() {
        return Some(folder);
    }
    eprintln!("skipped: the fixtures of real metadata are not at {}", folder.display());
    None
}
