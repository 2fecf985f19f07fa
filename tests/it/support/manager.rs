//! Release managers: tokens, and requests with them.

use super::{
    dialects, ids,
    postgres::Database,
    server::Server,
    time::{NOW, at},
};
use jiff::{SignedDuration, Timestamp};
use lockkeeper::{
    auth::{Grant, Identity, SigningKey, Tokens},
    clock::ManualClock,
    domain::ids::{ProductName, StreamId, StreamName},
    manage::{CommandError, Manage, Request, TokenRequest, records::TokenRow},
};
use reqwest::{Method, header::HeaderMap};
use serde_json::{Value, json};
use std::{
    io::{Read, Write},
    net::TcpStream,
    sync::Arc,
};

/// Issues tokens for a database, as commands on the server's machine do.
pub(crate) struct Desk<'a> {
    server: &'a Server,
    database: &'a Database,
    folder: tempfile::TempDir,
}

/// A caller of the API, with or without a token.
#[derive(Clone)]
pub(crate) struct Manager<'a> {
    server: &'a Server,
    pub(crate) token: Option<String>,
}

/// A response of the API.
#[derive(Debug)]
pub(crate) struct ApiResponse {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
    /// The text as JSON, or as a string if it is not JSON.
    pub(crate) body: Value,
}

/// The path of the stream that most tests change.
pub(crate) const STABLE: &str = "/api/v1/products/os/streams/stable";

/// Returns the path of something in that stream.
pub(crate) fn below(path: &str) -> String {
    format!("{STABLE}/{path}").trim_end_matches('/').to_owned()
}

/// Returns a stream of the product `os`.
pub(crate) fn os(stream: &str) -> StreamId {
    StreamId { product: ProductName::parse("os").unwrap(), stream: StreamName::parse(stream).unwrap() }
}

/// Issues, checks and revokes tokens of a store, as commands on the server's machine do.
pub(crate) struct TokenOffice {
    pub(crate) manage: Manage,
    pub(crate) tokens: Tokens,
    caller: Identity,
}

impl TokenOffice {
    pub(crate) async fn new(database: &Database, clock: Arc<ManualClock>) -> Self {
        let store = database.store().await;
        Self {
            manage: Manage::new(store.clone(), clock.clone(), dialects()),
            tokens: Tokens::new(store, clock),
            caller: Identity::local("test"),
        }
    }

    pub(crate) fn request(&self) -> Request<'_> {
        Request::new(&self.caller, "the test says so")
    }

    pub(crate) async fn issue(
        &self,
        key: &SigningKey,
        name: &str,
        grant: &Grant,
        lifetime: SignedDuration,
    ) -> Result<(TokenRow, String), CommandError> {
        let max_lifetime = SignedDuration::from_hours(24 * 90);
        let wanted = TokenRequest { name, grant: grant.clone(), lifetime, max_lifetime };
        self.manage.create_token(key, &wanted, &self.request()).await
    }

    pub(crate) async fn revoke(&self, id: &str) -> Result<(), CommandError> {
        self.manage.revoke_token(id, false, &self.request()).await.map(drop)
    }
}

impl<'a> Desk<'a> {
    pub(crate) fn new(server: &'a Server, database: &'a Database) -> Self {
        Self { server, database, folder: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn key(&self) -> SigningKey {
        SigningKey::open(&self.folder.path().join("signing-key.pem")).unwrap()
    }

    /// Issues a token at the given time.
    pub(crate) async fn issue(
        &self,
        at: i64,
        name: &str,
        grant: &Grant,
        lifetime: SignedDuration,
    ) -> (TokenRow, String) {
        let clock = Arc::new(ManualClock::new(Timestamp::from_second(at).unwrap()));
        let office = TokenOffice::new(self.database, clock).await;
        office.issue(&self.key(), name, grant, lifetime).await.unwrap()
    }

    /// Revokes a token.
    pub(crate) async fn revoke(&self, id: &str) {
        let clock = Arc::new(ManualClock::new(Timestamp::from_second(NOW).unwrap()));
        TokenOffice::new(self.database, clock).await.revoke(id).await.unwrap();
    }

    /// Creates a caller with a role on some streams.
    pub(crate) async fn manager(&self, role: &str, on: &str) -> Manager<'a> {
        let grant = Grant { role: role.parse().unwrap(), on: on.parse().unwrap() };
        let year = SignedDuration::from_hours(24 * 365);
        let (_, token) = self.issue(NOW, &format!("{role} on {on}"), &grant, year).await;
        Manager { server: self.server, token: Some(token) }
    }
}

impl<'a> Manager<'a> {
    pub(crate) fn with(server: &'a Server, token: Option<&str>) -> Self {
        Self { server, token: token.map(Into::into) }
    }

    /// Sends a request with headers.
    pub(crate) async fn ask(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<&Value>,
    ) -> ApiResponse {
        let mut request = self.request(method, path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if let Some(body) = body {
            request = request.header("content-type", "application/json").body(body.to_string());
        }
        ApiResponse::from(request.send().await.unwrap()).await
    }

    /// Builds a request with the token.
    pub(crate) fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        let request = self.server.manage(method, path);
        match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
    }

    /// Announces a body of `length` bytes and sends `sent` bytes of it.
    pub(crate) async fn begin_body(&self, method: &Method, path: &str, length: usize, sent: usize) -> TcpStream {
        let (address, token) = (self.server.managers, self.token.clone().unwrap_or_default());
        let head = format!(
            "{method} {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\ncontent-type: application/json\r\n\
             if-match: *\r\ncontent-length: {length}\r\n\r\n{}",
            " ".repeat(sent)
        );
        let connect = move || {
            let mut connection = TcpStream::connect(address).unwrap();
            connection.write_all(head.as_bytes()).unwrap();
            connection
        };
        tokio::task::spawn_blocking(connect).await.unwrap()
    }

    /// Announces a body of a megabyte, sends none of it, and returns the beginning of the response.
    pub(crate) async fn announce_body(&self, method: &Method, path: &str) -> String {
        let mut connection = self.begin_body(method, path, 1_000_000, 0).await;
        tokio::task::spawn_blocking(move || {
            let mut answer = [0; 12 + 1];
            connection.read_exact(&mut answer).unwrap();
            String::from_utf8_lossy(&answer).into_owned()
        })
        .await
        .unwrap()
    }

    pub(crate) async fn get(&self, path: &str) -> ApiResponse {
        self.ask(Method::GET, path, &[], None).await
    }

    /// Sends a change for any revision of the stream.
    pub(crate) async fn change(&self, method: Method, path: &str, body: Option<&Value>) -> ApiResponse {
        let path = with_reason(path);
        self.ask(method, &path, &[("if-match", "*")], body).await
    }

    /// Sends a POST without a body, and asserts that it succeeds.
    pub(crate) async fn post_empty(&self, path: &str) -> ApiResponse {
        self.change(Method::POST, path, None).await.ok()
    }

    /// Sends a POST with a body, and asserts that it succeeds.
    pub(crate) async fn post(&self, path: &str, body: &Value) -> ApiResponse {
        self.change(Method::POST, path, Some(body)).await.ok()
    }

    /// Creates the stream that a document describes.
    pub(crate) async fn creates_stream(&self, document: &Value) {
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
    let separator = if path.contains('?') { '&' } else { '?' };
    format!("{path}{separator}reason=the+test+says+so")
}

impl ApiResponse {
    pub(crate) async fn from(response: reqwest::Response) -> Self {
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let text = response.text().await.unwrap();
        let body = if text.is_empty() { Value::Null } else { serde_json::from_str(&text).unwrap_or(json!(&text)) };
        Self { status, headers, text, body }
    }

    /// Asserts that the request succeeded.
    pub(crate) fn ok(self) -> Self {
        assert!((200..300).contains(&self.status), "{self:?}");
        self
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// Asserts that the response is a problem document of this status.
    pub(crate) fn is_problem(&self, status: u16) {
        assert_eq!(self.status, status, "{self:?}");
        assert_eq!(self.header("content-type"), "application/problem+json", "{self:?}");
        assert_eq!(self.body["status"], status, "{self:?}");
        assert!(self.body["title"].as_str().is_some_and(|title| title.starts_with(char::is_uppercase)), "{self:?}");
    }
}

/// Returns a stream with parts of every kind, and rollouts in several states.
pub(crate) fn document(product: &str, stream: &str) -> Value {
    let payload = |n: usize| json!([{"arch": "x86_64", "scheme": "oci", "id": ids::image("quay.io/os/os", n)}]);
    json!({
        "format": 1, "product": product, "stream": stream, "origin": "local", "arches": ["x86_64"],
        "mirrors": ["mirror.example/os"],
        "releases": [
            {"version": "1.0", "payloads": payload(0)},
            {"version": "1.1", "payloads": payload(1), "barrier": {"reason": "keys"}, "dead_end": {"reason": "install again"}},
            {"version": "1.2", "payloads": payload(2), "rollouts": [{"start_share": 1.0}]},
            {"version": "1.3", "payloads": payload(3), "notes": "new",
             "aliases": [{"arch": "x86_64", "scheme": "oci", "id": ids::image("quay.io/os/os", "alias")}],
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
