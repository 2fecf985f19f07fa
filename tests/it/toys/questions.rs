//! A toy protocol that asks about several products in one body, and knows releases by their version.

use axum::{Router, body::Body, extract::State, response::Response, routing::post};
use bytes::Bytes;
use http::{Method, StatusCode};
use lockkeeper::{
    catalog::{Prepare, Prepared, ProductView},
    domain::{
        dialect::Dialect,
        finding::Finding,
        graph::{Graph, visibility::NodeContext},
        ids::{Arch, StreamName, Version},
        policy::graph_rules::{EdgeRule, GraphRules, Identity},
        rollout::wariness::Wariness,
        stream::Stream,
    },
    protocol::{AgentRequest, Agents, Answer, Claim, Moment, Protocol, ProtocolEntry, Rejected},
    telemetry::{PollLabels, PollTally, Scope},
};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::{
    collections::BTreeMap,
    sync::{Arc, OnceLock},
};

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
        GraphRules { edge_rule: EdgeRule::Open, identity: Identity::Version, ..GraphRules::default() }
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

/// One stream and arch. Whether a release is offered depends on the time: that is decided when a node asks.
#[derive(Debug)]
struct Updates {
    /// Recognises nodes by their version.
    graph: Arc<Graph>,
    is_stopped: bool,
    tally: OnceLock<Arc<PollTally>>,
}

impl Prepared for PreparedUpdates {}

struct PrepareUpdates;

impl Prepare for PrepareUpdates {
    fn prepare(&self, product: &ProductView<'_>, _: Option<&dyn Prepared>) -> Arc<dyn Prepared> {
        let streams = product.streams.iter().map(|(name, entry)| {
            let updates = |graph: &Arc<Graph>| {
                let (graph, is_stopped, tally) = (graph.clone(), entry.is_stopped(), OnceLock::new());
                (graph.arch.clone(), Updates { graph, is_stopped, tally })
            };
            (name.clone(), entry.graphs().map(updates).collect())
        });
        Arc::new(PreparedUpdates(streams.collect()))
    }
}

impl Updates {
    /// Returns the newest version that a node is offered, if it runs a release of this stream.
    fn newest(&self, version: &str, moment: Moment) -> Option<&Version> {
        let is_stopped = self.is_stopped || moment.offers_nothing;
        let node_context = NodeContext { group: None, platform: None, wariness: Wariness::new(0.5), is_stopped };
        let own = self.graph.recognise(version)?.node;
        let newest = self.graph.open_targets(own, &node_context, moment.time).map(|(target, _)| target).max()?;
        Some(&self.graph.node(newest)?.version)
    }
}

impl Questions {
    /// Returns the version to update to, and counts the question if it is about a stream that exists.
    fn newest(&self, question: &Question) -> Option<String> {
        let catalog = self.0.catalog.get();
        let prepared = catalog.as_ref()?.prepared::<PreparedUpdates>(&question.product)?;
        let updates = prepared.0.get(&*question.stream)?.get(&*question.arch)?;
        let newest = updates.newest(&question.version, self.0.moment());
        let (product, stream, arch) = (&*question.product, &*question.stream, &*question.arch);
        let scope = Scope { product, stream, arch, scheme: "version" };
        let tally = updates.tally.get_or_init(|| self.0.metrics.scope(&scope, &LABELS));
        tally.count(usize::from(newest.is_none()), 0.5, false);
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
