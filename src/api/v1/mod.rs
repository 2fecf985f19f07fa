//! `/api/v1`: one file per resource.

mod answers;
mod artifacts;
mod audit;
mod bases;
mod batch;
mod blocked_updates;
mod caller;
mod documents;
mod events;
mod image_checks;
mod live_rollouts;
mod overview;
mod payloads;
mod policies;
mod predecessors;
mod presets;
mod products;
mod promotions;
mod registry_events;
mod release_search;
mod releases;
mod revisions;
mod rollout_actions;
mod rollout_plans;
mod rollouts;
mod service;
mod stops;
mod streams;
mod tokens;

use super::{PREFIX, state::Api};
use utoipa_axum::router::OpenApiRouter;

/// The path prefix of a stream.
const STREAM: &str = "/api/v1/products/{product}/streams/{stream}";
/// The route of stream documents.
pub(super) const DOCUMENT: &str = "/api/v1/products/{product}/streams/{stream}/document";

/// The route of reports of registries.
pub(super) const REGISTRY_EVENTS: &str = "/api/v1/registry-events";

/// Returns the operations that need no token, with their description.
pub(super) fn open_operations() -> OpenApiRouter<Api> {
    OpenApiRouter::new().nest(PREFIX, service::operations().merge(registry_events::operations()))
}

/// Returns all other operations, with their description.
pub(super) fn operations() -> OpenApiRouter<Api> {
    let of_stream = OpenApiRouter::new()
        .merge(streams::of_one())
        .merge(releases::operations())
        .merge(payloads::operations())
        .merge(artifacts::operations())
        .merge(policies::operations())
        .merge(predecessors::operations())
        .merge(blocked_updates::operations())
        .merge(bases::operations())
        .merge(rollouts::operations())
        .merge(rollout_actions::operations())
        .merge(promotions::operations())
        .merge(stops::of_stream())
        .merge(batch::operations())
        .merge(revisions::operations())
        .merge(documents::operations())
        .merge(answers::operations())
        .merge(image_checks::operations());
    let others = OpenApiRouter::new()
        .merge(caller::operations())
        .merge(overview::operations())
        .merge(products::operations())
        .merge(streams::all())
        .merge(stops::of_product())
        .merge(live_rollouts::operations())
        .merge(release_search::operations())
        .merge(rollout_actions::of_product())
        .merge(presets::operations())
        .merge(tokens::operations())
        .merge(audit::operations())
        .merge(events::operations());
    OpenApiRouter::new().nest(STREAM, of_stream).nest(PREFIX, others)
}
