//! Failed authentications: each is counted, and they are limited per address.

use crate::support::{
    issuer::{Key, settings},
    manager::Desk,
    postgres::Database,
    server::Server,
};
use jsonwebtoken::Algorithm;
use reqwest::{Method, header::HeaderValue};
use serde_json::json;

const PATH: &str = "/api/v1/products";

async fn status(server: &Server, authorizations: &[&[u8]]) -> u16 {
    let mut request = server.manage(Method::GET, PATH);
    for value in authorizations {
        request = request.header("authorization", HeaderValue::from_bytes(value).unwrap());
    }
    request.send().await.unwrap().status().as_u16()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_failed_authentication_is_counted_and_limited() {
    let database = Database::new().await;
    let unreachable = settings(&json!({
        "issuer": "http://127.0.0.1:1",
        "audiences": ["lockkeeper"],
        "rules": [{"claims": {"sub": "x"}, "role": "admin", "streams": "*"}],
    }));
    let server = Server::start_with(&database, |settings| settings.auth.issuers = vec![unreachable]).await;
    let admin = Desk::new(&server, &database).manager("admin", "*").await;
    let counted = async || server.metric("lockkeeper_authentication_failures_total").await;
    let failing: [&[&[u8]]; 8] = [
        &[b"Bearer x.y.z"],
        &[b"Bearer"],
        &[b"Bearer "],
        &[b"Basic eDp5"],
        &[b"x"],
        &[b""],
        &[b"Bearer x", b"Bearer y"],
        &[b"Bearer \xff"],
    ];
    for (index, authorizations) in failing.into_iter().enumerate() {
        assert_eq!(status(&server, authorizations).await, 401, "{authorizations:?}");
        assert_eq!(counted().await, (index + 1).to_string(), "{authorizations:?}");
    }
    // A request without a token does not count, nor does a token whose issuer is unreachable.
    assert_eq!(status(&server, &[]).await, 401);
    let claims = json!({"iss": "http://127.0.0.1:1", "aud": "lockkeeper", "sub": "x", "exp": 4_000_000_000_i64});
    let token = format!("Bearer {}", Key::new("k", Algorithm::EdDSA).sign(&claims));
    assert_eq!(status(&server, &[token.as_bytes()]).await, 503);
    assert_eq!(counted().await, failing.len().to_string());
    // An address may fail 60 times at once, and then once a second.
    let mut limited = 0;
    for _ in 0..100 {
        limited += usize::from(status(&server, &[b"Basic eDp5"]).await == 429);
    }
    assert!(limited > 0);
    assert_eq!(counted().await, (failing.len() + 100).to_string(), "limited failures are counted, too");
    admin.get(PATH).await.ok();
    server.stop().await;
}
