//! Descriptions of products, streams and presets.

use super::text::{changes_text_around_it, text_type};

text_type!(
    /// What a product, a stream or a preset is for: text of one line or a few, for people. It has no effect on nodes.
    Description,
    1000,
    "lines without control, bidirectional or invisible characters, beginning with a visible one",
    |at, c| if at == 0 { c != ' ' && !changes_text_around_it(c) } else { c == '\n' || !changes_text_around_it(c) }
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_description_is_a_few_readable_lines() {
        for valid in ["For machines in shops", "Zoë's stream\n\nAsk the desk.", "發布", &"x".repeat(1000)] {
            assert_eq!(Description::parse(valid).unwrap().as_str(), valid);
        }
        let long = "x".repeat(1001);
        for bad in [
            "",
            " ",
            "\nx",
            " x",
            "a\tb",
            "a\r\nb",
            "a\u{0}",
            "\u{1b}[31m",
            "a\u{202e}b",
            "a\u{200b}b",
            "\u{feff}a",
            &long,
        ] {
            assert!(Description::parse(bad).is_err(), "{bad:?}");
        }
    }
}
