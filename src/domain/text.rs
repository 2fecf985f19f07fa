//! What every named thing of the vocabulary shares: text that was checked once and is cheap to clone.

use thiserror::Error;

/// Why a piece of text is not a value of the type it was meant for.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum TextError {
    /// Nothing is there.
    #[error("must not be empty")]
    Empty,
    /// More bytes than the type takes.
    #[error("is {length} bytes long, {most} are allowed")]
    TooLong {
        /// How many bytes there are.
        length: usize,
        /// How many there may be.
        most: usize,
    },
    /// A character that the type does not take.
    #[error("holds {found:?}, which is not allowed: {grammar}")]
    Character {
        /// The first such character.
        found: char,
        /// What is allowed, in words.
        grammar: &'static str,
    },
}

/// Checks length and characters; `allowed` sees each character with its byte offset.
pub(crate) fn check(
    text: &str,
    most: usize,
    grammar: &'static str,
    allowed: impl Fn(usize, char) -> bool,
) -> Result<(), TextError> {
    if text.is_empty() {
        return Err(TextError::Empty);
    }
    if text.len() > most {
        return Err(TextError::TooLong { length: text.len(), most });
    }
    match text.char_indices().find(|(at, c)| !allowed(*at, *c)) {
        Some((_, found)) => Err(TextError::Character { found, grammar }),
        None => Ok(()),
    }
}

/// Declares a newtype over shared text, with a parser that is its only way in.
macro_rules! text_type {
    ($(#[$meta:meta])* $name:ident, $most:expr, $grammar:expr, $allowed:expr) => {
        $(#[$meta])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(std::sync::Arc<str>);

        impl $name {
            #[doc = concat!("Parses: ", $grammar, ".")]
            ///
            /// # Errors
            /// Says which rule the text breaks.
            pub fn parse(text: &str) -> Result<Self, $crate::domain::text::TextError> {
                $crate::domain::text::check(text, $most, $grammar, $allowed)?;
                Ok(Self(text.into()))
            }

            /// The text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                write!(f, "{:?}", &*self.0)
            }
        }

        impl std::str::FromStr for $name {
            type Err = $crate::domain::text::TextError;
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Self::parse(text)
            }
        }

        impl std::borrow::Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }
    };
}
pub(crate) use text_type;
