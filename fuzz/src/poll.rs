//! Polls: bytes from a connection are parsed as a plain poll or left to the full HTTP server; a query is answered or rejected. An answer
//! is valid in the content coding that the agent accepts, and a node view contains only the node itself and the releases to which it has an
//! edge in the full graph.

use super::graph::{self, NOW, Rendered};
use bytes::Bytes;
use flate2::read::GzDecoder;
use http::{HeaderMap, Method, Response, StatusCode, header};
use jiff::{SignedDuration, Timestamp};
use lockkeeper::{
    catalog::{Catalog, CatalogHandle, Codecs, Preparer},
    clock::ManualClock,
    domain::ids::ProductName,
    exchange::documents,
    fleet::UnknownPayloads,
    fuzzing,
    protocol::{
        Agents, Protocols,
        fcos::{Fcos, FcosPrepare, Query, Settings, UnknownPayload, View, answer, poll::Polled},
    },
    store::State,
    telemetry::Metrics,
};
use serde_json::Value;
use std::{
    io::Read,
    sync::{Arc, LazyLock},
};

/// The streams that polls are answered from.
const STREAMS: [&str; 3] =
    [include_str!("streams/stable.toml"), include_str!("streams/next.toml"), include_str!("streams/samples.toml")];

const PRODUCT: &str = "fedora-coreos";

static AGENTS: LazyLock<Agents> = LazyLock::new(|| {
    let mut catalog = Catalog::default();
    for text in STREAMS {
        catalog.insert(State::unstored(documents::read(text).expect("a stream")));
    }
    catalog.prepare(&FcosPrepare::preparers());
    let catalog_handle = CatalogHandle::new(SignedDuration::from_mins(10), None);
    catalog_handle.set(catalog);
    Agents {
        catalog: Arc::new(catalog_handle),
        clock: Arc::new(ManualClock::new(Timestamp::from_second(NOW.0).expect("a time"))),
        metrics: Metrics::off(),
        preparer: Preparer::start(Arc::new(Codecs), 1 << 24, &Metrics::off()).expect("a thread"),
        unknown: Arc::default(),
        offers_synthetic: false,
    }
});

static SETTINGS: LazyLock<Settings> = LazyLock::new(|| Settings {
    default_product: ProductName::parse(PRODUCT).expect("a name"),
    unknown_payload: UnknownPayload::Full,
    view: View::Node,
    offer_synthetic: false,
});

static PROTOCOLS: LazyLock<Protocols> =
    LazyLock::new(|| Protocols::new(&[Fcos::entry(SETTINGS.clone())], &AGENTS).expect("claims that do not clash"));

/// Checks bytes of a connection, or a query.
pub fn check(input: &[u8]) {
    let agents = Agents { unknown: Arc::new(UnknownPayloads::default()), ..AGENTS.clone() };
    let fcos = Fcos::new(agents, SETTINGS.clone());
    let Some(poll) = fuzzing::plain_poll(input, false) else {
        assert!(fuzzing::plain_poll(input, true).is_none(), "a service that sends traces accepts no other polls");
        let query = String::from_utf8_lossy(input);
        check_answer(&fcos, PRODUCT, &query, &HeaderMap::new());
        return;
    };
    if let Some(traced) = fuzzing::plain_poll(input, true) {
        assert_eq!((traced.target, &traced.headers, traced.is_last), (poll.target, &poll.headers, poll.is_last));
    }
    assert!(poll.target.starts_with('/') && input.ends_with(b"\n"), "{poll:?}");
    let known = [header::ACCEPT_ENCODING.as_str(), header::IF_NONE_MATCH.as_str(), "x-forwarded-for"];
    assert!(poll.headers.keys().all(|name| known.contains(&name.as_str())), "{poll:?}");
    let (path, query) = poll.target.split_once('?').unwrap_or((poll.target, ""));
    if let Some(claimed) = PROTOCOLS.prepared(&Method::GET, path) {
        check_answer(&fcos, claimed.product.unwrap_or(PRODUCT), query, &poll.headers);
    }
}

fn check_answer(fcos: &Fcos, product: &str, query: &str, headers: &HeaderMap) {
    let response = loop {
        match fcos.poll(product, Some(query), headers, None, || true) {
            Polled::Answered(response) => break response,
            // Once it is rendered, it is cached.
            Polled::Missing(missing) => assert!(missing.render().is_some()),
        }
    };
    assert_eq!(response.headers()[header::CONTENT_TYPE], "application/json");
    assert!(response.headers().contains_key(header::CACHE_CONTROL));
    match response.status() {
        StatusCode::OK => check_graph(product, query, &body(&response)),
        StatusCode::NOT_MODIFIED => {
            assert!(headers.contains_key(header::IF_NONE_MATCH) && response.body().is_empty());
        }
        StatusCode::BAD_REQUEST | StatusCode::NOT_FOUND | StatusCode::SERVICE_UNAVAILABLE => {
            let error: Value = serde_json::from_slice(response.body()).expect("an error is JSON");
            assert!(error["kind"].is_string() && error["value"].is_string(), "{error}");
            assert!(response.body().len() < 2048, "an error repeats little of the query");
        }
        status => panic!("a poll is answered with {status}"),
    }
}

fn body(response: &Response<Bytes>) -> Vec<u8> {
    let body = response.body().as_ref();
    match response.headers().get(header::CONTENT_ENCODING).map(http::HeaderValue::as_bytes) {
        None => body.to_vec(),
        Some(b"gzip") => {
            let mut plain = Vec::new();
            GzDecoder::new(body).read_to_end(&mut plain).expect("gzip");
            plain
        }
        Some(b"zstd") => zstd::decode_all(body).expect("zstd"),
        Some(other) => panic!("the coding {other:?}"),
    }
}

fn check_graph(product: &str, query: &str, body: &[u8]) {
    let query = Query::parse(query).expect("an answered query is valid");
    let catalog = AGENTS.catalog.get();
    let catalog = catalog.as_ref().expect("there is a catalog");
    let stream = catalog.stream(product, &query.stream).expect("an answered query names a stream");
    let Some(graph) = stream.graph(&query.basearch, query.scheme()) else {
        assert_eq!(body, br#"{"edges":[],"nodes":[]}"#);
        return;
    };
    let wanted = Query { view: Some(View::Full), ..query.clone() };
    let full = answer(catalog, &SETTINGS, product, &wanted, NOW).expect("the full graph").body();
    let full_graph = graph::parse(&full);
    full_graph.check_barriers();
    assert_eq!(full_graph.nodes.len(), graph.nodes().len());
    let sent = query.os_checksum.as_deref().filter(|_| query.view != Some(View::Full));
    match sent.and_then(|sent| Some((sent, graph.recognise(sent)?))) {
        Some((sent, recognised)) => check_node_view(&graph::parse(body), &full_graph, recognised.node.0, sent),
        None => assert!(*body == *full, "a node that is not recognised gets the full graph"),
    }
}

/// Checks that a node view contains the node, with the payload that it sent, and exactly the releases to which the full graph has an edge.
fn check_node_view(view: &Rendered, full: &Rendered, own: usize, sent: &str) {
    let same = |shown: &Value, node: &Value| {
        assert_eq!((&shown["version"], &shown["metadata"]), (&node["version"], &node["metadata"]));
    };
    let targets: Vec<usize> = full.edges.iter().filter(|(from, _)| *from == own).map(|(_, to)| *to).collect();
    assert_eq!(view.nodes.len(), 1 + targets.len());
    assert_eq!(view.nodes[0]["payload"], sent);
    same(&view.nodes[0], &full.nodes[own]);
    assert_eq!(view.edges.len(), targets.len());
    for ((from, to), target) in view.edges.iter().zip(targets) {
        assert_eq!(*from, 0, "an edge starts at another node");
        let (shown, node) = (&view.nodes[*to], &full.nodes[target]);
        same(shown, node);
        let digest = |node: &Value| node["payload"].as_str().and_then(|id| id.rsplit('@').next()).map(str::to_owned);
        assert_eq!(digest(shown), digest(node), "the payload differs");
    }
}
