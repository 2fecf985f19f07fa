//! Runs every committed corpus file through its fuzz target, so that the targets keep working between runs of `make fuzz`.

use crate::fuzz_targets::TARGETS;
use std::path::{Path, PathBuf};

fn corpus(target: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let entries = std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(!files.is_empty(), "{} is empty", folder.display());
    files
}

fn check(target: &str) {
    let (_, check) = TARGETS.into_iter().find(|(name, _)| *name == target).unwrap();
    for file in corpus(target) {
        let input = std::fs::read(&file).unwrap();
        let checked = std::panic::catch_unwind(|| check(&input));
        assert!(checked.is_ok(), "{} fails", file.display());
    }
}

macro_rules! corpora {
    ($($target:ident)*) => {
        $(#[test]
        fn $target() {
            check(stringify!($target));
        })*

        #[test]
        fn every_target_is_checked_here_and_has_a_binary() {
            let checked = [$(stringify!($target)),*];
            assert_eq!(TARGETS.map(|(name, _)| name), checked);
            let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/fuzz_targets");
            let binaries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
            let mut binaries: Vec<String> =
                binaries.map(|path| path.file_stem().unwrap().to_string_lossy().into_owned()).collect();
            binaries.sort();
            assert_eq!(binaries, checked);
        }
    };
}

corpora!(backup document_json document_toml jwks merge poll release_notes token upstream);
