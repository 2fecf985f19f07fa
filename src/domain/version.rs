//! The version of a release, as upstream writes it.

use super::text::text_type;

text_type!(
    /// A version. Lockkeeper reads no meaning into it: the order of releases is their age.
    Version,
    255,
    "1 to 255 bytes without control characters",
    |_, c| !c.is_control()
);
