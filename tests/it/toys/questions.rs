//! A toy protocol that asks about several products in one body, and knows releases by their version.

use axum::{
    Router,
    body::Body,
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use http::{Method, StatusCode};
use lockkeeper::{
    domain::release::ReleaseState,
    protocol::{AgentRequest, Agents, Answer, Claim, Protocol, Rejected},
    telemetry::{PollLabels, Scope},
};
use serde::{Deserialize, Serialize};
use serde_json::json;

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

const LABELS: PollLabels = PollLabels { answers: &[("update", None), ("no_update", None)] };

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

pub(super) struct Questions(pub(super) Agents);

impl Questions {
    fn newest(&self, question: &Question) -> Option<String> {
        let catalog = self.0.catalog.get();
        let entry = catalog.as_ref()?.stream(&question.product, &question.stream)?;
        let releases: Vec<_> = entry.stream().aged().map(|(_, release)| release).collect();
        let own = releases.iter().position(|release| release.version.as_str() == question.version)?;
        let has_payload = |key: &lockkeeper::domain::release::PayloadKey| key.arch.as_str() == question.arch;
        let newest = releases[own + 1..]
            .iter()
            .rev()
            .find(|release| release.state == ReleaseState::Published && release.payloads.keys().any(has_payload))?;
        (!entry.is_stopped()).then(|| newest.version.to_string())
    }

    fn answer_question(&self, question: &Question) -> Update {
        let newest = self.newest(question);
        let scope =
            Scope { product: &question.product, stream: &question.stream, arch: &question.arch, scheme: "version" };
        self.0.metrics.scope(&scope, &LABELS).count(usize::from(newest.is_none()), 1.0, false);
        Update { product: question.product.clone(), newest }
    }
}

impl Protocol for Questions {
    fn name(&self) -> &'static str {
        "questions"
    }

    fn claims(&self) -> &[Claim] {
        CLAIMS
    }

    fn answer(&self, request: &AgentRequest<'_>) -> Answer {
        if !(request.admit)() {
            return Answer::Done(rejected(StatusCode::TOO_MANY_REQUESTS).map(|body| body.into_bytes().into()));
        }
        let questions: Result<Vec<Question>, _> = serde_json::from_slice(&request.body);
        Answer::Done(match questions {
            Ok(questions) => {
                let updates: Vec<Update> = questions.iter().map(|question| self.answer_question(question)).collect();
                http::Response::new(Bytes::from(serde_json::to_vec(&updates).unwrap()))
            }
            Err(_) => rejected(StatusCode::BAD_REQUEST).map(|body| body.into_bytes().into()),
        })
    }

    fn routes(&self) -> Router {
        Router::new()
    }

    fn reject(&self, _: &Claim, why: Rejected) -> Response {
        let status = match why {
            Rejected::TooMany => StatusCode::TOO_MANY_REQUESTS,
            Rejected::Overloaded => StatusCode::SERVICE_UNAVAILABLE,
            Rejected::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Rejected::Incomplete | Rejected::Host => StatusCode::BAD_REQUEST,
        };
        rejected(status).map(Body::from).into_response()
    }
}

fn rejected(status: StatusCode) -> http::Response<String> {
    let body = json!({ "rejected": status.as_u16() }).to_string();
    http::Response::builder().status(status).body(body).unwrap()
}
