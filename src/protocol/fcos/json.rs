//! Checks that a text is valid JSON in all of its fields. Typed parsers skip fields that they do not know; but documents are served
//! unchanged, and other programs read all fields.

use crate::domain::document::field_path;
use serde::{
    Deserialize, Deserializer,
    de::{DeserializeOwned, Error, MapAccess, SeqAccess, Visitor},
};
use std::fmt;

/// An invalid document, and the location of the error.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}: {message}", if path.is_empty() { "the document" } else { path })]
pub struct WireError {
    /// The field, as in `releases[3].version`; empty for the document itself.
    pub path: String,
    /// What is wrong, with line and column.
    pub message: String,
}

/// Parses a complete text as JSON of the given type.
pub(super) fn read<T: DeserializeOwned>(text: &[u8]) -> Result<T, WireError> {
    let mut deserializer = serde_json::Deserializer::from_slice(text);
    let value = serde_path_to_error::deserialize(&mut deserializer)
        .map_err(|error| WireError { path: field_path(error.path()), message: error.into_inner().to_string() })?;
    deserializer.end().map_err(|error| WireError { path: String::new(), message: error.to_string() })?;
    Ok(value)
}

/// Checks that a text is one JSON value that parsers accept: valid UTF-8, existing characters, representable numbers, and a limited
/// depth.
///
/// # Errors
/// Returns an error that names the invalid field.
pub(super) fn check(text: &[u8]) -> Result<(), WireError> {
    read(text).map(|AnyValue| ())
}

struct AnyValue;

impl<'de> Deserialize<'de> for AnyValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Self)
    }
}

impl<'de> Visitor<'de> for AnyValue {
    type Value = Self;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON value")
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_str<E: Error>(self, _: &str) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_unit<E: Error>(self) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self, A::Error> {
        while items.next_element::<Self>()?.is_some() {}
        Ok(self)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Self, A::Error> {
        while fields.next_entry::<Self, Self>()?.is_some() {}
        Ok(self)
    }
}

#[cfg(test)]
mod tests {
    use crate::protocol::fcos::wire::{Releases, StreamMetadata, from_json, from_yaml};
    use serde_json::Value;

    fn releases(note: &[u8]) -> Vec<u8> {
        [br#"{"releases":[],"note":"#, note, b"}"].concat()
    }

    #[test]
    fn documents_with_an_unreadable_field_are_rejected() {
        let deep = format!("{}{}", "[".repeat(200), "]".repeat(200));
        for wrong in [&b"\"\xff\""[..], br#""\ud800""#, b"1e999", deep.as_bytes()] {
            let text = releases(wrong);
            assert!(serde_json::from_slice::<Value>(&text).is_err());
            let error = from_json::<Releases>(&text).unwrap_err();
            assert!(error.path.starts_with("note"), "{error}");
            assert!(error.message.contains(" at line 1 column "), "{error}");
            let metadata = [br#"{"stream":"stable","architectures":{},"note":"#, wrong, b"}"].concat();
            from_json::<StreamMetadata>(&metadata).unwrap_err();
        }
    }

    #[test]
    fn a_byte_order_mark_is_skipped() {
        let text = [&b"\xef\xbb\xbf"[..], &releases(b"null")].concat();
        assert_eq!(from_json::<Releases>(&text), from_json(&releases(b"null")));
        let notes = b"releases:\n  1.0: []\n";
        assert_eq!(from_yaml(&[&b"\xef\xbb\xbf"[..], notes].concat()), from_yaml(notes));
    }

    #[test]
    fn every_error_names_a_field_a_line_and_a_column() {
        for (text, path) in [
            (&br#"{"releases":[{"version":"1"},{"version":"#[..], "releases[1].version"),
            (br#"{"releases":[{"version":"1"},{"versi"#, "releases[1]"),
            (br#"{"releases":[{"version":"1"},{versi"#, "releases[1]"),
            (br#"{"releases":[]} x"#, ""),
            (b"", ""),
            (b"{\"releases\":[],\"deep\":{\"note\":\"\xff\"}}", "deep.note"),
        ] {
            let error = from_json::<Releases>(text).unwrap_err();
            assert_eq!(error.path, path, "{error}");
            assert!(error.message.contains(" at line 1 column "), "{error}");
        }
        for text in [&b"releases: [\n"[..], b"releases:\n  a: \xff\n", b"releases: 1\n"] {
            let error = from_yaml(text).unwrap_err().to_string();
            assert!(error.contains("line ") && error.contains("column "), "{error}");
        }
    }

    #[test]
    fn documents_with_unknown_fields_are_accepted() {
        for value in
            ["null", "true", "-1", "18446744073709551615", "-1.5e-7", r#""é\u0000\ud83d\ude00""#, r#"[{"a":[1]}]"#]
        {
            assert_eq!(from_json::<Releases>(&releases(value.as_bytes())).unwrap().releases, [], "{value}");
        }
    }
}
