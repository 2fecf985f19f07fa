//! Content codings (RFC 9110, section 8.4.1 and 12.5.3).

use http::{HeaderMap, header};

/// The content codings that a client accepts. If no accepted encoding is ready, it gets the bytes unencoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Accepted {
    /// gzip
    pub gzip: bool,
    /// zstd
    pub zstd: bool,
}

impl Accepted {
    /// Reads `Accept-Encoding`.
    #[must_use]
    pub fn from_headers(headers: &HeaderMap) -> Self {
        let accepts = |wanted: &str| {
            let values = headers.get_all(header::ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
            let mut codings =
                values.flat_map(|value| value.split(',')).map(|item| item.split_once(';').unwrap_or((item, "")));
            codings.any(|(name, weight)| name.trim().eq_ignore_ascii_case(wanted) && !is_refused(weight))
        };
        Self { gzip: accepts("gzip"), zstd: accepts("zstd") }
    }
}

/// Returns true for the weight `q=0`, with any number of zeros after the point.
fn is_refused(weight: &str) -> bool {
    weight.trim().strip_prefix("q=").is_some_and(|weight| weight.parse::<f32>().is_ok_and(|weight| weight <= 0.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    #[test]
    fn codings_are_accepted_unless_refused() {
        for (header, gzip, zstd) in [
            ("", false, false),
            ("gzip", true, false),
            ("deflate, GZIP;q=0.5, br", true, false),
            ("gzip, zstd", true, true),
            ("gzip;q=0", false, false),
            ("zstd; q=0.000, gzip", true, false),
            ("identity", false, false),
        ] {
            let headers = HeaderMap::from_iter([(header::ACCEPT_ENCODING, HeaderValue::from_str(header).unwrap())]);
            assert_eq!(Accepted::from_headers(&headers), Accepted { gzip, zstd }, "{header}");
        }
        assert_eq!(Accepted::from_headers(&HeaderMap::new()), Accepted::default());
    }
}
