//! Finds the line and the column of a field in a TOML document by its path.

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

/// A document in which positions are looked up.
pub(super) struct Lines<'a> {
    text: &'a str,
    table: Option<Spanned<DeTable<'a>>>,
}

impl<'a> Lines<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self { text, table: DeTable::parse(text).ok() }
    }

    /// Returns the line and the column, counted from 1, of the value at this path, or of the closest value around it.
    pub(super) fn position_of(&self, path: &str) -> (usize, usize) {
        let Some(table) = &self.table else { return (1, 1) };
        let mut start = table.span().start;
        let mut steps = steps(path);
        let Some(mut here) = steps.next().and_then(|key| table.get_ref().get(key)) else {
            return position(self.text, start);
        };
        start = here.span().start;
        for step in steps {
            let next = match here.get_ref() {
                DeValue::Table(table) => table.get(step),
                DeValue::Array(array) => step.parse::<usize>().ok().and_then(|index| array.get(index)),
                _ => None,
            };
            let Some(next) = next else { break };
            here = next;
            start = here.span().start;
        }
        position(self.text, start)
    }
}

/// Splits a path such as `releases[3].barrier.reason` into keys and indices.
fn steps(path: &str) -> impl Iterator<Item = &str> {
    path.split(['.', '[', ']']).filter(|step| !step.is_empty())
}

/// Returns the line and the column of a byte offset.
pub(super) fn position(text: &str, offset: usize) -> (usize, usize) {
    let before = text.as_bytes().get(..offset).unwrap_or(text.as_bytes());
    let line = before.split(|byte| *byte == b'\n').count();
    let column = before.iter().rev().take_while(|byte| **byte != b'\n').count() + 1;
    (line, column)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_found_at_their_lines() {
        let text = "format = 1\n\n[[releases]]\nversion = \"1\"\n\n[[releases]]\nversion = \"2\"\nbarrier = { reason = \"\" }\n\
                    payloads = [\n  { arch = \"a\" },\n  { arch = \"b\" },\n]\n";
        for (path, line) in [
            ("format", 1),
            ("releases[0].version", 4),
            ("releases[1].version", 7),
            ("releases[1].barrier.reason", 8),
            ("releases[1].payloads[1].arch", 11),
            ("releases[1].payloads[1].id", 11),
        ] {
            assert_eq!(Lines::new(text).position_of(path).0, line, "{path}");
        }
    }
}
