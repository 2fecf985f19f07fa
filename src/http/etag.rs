//! Entity tags, dates and conditional requests (RFC 9110, sections 8.8 and 13).

use http::{HeaderMap, HeaderValue, header};
use std::time::SystemTime;

/// The entity tag of something named by a hash.
#[must_use]
pub fn strong(hash: &impl std::fmt::Display) -> HeaderValue {
    // Hexadecimal digits between quotes always are a header value.
    HeaderValue::from_str(&format!("\"{hash}\"")).unwrap_or_else(|_| HeaderValue::from_static("\"\""))
}

/// The entity tag of something that is sent in several encodings.
#[must_use]
pub fn weak(hash: &impl std::fmt::Display) -> HeaderValue {
    HeaderValue::from_str(&format!("W/\"{hash}\"")).unwrap_or_else(|_| HeaderValue::from_static("W/\"\""))
}

/// A time as headers have it, in whole seconds.
#[must_use]
pub fn date(time: SystemTime) -> HeaderValue {
    // Such a date has letters, digits and spaces.
    HeaderValue::from_str(&httpdate::fmt_http_date(time)).unwrap_or_else(|_| HeaderValue::from_static(""))
}

/// Does the client hold what has this tag and was changed then? The tag counts; the time only for who sends no tag.
#[must_use]
pub fn is_current(headers: &HeaderMap, tag: &HeaderValue, changed_at: SystemTime) -> bool {
    if headers.contains_key(header::IF_NONE_MATCH) {
        return is_held(headers, tag);
    }
    let since =
        headers.get(header::IF_MODIFIED_SINCE).and_then(|value| httpdate::parse_http_date(value.to_str().ok()?).ok());
    since.is_some_and(|since| httpdate::HttpDate::from(changed_at) <= httpdate::HttpDate::from(since))
}

/// Does the client hold this already? (`If-None-Match`, by weak comparison.)
#[must_use]
pub fn is_held(headers: &HeaderMap, tag: &HeaderValue) -> bool {
    let Ok(tag) = tag.to_str() else { return false };
    let tag = tag.strip_prefix("W/").unwrap_or(tag);
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
