//! Tokens of identity providers and CI systems get exactly the roles of their claims.

use crate::support::{
    issuer::{Issuer, Key, rsa_public_pem, settings},
    manager::TokenOffice,
    postgres::Database,
    time::NOW,
};
use jiff::{SignedDuration, Timestamp};
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use lockkeeper::{
    auth::{AuthError, Authenticator, Grant, Identity, Issuers, Role, SigningKey},
    clock::ManualClock,
    config::{AnonymousRole, ApiSettings, AuthSettings, Flags, IssuerSettings, Sources, load},
};
use serde_json::{Value, json};
use std::{
    sync::Arc,
    task::{Context, Waker},
};

/// Checks tokens with a clock that the test controls.
struct Checker {
    issuers: Issuers,
    clock: Arc<ManualClock>,
}

impl Checker {
    fn new(settings: &[IssuerSettings]) -> Self {
        let clock = Arc::new(ManualClock::new(Timestamp::from_second(NOW).unwrap()));
        let auth = AuthSettings { issuers: settings.to_vec(), ..AuthSettings::default() };
        let shared: lockkeeper::clock::SharedClock = clock.clone();
        Self { issuers: Issuers::new(&auth, &shared).unwrap(), clock }
    }

    /// Returns the identity, if the token is of a configured issuer.
    async fn check(&self, token: &str) -> Result<Identity, AuthError> {
        self.issuers.check(token).await.map(|identity| identity.unwrap())
    }

    async fn is_good(&self, token: &str) -> bool {
        self.check(token).await.is_ok()
    }

    fn advance(&self, seconds: i64) {
        self.clock.advance(SignedDuration::from_secs(seconds));
    }
}

/// Returns the claims of a release manager's token, valid for a year.
fn claims(issuer: &Issuer) -> Value {
    json!({"iss": issuer.url, "aud": "lockkeeper", "sub": "alice", "exp": NOW + 365 * 86400,
           "groups": ["staff", "release-managers"]})
}

fn with(claims: &Value, field: &str, value: Value) -> Value {
    let mut claims = claims.clone();
    claims[field] = value;
    claims
}

fn without(claims: &Value, field: &str) -> Value {
    let mut claims = claims.clone();
    claims.as_object_mut().unwrap().remove(field);
    claims
}

fn grant(role: Role, on: &str) -> Grant {
    Grant { role, on: on.parse().unwrap() }
}

#[tokio::test]
async fn all_kinds_of_keys_work_by_discovery_and_by_url() {
    for algorithm in [Algorithm::RS256, Algorithm::ES256, Algorithm::EdDSA] {
        let key = Key::new("first", algorithm);
        let issuer = Issuer::start(&[&key]).await;
        let discovered = issuer.settings();
        let mut named = issuer.settings();
        named.jwks_url = Some(format!("{}/keys", issuer.url));
        for settings in [discovered, named] {
            if settings.jwks_url.is_some() {
                issuer.set_discovery(None);
            }
            let identity = Checker::new(&[settings]).check(&key.sign(&claims(&issuer))).await.unwrap();
            assert_eq!(identity.actor.id, format!("{}:alice", issuer.url), "{algorithm:?}");
            assert_eq!(identity.grants, [grant(Role::Manager, "os/*")]);
        }
    }
}

#[tokio::test]
async fn claims_grant_roles() {
    let key = Key::new("first", Algorithm::EdDSA);
    let issuer = Issuer::start(&[&key]).await;
    let checker = Checker::new(&[settings(&json!({
        "issuer": issuer.url,
        "audiences": ["another", "lockkeeper"],
        "actor_claim": "login.name",
        "rules": [
            {"claims": {"groups": "release-managers"}, "role": "manager", "streams": "os/*"},
            {"claims": {"realm_access.roles": "os-admin"}, "role": "admin", "streams": "*"},
            {"claims": {"repository": "example/os", "ref": "refs/heads/main"}, "role": "publisher", "streams": "os/stable"},
            {"claims": {"repository": "example/os", "ref": "refs/heads/*"}, "role": "publisher", "streams": "os/next"},
            {"claims": {"repository": "example/*"}, "role": "viewer", "streams": "os/*"},
        ],
    }))]);
    let base = json!({"iss": issuer.url, "aud": ["other", "lockkeeper"], "login": {"name": "who"}, "exp": NOW + 60});
    let grants = async |more: Value| {
        let mut claims = base.clone();
        claims.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let identity = checker.check(&key.sign(&claims)).await.unwrap();
        assert_eq!(identity.actor.id, format!("{}:who", issuer.url));
        identity.grants
    };
    let (view, next) = (grant(Role::Viewer, "os/*"), grant(Role::Publisher, "os/next"));
    let manage = grant(Role::Manager, "os/*");
    let sorted = |mut grants: Vec<Grant>| {
        grants.sort();
        grants
    };
    assert_eq!(grants(json!({"groups": ["release-managers"]})).await, std::slice::from_ref(&manage));
    assert_eq!(grants(json!({"groups": "release-managers"})).await, [manage]);
    assert_eq!(grants(json!({"realm_access": {"roles": ["a", "os-admin"]}})).await, [grant(Role::Admin, "*")]);
    assert_eq!(
        grants(json!({"repository": "example/os", "ref": "refs/heads/main"})).await,
        sorted(vec![view.clone(), grant(Role::Publisher, "os/stable"), next.clone()])
    );
    assert_eq!(
        grants(json!({"repository": "example/os", "ref": "refs/heads/dev"})).await,
        sorted(vec![view.clone(), next])
    );
    assert_eq!(grants(json!({"repository": "example/os", "ref": "refs/tags/1"})).await, [view]);
    // A token that matches no rule is authenticated, but has no role.
    for unmatched in [
        json!({}),
        json!({"repository": "stranger/os", "ref": "refs/heads/main"}),
        json!({"groups": ["release-managers-of-others"]}),
        json!({"realm_access": "os-admin"}),
    ] {
        assert_eq!(grants(unmatched).await, []);
    }
}

#[tokio::test]
async fn a_token_is_valid_in_its_period_plus_leeway() {
    let key = Key::new("first", Algorithm::EdDSA);
    let issuer = Issuer::start(&[&key]).await;
    let checker = Checker::new(&[issuer.settings()]);
    let from_to = |from: i64, to: i64| {
        let claims = with(&claims(&issuer), "nbf", json!(NOW + from));
        key.sign(&with(&claims, "exp", json!(NOW + to)))
    };
    for (from, to) in [(0, 1), (-100, 100), (30, 60), (-100, -29)] {
        assert!(checker.is_good(&from_to(from, to)).await, "{from} to {to}");
    }
    for (from, to) in [(-100, -30), (-100, -31), (-100, -10_000)] {
        assert!(matches!(checker.check(&from_to(from, to)).await, Err(AuthError::Expired)), "{from} to {to}");
    }
    assert!(matches!(checker.check(&from_to(31, 60)).await, Err(AuthError::NotYet)));
    let strict = Checker::new(&[IssuerSettings { leeway: SignedDuration::ZERO, ..issuer.settings() }]);
    assert!(strict.is_good(&from_to(0, 1)).await);
    assert!(matches!(strict.check(&from_to(-1, 0)).await, Err(AuthError::Expired)));
    assert!(matches!(strict.check(&from_to(1, 2)).await, Err(AuthError::NotYet)));
    for wrong in [json!("soon"), json!(-1), Value::Null, json!(1e300)] {
        let token = key.sign(&with(&claims(&issuer), "exp", wrong.clone()));
        assert!(matches!(checker.check(&token).await, Err(AuthError::NotAccepted)), "{wrong}");
        let token = key.sign(&with(&claims(&issuer), "nbf", wrong.clone()));
        assert_eq!(checker.is_good(&token).await, wrong == json!(-1), "{wrong}");
    }
}

#[tokio::test]
async fn forged_tokens_and_tokens_for_other_services_are_rejected() {
    let (key, stranger) = (Key::new("first", Algorithm::RS256), Key::new("first", Algorithm::EdDSA));
    let (small, second) = (Key::new("small", Algorithm::EdDSA), Key::new("second", Algorithm::EdDSA));
    let issuer = Issuer::start(&[&key, &small, &second]).await;
    // The first key states no algorithm, so the configured ones decide.
    let public = without(&key.public(), "alg");
    issuer.show_set(json!({"keys": [public, small.public(), second.public()]}));
    let checker =
        Checker::new(&[IssuerSettings { algorithms: vec![Algorithm::RS256, Algorithm::EdDSA], ..issuer.settings() }]);
    let valid = claims(&issuer);
    let good = key.sign(&valid);
    assert!(checker.is_good(&good).await && checker.is_good(&small.sign(&valid)).await);
    // Without a `kid`, exactly one key must be suitable.
    let without_kid = |key: &Key| key.sign_as(&Header::new(key.algorithm), &valid);
    assert!(checker.is_good(&without_kid(&key)).await);
    let other_algorithm = key.sign_as(&Header { kid: Some("first".into()), ..Header::new(Algorithm::PS256) }, &valid);
    let other_pin = IssuerSettings { algorithms: vec![Algorithm::PS256], ..issuer.settings() };
    assert!(Checker::new(&[other_pin]).is_good(&other_algorithm).await);
    let [header, body, signature]: [&str; 3] = good.split('.').collect::<Vec<_>>().try_into().unwrap();

    let named = |algorithm| Header { kid: Some("first".into()), ..Header::new(algorithm) };
    let shared = |secret: &[u8]| encode(&named(Algorithm::HS256), &valid, &EncodingKey::from_secret(secret)).unwrap();
    // {"alg":"none","kid":"first"}
    let none = "eyJhbGciOiJub25lIiwia2lkIjoiZmlyc3QifQ";
    let forged = [
        ("no signature", format!("{header}.{body}.")),
        (
            "other claims",
            format!("{header}.{}.{signature}", key.sign(&with(&valid, "sub", json!("bob"))).split('.').nth(1).unwrap()),
        ),
        ("no algorithm", format!("{none}.{body}.")),
        ("no algorithm, but a signature", format!("{none}.{body}.{signature}")),
        ("a shared secret that is the public key", shared(rsa_public_pem().as_bytes())),
        ("a shared secret that is the published key", shared(public.to_string().as_bytes())),
        ("a shared secret that is the modulus", shared(public["n"].as_str().unwrap().as_bytes())),
        ("an algorithm that is not pinned", other_algorithm),
        ("an algorithm that is not pinned either", key.sign_as(&named(Algorithm::RS512), &valid)),
        ("a key of another type by that name", stranger.sign(&valid)),
        ("another key by that name", {
            let by_name = Header { kid: Some("small".into()), ..Header::new(Algorithm::EdDSA) };
            stranger.sign_as(&by_name, &valid)
        }),
        (
            "an unknown key",
            stranger.sign_as(&Header { kid: Some("x".into()), ..Header::new(Algorithm::EdDSA) }, &valid),
        ),
        ("no name where there are two keys", without_kid(&small)),
        (
            "a critical extension",
            key.sign_as(&Header { crit: Some(vec!["x".into()]), ..named(Algorithm::RS256) }, &valid),
        ),
        ("no expiry", key.sign(&without(&valid, "exp"))),
    ];
    for (what, token) in forged {
        assert!(matches!(checker.check(&token).await, Err(AuthError::NotAccepted)), "{what}: {token}");
    }
    for audience in
        [json!("other"), json!(["other"]), json!([]), json!("lockkeepers"), json!({"lockkeeper": 1}), json!(1)]
    {
        let token = key.sign(&with(&valid, "aud", audience.clone()));
        assert!(matches!(checker.check(&token).await, Err(AuthError::Audience)), "{audience}");
    }
    assert!(matches!(checker.check(&key.sign(&without(&valid, "aud"))).await, Err(AuthError::Audience)));
    for subject in [json!(""), json!(7), json!("a\nb"), json!("x".repeat(600))] {
        let token = key.sign(&with(&valid, "sub", subject.clone()));
        assert!(matches!(checker.check(&token).await, Err(AuthError::NoActor)), "{subject}");
    }
    // For unknown issuers no request is sent.
    let requests = issuer.request_count();
    for other in [json!("https://issuer.example"), json!(format!("{}/", issuer.url)), json!([issuer.url]), Value::Null]
    {
        assert_eq!(checker.issuers.check(&key.sign(&with(&valid, "iss", other))).await.unwrap(), None);
    }
    for nothing in ["", ".", "..", "a.b.c", "token"] {
        assert_eq!(checker.issuers.check(nothing).await.unwrap(), None);
    }
    assert_eq!(issuer.request_count(), requests);
}

#[tokio::test]
async fn an_issuer_only_vouches_for_its_own_tokens() {
    let key = Key::new("first", Algorithm::ES256);
    let (one, other) = (Issuer::start(&[&key]).await, Issuer::start(&[&Key::new("first", Algorithm::ES256)]).await);
    let checker = Checker::new(&[one.settings(), other.settings()]);
    assert!(checker.is_good(&key.sign(&claims(&one))).await);
    assert!(matches!(checker.check(&key.sign(&claims(&other))).await, Err(AuthError::NotAccepted)));
    // A discovery document must name the issuer, and an allowed URL of keys.
    let keys = format!("{}/keys", one.url);
    for document in [
        Some(json!({"issuer": other.url, "jwks_uri": keys})),
        Some(json!({"issuer": format!("{}/", one.url), "jwks_uri": keys})),
        Some(json!({"issuer": one.url, "jwks_uri": "http://issuer.example/keys"})),
        Some(json!({"issuer": one.url, "jwks_uri": "file:///etc/passwd"})),
        Some(json!({"issuer": one.url})),
        Some(json!([])),
        None,
    ] {
        let checker = Checker::new(&[one.settings()]);
        let requests = one.request_count();
        one.set_discovery(document.clone());
        let answer = checker.check(&key.sign(&claims(&one))).await;
        assert!(matches!(answer, Err(AuthError::Unreachable)), "{document:?}");
        assert_eq!(one.request_count(), requests);
    }
    one.set_discovery(Some(json!({"issuer": one.url, "jwks_uri": keys})));
    assert!(Checker::new(&[one.settings()]).is_good(&key.sign(&claims(&one))).await);
    // Redirects are not followed, and the size of responses is limited.
    let mut moved = one.settings();
    moved.jwks_url = Some(format!("{}/moved", one.url));
    let answer = Checker::new(&[moved]).check(&key.sign(&claims(&one))).await;
    assert!(matches!(answer, Err(AuthError::Unreachable)));
    one.show_set(json!({"keys": [key.public()], "more": "x".repeat(1024 * 1024)}));
    let answer = Checker::new(&[one.settings()]).check(&key.sign(&claims(&one))).await;
    assert!(matches!(answer, Err(AuthError::Unreachable)));
    // Unknown keys, and keys for other uses, are ignored.
    let encrypting = with(&with(&key.public(), "use", json!("enc")), "kid", json!("enc"));
    one.show_set(json!({"keys": [null, {"kty": "XYZ"}, {"kty": "EC"}, encrypting, key.public()]}));
    let checker = Checker::new(&[one.settings()]);
    assert!(checker.is_good(&key.sign(&claims(&one))).await);
    let header = Header { kid: Some("enc".into()), ..Header::new(Algorithm::ES256) };
    assert!(matches!(checker.check(&key.sign_as(&header, &claims(&one))).await, Err(AuthError::NotAccepted)));
}

#[tokio::test]
async fn keys_rotate_without_a_request_per_token() {
    let (old, new) = (Key::new("old", Algorithm::EdDSA), Key::new("new", Algorithm::EdDSA));
    let issuer = Issuer::start(&[&old]).await;
    let checker = Arc::new(Checker::new(&[issuer.settings()]));
    let [by_old, by_new] = [&old, &new].map(|key| key.sign(&claims(&issuer)));
    assert_eq!(issuer.request_count(), 0, "no request is sent before the first token");
    for _ in 0..5 {
        assert!(checker.is_good(&by_old).await);
    }
    assert_eq!(issuer.request_count(), 1);
    // Any number of tokens with unknown keys cause one request every half minute.
    for round in 1..=3 {
        let checks = (0..20).map(|_| {
            let (checker, token) = (checker.clone(), by_new.clone());
            tokio::spawn(async move { checker.check(&token).await })
        });
        for check in checks.collect::<Vec<_>>() {
            assert!(matches!(check.await.unwrap(), Err(AuthError::NotAccepted)));
        }
        assert_eq!(issuer.request_count(), round);
        assert!(checker.is_good(&by_old).await);
        checker.advance(30);
    }
    // A new key is found when it is first used. The old one is valid while it is published, and until the keys are fetched again.
    issuer.show(&[&old, &new]);
    assert!(checker.is_good(&by_new).await && checker.is_good(&by_old).await);
    assert_eq!(issuer.request_count(), 4);
    issuer.show(&[&new]);
    checker.advance(599);
    assert!(checker.is_good(&by_old).await && checker.is_good(&by_new).await);
    assert_eq!(issuer.request_count(), 4);
    checker.advance(1);
    assert!(matches!(checker.check(&by_old).await, Err(AuthError::NotAccepted)));
    assert!(checker.is_good(&by_new).await);
    assert_eq!(issuer.request_count(), 5);
}

#[tokio::test]
async fn cached_keys_stay_valid_for_a_day() {
    let (key, new) = (Key::new("first", Algorithm::EdDSA), Key::new("new", Algorithm::EdDSA));
    let issuer = Issuer::start(&[&key]).await;
    let mut settings = issuer.settings();
    settings.jwks_url = Some(format!("{}/keys", issuer.url));
    let checker = Checker::new(&[settings]);
    let [token, unknown] = [&key, &new].map(|key| key.sign(&claims(&issuer)));
    // Without keys no token can be checked, and an unavailable issuer is not contacted for every token.
    issuer.fail(Some(503));
    for _ in 0..5 {
        assert!(matches!(checker.check(&token).await, Err(AuthError::Unreachable)));
    }
    assert_eq!(issuer.request_count(), 1);
    issuer.fail(None);
    checker.advance(30);
    assert!(checker.is_good(&token).await);
    issuer.fail(Some(503));
    checker.advance(24 * 3600 - 1);
    assert!(checker.is_good(&token).await && checker.is_good(&token).await);
    assert_eq!(issuer.request_count(), 3);
    // The issuer may have published this key since.
    assert!(matches!(checker.check(&unknown).await, Err(AuthError::Unreachable)));
    checker.advance(1);
    assert!(matches!(checker.check(&token).await, Err(AuthError::Unreachable)));
    issuer.fail(None);
    checker.advance(30);
    assert!(checker.is_good(&token).await);
    assert!(matches!(checker.check(&unknown).await, Err(AuthError::NotAccepted)));
}

#[tokio::test]
async fn a_cancelled_check_does_not_use_up_the_attempt() {
    let key = Key::new("first", Algorithm::EdDSA);
    let issuer = Issuer::start(&[&key]).await;
    let checker = Checker::new(&[issuer.settings()]);
    let token = key.sign(&claims(&issuer));
    {
        let mut check = std::pin::pin!(checker.check(&token));
        assert!(check.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    }
    assert!(checker.is_good(&token).await);
    assert_eq!(issuer.request_count(), 1);
}

#[tokio::test]
async fn the_iss_claim_selects_the_issuer() {
    let (database, folder) = (Database::new().await, tempfile::tempdir().unwrap());
    let clock = Arc::new(ManualClock::new(Timestamp::from_second(NOW).unwrap()));
    let key = Key::new("first", Algorithm::ES256);
    let issuer = Issuer::start(&[&key]).await;
    let auth = AuthSettings { issuers: vec![issuer.settings()], ..AuthSettings::default() };
    let api = ApiSettings { anonymous_role: Some(AnonymousRole::Viewer) };
    let authenticator = Authenticator::new(database.store().await, &auth, &api, clock.clone()).unwrap();
    let signing = SigningKey::open(&folder.path().join("key.pem")).unwrap();
    let publisher = grant(Role::Publisher, "os/stable");
    let lifetime = SignedDuration::from_hours(1);
    let office = TokenOffice::new(&database, clock.clone()).await;
    let (row, own) = office.issue(&signing, "ci", &publisher, lifetime).await.unwrap();
    assert_eq!(authenticator.check(&own).await.unwrap().actor.id, format!("token:{}", row.id));
    assert_eq!(
        authenticator.check(&key.sign(&claims(&issuer))).await.unwrap().actor.id,
        format!("{}:alice", issuer.url)
    );
    let posing = key.sign(&with(&claims(&issuer), "iss", json!("lockkeeper")));
    for foreign in [posing.as_str(), &key.sign(&with(&claims(&issuer), "iss", json!("else"))), "", "x.y.z"] {
        assert!(matches!(authenticator.check(foreign).await, Err(AuthError::NotAccepted)), "{foreign}");
    }
    let anonymous = authenticator.anonymous().unwrap();
    assert_eq!((anonymous.actor.id.as_str(), anonymous.grants), ("anonymous", vec![grant(Role::Viewer, "*")]));
    let closed = Authenticator::new(database.store().await, &auth, &ApiSettings::default(), clock).unwrap();
    assert_eq!(closed.anonymous(), None);
}

/// Returns the TOML of an issuer with one line changed.
fn with_line(field: &str, line: &str) -> String {
    let lines = [
        ("issuer", "issuer = \"https://issuer.example\""),
        ("jwks_url", ""),
        ("audiences", "audiences = [\"lockkeeper\"]"),
        ("more", ""),
        ("rules", "rules = [{ claims = { groups = \"a\" }, role = \"viewer\", streams = \"*\" }]"),
    ];
    let lines = lines.map(|(name, default)| if name == field { line } else { default });
    format!("[[auth.issuers]]\n{}\n", lines.join("\n"))
}

#[test]
fn invalid_issuers_are_rejected_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("lockkeeper.toml");
    let result = |text: &str| {
        std::fs::write(&file, text).unwrap();
        let settings = match load(&Sources { file: Some(file.clone()), flags: Flags::default() }, &[]) {
            Ok(settings) => settings,
            Err(error) => return error.to_string(),
        };
        let clock: lockkeeper::clock::SharedClock = Arc::new(ManualClock::new(Timestamp::UNIX_EPOCH));
        Issuers::new(&settings.auth, &clock).map_or_else(|error| error.to_string(), |_| "fine".into())
    };
    for fine in [
        with_line("", ""),
        with_line("issuer", "issuer = \"http://localhost:1\""),
        with_line("issuer", "issuer = \"http://issuer.example\"\njwks_url = \"https://issuer.example/keys\""),
        with_line("more", "leeway = \"0s\"\nrefresh = \"30s\"\nalgorithms = [\"PS512\"]\nactor_claim = \"email\""),
    ] {
        assert_eq!(result(&fine), "fine", "{fine}");
    }
    let mut errors = String::new();
    for (field, line) in [
        ("issuer", ""),
        ("issuer", "issuer = \"http://issuer.example\""),
        ("issuer", "issuer = \"lockkeeper\""),
        // Actor ids of local commands begin with `local:`, those of local tokens with `token:`.
        ("issuer", "issuer = \"local\"\njwks_url = \"https://issuer.example/keys\""),
        ("issuer", "issuer = \"token\"\njwks_url = \"https://issuer.example/keys\""),
        ("issuer", "issuer = \"local://issuer.example\"\njwks_url = \"https://issuer.example/keys\""),
        ("jwks_url", "jwks_url = \"http://issuer.example/keys\""),
        ("audiences", ""),
        ("audiences", "audiences = [\"\"]"),
        ("more", "algorithms = []"),
        ("more", "algorithms = [\"RS256\", \"HS256\"]"),
        ("more", "algorithms = [\"none\"]"),
        ("more", "leeway = \"6m\""),
        ("more", "refresh = \"10s\""),
        ("more", "secret = \"x\""),
        ("rules", ""),
        ("rules", "rules = [{ claims = {}, role = \"viewer\", streams = \"*\" }]"),
        ("rules", "rules = [{ claims = { a = \"\" }, role = \"viewer\", streams = \"*\" }]"),
        ("rules", "rules = [{ claims = { a = \"b\" }, role = \"root\", streams = \"*\" }]"),
        ("rules", "rules = [{ claims = { a = \"b\" }, role = \"viewer\", streams = \"OS\" }]"),
    ] {
        let error = result(&with_line(field, line));
        let line = if line.is_empty() { "is missing" } else { line };
        errors += &format!("{field}: {line}\n    {error}\n");
    }
    errors += &format!("twice\n    {}\n", result(&with_line("", "").repeat(2)));
    errors += &format!("api\n    {}\n", result("[api]\nanonymous_role = \"admin\""));
    errors = errors.replace(&folder.path().display().to_string(), "DIR");
    insta::assert_snapshot!(errors, @r#"
    issuer: is missing
        setting auth.issuers.0: missing field `issuer` (DIR/lockkeeper.toml)
    issuer: issuer = "http://issuer.example"
        setting auth.issuers[0].issuer must be an https:// URL; http:// is allowed only for loopback
    issuer: issuer = "lockkeeper"
        setting auth.issuers[0].issuer must name an external issuer
    issuer: issuer = "local"
    jwks_url = "https://issuer.example/keys"
        setting auth.issuers[0].issuer must begin with https:// or http://
    issuer: issuer = "token"
    jwks_url = "https://issuer.example/keys"
        setting auth.issuers[0].issuer must begin with https:// or http://
    issuer: issuer = "local://issuer.example"
    jwks_url = "https://issuer.example/keys"
        setting auth.issuers[0].issuer must begin with https:// or http://
    jwks_url: jwks_url = "http://issuer.example/keys"
        setting auth.issuers[0].jwks_url must be an https:// URL; http:// is allowed only for loopback
    audiences: is missing
        setting auth.issuers[0].audiences must list at least one audience, and no empty one
    audiences: audiences = [""]
        setting auth.issuers[0].audiences must list at least one audience, and no empty one
    more: algorithms = []
        setting auth.issuers[0].algorithms must list at least one algorithm
    more: algorithms = ["RS256", "HS256"]
        setting auth.issuers[0].algorithms must not list HS256, which uses a shared secret
    more: algorithms = ["none"]
        setting auth.issuers.0.algorithms.0: unknown variant: found `none`, expected `one of `HS256`, `HS384`, `HS512`, `ES256`, `ES384`, `RS256`, `RS384`, `RS512`, `PS256`, `PS384`, `PS512`, `EdDSA`` (DIR/lockkeeper.toml)
    more: leeway = "6m"
        setting auth.issuers[0].leeway must be between 0s and 5m
    more: refresh = "10s"
        setting auth.issuers[0].refresh must be between 30s and 24h
    more: secret = "x"
        setting auth.issuers.0.secret: unknown field: found `secret`, expected `one of `issuer`, `jwks_url`, `audiences`, `algorithms`, `actor_claim`, `leeway`, `refresh`, `rules`` (DIR/lockkeeper.toml)
    rules: is missing
        setting auth.issuers[0].rules must contain at least one rule: without rules, no token gets a role
    rules: rules = [{ claims = {}, role = "viewer", streams = "*" }]
        setting auth.issuers[0].rules[0].claims must require at least one claim
    rules: rules = [{ claims = { a = "" }, role = "viewer", streams = "*" }]
        setting auth.issuers[0].rules[0].claims must not have an empty name or value
    rules: rules = [{ claims = { a = "b" }, role = "root", streams = "*" }]
        setting auth.issuers[0].rules[0].role: "root" is not a role: expected viewer, publisher, manager or admin
    rules: rules = [{ claims = { a = "b" }, role = "viewer", streams = "OS" }]
        setting auth.issuers[0].rules[0].streams: "OS" is not a stream pattern: expected a form such as fedora-coreos/stable, fedora-coreos/*, */stable or *
    twice
        setting auth.issuers[1].issuer appears twice: put all rules of an issuer into one entry
    api
        setting api.anonymous_role: unknown variant: found `admin`, expected ``viewer`` (DIR/lockkeeper.toml)
    "#);
}
