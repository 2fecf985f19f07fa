//! The machine architecture, by the kernel's name.

use super::text::text_type;

text_type!(
    /// An architecture as the kernel names it: `x86_64`, `aarch64`, `ppc64le`, `s390x`, or one yet to come.
    Arch,
    32,
    "1 to 32 of a-z, 0-9 and '_'",
    |_, c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_'
);
