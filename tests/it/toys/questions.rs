//! A toy protocol that asks about several products in one body, and knows releases by their version.

use axum::{Router, body::Body, extract::State, response::Response, routing::post};
use bytes::Bytes;
use http::{Method, StatusCode};
use lockkeeper::{
    catalog::{Prepare, Prepared, ProductView},
    domain::{
        dialect::Dialect,
        epoch::Epoch,
        finding::Finding,
        graph::{Graph, NodeIndex, visibility::NodeContext},
        ids::{Arch, StreamName, Version},
        policy::graph_rules::{EdgeRule, GraphRules, Identity},
        rollout::wariness::Wariness,
        stream::Stream,
    },
    protocol::{AgentRequest, Agents, Answer, Claim, Protocol, ProtocolEntry, Rejected},
    telemetry::{PollLabels, Scope},
};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::{collections::BTreeMap, sync::Arc};

/// The name of the toy.
pub(super) const NAME: &str = "questions";

/// The maximum size of a body.
pub(super) const MAX_BODY: usize = 24 * 1024;

const CLAIMS: &[Claim] = &[Claim {
    method: Method::POST,
    path: "/questions",
    is_prepared: true,
    headers: &[],
    max_body: MAX_BODY,
    rejected_route: Some("/questions"),
}];

const LABELS: PollLabels = PollLabels { protocol: NAME, answers: &[("update", None), ("no_update", None)] };

/// A question about one product.
#[derive(Deserialize)]
struct Question {
    product: String,
    stream: String,
    arch: String,
    version: String,
}

/// The answer to a question.
#[derive(Serialize)]
struct Update {
    product: String,
    newest: Option<String>,
}

#[derive(Clone)]
struct Questions(Agents);

/// Returns the toy.
pub(super) fn entry() -> ProtocolEntry {
    ProtocolEntry {
        dialect: Arc::new(QuestionsDialect),
        prepare: Some(Arc::new(PrepareUpdates)),
        claims: CLAIMS.to_vec(),
        build: Box::new(|on| Arc::new(Questions(on))),
    }
}

/// The rules of the toy: its nodes report versions, and every older release may update.
struct QuestionsDialect;

impl Dialect for QuestionsDialect {
    fn name(&self) -> &'static str {
        NAME
    }

    fn rules(&self) -> GraphRules {
        GraphRules { edge_rule: EdgeRule::Open, identity: Identity::Version }
    }

    fn wariness(&self, _: &str) -> Wariness {
        Wariness::new(0.5)
    }

    fn lint(&self, _: &Stream) -> Vec<Finding> {
        Vec::new()
    }
}

/// The prepared answers about one product, by stream and arch.
#[derive(Debug)]
struct PreparedUpdates(BTreeMap<StreamName, BTreeMap<Arch, Updates>>);

/// The graph, which recognises nodes by their version, and the newest update of each release that has one.
#[derive(Debug)]
struct Updates {
    graph: Arc<Graph>,
    newest: BTreeMap<NodeIndex, Version>,
}

impl Prepared for PreparedUpdates {}

struct PrepareUpdates;

impl Prepare for PrepareUpdates {
    fn prepare(&self, product: &ProductView<'_>, _: Option<&dyn Prepared>) -> Arc<dyn Prepared> {
        let streams = product.streams.iter().map(|(name, entry)| {
            let arches = entry.graphs().map(|graph| (graph.arch.clone(), updates(graph, entry.is_stopped())));
            (name.clone(), arches.collect())
        });
        Arc::new(PreparedUpdates(streams.collect()))
    }
}

fn updates(graph: &Arc<Graph>, is_stopped: bool) -> Updates {
    let node_context = NodeContext { group: None, platform: None, wariness: Wariness::new(0.5), is_stopped };
    let update = |from| {
        let newest = graph.open_targets(from, &node_context, Epoch(0)).map(|(to, _)| to).max()?;
        Some((from, graph.node(newest)?.version.clone()))
    };
    let newest = (0..graph.nodes().len()).map(NodeIndex).filter_map(update).collect();
    Updates { graph: graph.clone(), newest }
}

impl Questions {
    /// Returns the version to update to, and counts the question if it is about a stream that exists.
    fn newest(&self, question: &Question) -> Option<String> {
        let catalog = self.0.catalog.get();
        let prepared = catalog.as_ref()?.prepared::<PreparedUpdates>(&question.product)?;
        let updates = prepared.0.get(&*question.stream)?.get(&*question.arch)?;
        let own = updates.graph.recognise(&question.version).map(|own| own.node);
        let newest = own.and_then(|own| updates.newest.get(&own));
        let (product, stream, arch) = (&*question.product, &*question.stream, &*question.arch);
        let scope = Scope { product, stream, arch, scheme: "version" };
        self.0.metrics.scope(&scope, &LABELS).count(usize::from(newest.is_none()), 1.0, false);
        newest.map(ToString::to_string)
    }

    fn answer_body(&self, body: &[u8]) -> http::Response<Bytes> {
        let Ok(questions) = serde_json::from_slice::<Vec<Question>>(body) else {
            return rejected(StatusCode::BAD_REQUEST);
        };
        let update = |question: &Question| Update { product: question.product.clone(), newest: self.newest(question) };
        let updates: Vec<Update> = questions.iter().map(update).collect();
        http::Response::new(serde_json::to_vec(&updates).unwrap().into())
    }
}

/// Answers what the fast answers leave to the routes: encoded paths, and requests whose trace is exported.
async fn ask(State(questions): State<Questions>, body: Bytes) -> Response {
    questions.answer_body(&body).map(Body::from)
}

impl Protocol for Questions {
    fn answer(&self, request: &AgentRequest<'_>) -> Answer {
        Answer::Done(if (request.admit)() {
            self.answer_body(&request.body)
        } else {
            rejected(StatusCode::TOO_MANY_REQUESTS)
        })
    }

    fn routes(&self) -> Router {
        Router::new().route("/questions", post(ask)).with_state(self.clone())
    }

    fn reject(&self, _: &Claim, why: Rejected) -> Response {
        let status = match why {
            Rejected::TooMany => StatusCode::TOO_MANY_REQUESTS,
            Rejected::Overloaded => StatusCode::SERVICE_UNAVAILABLE,
            Rejected::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Rejected::Incomplete | Rejected::Host => StatusCode::BAD_REQUEST,
        };
        rejected(status).map(Body::from)
    }
}

fn rejected(status: StatusCode) -> http::Response<Bytes> {
    let body = json!({ "rejected": status.as_u16() }).to_string();
    http::Response::builder().status(status).body(body.into()).unwrap()
}
