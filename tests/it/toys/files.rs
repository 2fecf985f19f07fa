//! A toy protocol of signed files that change with time, without any revision of a stream. They are served from memory by path.

use arc_swap::ArcSwap;
use axum::{
    Router,
    body::Body,
    response::{IntoResponse, Response},
    routing::get,
};
use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::{Method, StatusCode, Uri};
use lockkeeper::{
    domain::hash::ContentHash,
    protocol::{AgentRequest, Agents, Answer, Claim, Protocol, Rejected},
};
use std::{collections::BTreeMap, sync::Arc, time::Duration};

const CLAIMS: &[Claim] = &[Claim {
    method: Method::GET,
    path: "/signed/files/{file}",
    is_prepared: true,
    headers: &[],
    max_body: 0,
    rejected_route: None,
}];

/// The secret of the toy's signatures.
const SECRET: &str = "toy";

type ByPath = BTreeMap<String, Bytes>;

pub(super) struct Files {
    on: Agents,
    by_path: Arc<ArcSwap<ByPath>>,
}

impl Files {
    pub(super) fn new(on: Agents) -> Self {
        let files = Self { on, by_path: Arc::default() };
        files.sign();
        files
    }

    fn sign(&self) {
        let text = format!("valid at {}", self.on.clock.now());
        let signature = sign(&text);
        let files = [("timestamp", text), ("timestamp.sig", signature)];
        let files = files.map(|(name, text)| (format!("/signed/files/{name}"), Bytes::from(text)));
        self.by_path.store(Arc::new(files.into()));
    }
}

fn file(files: &ByPath, path: &str) -> http::Response<Bytes> {
    files.get(path).map_or_else(|| status(StatusCode::NOT_FOUND), |file| http::Response::new(file.clone()))
}

fn status(status: StatusCode) -> http::Response<Bytes> {
    http::Response::builder().status(status).body(Bytes::new()).unwrap()
}

/// Returns the signature of a text.
pub(super) fn sign(text: &str) -> String {
    ContentHash::from_content(format!("{SECRET}{text}").as_bytes()).to_string()
}

impl Protocol for Files {
    fn name(&self) -> &'static str {
        "files"
    }

    fn claims(&self) -> &[Claim] {
        CLAIMS
    }

    fn answer(&self, request: &AgentRequest<'_>) -> Answer {
        Answer::Done(if (request.admit)() {
            file(&self.by_path.load(), request.path)
        } else {
            status(StatusCode::TOO_MANY_REQUESTS)
        })
    }

    fn routes(&self) -> Router {
        let by_path = self.by_path.clone();
        let serve = async move |uri: Uri| file(&by_path.load(), uri.path()).map(Body::from);
        Router::new().route("/signed/files/{file}", get(serve))
    }

    fn reject(&self, _: &Claim, _: Rejected) -> Response {
        StatusCode::SERVICE_UNAVAILABLE.into_response()
    }

    fn upkeep(self: Arc<Self>) -> BoxFuture<'static, ()> {
        Box::pin(async move {
            let mut ticks = tokio::time::interval(Duration::from_millis(10));
            loop {
                ticks.tick().await;
                self.sign();
            }
        })
    }
}
