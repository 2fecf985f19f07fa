//! The actor of a change, as audit entries record it: a unique id and a display name.

use super::text::changes_text_around_it;
use std::fmt;

/// The author of a change. Two actors are the same if their ids are equal; names may repeat.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Actor {
    /// Identifies the actor: `token:<token id>`, `https://issuer.example:<subject>`, `local:<user>`.
    pub id: String,
    /// The display name. Actors choose it themselves, so it proves nothing.
    pub name: String,
}

impl Actor {
    /// Builds an actor whose name is the part of its id after the first colon, or the whole id if there is no colon.
    #[must_use]
    pub fn from_id(id: impl Into<String>) -> Self {
        let id = id.into();
        let name = id.split_once(':').map_or(id.as_str(), |(_, name)| name).to_owned();
        Self { id, name }
    }
}

impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.id.ends_with(&self.name) { f.write_str(&self.id) } else { write!(f, "{} ({})", self.id, self.name) }
    }
}

/// The maximum length of a display name in bytes.
pub const MAX_DISPLAY_NAME_BYTES: usize = 255;

/// Returns true if `name` can be shown in a list or a log line without changing how the text around it reads: it is not blank, and has
/// no control, bidirectional, separator or invisible formatting characters.
#[must_use]
pub fn is_display_name(name: &str) -> bool {
    !name.trim().is_empty() && !name.chars().any(changes_text_around_it)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn display_names_are_one_readable_line() {
        for valid in ["ci", "release desk", "Zoë's laptop", "發布", "repo:example/os:ref:refs/heads/main"] {
            assert!(is_display_name(valid), "{valid}");
        }
        let bad = ["", " ", "a\nb", "a\tb", "a\u{0}", "a\u{7f}", "a\u{85}b", "\u{1b}[31mred"];
        let hidden = [
            "a\u{202e}b",
            "a\u{2066}b",
            "a\u{200f}b",
            "a\u{61c}b",
            "a\u{2028}b",
            "a\u{2029}b",
            "a\u{200b}b",
            "a\u{feff}",
        ];
        for bad in bad.into_iter().chain(hidden).chain(["a\u{a0}b", "a\u{3000}b", "a\u{e0041}"]) {
            assert!(!is_display_name(bad), "{bad:?}");
        }
    }

    #[test]
    fn an_actor_is_shown_by_id_and_by_a_name_that_the_id_does_not_contain() {
        assert_eq!(Actor::from_id("local:core"), Actor { id: "local:core".into(), name: "core".into() });
        assert_eq!(Actor::from_id("local:core").to_string(), "local:core");
        let token = Actor { id: "token:6f1c0f6e".into(), name: "ci".into() };
        assert_eq!(token.to_string(), "token:6f1c0f6e (ci)");
    }
}
