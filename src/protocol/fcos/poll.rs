//! One poll, from its request to its response. It takes no lock and waits for nothing.

use super::{
    Answer, Query, Refusal,
    answer::{Answered, answer_in, polled_scope},
    represent::represent,
    routes::Agents,
};
use crate::{catalog::Rendered, telemetry::Scope};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response, header};

const JSON: HeaderValue = HeaderValue::from_static("application/json");
/// Answers differ from node to node, and change without notice.
const CACHING: HeaderValue = HeaderValue::from_static("private, no-cache");

impl Agents {
    /// The product that a path polls; none if it is another path, or one whose name must be decoded first.
    #[must_use]
    pub fn polled_product<'a>(&'a self, path: &'a str) -> Option<&'a str> {
        if path == "/v1/graph" {
            return Some(self.settings.default_product.as_str());
        }
        let product = path.strip_prefix('/')?.strip_suffix("/v1/graph")?;
        (!product.is_empty() && !product.contains(['/', '%'])).then_some(product)
    }

    /// Answers a poll.
    #[must_use]
    pub fn poll(&self, product: &str, query: Option<&str>, headers: &HeaderMap) -> Response<Bytes> {
        match self.decide(product, query) {
            Ok(Answer::Whole(rendered) | Answer::Unknown(rendered)) => told(whole(&rendered, headers)),
            Ok(answer) => told(Response::new(answer.body())),
            Err(refusal) => self.refuse(&refusal),
        }
    }

    /// Answers a poll with a refusal.
    #[must_use]
    pub fn refuse(&self, refusal: &Refusal) -> Response<Bytes> {
        self.metrics.poll_refused(refusal.kind());
        let mut response = Response::new(refusal.body().into());
        *response.status_mut() = refusal.status();
        if let Some(seconds) = refusal.retry_after() {
            response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
        }
        told(response)
    }

    fn decide(&self, product: &str, query: Option<&str>) -> Result<Answer, Refusal> {
        let query = Query::parse(query.unwrap_or_default())?;
        let catalog = self.live.get();
        let catalog = catalog.as_ref().ok_or(Refusal::NotReady)?;
        if *product != *self.settings.default_product.as_str() && !catalog.has_product(product) {
            return Err(Refusal::UnknownProduct(product.into()));
        }
        let now = self.live.time(self.clock.now());
        let Some(scope) = polled_scope(catalog, &self.settings, product, &query)? else {
            let nothing = self.metrics.scope(&named(product, &query));
            nothing.count(Answer::Empty.kind(), query.asker().wariness.get(), false);
            return Ok(Answer::Empty);
        };
        let asker = query.asker();
        let Answered { answer, held_back } = answer_in(scope, &self.settings, &query, &asker, now.into());
        let tally = scope.tally(|| self.metrics.scope(&named(product, &query)));
        tally.count(answer.kind(), asker.wariness.get(), held_back);
        if let (Answer::Unknown(_) | Answer::UnknownEmpty, Some(payload)) = (&answer, &query.os_checksum) {
            self.unknown.count(product, &query.stream, &query.basearch, query.scheme(), payload);
        }
        Ok(answer)
    }
}

/// What a poll is for, as metrics name it. The stream and the arch are known ones.
fn named<'a>(product: &'a str, query: &'a Query<'_>) -> Scope<'a> {
    Scope { product, stream: &query.stream, arch: &query.basearch, scheme: query.scheme() }
}

/// As it is, it is at hand as a file too, for whoever can send that.
fn whole(rendered: &Rendered, headers: &HeaderMap) -> Response<Bytes> {
    let mut response = represent(rendered, None, headers);
    let as_it_is = !response.headers().contains_key(header::CONTENT_ENCODING) && !response.body().is_empty();
    if let Some(file) = rendered.file().filter(|_| as_it_is) {
        response.extensions_mut().insert(file.clone());
    }
    response
}

fn told(mut response: Response<Bytes>) -> Response<Bytes> {
    let to = response.headers_mut();
    to.insert(header::CONTENT_TYPE, JSON);
    to.insert(header::CACHE_CONTROL, CACHING);
    response
}
