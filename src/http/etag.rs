//! Entity tags, dates and conditional requests (RFC 9110, sections 8.8 and 13).

use http::{HeaderMap, HeaderValue, header};
use jiff::{Timestamp, tz::TimeZone};

/// Formats a time for headers, in whole seconds. Returns `None` for years that the format cannot express.
#[must_use]
pub fn date(time: Timestamp) -> Option<HeaderValue> {
    let years = 1970..=9999;
    let utc = time.to_zoned(TimeZone::UTC);
    years.contains(&utc.year()).then(|| HeaderValue::from_str(&httpdate::fmt_http_date(time.into())).ok()).flatten()
}

/// Returns true if `If-Modified-Since` is this very time and the client sends no tag. Other times do not count, because some
/// clients send a time of their own.
#[must_use]
pub fn is_unmodified(headers: &HeaderMap, modified: &HeaderValue) -> bool {
    !headers.contains_key(header::IF_NONE_MATCH) && headers.get(header::IF_MODIFIED_SINCE) == Some(modified)
}

/// Returns true if the client holds the version with this tag already (`If-None-Match`, by weak comparison).
#[must_use]
pub fn is_held(headers: &HeaderMap, tag: &[u8]) -> bool {
    headers
        .get_all(header::IF_NONE_MATCH)
        .iter()
        .flat_map(|value| value.as_bytes().split(|byte| *byte == b','))
        .map(<[u8]>::trim_ascii)
        .any(|held| held == b"*" || held.strip_prefix(b"W/").unwrap_or(held) == tag)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_before_1970_have_no_header() {
        let header = |time: &str| date(time.parse().unwrap()).map(|date| date.to_str().unwrap().to_owned());
        assert_eq!(header("2026-07-21T14:07:12.9Z").as_deref(), Some("Tue, 21 Jul 2026 14:07:12 GMT"));
        assert_eq!(header("1970-01-01T00:00:00Z").as_deref(), Some("Thu, 01 Jan 1970 00:00:00 GMT"));
        assert_eq!(header("0001-01-01T00:00:00Z"), None);
        assert_eq!(header("-009999-01-02T01:59:59Z"), None);
    }

    #[test]
    fn tags_compare_weakly() {
        for (tags, held) in
            [("\"ab12\"", true), ("W/\"ab12\"", true), ("\"x\", \"ab12\"", true), ("*", true), ("\"ab1\"", false)]
        {
            let headers = HeaderMap::from_iter([(header::IF_NONE_MATCH, HeaderValue::from_str(tags).unwrap())]);
            assert_eq!(is_held(&headers, b"\"ab12\""), held, "{tags}");
        }
        assert!(!is_held(&HeaderMap::new(), b"\"ab12\""));
    }
}
