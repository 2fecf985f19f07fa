//! Validated text types that are cheap to clone, the base of all names in the domain.

use thiserror::Error;

/// The error for text that is not a valid value of its type.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum TextError {
    /// The text is empty.
    #[error("must not be empty")]
    Empty,
    /// The text is too long.
    #[error("is {length} bytes long, at most {max} are allowed")]
    TooLong {
        /// The length in bytes.
        length: usize,
        /// The maximum length in bytes.
        max: usize,
    },
    /// The text contains a character that is not allowed.
    #[error("contains {found:?}, expected {grammar}")]
    Character {
        /// The first such character.
        found: char,
        /// A description of valid text.
        grammar: &'static str,
    },
}

/// Returns true for control characters (Unicode category Cc), for separators (Z) other than the plain space, and for the formatting
/// characters (Cf) that reorder or hide text.
pub(super) fn changes_text_around_it(c: char) -> bool {
    let is_separator = c != ' ' && c.is_whitespace();
    let is_format = matches!(
        c,
        '\u{ad}'
            | '\u{600}'..='\u{605}'
            | '\u{61c}'
            | '\u{180e}'
            | '\u{200b}'..='\u{200f}'
            | '\u{202a}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{feff}'
            | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e007f}'
    );
    c.is_control() || is_separator || is_format
}

/// Checks the length and the characters of a text. `allowed` is called with the byte offset of each character.
pub(crate) fn check(
    text: &str,
    max: usize,
    grammar: &'static str,
    allowed: impl Fn(usize, char) -> bool,
) -> Result<(), TextError> {
    if text.is_empty() {
        return Err(TextError::Empty);
    }
    if text.len() > max {
        return Err(TextError::TooLong { length: text.len(), max });
    }
    match text.char_indices().find(|(at, c)| !allowed(*at, *c)) {
        Some((_, found)) => Err(TextError::Character { found, grammar }),
        None => Ok(()),
    }
}

/// Declares a newtype over shared text that can only be created by its parser. With `interned`, equal texts share their memory, and each takes
/// no more than a pointer: for names of which there are few and that occur often.
macro_rules! text_type {
    ($(#[$meta:meta])* $name:ident, $max:expr, $grammar:expr, $allowed:expr) => {
        $crate::domain::text::text_type!($(#[$meta])* $name, $max, $grammar, $allowed, std::sync::Arc<str>, std::sync::Arc::from);
    };
    ($(#[$meta:meta])* $name:ident, $max:expr, $grammar:expr, $allowed:expr, interned) => {
        $crate::domain::text::text_type!($(#[$meta])* $name, $max, $grammar, $allowed, std::sync::Arc<Box<str>>, $crate::domain::interned::interned);
    };
    ($(#[$meta:meta])* $name:ident, $max:expr, $grammar:expr, $allowed:expr, $shared:ty, $share:expr) => {
        $(#[$meta])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name($shared);

        impl $name {
            #[doc = concat!("Parses: ", $grammar, ".")]
            ///
            /// # Errors
            /// Fails if the text does not have this form.
            pub fn parse(text: &str) -> Result<Self, $crate::domain::text::TextError> {
                $crate::domain::text::check(text, $max, $grammar, $allowed)?;
                Ok(Self($share(text)))
            }

            /// Returns the text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }

            /// Copies the text, unless equal texts share their memory anyway.
            #[must_use]
            pub fn copied(&self) -> Self {
                Self($share(&*self.0))
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

/// Gives an enum whose names strum derives the functions that documents and the database use.
macro_rules! named_values {
    ($name:ident, $what:literal) => {
        impl $name {
            #[doc = concat!("Every ", $what, ".")]
            pub const ALL: &'static [Self] = <Self as strum::VariantArray>::VARIANTS;

            /// Returns the name that documents and the database use.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                self.into()
            }

            #[doc = concat!("Returns the ", $what, " with this name.")]
            #[must_use]
            pub fn from_name(name: &str) -> Option<Self> {
                name.parse().ok()
            }
        }
    };
}

pub(crate) use named_values;
