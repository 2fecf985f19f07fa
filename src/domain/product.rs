//! A product: an operating system with its own streams and versions.

use super::text::text_type;

text_type!(
    /// The name of a product, such as `fedora-coreos`; it is part of URLs.
    ProductName,
    64,
    "1 to 64 of a-z, 0-9, '-', '_' and '.', starting with a letter or digit",
    |at, c| c.is_ascii_lowercase() || c.is_ascii_digit() || (at > 0 && matches!(c, '-' | '_' | '.'))
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_product_name_is_safe_in_a_path() {
        assert!(ProductName::parse("fedora-coreos").is_ok());
        for bad in ["", "..", "a/b", "-x", "Fedora", "a b", &"x".repeat(65)] {
            assert!(ProductName::parse(bad).is_err(), "{bad:?}");
        }
    }
}
