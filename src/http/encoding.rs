//! Content codings (RFC 9110, section 8.4.1 and 12.5.3).

use http::{HeaderMap, HeaderValue, header};

/// How bytes are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// As they are.
    Identity,
    /// gzip
    Gzip,
    /// zstd
    Zstd,
}

impl Encoding {
    /// The smallest that the client takes.
    #[must_use]
    pub fn accepted(headers: &HeaderMap) -> Self {
        let takes = |wanted: &str| {
            let values = headers.get_all(header::ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
            let mut codings =
                values.flat_map(|value| value.split(',')).map(|item| item.split_once(';').unwrap_or((item, "")));
            codings.any(|(name, weight)| name.trim().eq_ignore_ascii_case(wanted) && !is_refused(weight))
        };
        if takes("zstd") {
            Self::Zstd
        } else if takes("gzip") {
            Self::Gzip
        } else {
            Self::Identity
        }
    }

    /// What a response says of it; nothing of bytes that are as they are.
    #[must_use]
    pub fn header(self) -> Option<HeaderValue> {
        match self {
            Self::Identity => None,
            Self::Gzip => Some(HeaderValue::from_static("gzip")),
            Self::Zstd => Some(HeaderValue::from_static("zstd")),
        }
    }
}

/// `q=0`, with as many zeros behind the point as there may be.
fn is_refused(weight: &str) -> bool {
    weight.trim().strip_prefix("q=").is_some_and(|weight| weight.parse::<f32>().is_ok_and(|weight| weight <= 0.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_smallest_that_is_taken() {
        for (accepted, chosen) in [
            ("", Encoding::Identity),
            ("gzip", Encoding::Gzip),
            ("deflate, GZIP;q=0.5, br", Encoding::Gzip),
            ("gzip, zstd", Encoding::Zstd),
            ("gzip;q=0", Encoding::Identity),
            ("zstd; q=0.000, gzip", Encoding::Gzip),
            ("identity", Encoding::Identity),
        ] {
            let headers = HeaderMap::from_iter([(header::ACCEPT_ENCODING, HeaderValue::from_str(accepted).unwrap())]);
            assert_eq!(Encoding::accepted(&headers), chosen, "{accepted}");
        }
        assert_eq!(Encoding::accepted(&HeaderMap::new()), Encoding::Identity);
    }
}
