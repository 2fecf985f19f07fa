//! Backup files: reading terminates in bounded memory (libFuzzer's limits). An accepted file has as many tables and rows as its text has
//! lines for, and no byte of it can be changed, removed or added.

use lockkeeper::operate::backup::{self, BackupError, Summary};
use sha2::{Digest, Sha256};
use std::{fmt::Write as _, io::Write as _};

/// The first bytes of a Zstandard frame (RFC 8878, section 3.1.1).
const MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

/// Checks a backup file, or the text of one, which is sealed and compressed first.
pub fn check(input: &[u8]) {
    if input.starts_with(&MAGIC) {
        if let Ok(summary) = read(input) {
            check_text(&zstd::decode_all(input).expect("an accepted file can be decompressed"), &summary);
        }
        return;
    }
    if let Ok(summary) = read(&compressed(input)) {
        check_text(input, &summary);
    }
    let text = sealed(input);
    let Ok(summary) = read(&compressed(&text)) else { return };
    check_text(&text, &summary);
    let at = input.len() / 2;
    let flipped: Vec<u8> = text.iter().enumerate().map(|(n, byte)| if n == at { byte ^ 1 } else { *byte }).collect();
    assert!(read(&compressed(&flipped)).is_err(), "a byte was changed");
    assert!(read(&compressed(&text[..text.len() - 1])).is_err(), "a byte is missing");
    assert!(read(&compressed(&[&text[..], b"\n"].concat())).is_err(), "a byte was added");
}

/// Appends a last line with the checksum of the text.
fn sealed(text: &[u8]) -> Vec<u8> {
    let mut hash = String::new();
    for byte in Sha256::digest(text) {
        write!(hash, "{byte:02x}").expect("writing to a string succeeds");
    }
    [text, format!("{{\"sha256\":\"{hash}\"}}\n").as_bytes()].concat()
}

fn check_text(text: &[u8], summary: &Summary) {
    let lines = text.split(|byte| *byte == b'\n').count() - 1;
    // The header, the seal, and for each table one line before and one after its rows.
    let rows = usize::try_from(summary.rows).expect("a number of rows fits");
    assert_eq!(lines, 2 + 2 * summary.tables + rows);
}

fn compressed(text: &[u8]) -> Vec<u8> {
    zstd::encode_all(text, 1).expect("compression in memory succeeds")
}

fn read(file: &[u8]) -> Result<Summary, BackupError> {
    let folder = ["/dev/shm", "/tmp"].into_iter().find(|folder| std::path::Path::new(folder).is_dir());
    let mut written = tempfile::NamedTempFile::new_in(folder.unwrap_or(".")).expect("a temporary file can be created");
    written.write_all(file).expect("a file can be written");
    backup::check(written.path())
}
