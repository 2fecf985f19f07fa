//! Query parameters of reads: those that an operation does not have are refused by name, like those of writes.

use super::query::first_unknown;
use axum::{
    extract::{MatchedPath, Request, State},
    middleware::Next,
    response::{IntoResponse, Response},
};
use http::{Method, StatusCode};
use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};
use utoipa::openapi::{
    OpenApi, RefOr,
    path::{Operation, ParameterIn},
};

/// The names of the query parameters of each read, by its route.
pub(super) struct ReadParameters(HashMap<String, BTreeSet<String>>);

impl ReadParameters {
    pub(super) fn new(description: &OpenApi) -> Self {
        let reads = description.paths.paths.iter().filter_map(|(path, item)| Some((path, item.get.as_ref()?)));
        let names = reads.map(|(path, read)| (path.clone(), query_parameters(read).map(ToOwned::to_owned).collect()));
        Self(names.collect())
    }

    /// Returns a query parameter that the operation of the request does not have, if it is a read.
    fn unknown_in(&self, request: &Request) -> Option<String> {
        let is_read = matches!(*request.method(), Method::GET | Method::HEAD);
        let route = request.extensions().get::<MatchedPath>().filter(|_| is_read)?;
        let known = self.0.get(route.as_str())?;
        first_unknown(request.uri(), |name| known.contains(name))
    }
}

/// Returns the names of the query parameters of an operation.
pub(super) fn query_parameters(operation: &Operation) -> impl Iterator<Item = &str> {
    operation.parameters.iter().flatten().filter_map(|parameter| match parameter {
        RefOr::T(parameter) if parameter.parameter_in == ParameterIn::Query => Some(parameter.name.as_str()),
        _ => None,
    })
}

/// Refuses reads with unknown query parameters. Other errors come first: a caller who may not read something learns only that.
pub(super) async fn refuse_unknown(State(known): State<Arc<ReadParameters>>, request: Request, next: Next) -> Response {
    let unknown = known.unknown_in(&request);
    let response = next.run(request).await;
    let was_read = response.status().is_success() || response.status() == StatusCode::NOT_MODIFIED;
    match unknown.filter(|_| was_read) {
        Some(name) => super::refuse::unknown_parameter(&name).into_response(),
        None => response,
    }
}
