//! A toy protocol that writes: a lock that one node at a time holds. It needs PostgreSQL and belongs to no stream.

use super::plain::Plain;
use axum::{
    Router,
    extract::{Path, State},
    response::{IntoResponse, Response},
    routing::post,
};
use http::{Method, StatusCode};
use lockkeeper::protocol::{AgentRequest, Answer, Claim, Protocol, ProtocolEntry, Rejected};
use sqlx::PgPool;
use std::sync::Arc;

const CLAIMS: &[Claim] = &[Claim {
    method: Method::POST,
    path: "/locks/{name}",
    is_prepared: false,
    headers: &[],
    max_body: 0,
    rejected_route: Some("/locks/{name}"),
}];

struct Locks(PgPool);

/// Returns the toy, with the database of its locks.
pub(super) fn entry(url: &str) -> ProtocolEntry {
    let pool = Locks::new(url).0;
    ProtocolEntry {
        dialect: Arc::new(Plain("locks")),
        prepare: None,
        claims: CLAIMS.to_vec(),
        build: Box::new(move |_| Arc::new(Locks(pool.clone()))),
    }
}

impl Locks {
    fn new(url: &str) -> Self {
        let options = sqlx::postgres::PgPoolOptions::new().max_connections(1);
        Self(options.acquire_timeout(std::time::Duration::from_secs(5)).connect_lazy(url).unwrap())
    }
}

impl Protocol for Locks {
    fn answer(&self, _: &AgentRequest<'_>) -> Answer {
        Answer::Elsewhere
    }

    fn routes(&self) -> Router {
        Router::new().route("/locks/{name}", post(take)).with_state(self.0.clone())
    }

    fn reject(&self, _: &Claim, why: Rejected) -> Response {
        refuse(StatusCode::SERVICE_UNAVAILABLE, &format!("{why:?}"))
    }
}

async fn take(State(pool): State<PgPool>, Path(name): Path<String>) -> Response {
    match insert(&pool, &name).await {
        Ok(1) => "taken".into_response(),
        Ok(_) => refuse(StatusCode::CONFLICT, "held"),
        Err(_) => refuse(StatusCode::SERVICE_UNAVAILABLE, "no database"),
    }
}

async fn insert(pool: &PgPool, name: &str) -> Result<u64, sqlx::Error> {
    sqlx::query("create table if not exists toy_locks (name text primary key)").execute(pool).await?;
    let taken =
        sqlx::query("insert into toy_locks values ($1) on conflict do nothing").bind(name).execute(pool).await?;
    Ok(taken.rows_affected())
}

/// Refuses in the form that the toy's nodes read.
fn refuse(status: StatusCode, why: &str) -> Response {
    (status, format!("lock refused: {why}")).into_response()
}
