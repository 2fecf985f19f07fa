//! Tokens of our own: good for what they say, until they end or are taken back, and nothing else passes for one.

use crate::support::{
    postgres::Database,
    program::{lockkeeper, text},
};
use jiff::{SignedDuration, Timestamp};
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use lockkeeper::{
    auth::{AuthError, Grant, Role, SigningKey, Tokens},
    clock::{ManualClock, SystemClock},
};
use serde_json::{Value, json};
use std::{
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::Path,
    sync::Arc,
};

fn grant(role: Role, on: &str) -> Grant {
    Grant { role, on: on.parse().unwrap() }
}

async fn tokens(database: &Database, at: Timestamp) -> (Tokens, Arc<ManualClock>) {
    let clock = Arc::new(ManualClock::at(at));
    (Tokens::of(database.store().await, clock.clone()), clock)
}

fn key(folder: &Path) -> SigningKey {
    SigningKey::open(&folder.join("keys/signing-key.pem")).unwrap()
}

#[tokio::test]
async fn a_token_is_good_until_it_ends_or_is_taken_back() {
    let (database, folder) = (Database::new().await, tempfile::tempdir().unwrap());
    let (tokens, clock) = tokens(&database, "2026-07-22T12:00:00Z".parse().unwrap()).await;
    let key = key(folder.path());
    let publisher = grant(Role::Publisher, "os/stable");
    let token = tokens.give(&key, "ci", &publisher, SignedDuration::from_hours(1), "local:core").await.unwrap();
    let identity = tokens.check(&token).await.unwrap();
    assert_eq!((identity.actor.as_str(), identity.grants), ("token:ci", vec![publisher.clone()]));
    // Clocks may be half a minute apart.
    clock.advance(SignedDuration::from_secs(3600 + 29));
    assert!(tokens.check(&token).await.is_ok());
    clock.advance(SignedDuration::from_secs(2));
    assert!(matches!(tokens.check(&token).await, Err(AuthError::Expired)));

    let token = tokens.give(&key, "ci", &publisher, SignedDuration::from_hours(1), "local:core").await.unwrap();
    let list = tokens.list().await.unwrap();
    assert_eq!(list.len(), 2);
    assert!(tokens.revoke(&list[0].id, "local:core").await.unwrap());
    assert!(matches!(tokens.check(&token).await, Err(AuthError::Revoked)));
    for id in [list[0].id.as_str(), "00000000-0000-0000-0000-000000000000", "nonsense", ""] {
        assert!(!tokens.revoke(id, "local:core").await.unwrap(), "{id}");
    }
    let none = tokens.give(&key, "ci", &publisher, SignedDuration::ZERO, "local:core").await;
    assert!(matches!(none, Err(AuthError::Lifetime)));
}

fn part(value: &Value) -> String {
    base64_url(value.to_string().as_bytes())
}

fn base64_url(bytes: &[u8]) -> String {
    const DIGITS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let digit = |chunk: &[u8], nth: usize| {
        let bits = chunk.iter().chain([0; 2].iter()).take(3).fold(0u32, |bits, byte| bits << 8 | u32::from(*byte));
        char::from(DIGITS[usize::try_from(bits >> (18 - 6 * nth) & 63).unwrap()])
    };
    bytes.chunks(3).flat_map(|chunk| (0..=chunk.len()).map(move |nth| digit(chunk, nth))).collect()
}

#[tokio::test]
async fn nothing_else_passes_for_one() {
    let (database, other) = (Database::new().await, Database::new().await);
    let folder = tempfile::tempdir().unwrap();
    let (tokens, clock) = tokens(&database, "2026-07-22T12:00:00Z".parse().unwrap()).await;
    let key = key(folder.path());
    let admin = grant(Role::Admin, "*");
    let good = tokens.give(&key, "root", &admin, SignedDuration::from_hours(1), "local:core").await.unwrap();
    let [header, claims, signature]: [&str; 3] = good.split('.').collect::<Vec<_>>().try_into().unwrap();
    let said: Value = jsonwebtoken::dangerous::insecure_decode(&good).map(|data| data.claims).unwrap();

    let private = |folder: &Path| {
        let text = std::fs::read(folder.join("keys/signing-key.pem")).unwrap();
        EncodingKey::from_ed_der(&pem_content(&text))
    };
    let sign = |header: &Header, claims: &Value, key: &EncodingKey| encode(header, claims, key).unwrap();
    let ours = Header { kid: Some(key.kid.clone()), ..Header::new(Algorithm::EdDSA) };
    let with = |field: &str, value: Value| {
        let mut claims = said.clone();
        claims[field] = value;
        sign(&ours, &claims, &private(folder.path()))
    };
    // What we change and sign again ourselves is taken, so that what follows is refused for what is wrong with it.
    assert!(tokens.check(&with("iat", json!(0))).await.is_ok());
    let stranger = tempfile::tempdir().unwrap();
    SigningKey::open(&stranger.path().join("keys/signing-key.pem")).unwrap();
    let hs256 = Header { kid: Some(key.kid.clone()), ..Header::new(Algorithm::HS256) };
    let none = json!({"alg": "none", "typ": "JWT", "kid": key.kid});
    let forged = [
        ("nothing", String::new()),
        ("text", "x.y.z".into()),
        ("no signature", format!("{header}.{claims}.")),
        ("half of it", format!("{header}.{claims}")),
        ("other claims", format!("{header}.{}.{signature}", part(&json!({"sub": "x"})))),
        ("no algorithm", format!("{}.{claims}.", part(&none))),
        ("a shared secret that is the public key", sign(&hs256, &said, &EncodingKey::from_secret(&key.public))),
        ("another key by our name", sign(&ours, &said, &private(stranger.path()))),
        ("an unknown key", sign(&Header { kid: Some("00".into()), ..ours.clone() }, &said, &private(folder.path()))),
        ("no key's name", sign(&Header { kid: None, ..ours.clone() }, &said, &private(folder.path()))),
        ("another issuer", with("iss", json!("https://issuer.example"))),
        ("another audience", with("aud", json!("somebody else"))),
        ("an unknown id", with("jti", json!("00000000-0000-0000-0000-000000000000"))),
        ("an id that is none", with("jti", json!("x"))),
    ];
    for (what, token) in forged {
        assert!(matches!(tokens.check(&token).await, Err(AuthError::Foreign)), "{what}: {token}");
    }
    // A store takes its own tokens alone, whoever signed them.
    let elsewhere = Tokens::of(other.store().await, clock);
    elsewhere.give(&key, "root", &admin, SignedDuration::from_hours(1), "local:core").await.unwrap();
    assert!(matches!(elsewhere.check(&good).await, Err(AuthError::Foreign)));
}

/// The bytes between the lines of a PEM file.
fn pem_content(text: &[u8]) -> Vec<u8> {
    use rustls::pki_types::{PrivatePkcs8KeyDer, pem::PemObject};
    PrivatePkcs8KeyDer::from_pem_slice(text).unwrap().secret_pkcs8_der().to_vec()
}

#[test]
fn the_key_is_its_owners_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keys/signing-key.pem");
    let first = SigningKey::open(&path).unwrap();
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(SigningKey::open(&path).unwrap().kid, first.kid, "it is made once");
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o644)).unwrap();
    assert!(SigningKey::open(&path).err().unwrap().to_string().contains("is open to others"));
    // What root hands to an account by its group is closed enough; what anybody else does is not.
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o640)).unwrap();
    assert_eq!(SigningKey::open(&path).is_ok(), std::fs::metadata(&path).unwrap().uid() == 0);
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).unwrap();
    std::fs::write(&path, "no key").unwrap();
    assert!(SigningKey::open(&path).err().unwrap().to_string().contains("is no Ed25519 private key"));
}

#[tokio::test]
async fn the_command_line_gives_lists_and_takes_back() {
    let (database, folder) = (Database::new().await, tempfile::tempdir().unwrap());
    let run = |arguments: &[&str]| {
        let mut command = lockkeeper();
        command.env("DATABASE_URL", &database.url).env("LOCKKEEPER_DATA_DIR", folder.path());
        let output = command.arg("token").args(arguments).output().unwrap();
        (output.status.success(), text(&output.stdout), text(&output.stderr))
    };
    let (done, token, told) = run(&["create", "--role", "manager", "--on", "os/*", "--for", "30d", "--name", "desk"]);
    assert!(done, "{told}");
    let tokens = Tokens::of(database.store().await, Arc::new(SystemClock));
    let identity = tokens.check(token.strip_suffix('\n').unwrap()).await.unwrap();
    assert_eq!((identity.actor.as_str(), identity.grants), ("token:desk", vec![grant(Role::Manager, "os/*")]));
    let list = tokens.list().await.unwrap();
    let lifetime = list[0].expires_at.duration_since(list[0].issued_at);
    assert_eq!(lifetime, SignedDuration::from_hours(30 * 24));
    let (_, lines, _) = run(&["list"]);
    assert!(lines.contains("\tdesk\tmanager\tos/*\t") && lines.ends_with("\tgood\n"), "{lines}");
    assert!(run(&["revoke", &list[0].id]).0);
    assert!(run(&["list"]).1.contains("\trevoked "));
    assert!(!run(&["revoke", &list[0].id]).0, "once is all");
    for (wrong, told) in [
        (
            &["create", "--role", "root", "--on", "*", "--for", "1h"][..],
            "there are viewer, publisher, manager and admin",
        ),
        (&["create", "--role", "admin", "--on", "os", "--for", "1h"], "is no pattern such as"),
        (&["create", "--role", "admin", "--on", "*", "--for", "soon"], "--for"),
        (&["create", "--role", "admin", "--on", "*", "--for", "0s"], "good for some time"),
    ] {
        let (done, _, error) = run(wrong);
        assert!(!done && error.contains(told), "{wrong:?}: {error}");
    }
}
