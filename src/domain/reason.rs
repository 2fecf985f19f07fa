//! Why somebody set a policy.

use super::text::TextError;
use std::sync::Arc;

/// The reason for a policy. Upstream's may be empty; ours never are.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Reason(Arc<str>);

/// The most bytes that a reason may have.
pub const MOST_BYTES: usize = 4096;

impl Reason {
    /// A reason that one of us gives: not blank.
    ///
    /// # Errors
    /// It is blank, too long, or holds a NUL.
    pub fn given(text: &str) -> Result<Self, TextError> {
        if text.trim().is_empty() {
            return Err(TextError::Empty);
        }
        Self::recorded(text)
    }

    /// A reason as it was found upstream or in a revision: it may be empty.
    ///
    /// # Errors
    /// It is too long, or holds a NUL, which the store cannot keep.
    pub fn recorded(text: &str) -> Result<Self, TextError> {
        match super::text::check(text, MOST_BYTES, "no NUL", |_, c| c != '\0') {
            Ok(()) | Err(TextError::Empty) => Ok(Self(text.into())),
            Err(error) => Err(error),
        }
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}
