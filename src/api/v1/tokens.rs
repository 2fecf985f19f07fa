//! Tokens of this service, for installations without an identity provider.

use crate::{
    api::{
        model::{IssuedTokenModel, NewToken, RevokedTokenModel, TokenModel},
        page::{Page, PageQuery},
        paths::{PathParams, TokenPath},
        query,
        refuse::{field, forbidden},
        request::{LazyQuery, ReadRequest, UncheckedWrite},
        respond::Answer,
        state::Api,
    },
    auth::{Grant, Pattern, Role, SigningKey},
    domain::duration::Minutes,
    http::problem::ProblemKind,
    manage::{Action, TokenRequest},
};
use axum::{Json as JsonBody, extract::State, response::IntoResponse};
use http::{HeaderValue, StatusCode, header};
use jiff::SignedDuration;
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::{router::OpenApiRouter, routes};

pub(super) fn operations() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(list_tokens, create_token)).routes(routes!(get_token, revoke_token))
}

/// List issued tokens, by id
///
/// A token is listed if the caller is an admin of all its streams. Expired and revoked tokens are included.
#[utoipa::path(get, path = "/tokens", tag = "tokens", params(PageQuery),
    responses((status = 200, description = "A page of tokens", body = Page<TokenModel>)))]
async fn list_tokens(State(api): State<Api>, read: ReadRequest, page: LazyQuery<PageQuery>) -> Answer {
    let mut tokens = api.manage()?.tokens(&read.caller).await?;
    let page = page.parse()?;
    tokens.sort_by(|a, b| a.id.cmp(&b.id));
    let page = page.by_name(tokens.into_iter().map(TokenModel::new), |token| token.id.clone())?;
    read.link_next(read.with_tag(&page), page.next.as_deref())
}

/// Issue a token
///
/// The token itself is not stored: it is in this response only. Repeating the request with the same `Idempotency-Key` returns the
/// same token.
#[utoipa::path(post, path = "/tokens", tag = "tokens", request_body = NewToken,
    responses((status = 201, description = "The token", body = IssuedTokenModel)))]
async fn create_token(State(api): State<Api>, write: UncheckedWrite) -> Answer {
    let write = write.authorize_anywhere(Action::ISSUE_TOKEN)?.json::<NewToken>().await?;
    let new = &write.body;
    // The required role depends on the streams: a caller without it learns nothing about other fields.
    let on: Pattern = new.streams.parse().map_err(|error| field("streams", error))?;
    if !write.caller.may_on_all(Role::Admin, &on) {
        return Err(forbidden(&write.caller, format!("requires role `admin` on `{on}`")));
    }
    let request = write.request()?;
    let role: Role = new.role.parse().map_err(|error| field("role", error))?;
    let lifetime = Minutes::parse(&new.expires_in).map_err(|error| field("expires_in", error))?;
    let key = SigningKey::open(api.signing_key()).map_err(|error| {
        tracing::error!(error = &error as &dyn std::error::Error, "signing key unusable");
        ProblemKind::Conflict.because("this process has no usable signing key: its log has the cause")
    })?;
    let wanted = TokenRequest {
        name: &new.name,
        grant: Grant { role, on },
        lifetime: SignedDuration::from_secs(lifetime.seconds()),
        max_lifetime: api.max_token_lifetime(),
    };
    let issued = api.manage()?.create_token(&key, &wanted, &request).await;
    let (row, token) = issued.map_err(|error| write.refused(error))?;
    let location = format!("/api/v1/tokens/{}", row.id);
    let body = IssuedTokenModel { token: Some(token).filter(|_| !write.is_dry_run()), metadata: TokenModel::new(row) };
    let mut response = JsonBody(body).into_response();
    if !write.is_dry_run() {
        *response.status_mut() = StatusCode::CREATED;
        let location = HeaderValue::from_str(&location).map_err(|_| ProblemKind::Internal)?;
        response.headers_mut().insert(header::LOCATION, location);
    }
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

/// Get the metadata of a token
#[utoipa::path(get, path = "/tokens/{id}", tag = "tokens", params(TokenPath),
    responses((status = 200, description = "The metadata of the token", body = TokenModel)))]
async fn get_token(State(api): State<Api>, PathParams(path): PathParams<TokenPath>, read: ReadRequest) -> Answer {
    read.with_tag(&TokenModel::new(api.manage()?.token(&read.caller, &path.id).await?))
}

/// The options of a revocation.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct RevokeQuery {
    /// If true, also revoke the valid tokens that this token issued, directly or through other tokens. Default: false.
    #[serde(default, deserialize_with = "query::flag")]
    with_issued: bool,
}

/// Revoke a token
///
/// The response lists the valid tokens that this token issued; `with_issued=true` revokes these, too.
#[utoipa::path(delete, path = "/tokens/{id}", tag = "tokens", params(TokenPath, RevokeQuery),
    responses((status = 200, description = "The token is revoked", body = RevokedTokenModel)))]
async fn revoke_token(
    State(api): State<Api>,
    PathParams(path): PathParams<TokenPath>,
    query: LazyQuery<RevokeQuery>,
    write: UncheckedWrite,
) -> Answer {
    let write = write.authorize_anywhere(Action::REVOKE_TOKEN)?.with_parameters(&["with_issued"]).without_body()?;
    let (query, request) = (query.parse()?, write.request()?);
    let revoked = api.manage()?.revoke_token(&path.id, query.with_issued, &request).await;
    let revoked = revoked.map_err(|error| write.refused(error))?;
    Ok(JsonBody(RevokedTokenModel::new(revoked)).into_response())
}
