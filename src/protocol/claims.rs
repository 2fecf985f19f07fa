//! Claims: which requests a protocol answers.

use http::{HeaderName, Method};
use percent_encoding::percent_decode_str;
use std::fmt;
use thiserror::Error;

/// Requests that a protocol answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// The method.
    pub method: Method,
    /// The path. A segment in braces matches any segment; `{product}` names a product.
    pub path: &'static str,
    /// True if [`super::Protocol::answer`] may answer the request at once; otherwise the routes do.
    pub is_prepared: bool,
    /// The headers that a prepared answer depends on.
    pub headers: &'static [HeaderName],
    /// The maximum size of the body in bytes; 0 if the request has none.
    pub max_body: usize,
    /// The route of rejected requests in metrics; `None` if they have none.
    pub rejected_route: Option<&'static str>,
}

/// Two protocols claim the same requests, or one claims a path of the service.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{first} and {second} both claim {method} {path}")]
pub struct ClaimClash {
    /// A protocol, or the service.
    pub first: &'static str,
    /// The other protocol.
    pub second: &'static str,
    /// The method.
    pub method: Method,
    /// A path of the second one that the first one matches, too.
    pub path: &'static str,
}

/// The segments of a path that a claim matches.
#[derive(Debug)]
pub(super) struct PathPattern(Vec<Segment>);

#[derive(Debug, PartialEq, Eq)]
enum Segment {
    Literal(&'static str),
    Product,
    Any,
}

/// A path that matches a pattern, and the product that it names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Match<'a> {
    pub(super) product: Option<&'a str>,
}

impl PathPattern {
    pub(super) fn new(path: &'static str) -> Self {
        Self(segments(path).map(Segment::new).collect())
    }

    /// Matches a path as it was sent. Parameters that must be decoded first do not match.
    pub(super) fn matches<'a>(&self, path: &'a str) -> Option<Match<'a>> {
        let mut found = Match { product: None };
        let mut pattern = self.0.iter();
        for segment in segments(path) {
            match pattern.next()? {
                Segment::Literal(literal) if *literal == segment => {}
                Segment::Literal(_) => return None,
                Segment::Product | Segment::Any if segment.is_empty() || segment.contains('%') => return None,
                Segment::Product => found.product = Some(segment),
                Segment::Any => {}
            }
        }
        pattern.next().is_none().then_some(found)
    }

    /// Returns true if a path matches once it is decoded.
    pub(super) fn matches_decoded(&self, path: &str) -> bool {
        let mut pattern = self.0.iter();
        for segment in segments(path) {
            let matches = match pattern.next() {
                Some(Segment::Literal(literal)) => percent_decode_str(segment).eq(literal.bytes()),
                Some(Segment::Product | Segment::Any) => true,
                None => false,
            };
            if !matches {
                return false;
            }
        }
        pattern.next().is_none()
    }

    /// Returns the name that all its paths begin with, or `None` if they begin with a product or with any segment.
    pub(super) fn first_name(&self) -> Option<&'static str> {
        match self.0.first() {
            Some(Segment::Literal(name)) => Some(name),
            _ => None,
        }
    }

    /// Returns true if a path that it matches can begin with one of these names. They are no products.
    pub(super) fn can_begin_with(&self, names: &[&str]) -> bool {
        match self.0.first() {
            Some(Segment::Literal(name)) => names.contains(name),
            Some(Segment::Any) => true,
            Some(Segment::Product) | None => false,
        }
    }

    /// Returns true if some path matches both. The names that patterns begin with are no products.
    pub(super) fn overlaps(&self, other: &Self) -> bool {
        let can_be_equal = |(a, b): (&Segment, &Segment)| match (a, b) {
            (Segment::Literal(a), Segment::Literal(b)) => a == b,
            _ => true,
        };
        let begin_differently = matches!(
            (self.0.first(), other.0.first()),
            (Some(Segment::Product), Some(Segment::Literal(_))) | (Some(Segment::Literal(_)), Some(Segment::Product))
        );
        if begin_differently {
            return false;
        }
        self.0.len() == other.0.len() && self.0.iter().zip(&other.0).all(can_be_equal)
    }
}

fn segments(path: &str) -> impl Iterator<Item = &str> {
    path.strip_prefix('/').unwrap_or(path).split('/')
}

impl Segment {
    fn new(text: &'static str) -> Self {
        match text {
            "{product}" => Self::Product,
            text if text.starts_with('{') => Self::Any,
            text => Self::Literal(text),
        }
    }
}

impl fmt::Display for Claim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.method, self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_whole_paths() {
        let root = PathPattern::new("/v1/graph");
        let product = PathPattern::new("/{product}/v1/graph");
        let file = PathPattern::new("/{product}/streams/{file}");
        assert_eq!(root.matches("/v1/graph"), Some(Match { product: None }));
        assert_eq!(product.matches("/os/v1/graph"), Some(Match { product: Some("os") }));
        assert_eq!(file.matches("/os/streams/a.json"), Some(Match { product: Some("os") }));
        for other in ["/v1/graph/", "/v1/graphs", "/v1", "/", "/a/v1/graph", "//v1/graph"] {
            assert_eq!(root.matches(other), None, "{other}");
        }
        for other in ["//v1/graph", "/o%73/v1/graph", "/a/b/v1/graph", "/v1/graph"] {
            assert_eq!(product.matches(other), None, "{other}");
        }
    }

    #[test]
    fn encoded_paths_match_once_they_are_decoded() {
        let product = PathPattern::new("/{product}/v1/graph");
        for path in ["/os/v1/graph", "/o%73/v1/graph", "/a%2Fb/v1/graph", "/os/%761/graph"] {
            assert!(product.matches_decoded(path), "{path}");
        }
        for path in ["/os/v1/graphs", "/os/v1%2Fgraph", "/os/v1/graph/x"] {
            assert!(!product.matches_decoded(path), "{path}");
        }
    }

    #[test]
    fn patterns_overlap_if_a_path_matches_both() {
        let overlap = |a, b| PathPattern::new(a).overlaps(&PathPattern::new(b));
        assert!(overlap("/{product}/streams/{file}", "/{product}/streams/all"));
        assert!(overlap("/{any}/graph", "/v1/graph"));
        assert!(!overlap("/v1/graph", "/{product}/graph"), "no product is called v1");
        assert!(!overlap("/v1/graph", "/v1/updates"));
        assert!(!overlap("/v1/graph", "/{product}/v1/graph"));
    }
}
