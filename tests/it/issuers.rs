//! Tokens of identity providers and CI systems: taken for what they claim, and for nothing else.

use crate::support::{
    issuer::{Issuer, Key, rsa_public_pem, settings},
    postgres::Database,
};
use jiff::{SignedDuration, Timestamp};
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use lockkeeper::{
    auth::{AuthError, Gate, Grant, Identity, Issuers, Role, SigningKey},
    clock::ManualClock,
    config::{AnonymousRole, ApiSettings, AuthSettings, Flags, IssuerSettings, Sources, load},
};
use serde_json::{Value, json};
use std::{
    sync::Arc,
    task::{Context, Waker},
};

const NOW: i64 = 1_790_000_000;

/// What somebody checks tokens with, whose time the test moves.
struct Checker {
    issuers: Issuers,
    clock: Arc<ManualClock>,
}

impl Checker {
    fn of(settings: &[IssuerSettings]) -> Self {
        let clock = Arc::new(ManualClock::at(Timestamp::from_second(NOW).unwrap()));
        let auth = AuthSettings { issuers: settings.to_vec(), ..AuthSettings::default() };
        let shared: lockkeeper::clock::SharedClock = clock.clone();
        Self { issuers: Issuers::of(&auth, &shared).unwrap(), clock }
    }

    /// Who it is, if the token is of an issuer that is known.
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

/// What a release manager's token claims, good for a year.
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
async fn every_kind_of_key_is_taken_by_discovery_and_by_address() {
    for algorithm in [Algorithm::RS256, Algorithm::ES256, Algorithm::EdDSA] {
        let key = Key::new("first", algorithm);
        let issuer = Issuer::start(&[&key]).await;
        let discovered = issuer.settings();
        let mut named = issuer.settings();
        named.jwks_url = Some(format!("{}/keys", issuer.url));
        for settings in [discovered, named] {
            if settings.jwks_url.is_some() {
                issuer.say(None);
            }
            let identity = Checker::of(&[settings]).check(&key.sign(&claims(&issuer))).await.unwrap();
            assert_eq!(identity.actor, format!("{}:alice", issuer.url), "{algorithm:?}");
            assert_eq!(identity.grants, [grant(Role::Manager, "os/*")]);
        }
    }
}

#[tokio::test]
async fn claims_become_roles() {
    let key = Key::new("first", Algorithm::EdDSA);
    let issuer = Issuer::start(&[&key]).await;
    let checker = Checker::of(&[settings(&json!({
        "issuer": issuer.url,
        "audiences": ["somebody", "lockkeeper"],
        "actor_claim": "login.name",
        "rules": [
            {"claims": {"groups": "release-managers"}, "role": "manager", "on": "os/*"},
            {"claims": {"realm_access.roles": "os-admin"}, "role": "admin", "on": "*"},
            {"claims": {"repository": "example/os", "ref": "refs/heads/main"}, "role": "publisher", "on": "os/stable"},
            {"claims": {"repository": "example/os", "ref": "refs/heads/*"}, "role": "publisher", "on": "os/next"},
            {"claims": {"repository": "example/*"}, "role": "viewer", "on": "os/*"},
        ],
    }))]);
    let base = json!({"iss": issuer.url, "aud": ["other", "lockkeeper"], "login": {"name": "who"}, "exp": NOW + 60});
    let grants = async |more: Value| {
        let mut claims = base.clone();
        claims.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let identity = checker.check(&key.sign(&claims)).await.unwrap();
        assert_eq!(identity.actor, format!("{}:who", issuer.url));
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
    // Whoever fits no rule is known, and may do nothing.
    for nobody in [
        json!({}),
        json!({"repository": "stranger/os", "ref": "refs/heads/main"}),
        json!({"groups": ["release-managers-of-others"]}),
        json!({"realm_access": "os-admin"}),
    ] {
        assert_eq!(grants(nobody).await, []);
    }
}

#[tokio::test]
async fn a_token_is_good_in_its_time_and_a_little_around_it() {
    let key = Key::new("first", Algorithm::EdDSA);
    let issuer = Issuer::start(&[&key]).await;
    let checker = Checker::of(&[issuer.settings()]);
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
    let strict = Checker::of(&[IssuerSettings { leeway: SignedDuration::ZERO, ..issuer.settings() }]);
    assert!(strict.is_good(&from_to(0, 1)).await);
    assert!(matches!(strict.check(&from_to(-1, 0)).await, Err(AuthError::Expired)));
    assert!(matches!(strict.check(&from_to(1, 2)).await, Err(AuthError::NotYet)));
    for wrong in [json!("soon"), json!(-1), Value::Null, json!(1e300)] {
        let token = key.sign(&with(&claims(&issuer), "exp", wrong.clone()));
        assert!(matches!(checker.check(&token).await, Err(AuthError::Foreign)), "{wrong}");
        let token = key.sign(&with(&claims(&issuer), "nbf", wrong.clone()));
        assert_eq!(checker.is_good(&token).await, wrong == json!(-1), "{wrong}");
    }
}

#[tokio::test]
async fn what_is_forged_or_meant_for_others_does_not_pass() {
    let (key, stranger) = (Key::new("first", Algorithm::RS256), Key::new("first", Algorithm::EdDSA));
    let (small, second) = (Key::new("small", Algorithm::EdDSA), Key::new("second", Algorithm::EdDSA));
    let issuer = Issuer::start(&[&key, &small, &second]).await;
    // The first does not say what it is for, so that what is pinned decides.
    let public = without(&key.public(), "alg");
    issuer.show_set(json!({"keys": [public, small.public(), second.public()]}));
    let checker =
        Checker::of(&[IssuerSettings { algorithms: vec![Algorithm::RS256, Algorithm::EdDSA], ..issuer.settings() }]);
    let said = claims(&issuer);
    let good = key.sign(&said);
    assert!(checker.is_good(&good).await && checker.is_good(&small.sign(&said)).await);
    // Without a name, there has to be one key alone that it can be.
    let nameless = |key: &Key| key.sign_as(&Header::new(key.algorithm), &said);
    assert!(checker.is_good(&nameless(&key)).await);
    let other_algorithm = key.sign_as(&Header { kid: Some("first".into()), ..Header::new(Algorithm::PS256) }, &said);
    let other_pin = IssuerSettings { algorithms: vec![Algorithm::PS256], ..issuer.settings() };
    assert!(Checker::of(&[other_pin]).is_good(&other_algorithm).await);
    let [header, body, signature]: [&str; 3] = good.split('.').collect::<Vec<_>>().try_into().unwrap();

    let named = |algorithm| Header { kid: Some("first".into()), ..Header::new(algorithm) };
    let shared = |secret: &[u8]| encode(&named(Algorithm::HS256), &said, &EncodingKey::from_secret(secret)).unwrap();
    // {"alg":"none","kid":"first"}
    let none = "eyJhbGciOiJub25lIiwia2lkIjoiZmlyc3QifQ";
    let forged = [
        ("no signature", format!("{header}.{body}.")),
        (
            "other claims",
            format!("{header}.{}.{signature}", key.sign(&with(&said, "sub", json!("bob"))).split('.').nth(1).unwrap()),
        ),
        ("no algorithm", format!("{none}.{body}.")),
        ("no algorithm, but a signature", format!("{none}.{body}.{signature}")),
        ("a shared secret that is the public key", shared(rsa_public_pem().as_bytes())),
        ("a shared secret that is the shown key", shared(public.to_string().as_bytes())),
        ("a shared secret that is the modulus", shared(public["n"].as_str().unwrap().as_bytes())),
        ("an algorithm that is not pinned", other_algorithm),
        ("an algorithm that is not pinned either", key.sign_as(&named(Algorithm::RS512), &said)),
        ("a key of another type by that name", stranger.sign(&said)),
        ("another key by that name", {
            let by_name = Header { kid: Some("small".into()), ..Header::new(Algorithm::EdDSA) };
            stranger.sign_as(&by_name, &said)
        }),
        ("an unknown key", stranger.sign_as(&Header { kid: Some("x".into()), ..Header::new(Algorithm::EdDSA) }, &said)),
        ("no name where there are two keys", nameless(&small)),
        ("something critical", key.sign_as(&Header { crit: Some(vec!["x".into()]), ..named(Algorithm::RS256) }, &said)),
        ("no end", key.sign(&without(&said, "exp"))),
    ];
    for (what, token) in forged {
        assert!(matches!(checker.check(&token).await, Err(AuthError::Foreign)), "{what}: {token}");
    }
    for audience in
        [json!("other"), json!(["other"]), json!([]), json!("lockkeepers"), json!({"lockkeeper": 1}), json!(1)]
    {
        let token = key.sign(&with(&said, "aud", audience.clone()));
        assert!(matches!(checker.check(&token).await, Err(AuthError::Audience)), "{audience}");
    }
    assert!(matches!(checker.check(&key.sign(&without(&said, "aud"))).await, Err(AuthError::Audience)));
    for subject in [json!(""), json!(7), json!("a\nb"), json!("x".repeat(600))] {
        let token = key.sign(&with(&said, "sub", subject.clone()));
        assert!(matches!(checker.check(&token).await, Err(AuthError::Nameless)), "{subject}");
    }
    // These are of nobody whom we know, so nobody is asked.
    let asked = issuer.asked();
    for other in [json!("https://issuer.example"), json!(format!("{}/", issuer.url)), json!([issuer.url]), Value::Null]
    {
        assert_eq!(checker.issuers.check(&key.sign(&with(&said, "iss", other))).await.unwrap(), None);
    }
    for nothing in ["", ".", "..", "a.b.c", "token"] {
        assert_eq!(checker.issuers.check(nothing).await.unwrap(), None);
    }
    assert_eq!(issuer.asked(), asked);
}

#[tokio::test]
async fn an_issuer_vouches_for_itself_alone() {
    let key = Key::new("first", Algorithm::ES256);
    let (one, other) = (Issuer::start(&[&key]).await, Issuer::start(&[&Key::new("first", Algorithm::ES256)]).await);
    let checker = Checker::of(&[one.settings(), other.settings()]);
    assert!(checker.is_good(&key.sign(&claims(&one))).await);
    assert!(matches!(checker.check(&key.sign(&claims(&other))).await, Err(AuthError::Foreign)));
    // Its document has to be its own, and say a place that may be asked.
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
        let checker = Checker::of(&[one.settings()]);
        let asked = one.asked();
        one.say(document.clone());
        let answer = checker.check(&key.sign(&claims(&one))).await;
        assert!(matches!(answer, Err(AuthError::Unreachable)), "{document:?}");
        assert_eq!(one.asked(), asked);
    }
    one.say(Some(json!({"issuer": one.url, "jwks_uri": keys})));
    assert!(Checker::of(&[one.settings()]).is_good(&key.sign(&claims(&one))).await);
    // Redirects are not followed, and an answer is no longer than it needs to be.
    let mut moved = one.settings();
    moved.jwks_url = Some(format!("{}/moved", one.url));
    let answer = Checker::of(&[moved]).check(&key.sign(&claims(&one))).await;
    assert!(matches!(answer, Err(AuthError::Unreachable)));
    one.show_set(json!({"keys": [key.public()], "more": "x".repeat(1024 * 1024)}));
    let answer = Checker::of(&[one.settings()]).check(&key.sign(&claims(&one))).await;
    assert!(matches!(answer, Err(AuthError::Unreachable)));
    // Keys that nobody understands, or that are for something else, are passed over.
    let encrypting = with(&with(&key.public(), "use", json!("enc")), "kid", json!("enc"));
    one.show_set(json!({"keys": [null, {"kty": "XYZ"}, {"kty": "EC"}, encrypting, key.public()]}));
    let checker = Checker::of(&[one.settings()]);
    assert!(checker.is_good(&key.sign(&claims(&one))).await);
    let header = Header { kid: Some("enc".into()), ..Header::new(Algorithm::ES256) };
    assert!(matches!(checker.check(&key.sign_as(&header, &claims(&one))).await, Err(AuthError::Foreign)));
}

#[tokio::test]
async fn keys_rotate_without_asking_for_each_token() {
    let (old, new) = (Key::new("old", Algorithm::EdDSA), Key::new("new", Algorithm::EdDSA));
    let issuer = Issuer::start(&[&old]).await;
    let checker = Arc::new(Checker::of(&[issuer.settings()]));
    let [by_old, by_new] = [&old, &new].map(|key| key.sign(&claims(&issuer)));
    assert_eq!(issuer.asked(), 0, "nobody is asked before there is a token");
    for _ in 0..5 {
        assert!(checker.is_good(&by_old).await);
    }
    assert_eq!(issuer.asked(), 1);
    // Tokens of unknown keys, however many at once, lead to one question every half minute.
    for round in 1..=3 {
        let checks = (0..20).map(|_| {
            let (checker, token) = (checker.clone(), by_new.clone());
            tokio::spawn(async move { checker.check(&token).await })
        });
        for check in checks.collect::<Vec<_>>() {
            assert!(matches!(check.await.unwrap(), Err(AuthError::Foreign)));
        }
        assert_eq!(issuer.asked(), round);
        assert!(checker.is_good(&by_old).await);
        checker.advance(30);
    }
    // A new key is found as soon as somebody uses it; the old one is good while it is shown, and until the keys are fetched again.
    issuer.show(&[&old, &new]);
    assert!(checker.is_good(&by_new).await && checker.is_good(&by_old).await);
    assert_eq!(issuer.asked(), 4);
    issuer.show(&[&new]);
    checker.advance(599);
    assert!(checker.is_good(&by_old).await && checker.is_good(&by_new).await);
    assert_eq!(issuer.asked(), 4);
    checker.advance(1);
    assert!(matches!(checker.check(&by_old).await, Err(AuthError::Foreign)));
    assert!(checker.is_good(&by_new).await);
    assert_eq!(issuer.asked(), 5);
}

#[tokio::test]
async fn kept_keys_outlive_their_issuer_by_a_day() {
    let (key, new) = (Key::new("first", Algorithm::EdDSA), Key::new("new", Algorithm::EdDSA));
    let issuer = Issuer::start(&[&key]).await;
    let mut settings = issuer.settings();
    settings.jwks_url = Some(format!("{}/keys", issuer.url));
    let checker = Checker::of(&[settings]);
    let [token, unknown] = [&key, &new].map(|key| key.sign(&claims(&issuer)));
    // Without keys nothing can be judged; nor is an issuer that is away asked for every token.
    issuer.fail(Some(503));
    for _ in 0..5 {
        assert!(matches!(checker.check(&token).await, Err(AuthError::Unreachable)));
    }
    assert_eq!(issuer.asked(), 1);
    issuer.fail(None);
    checker.advance(30);
    assert!(checker.is_good(&token).await);
    issuer.fail(Some(503));
    checker.advance(24 * 3600 - 1);
    assert!(checker.is_good(&token).await && checker.is_good(&token).await);
    assert_eq!(issuer.asked(), 3);
    // Whether there is such a key by now, only the issuer knows.
    assert!(matches!(checker.check(&unknown).await, Err(AuthError::Unreachable)));
    checker.advance(1);
    assert!(matches!(checker.check(&token).await, Err(AuthError::Unreachable)));
    issuer.fail(None);
    checker.advance(30);
    assert!(checker.is_good(&token).await);
    assert!(matches!(checker.check(&unknown).await, Err(AuthError::Foreign)));
}

#[tokio::test]
async fn whoever_goes_away_does_not_use_the_attempt_up() {
    let key = Key::new("first", Algorithm::EdDSA);
    let issuer = Issuer::start(&[&key]).await;
    let checker = Checker::of(&[issuer.settings()]);
    let token = key.sign(&claims(&issuer));
    {
        let mut check = std::pin::pin!(checker.check(&token));
        assert!(check.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    }
    assert!(checker.is_good(&token).await);
    assert_eq!(issuer.asked(), 1);
}

#[tokio::test]
async fn the_gate_asks_whoever_a_token_says_it_is_of() {
    let (database, folder) = (Database::new().await, tempfile::tempdir().unwrap());
    let clock = Arc::new(ManualClock::at(Timestamp::from_second(NOW).unwrap()));
    let key = Key::new("first", Algorithm::ES256);
    let issuer = Issuer::start(&[&key]).await;
    let auth = AuthSettings { issuers: vec![issuer.settings()], ..AuthSettings::default() };
    let api = ApiSettings { anonymous_role: Some(AnonymousRole::Viewer) };
    let gate = Gate::of(database.store().await, &auth, &api, clock.clone()).unwrap();
    let signing = SigningKey::open(&folder.path().join("key.pem")).unwrap();
    let publisher = grant(Role::Publisher, "os/stable");
    let lifetime = SignedDuration::from_hours(1);
    let own = gate.tokens().give(&signing, "ci", &publisher, lifetime, "local:core").await.unwrap();
    assert_eq!(gate.check(&own).await.unwrap().actor, "token:ci");
    assert_eq!(gate.check(&key.sign(&claims(&issuer))).await.unwrap().actor, format!("{}:alice", issuer.url));
    let posing = key.sign(&with(&claims(&issuer), "iss", json!("lockkeeper")));
    for foreign in [posing.as_str(), &key.sign(&with(&claims(&issuer), "iss", json!("else"))), "", "x.y.z"] {
        assert!(matches!(gate.check(foreign).await, Err(AuthError::Foreign)), "{foreign}");
    }
    let anonymous = gate.anonymous().unwrap();
    assert_eq!((anonymous.actor.as_str(), anonymous.grants), ("anonymous", vec![grant(Role::Viewer, "*")]));
    let closed = Gate::of(database.store().await, &auth, &ApiSettings::default(), clock).unwrap();
    assert_eq!(closed.anonymous(), None);
}

/// One issuer in TOML, with a line of it changed.
fn with_line(field: &str, line: &str) -> String {
    let lines = [
        ("issuer", "issuer = \"https://issuer.example\""),
        ("jwks_url", ""),
        ("audiences", "audiences = [\"lockkeeper\"]"),
        ("more", ""),
        ("rules", "rules = [{ claims = { groups = \"a\" }, role = \"viewer\", on = \"*\" }]"),
    ];
    let lines = lines.map(|(name, usual)| if name == field { line } else { usual });
    format!("[[auth.issuers]]\n{}\n", lines.join("\n"))
}

#[test]
fn wrong_issuers_are_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("lockkeeper.toml");
    let refused = |text: &str| {
        std::fs::write(&file, text).unwrap();
        let settings = match load(&Sources { file: Some(file.clone()), flags: Flags::default() }) {
            Ok(settings) => settings,
            Err(error) => return error.to_string(),
        };
        let clock: lockkeeper::clock::SharedClock = Arc::new(ManualClock::at(Timestamp::UNIX_EPOCH));
        Issuers::of(&settings.auth, &clock).map_or_else(|error| error.to_string(), |_| "fine".into())
    };
    for fine in [
        with_line("", ""),
        with_line("issuer", "issuer = \"http://localhost:1\""),
        with_line("issuer", "issuer = \"a name\"\njwks_url = \"https://issuer.example/keys\""),
        with_line("more", "leeway = \"0s\"\nrefresh = \"30s\"\nalgorithms = [\"PS512\"]\nactor_claim = \"email\""),
    ] {
        assert_eq!(refused(&fine), "fine", "{fine}");
    }
    let mut told = String::new();
    for (field, line) in [
        ("issuer", ""),
        ("issuer", "issuer = \"http://issuer.example\""),
        ("issuer", "issuer = \"lockkeeper\""),
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
        ("rules", "rules = [{ claims = {}, role = \"viewer\", on = \"*\" }]"),
        ("rules", "rules = [{ claims = { a = \"\" }, role = \"viewer\", on = \"*\" }]"),
        ("rules", "rules = [{ claims = { a = \"b\" }, role = \"root\", on = \"*\" }]"),
        ("rules", "rules = [{ claims = { a = \"b\" }, role = \"viewer\", on = \"OS\" }]"),
    ] {
        let error = refused(&with_line(field, line));
        let line = if line.is_empty() { "is missing" } else { line };
        told += &format!("{field}: {line}\n    {error}\n");
    }
    told += &format!("twice\n    {}\n", refused(&with_line("", "").repeat(2)));
    told += &format!("api\n    {}\n", refused("[api]\nanonymous_role = \"admin\""));
    told = told.replace(&folder.path().display().to_string(), "DIR");
    insta::assert_snapshot!(told, @r#"
    issuer: is missing
        setting auth.issuers.0: missing field `issuer` (DIR/lockkeeper.toml)
    issuer: issuer = "http://issuer.example"
        setting auth.issuers[0].issuer has to be an https:// address; http:// is for loopback alone
    issuer: issuer = "lockkeeper"
        setting auth.issuers[0].issuer has to name somebody else
    jwks_url: jwks_url = "http://issuer.example/keys"
        setting auth.issuers[0].jwks_url has to be an https:// address; http:// is for loopback alone
    audiences: is missing
        setting auth.issuers[0].audiences has to name at least one audience, and none that is empty
    audiences: audiences = [""]
        setting auth.issuers[0].audiences has to name at least one audience, and none that is empty
    more: algorithms = []
        setting auth.issuers[0].algorithms has to name at least one algorithm
    more: algorithms = ["RS256", "HS256"]
        setting auth.issuers[0].algorithms names HS256, which signs with a shared secret
    more: algorithms = ["none"]
        setting auth.issuers.0.algorithms.0: unknown variant: found `none`, expected `one of `HS256`, `HS384`, `HS512`, `ES256`, `ES384`, `RS256`, `RS384`, `RS512`, `PS256`, `PS384`, `PS512`, `EdDSA`` (DIR/lockkeeper.toml)
    more: leeway = "6m"
        setting auth.issuers[0].leeway has to lie between 0s and 5m
    more: refresh = "10s"
        setting auth.issuers[0].refresh has to lie between 30s and 24h
    more: secret = "x"
        setting auth.issuers.0.secret: unknown field: found `secret`, expected `one of `issuer`, `jwks_url`, `audiences`, `algorithms`, `actor_claim`, `leeway`, `refresh`, `rules`` (DIR/lockkeeper.toml)
    rules: is missing
        setting auth.issuers[0].rules has to hold at least one rule; without any, no token may do anything
    rules: rules = [{ claims = {}, role = "viewer", on = "*" }]
        setting auth.issuers[0].rules[0].claims has to want at least one claim
    rules: rules = [{ claims = { a = "" }, role = "viewer", on = "*" }]
        setting auth.issuers[0].rules[0].claims has an empty name or value
    rules: rules = [{ claims = { a = "b" }, role = "root", on = "*" }]
        setting auth.issuers[0].rules[0].role: "root" is no role; there are viewer, publisher, manager and admin
    rules: rules = [{ claims = { a = "b" }, role = "viewer", on = "OS" }]
        setting auth.issuers[0].rules[0].on: "OS" is no pattern such as fedora-coreos/stable, fedora-coreos/* or *
    twice
        setting auth.issuers[1].issuer is there twice; give one entry all the rules
    api
        setting api.anonymous_role: unknown variant: found `admin`, expected ``viewer`` (DIR/lockkeeper.toml)
    "#);
}
