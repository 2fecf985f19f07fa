//! Strong entity tags and conditional requests (RFC 9110, sections 8.8.3 and 13).

use http::{HeaderMap, HeaderValue, header};

/// The entity tag of something named by a hash.
#[must_use]
pub fn strong(hash: &impl std::fmt::Display) -> HeaderValue {
    // Hexadecimal digits between quotes always are a header value.
    HeaderValue::from_str(&format!("\"{hash}\"")).unwrap_or_else(|_| HeaderValue::from_static("\"\""))
}

/// Does the client hold this already? (`If-None-Match`, by weak comparison.)
#[must_use]
pub fn is_held(headers: &HeaderMap, tag: &HeaderValue) -> bool {
    let Ok(tag) = tag.to_str() else { return false };
    headers
        .get_all(header::IF_NONE_MATCH)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .any(|held| held == "*" || held.strip_prefix("W/").unwrap_or(held) == tag)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_compare() {
        let tag = strong(&"ab12");
        for (given, held) in
            [("\"ab12\"", true), ("W/\"ab12\"", true), ("\"x\", \"ab12\"", true), ("*", true), ("\"ab1\"", false)]
        {
            let headers = HeaderMap::from_iter([(header::IF_NONE_MATCH, HeaderValue::from_str(given).unwrap())]);
            assert_eq!(is_held(&headers, &tag), held, "{given}");
        }
        assert!(!is_held(&HeaderMap::new(), &tag));
    }
}
