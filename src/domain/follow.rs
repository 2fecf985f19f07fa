//! Followed repositories: which tags of a container repository become releases of a stream, and how.

use super::{
    payload::Repository,
    rollout::preset::Preset,
    text::{TextError, check, named_values},
};
use regex::bytes::{Regex, RegexBuilder};
use std::fmt;
use strum::{EnumString, IntoStaticStr, VariantArray};
use thiserror::Error;

/// What a stream follows: new tags of a repository become its releases.
#[derive(Debug, Clone, PartialEq)]
pub struct Follow {
    /// The repository.
    pub image: Repository,
    /// Which of its tags become releases.
    pub tags: TagPattern,
    /// What becomes of a new tag.
    pub mode: FollowMode,
    /// The rollout of its releases; if absent, the stream's default rollout, or for a published release one over 48 hours.
    pub rollout: Option<Preset>,
}

/// What becomes of a new tag.
#[derive(Debug, Clone, Copy, PartialEq, Eq, EnumString, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "snake_case")]
pub enum FollowMode {
    /// A draft, which a person publishes.
    Draft,
    /// A published release.
    Publish,
}

named_values!(FollowMode, "mode");

/// A regular expression that selects tags. Patterns with the same text are equal.
#[derive(Clone)]
pub struct TagPattern(Regex);

/// The error for text that is not a pattern of tags.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum TagPatternError {
    /// The text is empty, too long, or not one line.
    #[error(transparent)]
    Text(#[from] TextError),
    /// The text is not a regular expression.
    #[error("is not a regular expression: {0}")]
    Syntax(String),
    /// The expression would take too much memory.
    #[error("is a regular expression that takes more than {} bytes of memory", MAX_COMPILED)]
    TooLarge,
}

/// The longest pattern, in bytes.
const MAX_PATTERN: usize = 256;
/// The largest compiled pattern, in bytes.
const MAX_COMPILED: usize = 64 << 10;

impl TagPattern {
    /// Parses a regular expression. It matches anywhere in a tag unless it has anchors, in a time that is linear in the length of the tag.
    ///
    /// # Errors
    /// Fails if the text is not a regular expression, or too large.
    pub fn parse(text: &str) -> Result<Self, TagPatternError> {
        check(text, MAX_PATTERN, "printable ASCII characters", |_, c| c == ' ' || c.is_ascii_graphic())?;
        // Tags are ASCII.
        let compiled =
            RegexBuilder::new(text).unicode(false).size_limit(MAX_COMPILED).dfa_size_limit(MAX_COMPILED).build();
        compiled.map(Self).map_err(|error| match error {
            regex::Error::CompiledTooBig(_) => TagPatternError::TooLarge,
            // The lines before the last one repeat the pattern.
            error => {
                let message = error.to_string();
                let last = message.lines().last().unwrap_or_default();
                TagPatternError::Syntax(last.trim_start_matches("error: ").to_owned())
            }
        })
    }

    /// Returns the text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// Returns true if a tag matches.
    #[must_use]
    pub fn matches(&self, tag: &str) -> bool {
        self.0.is_match(tag.as_bytes())
    }
}

impl PartialEq for TagPattern {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl fmt::Debug for TagPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

impl fmt::Display for TagPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Writes the setting on one line.
impl fmt::Display for Follow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "tags {} of {} as {}", self.tags, self.image, self.mode.as_str())?;
        self.rollout.map_or(Ok(()), |preset| write!(f, ", rollout {}", preset.as_str()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_searches_a_tag_and_its_anchors_bind_it() {
        let matches = |pattern: &str, tag: &str| TagPattern::parse(pattern).unwrap().matches(tag);
        assert!(matches(r"^stable-\d+$", "stable-12"));
        for other in ["stable-", "unstable-12", "stable-12-rc1", "stable-x"] {
            assert!(!matches(r"^stable-\d+$", other), "{other}");
        }
        assert!(matches("stable", "unstable-12") && matches("^(stable|next)$", "next") && matches(".", "x"));
    }

    #[test]
    fn patterns_are_bounded() {
        let error = |pattern: &str| TagPattern::parse(pattern).unwrap_err().to_string();
        assert_eq!(error(""), "must not be empty");
        assert_eq!(error(&"x".repeat(257)), "is 257 bytes long, at most 256 are allowed");
        assert!(error("stäble").starts_with("contains 'ä'"));
        assert_eq!(error("stable("), "is not a regular expression: unclosed group");
        assert_eq!(error("(x{1000}){1000}"), "is a regular expression that takes more than 65536 bytes of memory");
        assert!(error(&"(".repeat(256)).starts_with("is not a regular expression: "));
        // Without bounds on its time, this one would take years.
        assert!(!TagPattern::parse("^(x+x+)+y$").unwrap().matches(&"x".repeat(128)));
    }

    #[test]
    fn patterns_are_equal_by_their_text() {
        let pattern = |text: &str| TagPattern::parse(text).unwrap();
        assert_eq!(pattern("^a$"), pattern("^a$"));
        assert_ne!(pattern("^a$"), pattern("^(a)$"));
        assert_eq!(format!("{:?} {}", pattern("^a$"), pattern("^a$")), "\"^a$\" ^a$");
    }
}
