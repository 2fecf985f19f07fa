//! Reasons for policies.

use super::text::TextError;
use std::sync::Arc;

/// The reason for a policy. It is as small as a pointer, since most releases have none. Upstream's reasons may be empty, local ones must not be blank.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Reason(Arc<Box<str>>);

/// The maximum length of a reason in bytes.
pub const MAX_BYTES: usize = 4096;

impl Reason {
    /// Parses a reason of a local change.
    ///
    /// # Errors
    /// Fails if `text` is blank, too long, or contains a NUL.
    pub fn new(text: &str) -> Result<Self, TextError> {
        if text.trim().is_empty() {
            return Err(TextError::Empty);
        }
        Self::from_record(text)
    }

    /// Parses a reason of upstream or of a stored revision, which may be empty.
    ///
    /// # Errors
    /// Fails if `text` is too long, or contains a NUL, which the database cannot store.
    pub fn from_record(text: &str) -> Result<Self, TextError> {
        match super::text::check(text, MAX_BYTES, "text without NUL", |_, c| c != '\0') {
            Ok(()) | Err(TextError::Empty) => Ok(Self(Arc::new(text.into()))),
            Err(error) => Err(error),
        }
    }

    /// Returns the text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}
