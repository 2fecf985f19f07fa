use super::*;
use crate::{
    catalog::{CatalogHandle, Codecs, Preparer},
    clock::SystemClock,
    domain::{
        dialect::Dialect,
        finding::Finding,
        ids::{ProductName, ProtocolName},
        rollout::wariness::Wariness,
        stream::Stream,
    },
    fleet::UnknownPayloads,
    protocol::{AgentRequest, Answer, Rejected},
    telemetry::Metrics,
};
use axum::{Router, response::Response};
use jiff::SignedDuration;

struct Toy(&'static str);

impl Dialect for Toy {
    fn name(&self) -> &'static str {
        self.0
    }

    fn wariness(&self, _: &str) -> Wariness {
        Wariness::new(0.5)
    }

    fn lint(&self, _: &Stream) -> Vec<Finding> {
        Vec::new()
    }
}

impl Protocol for Toy {
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

fn entry(name: &'static str, claims: Vec<Claim>) -> ProtocolEntry {
    ProtocolEntry { dialect: Arc::new(Toy(name)), prepare: None, claims, build: Box::new(move |_| Arc::new(Toy(name))) }
}

fn protocols(entries: &[ProtocolEntry]) -> Result<Protocols, ClaimClash> {
    let metrics = Metrics::off();
    let on = Agents {
        catalog: Arc::new(CatalogHandle::new(SignedDuration::from_mins(10), None)),
        clock: Arc::new(SystemClock),
        preparer: Preparer::start(Arc::new(Codecs), 0, &metrics).unwrap(),
        metrics,
        unknown: Arc::new(UnknownPayloads::default()),
        offers_synthetic: false,
    };
    Protocols::new(entries, &on)
}

#[test]
fn a_request_is_answered_by_the_protocol_that_claims_it() {
    let graph = claim(Method::GET, "/{product}/v1/graph", true);
    let files = claim(Method::GET, "/files/{name}", false);
    let ask = claim(Method::POST, "/ask", true);
    let all = protocols(&[entry("graphs", vec![graph, files]), entry("questions", vec![ask])]).unwrap();
    let found = |method, path| all.prepared(&method, path).map(|found| (found.name, found.product));
    assert_eq!(found(Method::GET, "/os/v1/graph"), Some(("graphs", Some("os"))));
    assert_eq!(found(Method::POST, "/ask"), Some(("questions", None)));
    assert_eq!(found(Method::GET, "/ask"), None, "the method differs");
    assert_eq!(found(Method::GET, "/files/a"), None, "it is not prepared");
    let owner = |path| all.owner(&Method::HEAD, path).map(|found| found.name);
    assert_eq!(owner("/files/a"), Some("graphs"));
    assert_eq!(owner("/%61sk"), Some("questions"));
    assert_eq!(owner("/api/v1/streams"), None);
}

#[test]
fn two_protocols_cannot_claim_the_same_requests() {
    let all = claim(Method::GET, "/{product}/streams/{file}", true);
    let one = claim(Method::GET, "/{product}/streams/all", false);
    let clash = protocols(&[entry("a", vec![all.clone()]), entry("b", vec![one.clone()])]).err().unwrap();
    assert_eq!(clash.to_string(), "a and b both claim GET /{product}/streams/all");
    let twice = protocols(&[entry("a", vec![one.clone()]), entry("a", vec![one.clone()])]).err().unwrap();
    assert_eq!(twice.to_string(), "a and a both claim GET /{product}/streams/all");
    let other_method = Claim { method: Method::POST, ..one.clone() };
    let both = protocols(&[entry("a", vec![all.clone()]), entry("b", vec![other_method])]).unwrap();
    let owner = |method| both.owner(&method, "/os/streams/all").map(|found| found.name);
    assert_eq!([Method::GET, Method::POST, Method::PUT].map(owner), [Some("a"), Some("b"), Some("a")]);
    assert!(protocols(&[entry("a", vec![all, one])]).is_ok(), "a protocol may answer a special case differently");
}

#[test]
fn a_protocol_cannot_claim_a_path_of_the_service() {
    let clash = protocols(&[entry("a", vec![claim(Method::GET, "/api/updates", true)])]).err().unwrap();
    assert_eq!(clash.to_string(), "the service and a both claim GET /api/updates");
    let clash = protocols(&[entry("a", vec![claim(Method::GET, "/{any}/updates", true)])]).err().unwrap();
    assert_eq!(clash.to_string(), "the service and a both claim GET /{any}/updates");
}

#[test]
fn names_that_paths_begin_with_are_no_products() {
    let graphs = entry("graphs", vec![claim(Method::GET, "/{product}/files/{file}", true)]);
    let files = entry("files", vec![claim(Method::GET, "/signed/files/{file}", true)]);
    let entries = [graphs, files];
    let all = protocols(&entries).unwrap();
    let found = |path| all.prepared(&Method::GET, path).map(|found| (found.name, found.product));
    assert_eq!(found("/signed/files/a"), Some(("files", None)));
    assert_eq!(found("/os/files/a"), Some(("graphs", Some("os"))));
    let dialects = dialects(&entries);
    let is_reserved = |name| dialects.is_reserved(&ProductName::parse(name).unwrap());
    assert_eq!(["signed", "api", "healthz", "os", "files"].map(is_reserved), [true, true, true, false, false]);
    assert!(dialects.get(&ProtocolName::parse("files").unwrap()).is_some());
    assert!(dialects.get(&ProtocolName::parse("other").unwrap()).is_none());
}
