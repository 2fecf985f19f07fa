//! The HTTP routes of upstream's documents and of single images in them.

use super::{
    Fcos, FcosPrepared, PreparedStream,
    documents::{DocumentInput, Kind, depends_on_time, document},
    images::{self, ImageQuery},
    represent::represent,
};
use crate::{
    catalog::Rendered,
    http::{
        etag,
        problem::{Problem, ProblemKind},
    },
};
use axum::{
    Router,
    body::Body,
    extract::{Path, RawQuery, State, rejection::PathRejection},
    response::{IntoResponse, Response},
    routing::{MethodRouter, get},
};
use http::{HeaderMap, HeaderValue, header};
use jiff::Timestamp;
use std::{collections::BTreeMap, sync::Arc};
use tower_http::cors::{Any, CorsLayer};

/// Builds the routes: at the root for the default product, below its name for each product.
pub(super) fn routes(fcos: Fcos) -> Router {
    let mut router = Router::new();
    for root in ["", "/{product}"] {
        router = router
            .route(&format!("{root}/streams/{{file}}"), serve(Kind::Stream))
            .route(&format!("{root}/updates/{{file}}"), serve(Kind::Updates))
            .route(&format!("{root}/release-notes/{{file}}"), serve(Kind::ReleaseNotes))
            .route(&format!("{root}/prod/streams/{{stream}}/releases.json"), serve(Kind::Releases))
            .route(&format!("{root}/images"), get(image));
    }
    router
        .layer(CorsLayer::new().allow_origin(Any).expose_headers([header::ETAG, header::LAST_MODIFIED]))
        .with_state(fcos)
}

type Parameters = Result<Path<BTreeMap<String, String>>, PathRejection>;

/// Returns the parameters of a path. A path that is not UTF-8 is not found.
fn parameters(path: Parameters) -> Result<BTreeMap<String, String>, Problem> {
    path.map(|Path(path)| path).map_err(|_| ProblemKind::NotFound.into())
}

fn serve(kind: Kind) -> MethodRouter<Fcos> {
    get(async move |State(fcos): State<Fcos>, path: Parameters, headers: HeaderMap| {
        let path = parameters(path);
        respond_blocking(move || match path.and_then(|path| fcos.find(kind, &path)) {
            Ok((text, modified)) => fcos.respond(&text, modified, kind.media_type(), &headers),
            Err(problem) => problem.into_response(),
        })
        .await
    })
}

/// Builds a response on a blocking thread: documents are rendered at the first request, and requests of managers, such as emergency stops,
/// must not wait for that.
async fn respond_blocking(build: impl FnOnce() -> Response + Send + 'static) -> Response {
    let response = tokio::task::spawn_blocking(build).await;
    response.unwrap_or_else(|_| ProblemKind::Internal.into_response())
}

async fn image(State(fcos): State<Fcos>, path: Parameters, RawQuery(query): RawQuery, headers: HeaderMap) -> Response {
    let path = parameters(path);
    respond_blocking(move || {
        let query = query.as_deref().unwrap_or_default();
        match path.and_then(|path| fcos.image(&path, query, &headers)) {
            Ok((text, modified, media_type)) => fcos.respond(&text, modified, media_type, &headers),
            Err(problem) => problem.into_response(),
        }
    })
    .await
}

impl Fcos {
    fn prepared(&self, path: &BTreeMap<String, String>, stream: &str) -> Result<Arc<PreparedStream>, Problem> {
        let catalog = self.on.catalog.get();
        let catalog = catalog.as_ref().ok_or(ProblemKind::NotReady)?;
        let product = path.get("product").map_or(self.settings.default_product.as_str(), String::as_str);
        let prepared = catalog.prepared::<FcosPrepared>(product).and_then(|prepared| prepared.stream(stream));
        let prepared = prepared.cloned().ok_or(ProblemKind::NotFound)?;
        if prepared.entry().is_synthetic() && !self.settings.offer_synthetic {
            return Err(ProblemKind::NotReady
                .because("the stream has placeholder (synthetic) payloads, which are offered only on loopback"));
        }
        Ok(prepared)
    }

    fn find(&self, kind: Kind, path: &BTreeMap<String, String>) -> Result<(Arc<Rendered>, Option<Timestamp>), Problem> {
        let stream = match (path.get("stream"), path.get("file")) {
            (Some(stream), _) => stream.as_str(),
            (None, Some(file)) => file.strip_suffix(kind.suffix()).ok_or(ProblemKind::NotFound)?,
            (None, None) => return Err(ProblemKind::NotFound.into()),
        };
        let prepared = self.prepared(path, stream)?;
        let entry = prepared.entry();
        let now = self.on.clock.now();
        let is_stopped = entry.is_stopped() || self.on.catalog.offers_nothing(now);
        let render = || {
            let input = DocumentInput {
                stream: entry.stream(),
                original: entry.source(kind.as_str()).map(AsRef::as_ref),
                changed_at: entry.changed_at(),
                now: self.on.catalog.time(now).into(),
                is_stopped,
            };
            document(kind, &input).map(|document| Rendered::new(document.body.into()))
        };
        let (text, modified) = if kind == Kind::Updates && is_stopped {
            // Without `Last-Modified`: a date from before the stop must not validate this text, nor its date the text after the stop.
            (prepared.text("updates-stopped", render), None)
        } else if kind == Kind::Updates && depends_on_time(entry.stream()) {
            (prepared.timed_text(self.on.catalog.time(now).as_second(), render), None)
        } else {
            (prepared.text(kind.as_str(), render), entry.modified())
        };
        text.map(|text| (text, modified))
            .ok_or_else(|| ProblemKind::NotFound.because("upstream has published no such document of this stream"))
    }

    fn image(
        &self,
        path: &BTreeMap<String, String>,
        query: &str,
        headers: &HeaderMap,
    ) -> Result<(Arc<Rendered>, Option<Timestamp>, &'static str), Problem> {
        let wanted = ImageQuery::parse(query)?;
        let prepared = self.prepared(path, &wanted.stream)?;
        let Some(metadata) = prepared.parsed_source(Kind::Stream.as_str()) else {
            return Err(ProblemKind::NotFound.because("upstream has published no images of this stream"));
        };
        let image = images::find(&metadata, &wanted)?;
        let (text, media_type) = image.rendered(wanted.is_plain(headers));
        Ok((Arc::new(Rendered::identity_only(text.into())), prepared.entry().modified(), media_type))
    }

    fn respond(
        &self,
        text: &Arc<Rendered>,
        modified: Option<Timestamp>,
        media_type: &'static str,
        headers: &HeaderMap,
    ) -> Response {
        let mut response = represent(text, &self.on.preparer, modified.and_then(etag::date), headers).map(Body::from);
        let to = response.headers_mut();
        to.insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
        to.insert(header::CACHE_CONTROL, CACHING);
        response
    }
}

/// Documents are the same for all clients and may change at any time.
const CACHING: HeaderValue = HeaderValue::from_static("public, no-cache");
