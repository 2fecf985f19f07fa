//! Field paths for error messages.

use serde_path_to_error::{Path, Segment};
use std::fmt::Write;

/// Formats a path such as `releases[3].version`, as far as it is known. The path of the document itself is empty.
#[must_use]
pub fn field_path(path: &Path) -> String {
    let mut text = String::new();
    for segment in path {
        let written = match segment {
            Segment::Seq { index } => write!(text, "[{index}]"),
            Segment::Map { key } | Segment::Enum { variant: key } => {
                let dot = if text.is_empty() { "" } else { "." };
                write!(text, "{dot}{key}")
            }
            // The error occurred before the name of the field was known and belongs to the enclosing value.
            Segment::Unknown => break,
        };
        // Writing to a string always succeeds.
        written.unwrap_or_default();
    }
    text
}
