//! From a field's path in a TOML document to its line.

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

/// A document in which places are looked up.
pub(super) struct Lines<'a> {
    text: &'a str,
    table: Option<Spanned<DeTable<'a>>>,
}

impl<'a> Lines<'a> {
    pub(super) fn of(text: &'a str) -> Self {
        Self { text, table: DeTable::parse(text).ok() }
    }

    /// The line, counted from 1, on which the value at this path begins, or the nearest thing around it that is there.
    pub(super) fn line_of(&self, path: &str) -> usize {
        let Some(table) = &self.table else { return 1 };
        let mut start = table.span().start;
        let mut steps = steps(path);
        let Some(mut here) = steps.next().and_then(|key| table.get_ref().get(key)) else {
            return line_at(self.text, start);
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
        line_at(self.text, start)
    }
}

/// `releases[3].barrier.reason` as its keys and indices.
fn steps(path: &str) -> impl Iterator<Item = &str> {
    path.split(['.', '[', ']']).filter(|step| !step.is_empty())
}

/// The line of a byte offset.
pub(super) fn line_at(text: &str, offset: usize) -> usize {
    text.bytes().take(offset).filter(|byte| *byte == b'\n').count() + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_paths() {
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
            assert_eq!(Lines::of(text).line_of(path), line, "{path}");
        }
    }
}
