//! Stream documents as readable TOML: one block per release, one line per payload, policy and rollout.

use crate::{
    domain::document::StreamDocument,
    escape::{escaped, is_unsafe},
};
use toml::{Table, Value};

/// Formats a document, with fields in the order of their declaration. Parsing the text returns the same document.
pub(super) fn write(document: &StreamDocument) -> String {
    // The conversion cannot fail: every key is a string and every number is finite.
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
        Value::String(text) if text.contains(is_hidden) => {
            format!("\"{}\"", escaped(&text.replace('\\', "\\\\").replace('"', "\\\"")))
        }
        value => value.to_string(),
    }
}

/// Formats a key. Keys of `sources` may be any text and are quoted if necessary; all others are bare keys.
fn name(key: &str) -> String {
    let bare = key.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'));
    if bare { key.into() } else { inline(&Value::String(key.into())) }
}

/// Returns true if TOML allows the character in a string, but a reader could not see it or would be misled by it.
fn is_hidden(c: char) -> bool {
    is_unsafe(c) && !matches!(c, '\n' | '\t')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::base;
    use proptest::prelude::*;

    #[test]
    fn invisible_and_misleading_characters_are_escaped() {
        for text in ["\u{1b}[2J", "a\u{9b}\\\"b'", "'''\u{202e}\"\"\"\n\t\r", "\u{feff}", "\u{7f}", "\n\ta\r\n"] {
            let line = format!("a = {}", inline(&Value::String(text.into())));
            assert!(!line.contains(is_hidden), "{line:?}");
            assert_eq!(line.parse::<Table>().unwrap().get("a").and_then(Value::as_str), Some(text));
        }
        assert_eq!(inline(&Value::String("plain é".into())), "\"plain é\"");
    }

    proptest! {
        #[test]
        fn written_documents_parse_to_the_same_stream(stream in base::samples::stream()) {
            let text = write(&stream.to_document());
            prop_assert_eq!(super::super::documents::read(&text), Ok(stream), "{}", text);
        }
    }
}
