//! The codes of findings are documented one by one.

use lockkeeper::domain::finding::Code;
use std::{collections::BTreeSet, fs, path::Path};

#[test]
fn every_code_is_explained_and_no_other() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/reference/findings.md");
    let page = fs::read_to_string(page).unwrap();
    let rows = page.lines().filter(|line| line.starts_with("| LK"));
    let cells = rows.map(|row| row.split('|').map(str::trim).collect::<Vec<_>>());
    let mut explained = BTreeSet::new();
    for row in cells {
        assert!(row[2].len() > 20 && !row[3].is_empty(), "{row:?}");
        assert!(explained.insert(row[1].to_owned()), "{} is explained twice", row[1]);
    }
    assert_eq!(explained, Code::ALL.iter().map(ToString::to_string).collect());
}
