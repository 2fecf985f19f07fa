//! Escaping of untrusted text in output. Much of what commands and logs print is chosen by nodes, upstream and other servers.

use std::{borrow::Cow, fmt::Write};

/// Returns true if a terminal interprets the character instead of showing it, or shows the characters around it in another order or
/// position: control characters (C0, DEL, C1), bidirectional controls, line and paragraph separators, and zero-width characters.
#[must_use]
pub fn is_unsafe(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}'
                | '\u{fff9}'..='\u{fffb}')
}

/// Replaces each unsafe character by an escape that is also valid in JSON and TOML strings: `\n`, `\t`, `\r`, or `\u` and four digits. JSON
/// text keeps its meaning. Line ends and tabs are escaped too; callers add their own afterwards.
#[must_use]
pub fn escaped(text: &str) -> Cow<'_, str> {
    if !text.contains(is_unsafe) {
        return text.into();
    }
    let mut safe = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match c {
            '\n' => safe.push_str("\\n"),
            '\t' => safe.push_str("\\t"),
            '\r' => safe.push_str("\\r"),
            c if is_unsafe(c) => {
                // Writing to a string always succeeds.
                let _ = write!(safe, "\\u{:04x}", u32::from(c));
            }
            c => safe.push(c),
        }
    }
    safe.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_and_bidirectional_characters_are_escaped() {
        assert_eq!(escaped("\u{1b}[2J\u{9b}m\u{7f}\u{0}"), "\\u001b[2J\\u009bm\\u007f\\u0000");
        assert_eq!(escaped("a\r\nb\tc"), "a\\r\\nb\\tc");
        assert_eq!(escaped("\u{202e}x\u{2066}\u{200f}\u{61c}\u{feff}"), "\\u202ex\\u2066\\u200f\\u061c\\ufeff");
        assert_eq!(escaped("\u{2028}\u{2029}\u{85}"), "\\u2028\\u2029\\u0085");
    }

    #[test]
    fn readable_text_is_unchanged() {
        let text = "Ärger, שלום, 更新, e\u{301}, 🚀 \\ \" ' €\u{a0}–";
        assert!(matches!(escaped(text), Cow::Borrowed(same) if same == text));
    }

    #[test]
    fn every_unsafe_character_fits_a_four_digit_escape() {
        for c in (0..=u32::from(char::MAX)).filter_map(char::from_u32).filter(|c| is_unsafe(*c)) {
            assert!(u32::from(c) <= 0xffff, "{c:?}");
            let json = format!("\"{}\"", escaped(&c.to_string()));
            assert!(!json.contains(is_unsafe));
            assert_eq!(serde_json::from_str::<String>(&json).unwrap(), c.to_string());
        }
    }

    #[test]
    fn escaped_json_keeps_its_meaning() {
        let value = serde_json::json!({"a\u{202e}": ["\u{1b}[2J\n\t\u{9b}", "\\u202e\\\"", "\u{feff}"]});
        let text = value.to_string();
        let safe = escaped(&text);
        assert!(!safe.contains(is_unsafe));
        assert_eq!(serde_json::from_str::<serde_json::Value>(&safe).unwrap(), value);
    }
}
