//! The HTTP face of upstream's documents, and of single images in them.

use super::{
    documents::{Kind, Origin, document, moves_with_time},
    images::{self, Wanted},
    represent::represent,
    routes::Agents,
};
use crate::{
    catalog::{Rendered, StreamEntry},
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

/// The routes: at the root for the default product, below its name for every one.
pub fn routes(agents: Agents) -> Router {
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
        .with_state(agents)
}

type Parameters = Result<Path<BTreeMap<String, String>>, PathRejection>;

/// A path that is no text names nothing.
fn parameters(path: Parameters) -> Result<BTreeMap<String, String>, Problem> {
    path.map(|Path(path)| path).map_err(|_| ProblemKind::NotFound.into())
}

fn serve(kind: Kind) -> MethodRouter<Agents> {
    get(async move |State(agents): State<Agents>, path: Parameters, headers: HeaderMap| {
        match parameters(path).and_then(|path| agents.find(kind, &path)) {
            Ok((text, modified)) => respond(&text, modified, kind.media_type(), &headers),
            Err(problem) => problem.into_response(),
        }
    })
}

async fn image(
    State(agents): State<Agents>,
    path: Parameters,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    let query = query.as_deref().unwrap_or_default();
    match parameters(path).and_then(|path| agents.image(&path, query, &headers)) {
        Ok((text, modified, media_type)) => respond(&text, modified, media_type, &headers),
        Err(problem) => problem.into_response(),
    }
}

impl Agents {
    fn entry(&self, path: &BTreeMap<String, String>, stream: &str) -> Result<Arc<StreamEntry>, Problem> {
        let catalog = self.live.get();
        let catalog = catalog.as_ref().ok_or(ProblemKind::NotReady)?;
        let product = path.get("product").map_or(self.settings.default_product.as_str(), String::as_str);
        let entry = catalog.stream(product, stream).cloned().ok_or(ProblemKind::NotFound)?;
        if entry.is_synthetic() && !self.settings.offer_synthetic {
            return Err(
                ProblemKind::NotReady.because("the stream holds sample payloads, which are offered on loopback alone")
            );
        }
        Ok(entry)
    }

    fn find(&self, kind: Kind, path: &BTreeMap<String, String>) -> Result<(Arc<Rendered>, Option<Timestamp>), Problem> {
        let stream = match (path.get("stream"), path.get("file")) {
            (Some(stream), _) => stream.as_str(),
            (None, Some(file)) => file.strip_suffix(kind.suffix()).ok_or(ProblemKind::NotFound)?,
            (None, None) => return Err(ProblemKind::NotFound.into()),
        };
        let entry = self.entry(path, stream)?;
        let make = || {
            let origin = Origin {
                stream: entry.stream(),
                original: entry.source(kind.as_str()).map(AsRef::as_ref),
                changed_at: entry.changed_at(),
                now: self.live.time(self.clock.now()).into(),
            };
            document(kind, &origin).map(|document| Rendered::new(document.body.into()))
        };
        let (text, modified) = if kind == Kind::Updates && moves_with_time(entry.stream()) {
            (make().map(Arc::new), None)
        } else {
            (entry.text(kind.as_str(), make), entry.modified())
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
        let wanted = Wanted::parse(query)?;
        let entry = self.entry(path, &wanted.stream)?;
        let Some(metadata) = entry.source(Kind::Stream.as_str()) else {
            return Err(ProblemKind::NotFound.because("upstream has published no images of this stream"));
        };
        let image = images::find(metadata, &wanted)?;
        let (text, media_type) = image.rendered(wanted.is_plain(headers));
        Ok((Arc::new(Rendered::new(text.into())), entry.modified(), media_type))
    }
}

/// Documents are the same for everybody, and change without notice.
const CACHING: HeaderValue = HeaderValue::from_static("public, no-cache");

fn respond(text: &Rendered, modified: Option<Timestamp>, media_type: &'static str, headers: &HeaderMap) -> Response {
    let mut response = represent(text, modified.and_then(etag::date), headers).map(Body::from);
    let to = response.headers_mut();
    to.insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
    to.insert(header::CACHE_CONTROL, CACHING);
    response
}
