//! A toy protocol of signed files that change with time, without any revision of a stream. They are published in the database, so that all
//! replicas serve the same, and served from memory by path.

use super::plain::Plain;
use axum::{
    Router,
    body::Body,
    extract::State,
    response::{IntoResponse, Response},
    routing::get,
};
use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::{Method, StatusCode, Uri};
use jiff::Timestamp;
use lockkeeper::{
    catalog::{CatalogHandle, Prepare, Prepared, ProductView},
    domain::{hash::ContentHash, ids::ProductName},
    protocol::{AgentRequest, Agents, Answer, Claim, Protocol, ProtocolEntry, Rejected},
    store::Store,
};
use std::{collections::BTreeMap, sync::Arc, time::Duration};

/// The name of the toy.
pub(super) const NAME: &str = "files";

const CLAIMS: &[Claim] = &[Claim {
    method: Method::GET,
    path: "/{product}/signed/{file}",
    is_prepared: true,
    headers: &[],
    max_body: 0,
    rejected_route: None,
}];

/// The secret of the toy's signatures.
const SECRET: &str = "toy";

/// Returns the toy, which publishes files for a product.
pub(super) fn entry(store: Store, product: ProductName) -> ProtocolEntry {
    ProtocolEntry {
        dialect: Arc::new(Plain(NAME)),
        prepare: Some(Arc::new(PrepareFiles)),
        claims: CLAIMS.to_vec(),
        build: Box::new(move |on| Arc::new(Files { on, store: store.clone(), product: product.clone() })),
    }
}

/// The files of one product by the last segment of their paths.
#[derive(Debug)]
struct PreparedFiles(BTreeMap<String, Bytes>);

impl Prepared for PreparedFiles {}

struct PrepareFiles;

impl Prepare for PrepareFiles {
    fn prepare(&self, product: &ProductView<'_>, _: Option<&dyn Prepared>) -> Arc<dyn Prepared> {
        Arc::new(PreparedFiles(product.files.clone()))
    }
}

struct Files {
    on: Agents,
    store: Store,
    product: ProductName,
}

impl Files {
    /// Publishes files that are signed anew. Fails if the product does not exist or the database is away; the next tick tries again.
    async fn publish(&self, now: Timestamp) -> bool {
        let text = format!("valid at {now}");
        let signature = sign(&text);
        let files = [("timestamp", text), ("timestamp.sig", signature)];
        let files: BTreeMap<String, Bytes> =
            files.into_iter().map(|(name, text)| (name.to_owned(), text.into())).collect();
        let publish = async || {
            let mut transaction = self.store.begin("publish_toy").await?;
            transaction.publish_files(&self.product, &files, now).await?;
            transaction.announce().await?;
            transaction.commit().await
        };
        publish().await.is_ok()
    }
}

/// Returns a file of a product, by its path.
fn file(catalog: &CatalogHandle, path: &str) -> http::Response<Bytes> {
    let mut segments = path.trim_start_matches('/').split('/');
    let (product, file) = (segments.next().unwrap_or_default(), segments.next_back().unwrap_or_default());
    let catalog = catalog.get();
    let prepared = catalog.as_ref().and_then(|catalog| catalog.prepared::<PreparedFiles>(product));
    let found = prepared.and_then(|files| files.0.get(file));
    found.map_or_else(|| status(StatusCode::NOT_FOUND), |file| http::Response::new(file.clone()))
}

fn status(status: StatusCode) -> http::Response<Bytes> {
    http::Response::builder().status(status).body(Bytes::new()).unwrap()
}

/// Returns the signature of a text.
pub(super) fn sign(text: &str) -> String {
    ContentHash::from_content(format!("{SECRET}{text}").as_bytes()).to_string()
}

async fn serve(State(catalog): State<Arc<CatalogHandle>>, uri: Uri) -> Response {
    file(&catalog, uri.path()).map(Body::from)
}

impl Protocol for Files {
    fn answer(&self, request: &AgentRequest<'_>) -> Answer {
        Answer::Done(if (request.admit)() {
            file(&self.on.catalog, request.path)
        } else {
            status(StatusCode::TOO_MANY_REQUESTS)
        })
    }

    fn routes(&self) -> Router {
        Router::new().route("/{product}/signed/{file}", get(serve)).with_state(self.on.catalog.clone())
    }

    fn reject(&self, _: &Claim, _: Rejected) -> Response {
        StatusCode::SERVICE_UNAVAILABLE.into_response()
    }

    fn upkeep(self: Arc<Self>) -> BoxFuture<'static, ()> {
        Box::pin(async move {
            let mut ticks = tokio::time::interval(Duration::from_millis(10));
            let mut published = None;
            loop {
                ticks.tick().await;
                let now = self.on.clock.now();
                if published != Some(now) && self.publish(now).await {
                    published = Some(now);
                }
            }
        })
    }
}
