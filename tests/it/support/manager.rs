//! A release manager: a token, and requests with it.

use super::{postgres::Database, server::Server};
use jiff::{SignedDuration, Timestamp};
use lockkeeper::{
    auth::{SigningKey, Tokens},
    clock::ManualClock,
};
use reqwest::{Method, header::HeaderMap};
use serde_json::{Value, json};
use std::sync::Arc;

/// Who gives tokens for a database, and makes requests with them.
pub(crate) struct Desk<'a> {
    server: &'a Server,
    database: &'a Database,
    folder: tempfile::TempDir,
}

/// Somebody with a token, or without one.
#[derive(Clone)]
pub(crate) struct Manager<'a> {
    server: &'a Server,
    pub(crate) token: Option<String>,
}

/// What came of a request.
#[derive(Debug)]
pub(crate) struct Told {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Value,
}

/// Where the stream that most tests change is.
pub(crate) const STABLE: &str = "/api/v1/products/os/streams/stable";

impl<'a> Desk<'a> {
    pub(crate) fn of(server: &'a Server, database: &'a Database) -> Self {
        Self { server, database, folder: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn key(&self) -> SigningKey {
        SigningKey::open(&self.folder.path().join("signing-key.pem")).unwrap()
    }

    pub(crate) async fn tokens(&self, at: i64) -> Tokens {
        let clock = Arc::new(ManualClock::at(Timestamp::from_second(at).unwrap()));
        Tokens::of(self.database.store().await, clock)
    }

    /// Somebody with a role on some streams.
    pub(crate) async fn manager(&self, role: &str, on: &str) -> Manager<'a> {
        let tokens = self.tokens(1_790_000_000).await;
        let grant = lockkeeper::auth::Grant { role: role.parse().unwrap(), on: on.parse().unwrap() };
        let year = SignedDuration::from_hours(24 * 365);
        let token = tokens.give(&self.key(), &format!("{role} on {on}"), &grant, year, "local:test").await.unwrap();
        Manager { server: self.server, token: Some(token) }
    }
}

impl<'a> Manager<'a> {
    pub(crate) fn with(server: &'a Server, token: Option<&str>) -> Self {
        Self { server, token: token.map(Into::into) }
    }

    /// Any request, with headers.
    pub(crate) async fn ask(&self, method: Method, path: &str, headers: &[(&str, &str)], body: Option<&Value>) -> Told {
        let mut request = self.server.manage(method, path);
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if let Some(body) = body {
            request = request.header("content-type", "application/json").body(body.to_string());
        }
        let response = request.send().await.unwrap();
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let text = response.text().await.unwrap();
        let body = if text.is_empty() { Value::Null } else { serde_json::from_str(&text).unwrap_or(json!(text)) };
        Told { status, headers, body }
    }

    pub(crate) async fn get(&self, path: &str) -> Told {
        self.ask(Method::GET, path, &[], None).await
    }

    /// A change, whatever the stream is at by now.
    pub(crate) async fn change(&self, method: Method, path: &str, body: Option<&Value>) -> Told {
        let path = with_reason(path);
        self.ask(method, &path, &[("if-match", "*")], body).await
    }

    /// A POST without a body, that has to succeed.
    pub(crate) async fn does(&self, path: &str) -> Told {
        self.change(Method::POST, path, None).await.ok()
    }

    /// A POST with a body, that has to succeed.
    pub(crate) async fn post(&self, path: &str, body: &Value) -> Told {
        self.change(Method::POST, path, Some(body)).await.ok()
    }

    /// Makes the stream of a document, whose product and stream say where it goes.
    pub(crate) async fn makes(&self, document: &Value) {
        let path = format!(
            "/api/v1/products/{}/streams/{}/document",
            document["product"].as_str().unwrap(),
            document["stream"].as_str().unwrap()
        );
        let path = format!("{}&acknowledge=true", with_reason(&path));
        self.ask(Method::PUT, &path, &[("if-none-match", "*")], Some(document)).await.ok();
    }
}

pub(crate) fn with_reason(path: &str) -> String {
    let mark = if path.contains('?') { '&' } else { '?' };
    format!("{path}{mark}reason=the+test+says+so")
}

impl Told {
    /// It has to have succeeded.
    pub(crate) fn ok(self) -> Self {
        assert!((200..300).contains(&self.status), "{self:?}");
        self
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// A problem document of this status.
    pub(crate) fn is_problem(&self, status: u16) {
        assert_eq!(self.status, status, "{self:?}");
        assert_eq!(self.header("content-type"), "application/problem+json", "{self:?}");
        assert_eq!(self.body["status"], status, "{self:?}");
    }
}

/// A stream with something of everything: its newest releases open by rollouts in every state.
pub(crate) fn document(product: &str, stream: &str) -> Value {
    let payload = |n: usize| json!([{"arch": "x86_64", "scheme": "oci", "id": format!("quay.io/os/os@sha256:{n}")}]);
    let at = |hours: i64| jiff::Timestamp::from_second(1_790_000_000 + hours * 3600).unwrap().to_string();
    json!({
        "format": 1, "product": product, "stream": stream, "origin": "local", "arches": ["x86_64"],
        "mirrors": ["mirror.example/os"],
        "releases": [
            {"version": "1.0", "payloads": payload(0)},
            {"version": "1.1", "payloads": payload(1), "barrier": {"reason": "keys"}, "dead_end": {"reason": "install anew"}},
            {"version": "1.2", "payloads": payload(2), "rollouts": [{"start_share": 1.0}]},
            {"version": "1.3", "payloads": payload(3), "notes": "new",
             "aliases": [{"arch": "x86_64", "scheme": "oci", "id": "alias"}],
             "artifacts": [{"arch": "x86_64", "name": "metal.raw", "url": "https://builds.example/metal.raw"}],
             "rollouts": [
                {"start": at(-12), "duration": "PT48H"},
                {"start": at(-12), "duration": "PT48H", "state": "paused", "paused_at": at(-6)},
                {"start": at(24), "duration": "PT48H"},
             ]},
            {"version": "1.4", "state": "draft", "payloads": payload(4), "rollouts": [{"start": at(0), "duration": "PT48H"}]},
        ],
        "blocked_updates": [{"first": "1.0", "last": "1.0", "target": "1.3", "reason": "too far"}],
    })
}
