//! `/api/v1`, one file a resource.

mod answers;
mod artifacts;
mod audit;
mod blocked_updates;
mod documents;
mod payloads;
mod policies;
mod products;
mod promotions;
mod releases;
mod revisions;
mod rollouts;
mod service;
mod stops;
mod streams;
mod tokens;

use super::{PREFIX, state::Api};
use utoipa_axum::router::OpenApiRouter;

/// Where everything of a stream lies.
const STREAM: &str = "/api/v1/products/{product}/streams/{stream}";

/// What anybody may ask, with its description.
pub(super) fn open_operations() -> OpenApiRouter<Api> {
    OpenApiRouter::new().nest(PREFIX, service::operations())
}

/// Every other operation, with its description.
pub(super) fn operations() -> OpenApiRouter<Api> {
    let of_stream = OpenApiRouter::new()
        .merge(streams::of_one())
        .merge(releases::operations())
        .merge(payloads::operations())
        .merge(artifacts::operations())
        .merge(policies::operations())
        .merge(blocked_updates::operations())
        .merge(rollouts::operations())
        .merge(promotions::operations())
        .merge(stops::of_stream())
        .merge(revisions::operations())
        .merge(documents::operations())
        .merge(answers::operations());
    let others = OpenApiRouter::new()
        .merge(products::operations())
        .merge(streams::all())
        .merge(stops::of_product())
        .merge(rollouts::presets())
        .merge(tokens::operations())
        .merge(audit::operations());
    OpenApiRouter::new().nest(STREAM, of_stream).nest(PREFIX, others)
}
