//! A toy protocol that asks about several products in one body, and knows releases by their version.

use axum::{Router, body::Body, extract::State, response::Response, routing::post};
use bytes::Bytes;
use http::{Method, StatusCode};
use lockkeeper::{
    domain::release::{Release, ReleaseState},
    protocol::{AgentRequest, Agents, Answer, Claim, Protocol, Rejected},
    telemetry::{PollLabels, Scope},
};
use serde::{Deserialize, Serialize};
use serde_json::json;

const NAME: &str = "questions";

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
pub(super) struct Questions(pub(super) Agents);

impl Questions {
    /// Returns the version to update to, and counts the question if it is about a stream that exists.
    fn newest(&self, question: &Question) -> Option<String> {
        let catalog = self.0.catalog.get();
        let entry = catalog.as_ref()?.stream(&question.product, &question.stream)?;
        let arch = entry.arches().iter().find(|arch| arch.as_str() == question.arch)?;
        let releases: Vec<_> = entry.stream().aged().map(|(_, release)| release).collect();
        let own = releases.iter().position(|release| release.version.as_str() == question.version);
        let newer = own.map_or(&[][..], |own| &releases[own + 1..]);
        let is_offered = |release: &Release| {
            release.state == ReleaseState::Published && release.payloads.keys().any(|key| key.arch == *arch)
        };
        let newest = newer.iter().rev().find(|release| is_offered(release)).filter(|_| !entry.is_stopped());
        let (product, stream) = (&*question.product, &*question.stream);
        let scope = Scope { product, stream, arch: arch.as_str(), scheme: "version" };
        self.0.metrics.scope(&scope, &LABELS).count(usize::from(newest.is_none()), 1.0, false);
        newest.map(|release| release.version.to_string())
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
    fn name(&self) -> &'static str {
        NAME
    }

    fn claims(&self) -> &[Claim] {
        CLAIMS
    }

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
