//! An OTLP collector over HTTP that records what it receives.

use axum::{Router, body::Bytes, extract::State, http::StatusCode, routing::post};
use opentelemetry_proto::tonic::{
    collector::{
        logs::v1::ExportLogsServiceRequest, metrics::v1::ExportMetricsServiceRequest,
        trace::v1::ExportTraceServiceRequest,
    },
    common::v1::{KeyValue, any_value::Value},
    resource::v1::Resource,
};
use prost::Message;
use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex},
};

/// A span of a trace.
#[derive(Debug, Clone)]
pub(crate) struct Span {
    pub(crate) trace: String,
    pub(crate) id: String,
    pub(crate) parent: String,
    pub(crate) name: String,
    /// The process that sent it.
    pub(crate) instance: String,
}

/// What the collector has received so far.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    pub(crate) spans: Vec<Span>,
    /// Names and units.
    pub(crate) metrics: BTreeSet<(String, String)>,
    pub(crate) logs: Vec<String>,
    pub(crate) services: BTreeSet<String>,
    /// Every request, as text.
    pub(crate) everything: String,
}

/// A running collector.
pub(crate) struct Collector {
    pub(crate) url: String,
    pub(crate) seen: Arc<Mutex<Seen>>,
}

type SharedSeen = State<Arc<Mutex<Seen>>>;

impl Collector {
    pub(crate) async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let seen = Arc::<Mutex<Seen>>::default();
        let site = Router::new()
            .route("/v1/traces", post(traces))
            .route("/v1/metrics", post(metrics))
            .route("/v1/logs", post(logs))
            .with_state(seen.clone());
        tokio::spawn(async move { axum::serve(listener, site).await.unwrap() });
        Self { url, seen }
    }
}

async fn traces(State(seen): SharedSeen, body: Bytes) -> StatusCode {
    let mut seen = seen.lock().unwrap();
    let request = ExportTraceServiceRequest::decode(body).unwrap();
    seen.everything += &format!("{request:?}");
    for part in request.resource_spans {
        let instance = record_sender(&mut seen, part.resource.as_ref());
        for span in part.scope_spans.into_iter().flat_map(|scope| scope.spans) {
            let (trace, id, parent) = (hex(&span.trace_id), hex(&span.span_id), hex(&span.parent_span_id));
            seen.spans.push(Span { trace, id, parent, name: span.name, instance: instance.clone() });
        }
    }
    StatusCode::OK
}

async fn metrics(State(seen): SharedSeen, body: Bytes) -> StatusCode {
    let mut seen = seen.lock().unwrap();
    let request = ExportMetricsServiceRequest::decode(body).unwrap();
    seen.everything += &format!("{request:?}");
    for part in request.resource_metrics {
        record_sender(&mut seen, part.resource.as_ref());
        for metric in part.scope_metrics.into_iter().flat_map(|scope| scope.metrics) {
            seen.metrics.insert((metric.name, metric.unit));
        }
    }
    StatusCode::OK
}

async fn logs(State(seen): SharedSeen, body: Bytes) -> StatusCode {
    let mut seen = seen.lock().unwrap();
    let request = ExportLogsServiceRequest::decode(body).unwrap();
    seen.everything += &format!("{request:?}");
    for part in request.resource_logs {
        record_sender(&mut seen, part.resource.as_ref());
        for record in part.scope_logs.into_iter().flat_map(|scope| scope.log_records) {
            seen.logs.extend(record.body.and_then(|body| body.value).map(text));
        }
    }
    StatusCode::OK
}

/// Records the service that sent a request, and returns its process.
fn record_sender(seen: &mut Seen, resource: Option<&Resource>) -> String {
    let attributes = &resource.unwrap().attributes;
    seen.services.insert(attribute(attributes, "service.name"));
    attribute(attributes, "service.instance.id")
}

fn attribute(attributes: &[KeyValue], key: &str) -> String {
    let found = attributes.iter().find(|attribute| attribute.key == key).unwrap();
    text(found.value.clone().unwrap().value.unwrap())
}

fn text(value: Value) -> String {
    match value {
        Value::StringValue(text) => text,
        other => format!("{other:?}"),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |hex, byte| format!("{hex}{byte:02x}"))
}
