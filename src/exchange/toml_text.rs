//! Stream documents as TOML that people like to read: a block a release, a line a payload, a policy, a rollout.

use crate::domain::document::StreamDocument;
use toml::{Table, Value};

/// The document as text; reading it gives the same document. Fields come in the order of their declaration.
pub(super) fn write(document: &StreamDocument) -> String {
    // Its maps have text for keys and its numbers are finite: such values are always TOML.
    let table = Table::try_from(document).unwrap_or_default();
    let mut text = String::new();
    for (key, value) in &table {
        match (BLOCKS.contains(&key.as_str()), value) {
            (true, Value::Array(entries)) => entries.iter().for_each(|entry| block(&mut text, key, entry)),
            _ => line(&mut text, key, value),
        }
    }
    text
}

const BLOCKS: [&str; 2] = ["releases", "blocked_updates"];

fn block(text: &mut String, name: &str, entry: &Value) {
    text.extend([format!("\n[[{name}]]\n")]);
    for (key, value) in entry.as_table().into_iter().flatten() {
        line(text, key, value);
    }
}

fn line(text: &mut String, key: &str, value: &Value) {
    match value {
        Value::Array(values) if values.iter().any(Value::is_table) => {
            text.extend([format!("{key} = [\n")]);
            for value in values {
                text.extend([format!("  {},\n", inline(value))]);
            }
            text.push_str("]\n");
        }
        value => text.extend([format!("{key} = {}\n", inline(value))]),
    }
}

fn inline(value: &Value) -> String {
    match value {
        Value::Table(table) => {
            let fields: Vec<String> =
                table.iter().map(|(key, value)| format!("{} = {}", name(key), inline(value))).collect();
            format!("{{ {} }}", fields.join(", "))
        }
        Value::Array(values) => format!("[{}]", values.iter().map(inline).collect::<Vec<_>>().join(", ")),
        value => value.to_string(),
    }
}

/// A key of `sources` may be any text; the others are bare.
fn name(key: &str) -> String {
    let bare = key.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'));
    if bare { key.into() } else { Value::String(key.into()).to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::samples;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_written_reads_back(stream in samples::stream()) {
            let text = write(&stream.to_document());
            prop_assert_eq!(super::super::documents::read(&text), Ok(stream), "{}", text);
        }
    }
}
