//! Answers one poll. Prepared answers are returned at once, without locks and waiting. A full graph that is not cached is rendered in the
//! background.

use super::{
    Answer, Fcos, Query, Refusal,
    answer::{Decided, Decision, LABELS, decide, polled_scope},
    represent::represent,
};
use crate::{
    catalog::{Catalog, MissingGraph, Rendered, Scope},
    telemetry,
};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response, header};
use std::sync::Arc;

const JSON: HeaderValue = HeaderValue::from_static("application/json");
/// Answers depend on the node and may change at any time.
const CACHING: HeaderValue = HeaderValue::from_static("private, no-cache");

/// The immediate result of a poll.
#[derive(Debug)]
pub enum Polled {
    /// The response.
    Answered(Response<Bytes>),
    /// The poll needs a full graph that must be rendered first. It was not counted.
    Missing(MissingGraph),
}

/// A full graph that was rendered for a poll. It may have been evicted from the cache since.
#[derive(Debug)]
pub struct RenderedGraph {
    missing: MissingGraph,
    rendered: Arc<Rendered>,
}

/// The result of looking up a poll in the catalog.
enum Found<'a> {
    Answer { answer: Answer, held_back: bool, wariness: f64, scope: Option<&'a Scope>, query: Query<'a> },
    Missing(MissingGraph),
}

impl Fcos {
    /// Answers a poll from prepared answers and `rendered`. Once it is known that the poll can be answered, calls `admit`, which counts it
    /// against the limit of its address.
    #[must_use]
    pub fn poll(
        &self,
        product: &str,
        query: Option<&str>,
        headers: &HeaderMap,
        rendered: Option<&RenderedGraph>,
        admit: impl FnOnce() -> bool,
    ) -> Polled {
        let catalog = self.on.catalog.get();
        let query = Query::parse(query.unwrap_or_default());
        let found = query.and_then(|query| self.look_up(catalog.as_deref(), product, query, rendered));
        Polled::Answered(match found {
            Ok(Found::Missing(missing)) => return Polled::Missing(missing),
            _ if !admit() => self.refuse(&Refusal::TooMany),
            Ok(Found::Answer { answer, held_back, wariness, scope, query }) => {
                let mut is_known_elsewhere = false;
                if let (Answer::Unknown(_) | Answer::UnknownEmpty, Some(payload)) = (&answer, &query.os_checksum) {
                    self.on.unknown.count(product, &query.stream, &query.basearch, query.scheme(), payload);
                    is_known_elsewhere = catalog.as_deref().is_some_and(|catalog| catalog.knows_payload(payload));
                }
                let label = answer.label(is_known_elsewhere);
                let find = || self.on.metrics.scope(&metric_scope(product, &query), &LABELS);
                match scope {
                    Some(scope) => scope.tally(find).count(label, wariness, held_back),
                    None => find().count(label, wariness, held_back),
                }
                with_caching(match answer {
                    Answer::FullGraph(rendered) | Answer::Unknown(rendered) => self.full_graph(&rendered, headers),
                    answer => Response::new(answer.body()),
                })
            }
            Err(refusal) => self.refuse(&refusal),
        })
    }

    /// Answers a poll. A full graph that is not cached is rendered on a blocking thread, once for all polls that wait for it.
    pub async fn poll_rendering(&self, product: &str, query: Option<&str>, headers: &HeaderMap) -> Response<Bytes> {
        let mut rendered = None;
        // Repeats only if the stream, or the node's visibility, changed while the graph was rendered.
        loop {
            let missing = match self.poll(product, query, headers, rendered.as_ref(), || true) {
                Polled::Answered(response) => return response,
                Polled::Missing(missing) => missing,
            };
            let Some(graph) = self.on.preparer.render(&missing).await else {
                return self.refuse(&Refusal::Unavailable);
            };
            rendered = Some(RenderedGraph { missing, rendered: graph });
        }
    }

    /// Answers a poll with a refusal.
    #[must_use]
    pub fn refuse(&self, refusal: &Refusal) -> Response<Bytes> {
        self.on.metrics.poll_refused(refusal.kind());
        let mut response = Response::new(refusal.body().into());
        *response.status_mut() = refusal.status();
        if let Some(seconds) = refusal.retry_after() {
            response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
        }
        with_caching(response)
    }

    fn look_up<'a>(
        &self,
        catalog: Option<&'a Catalog>,
        product: &str,
        query: Query<'a>,
        rendered: Option<&RenderedGraph>,
    ) -> Result<Found<'a>, Refusal> {
        let catalog = catalog.ok_or(Refusal::NotReady)?;
        let moment = self.on.moment();
        let (stream, scope) = polled_scope(catalog, &self.settings, product, &query)?;
        let node_context = query.node_context(stream.entry().is_stopped() || moment.offers_nothing);
        let wariness = node_context.wariness.get();
        let Some(scope) = scope else {
            return Ok(Found::Answer { answer: Answer::Empty, held_back: false, wariness, scope, query });
        };
        let Decided { decision, held_back } = decide(scope, &self.settings, &query, &node_context, moment.time);
        let answer = match decision {
            Decision::FullGraph { visibility, answer } => {
                let just_rendered = || {
                    let graph = rendered.filter(|graph| graph.missing.matches(scope, &visibility))?;
                    Some(graph.rendered.clone())
                };
                let Some(graph) = scope.cached_full_graph(&visibility).or_else(just_rendered) else {
                    // Looked up here because rendering, which counts, does not know the metrics.
                    scope.tally(|| self.on.metrics.scope(&metric_scope(product, &query), &LABELS));
                    return Ok(Found::Missing(MissingGraph::new(
                        stream.scopes().clone(),
                        scope,
                        &node_context,
                        visibility,
                    )));
                };
                answer(graph)
            }
            Decision::NodeView(view) => Answer::NodeView(view),
            Decision::UnknownEmpty => Answer::UnknownEmpty,
        };
        Ok(Found::Answer { answer, held_back, wariness, scope: Some(scope), query })
    }

    /// Builds the response with a full graph. An unencoded one also carries the graph as a file, if there is one, for zero-copy sending.
    fn full_graph(&self, rendered: &Arc<Rendered>, headers: &HeaderMap) -> Response<Bytes> {
        let mut response = represent(rendered, &self.on.preparer, None, headers);
        let is_unencoded = !response.headers().contains_key(header::CONTENT_ENCODING) && !response.body().is_empty();
        if let Some(file) = rendered.file().filter(|_| is_unencoded) {
            response.extensions_mut().insert(file.clone());
        }
        response
    }
}

/// Returns the scope of a poll as a label of metrics. The stream and the arch must be known.
fn metric_scope<'a>(product: &'a str, query: &'a Query<'_>) -> telemetry::Scope<'a> {
    telemetry::Scope { product, stream: &query.stream, arch: &query.basearch, scheme: query.scheme() }
}

fn with_caching(mut response: Response<Bytes>) -> Response<Bytes> {
    let to = response.headers_mut();
    to.insert(header::CONTENT_TYPE, JSON);
    to.insert(header::CACHE_CONTROL, CACHING);
    response
}
