//! The limit on shown targets as documents write it: a text, or a table. Errors name the field and both forms.

use super::shape::{NewestDocument, TargetsDocument};
use crate::domain::policy::graph_rules::TargetLimit;
use serde::{
    Deserialize, Deserializer,
    de::{Error, MapAccess, Visitor, value::MapAccessDeserializer},
};
use std::fmt;

impl<'de> Deserialize<'de> for TargetsDocument {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TextOrTable)
    }
}

struct TextOrTable;

impl<'de> Visitor<'de> for TextOrTable {
    type Value = TargetsDocument;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("the text \"all\", or a table such as { newest = 2 }")
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<TargetsDocument, E> {
        Ok(TargetsDocument::Named(name.into()))
    }

    fn visit_map<A: MapAccess<'de>>(self, fields: A) -> Result<TargetsDocument, A::Error> {
        NewestDocument::deserialize(MapAccessDeserializer::new(fields)).map(TargetsDocument::Newest)
    }
}

impl From<TargetLimit> for TargetsDocument {
    fn from(limit: TargetLimit) -> Self {
        match limit {
            TargetLimit::All => Self::Named("all".into()),
            TargetLimit::Newest(newest) => Self::Newest(NewestDocument { newest: newest.get().into() }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::document::{StreamDocument, field_path};

    /// Returns the value, or the path and the first line of the error.
    fn read(value: &str) -> Result<Option<TargetsDocument>, String> {
        let text = format!("{{\"format\": 1, \"product\": \"os\", \"stream\": \"stable\", \"targets\": {value}}}");
        let document: Result<StreamDocument, _> =
            serde_path_to_error::deserialize(&mut serde_json::Deserializer::from_str(&text));
        document.map(|document| document.targets).map_err(|error| {
            let message = error.inner().to_string();
            format!("{}: {}", field_path(error.path()), message.split(" at line").next().unwrap())
        })
    }

    #[test]
    fn a_text_or_a_table_is_read_and_anything_else_is_reported_by_its_path() {
        assert_eq!(read("\"all\""), Ok(Some(TargetsDocument::Named("all".into()))));
        assert_eq!(read("{\"newest\": 2}"), Ok(Some(TargetsDocument::Newest(NewestDocument { newest: 2 }))));
        assert_eq!(read("null"), Ok(None));
        let forms = "the text \"all\", or a table such as { newest = 2 }";
        for (value, message) in [
            ("2", format!("targets: invalid type: integer `2`, expected {forms}")),
            ("true", format!("targets: invalid type: boolean `true`, expected {forms}")),
            ("[2]", format!("targets: invalid type: sequence, expected {forms}")),
            ("{}", "targets: missing field `newest`".into()),
            ("{\"oldest\": 2}", "targets.oldest: unknown field `oldest`, expected `newest`".into()),
            ("{\"newest\": \"two\"}", "targets.newest: invalid type: string \"two\", expected i64".into()),
        ] {
            assert_eq!(read(value), Err(message), "{value}");
        }
    }

    #[test]
    fn both_forms_are_written_as_they_are_read() {
        for targets in [TargetsDocument::Named("all".into()), TargetsDocument::Newest(NewestDocument { newest: 7 })] {
            let json = serde_json::to_string(&targets).unwrap();
            assert_eq!(read(&json), Ok(Some(targets)));
        }
    }
}
