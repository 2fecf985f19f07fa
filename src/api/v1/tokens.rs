//! Tokens of our own, for installs without an identity provider.

use crate::{
    api::{
        ask::{Asked, Read, Write},
        body::Json,
        model::{GivenToken, NewToken, TokenModel},
        page::{Page, PageQuery},
        paths::{At, TokenPath},
        refuse::field,
        respond::Answer,
        state::Api,
    },
    auth::{Grant, Identity, Pattern, Role, SigningKey},
    domain::duration::Minutes,
    http::problem::{Problem, ProblemKind},
    manage::{TokenRequest, kept::TokenRow},
};
use axum::{Json as JsonBody, extract::State, response::IntoResponse};
use http::{HeaderValue, StatusCode, header};
use jiff::SignedDuration;
use utoipa_axum::{router::OpenApiRouter, routes};

pub(super) fn operations() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(list_tokens, create_token)).routes(routes!(show_token, revoke_token))
}

fn may_give(who: &Identity, on: &Pattern) -> Result<(), Problem> {
    if who.may_on_all(Role::Admin, on) {
        return Ok(());
    }
    Err(ProblemKind::Forbidden.because(format!("this takes the role admin on {on}")))
}

/// Those on streams of which the caller is an admin.
async fn tokens(api: &Api, who: &Identity) -> Result<Vec<TokenRow>, Problem> {
    if !who.grants.iter().any(|grant| grant.role == Role::Admin) {
        return Err(ProblemKind::Forbidden.because("this takes the role admin"));
    }
    let all = api.manage()?.tokens().await?;
    let is_theirs = |token: &TokenRow| token.pattern.parse().is_ok_and(|on| who.may_on_all(Role::Admin, &on));
    Ok(all.into_iter().filter(is_theirs).collect())
}

async fn token(api: &Api, who: &Identity, id: &str) -> Result<TokenRow, Problem> {
    let found = tokens(api, who).await?.into_iter().find(|token| token.id == id);
    found.ok_or_else(|| ProblemKind::NotFound.because("there is no such token among those that you may see"))
}

/// Lists the tokens that were given on the streams of which the caller is an admin, by their ids
#[utoipa::path(get, path = "/tokens", tag = "tokens", params(PageQuery),
    responses((status = 200, description = "a page of them", body = Page<TokenModel>)))]
async fn list_tokens(State(api): State<Api>, read: Read, Asked(page): Asked<PageQuery>) -> Answer {
    let mut tokens = tokens(&api, &read.who).await?;
    tokens.sort_by(|a, b| a.id.cmp(&b.id));
    read.tell(&page.of(tokens.into_iter().map(TokenModel::of), |token| token.id.clone())?)
}

/// Gives somebody a token. It is shown this once: by the same Idempotency-Key it is shown again
#[utoipa::path(post, path = "/tokens", tag = "tokens", request_body = NewToken,
    responses((status = 201, description = "the token", body = GivenToken)))]
async fn create_token(State(api): State<Api>, write: Write<Json<NewToken>>) -> Answer {
    let request = write.request()?;
    let Json(new) = &write.body;
    let role: Role = new.role.parse().map_err(|error| field("role", error))?;
    let on: Pattern = new.on.parse().map_err(|error| field("on", error))?;
    may_give(&write.who, &on)?;
    let lifetime = Minutes::parse(&new.r#for).map_err(|error| field("for", error))?;
    if new.name.trim().is_empty() || new.name.len() > 255 || new.name.chars().any(char::is_control) {
        return Err(field("name", "has to be 1 to 255 bytes without control characters, and not blank"));
    }
    let key = SigningKey::open(api.signing_key()).map_err(|error| {
        tracing::error!(error = &error as &dyn std::error::Error, "no token can be signed here");
        ProblemKind::Conflict.because("this process has no usable signing key; ask the operator")
    })?;
    let wanted = TokenRequest {
        name: &new.name,
        grant: Grant { role, on },
        lifetime: SignedDuration::from_secs(lifetime.seconds()),
    };
    let given = api.manage()?.give_token(&key, &wanted, &request).await;
    let (row, token) = given.map_err(|error| write.refused(error))?;
    let location = format!("/api/v1/tokens/{}", row.id);
    let body = GivenToken { token: Some(token).filter(|_| !write.is_dry_run()), about: TokenModel::of(row) };
    let mut response = JsonBody(body).into_response();
    if !write.is_dry_run() {
        *response.status_mut() = StatusCode::CREATED;
        let location = HeaderValue::from_str(&location).map_err(|_| ProblemKind::Internal)?;
        response.headers_mut().insert(header::LOCATION, location);
    }
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

/// Shows what is known of a token
#[utoipa::path(get, path = "/tokens/{id}", tag = "tokens", params(TokenPath),
    responses((status = 200, description = "the token, but for itself", body = TokenModel)))]
async fn show_token(State(api): State<Api>, At(path): At<TokenPath>, read: Read) -> Answer {
    read.tell(&TokenModel::of(token(&api, &read.who, &path.id).await?))
}

/// Takes a token back, for good
#[utoipa::path(delete, path = "/tokens/{id}", tag = "tokens", params(TokenPath),
    responses((status = 200, description = "it is not good any more", body = TokenModel)))]
async fn revoke_token(State(api): State<Api>, At(path): At<TokenPath>, write: Write) -> Answer {
    let request = write.request()?;
    token(&api, &write.who, &path.id).await?;
    let row = api.manage()?.revoke_token(&path.id, &request).await.map_err(|error| write.refused(error))?;
    Ok(JsonBody(TokenModel::of(row)).into_response())
}
