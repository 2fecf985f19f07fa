//! Reading with a limit. Longer input is rejected while it is read, even if the file reports a smaller length.

use std::{
    fs::File,
    io::{self, BufRead, ErrorKind, Read},
    path::Path,
};
use thiserror::Error;

/// The error for input that is longer than its limit.
#[derive(Debug, Error)]
#[error("has more than {0} bytes")]
struct TooLong(u64);

/// Builds the error for input that is longer than its limit, of kind `FileTooLarge`.
#[must_use]
pub fn too_long(limit: u64) -> io::Error {
    io::Error::new(ErrorKind::FileTooLarge, TooLong(limit))
}

/// Reads a file of at most `limit` bytes.
///
/// # Errors
/// Fails if the file cannot be read or is longer.
pub fn read(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    read_open(&File::open(path)?, limit)
}

/// Reads a text file of at most `limit` bytes.
///
/// # Errors
/// Fails if the file cannot be read, is longer, or is not UTF-8.
pub fn read_text(path: &Path, limit: u64) -> io::Result<String> {
    String::from_utf8(read(path, limit)?).map_err(|error| io::Error::new(ErrorKind::InvalidData, error.utf8_error()))
}

/// Reads the rest of an open file of at most `limit` bytes.
///
/// # Errors
/// Fails if the file cannot be read or is longer.
pub fn read_open(file: &File, limit: u64) -> io::Result<Vec<u8>> {
    // Devices and pipes report a length of 0, and a file may grow while it is read.
    let length = file.metadata()?.len();
    if length > limit {
        return Err(too_long(limit));
    }
    let mut content = Vec::new();
    content.try_reserve_exact(usize::try_from(length).unwrap_or_default())?;
    file.take(limit.saturating_add(1)).read_to_end(&mut content)?;
    if content.len() as u64 > limit { Err(too_long(limit)) } else { Ok(content) }
}

/// Reads one line of at most `limit` bytes, including its line end, which the last line may lack. At the end of the input it returns no
/// bytes.
///
/// # Errors
/// Fails if the reader fails or the line is longer.
pub fn read_line(from: &mut impl BufRead, limit: usize) -> io::Result<Vec<u8>> {
    let mut line = Vec::new();
    loop {
        let ready = match from.fill_buf() {
            Ok(ready) => ready,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        let end = ready.iter().position(|byte| *byte == b'\n').map(|at| at + 1);
        let part = ready.get(..end.unwrap_or(ready.len())).unwrap_or_default();
        let length = part.len();
        if line.len() + length > limit {
            return Err(too_long(limit as u64));
        }
        line.extend_from_slice(part);
        from.consume(length);
        if end.is_some() || length == 0 {
            return Ok(line);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::BufReader;

    fn is_too_long<T: std::fmt::Debug>(read: io::Result<T>) -> bool {
        read.unwrap_err().kind() == ErrorKind::FileTooLarge
    }

    #[test]
    fn files_are_read_up_to_their_limit() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        std::fs::write(&path, "12345").unwrap();
        assert_eq!(read_text(&path, 5).unwrap(), "12345");
        assert!(is_too_long(read(&path, 4)));
        assert_eq!(read_text(&path, 4).unwrap_err().to_string(), "has more than 4 bytes");
        std::fs::write(&path, [0xff]).unwrap();
        assert_eq!(read_text(&path, 5).unwrap_err().kind(), ErrorKind::InvalidData);
        assert_eq!(read(&path, u64::MAX).unwrap(), [0xff]);
    }

    #[test]
    fn devices_that_report_no_length_are_limited_too() {
        assert!(is_too_long(read(Path::new("/dev/zero"), 1 << 20)));
        assert!(read(Path::new("/dev/null"), 0).unwrap().is_empty());
    }

    #[test]
    fn lines_are_read_up_to_their_limit_with_any_buffer_size() {
        for capacity in [1, 2, 3, 64] {
            let mut lines = BufReader::with_capacity(capacity, &b"ab\n\ncde"[..]);
            let read: Vec<Vec<u8>> = std::iter::repeat_with(|| read_line(&mut lines, 3).unwrap()).take(5).collect();
            assert_eq!(read, [&b"ab\n"[..], b"\n", b"cde", b"", b""]);
            let mut long = BufReader::with_capacity(capacity, &b"abc\n"[..]);
            assert!(is_too_long(read_line(&mut long, 3)));
        }
        assert!(is_too_long(read_line(&mut BufReader::new(File::open("/dev/zero").unwrap()), 1 << 20)));
    }
}
