//! The protocols that one service speaks, and which of them answers a request.

use super::{
    Claim, ClaimClash, Protocol,
    claims::{Match, PathPattern},
};
use crate::{
    http::layers::name,
    telemetry::{Metrics, RouteTimes},
};
use http::{HeaderName, Method};
use std::sync::Arc;

/// The protocols that one service speaks.
pub struct Protocols {
    protocols: Vec<Arc<dyn Protocol>>,
    entries: Vec<Entry>,
}

/// One claim of a protocol.
struct Entry {
    protocol: Arc<dyn Protocol>,
    claim: Claim,
    pattern: PathPattern,
    times: Arc<RouteTimes>,
}

/// A request's claim.
#[derive(Clone, Copy)]
pub struct Claimed<'a> {
    /// The protocol.
    pub protocol: &'a dyn Protocol,
    /// The claim.
    pub claim: &'a Claim,
    /// The durations of its requests.
    pub times: &'a RouteTimes,
    /// The segment of the path that names the product, if there is one.
    pub product: Option<&'a str>,
}

impl Protocols {
    /// Collects protocols.
    ///
    /// # Errors
    /// Two of them claim the same requests.
    pub fn new(protocols: Vec<Arc<dyn Protocol>>, metrics: &Metrics) -> Result<Self, ClaimClash> {
        let mut entries: Vec<Entry> = Vec::new();
        for protocol in &protocols {
            for claim in protocol.claims() {
                let pattern = PathPattern::new(claim.path);
                let clashes = |other: &&Entry| {
                    other.protocol.name() != protocol.name()
                        && other.claim.method == claim.method
                        && other.pattern.overlaps(&pattern)
                };
                if let Some(other) = entries.iter().find(clashes) {
                    return Err(ClaimClash {
                        first: other.protocol.name(),
                        second: protocol.name(),
                        method: claim.method.clone(),
                        path: claim.path,
                    });
                }
                let times = metrics.route(name(&claim.method), claim.path);
                entries.push(Entry { protocol: protocol.clone(), claim: claim.clone(), pattern, times });
            }
        }
        Ok(Self { protocols, entries })
    }

    /// Returns all protocols.
    #[must_use]
    pub fn all(&self) -> &[Arc<dyn Protocol>] {
        &self.protocols
    }

    /// Returns the headers that a prepared answer of any protocol depends on.
    pub fn headers(&self) -> impl Iterator<Item = &HeaderName> {
        self.entries.iter().flat_map(|entry| entry.claim.headers)
    }

    /// Returns the prepared claim of a request.
    #[must_use]
    pub fn prepared<'a>(&'a self, method: &Method, path: &'a str) -> Option<Claimed<'a>> {
        self.entries
            .iter()
            .filter(|entry| entry.claim.is_prepared && entry.claim.method == method)
            .find_map(|entry| Some(entry.claimed(entry.pattern.matches(path)?)))
    }

    /// Returns the protocol that a path belongs to: the one that claims it with this method, or else with another one.
    #[must_use]
    pub fn owner(&self, method: &Method, path: &str) -> Option<Claimed<'_>> {
        let mut matching = self.entries.iter().filter(|entry| entry.pattern.matches_decoded(path));
        let any = matching.clone().next()?;
        let entry = matching.find(|entry| entry.claim.method == method).unwrap_or(any);
        Some(entry.claimed(Match { product: None }))
    }
}

impl Entry {
    fn claimed<'a>(&'a self, found: Match<'a>) -> Claimed<'a> {
        Claimed { protocol: &*self.protocol, claim: &self.claim, times: &self.times, product: found.product }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::{AgentRequest, Answer, Rejected};
    use axum::{Router, response::Response};

    struct Toy(&'static str, Vec<Claim>);

    impl Protocol for Toy {
        fn name(&self) -> &'static str {
            self.0
        }

        fn claims(&self) -> &[Claim] {
            &self.1
        }

        fn answer(&self, _: &AgentRequest<'_>) -> Answer {
            Answer::Elsewhere
        }

        fn routes(&self) -> Router {
            Router::new()
        }

        fn reject(&self, _: &Claim, _: Rejected) -> Response {
            Response::default()
        }
    }

    fn claim(method: Method, path: &'static str, is_prepared: bool) -> Claim {
        Claim { method, path, is_prepared, headers: &[], max_body: 0, rejected_route: None }
    }

    fn protocols(toys: Vec<Toy>) -> Result<Protocols, ClaimClash> {
        let toys = toys.into_iter().map(|toy| Arc::new(toy) as Arc<dyn Protocol>).collect();
        Protocols::new(toys, &Metrics::off())
    }

    #[test]
    fn a_request_is_answered_by_the_protocol_that_claims_it() {
        let graph = claim(Method::GET, "/{product}/v1/graph", true);
        let files = claim(Method::GET, "/files/{name}", false);
        let ask = claim(Method::POST, "/ask", true);
        let all = protocols(vec![Toy("graphs", vec![graph, files]), Toy("questions", vec![ask])]).unwrap();
        let found = |method, path| all.prepared(&method, path).map(|found| (found.protocol.name(), found.product));
        assert_eq!(found(Method::GET, "/os/v1/graph"), Some(("graphs", Some("os"))));
        assert_eq!(found(Method::POST, "/ask"), Some(("questions", None)));
        assert_eq!(found(Method::GET, "/ask"), None, "the method differs");
        assert_eq!(found(Method::GET, "/files/a"), None, "it is not prepared");
        let owner = |path| all.owner(&Method::HEAD, path).map(|found| found.protocol.name());
        assert_eq!(owner("/files/a"), Some("graphs"));
        assert_eq!(owner("/%61sk"), Some("questions"));
        assert_eq!(owner("/api/v1/streams"), None);
    }

    #[test]
    fn two_protocols_cannot_claim_the_same_requests() {
        let all = claim(Method::GET, "/{product}/streams/{file}", true);
        let one = claim(Method::GET, "/toy/streams/all", false);
        let clash = protocols(vec![Toy("a", vec![all.clone()]), Toy("b", vec![one.clone()])]).err().unwrap();
        assert_eq!(clash.to_string(), "a and b both claim GET /toy/streams/all");
        let other_method = Claim { method: Method::POST, ..one.clone() };
        let both = protocols(vec![Toy("a", vec![all.clone()]), Toy("b", vec![other_method])]).unwrap();
        let owner = |method| both.owner(&method, "/toy/streams/all").map(|found| found.protocol.name());
        assert_eq!([Method::GET, Method::POST, Method::PUT].map(owner), [Some("a"), Some("b"), Some("a")]);
        assert!(protocols(vec![Toy("a", vec![all, one])]).is_ok(), "a protocol may answer a special case differently");
    }
}
