//! Tokens of this service: valid for their role and streams until they expire or are revoked; forgeries are refused.

use crate::support::{
    dialects, eventually,
    manager::{Desk, Manager, TokenOffice, with_reason},
    postgres::Database,
    program::{lockkeeper, text},
    server::Server,
    time::NOW,
};
use jiff::{SignedDuration, Timestamp};
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use lockkeeper::{
    auth::{AuthError, Grant, Identity, Role, SigningKey},
    clock::{ManualClock, SystemClock},
    manage::{Manage, Refusal, read::AuditScope, records::AuditEntry},
};
use reqwest::Method;
use serde_json::{Value, json};
use sqlx::Row;
use std::{
    collections::BTreeSet,
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::Path,
    sync::Arc,
};

/// Returns the newest entry of the audit log.
async fn newest_entry(manage: &Manage) -> AuditEntry {
    let caller = Identity::local("test");
    manage.audit_reader(&caller).unwrap().entries(&AuditScope::All, None, 1).await.unwrap().remove(0).1
}

const HOUR: SignedDuration = SignedDuration::from_hours(1);

fn grant(role: Role, on: &str) -> Grant {
    Grant { role, on: on.parse().unwrap() }
}

async fn office(database: &Database) -> (TokenOffice, Arc<ManualClock>) {
    let clock = Arc::new(ManualClock::new("2026-07-22T12:00:00Z".parse::<Timestamp>().unwrap()));
    (TokenOffice::new(database, clock.clone()).await, clock)
}

fn key(folder: &Path) -> SigningKey {
    SigningKey::open(&folder.join("keys/signing-key.pem")).unwrap()
}

/// Returns the private key in a folder, as an attacker has it who got the file.
fn leaked(folder: &Path) -> EncodingKey {
    EncodingKey::from_ed_der(&pem_content(&std::fs::read(folder.join("keys/signing-key.pem")).unwrap()))
}

fn claims_of(token: &str) -> Value {
    jsonwebtoken::dangerous::insecure_decode(token).map(|data| data.claims).unwrap()
}

fn header(kid: &str) -> Header {
    Header { kid: Some(kid.into()), ..Header::new(Algorithm::EdDSA) }
}

#[tokio::test]
async fn a_token_is_valid_until_it_expires_or_is_revoked() {
    let (database, folder) = (Database::new().await, tempfile::tempdir().unwrap());
    let (office, clock) = office(&database).await;
    let key = key(folder.path());
    let publisher = grant(Role::Publisher, "os/stable");
    let (row, token) = office.issue(&key, "ci", &publisher, HOUR).await.unwrap();
    let identity = office.tokens.check(&token).await.unwrap();
    assert_eq!((identity.actor.id, identity.actor.name), (format!("token:{}", row.id), "ci".into()));
    assert_eq!(identity.grants, vec![publisher.clone()]);
    // Clocks may be half a minute apart.
    clock.advance(SignedDuration::from_secs(3600 + 29));
    assert!(office.tokens.check(&token).await.is_ok());
    clock.advance(SignedDuration::from_secs(2));
    assert!(matches!(office.tokens.check(&token).await, Err(AuthError::Expired)));

    let (row, token) = office.issue(&key, "ci", &publisher, HOUR).await.unwrap();
    assert_eq!(office.manage.tokens(&Identity::local("test")).await.unwrap().len(), 2);
    office.revoke(&row.id).await.unwrap();
    assert!(matches!(office.tokens.check(&token).await, Err(AuthError::Revoked)));
    for id in [row.id.as_str(), "00000000-0000-0000-0000-000000000000", "nonsense", ""] {
        assert!(office.revoke(id).await.is_err(), "{id}");
    }
    assert!(office.issue(&key, "ci", &publisher, SignedDuration::ZERO).await.is_err());
}

/// Found by an attack: the key was looked up by the header's `kid`, the row by `jti`, and the two were never compared.
#[tokio::test]
async fn a_leaked_key_signs_nothing_but_its_own_tokens() {
    let (database, old, new) = (Database::new().await, tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (office, _) = office(&database).await;
    let (old_key, new_key) = (key(old.path()), key(new.path()));
    let admin = grant(Role::Admin, "*");
    office.issue(&old_key, "of the old key", &grant(Role::Viewer, "os/stable"), HOUR).await.unwrap();
    let (row, good) = office.issue(&new_key, "of the new key", &admin, HOUR).await.unwrap();
    assert!(office.tokens.check(&good).await.is_ok());
    // An attacker who saw a newer token and has the older key signs the newer token's claims with the older key.
    let forged = encode(&header(&old_key.kid), &claims_of(&good), &leaked(old.path())).unwrap();
    assert!(matches!(office.tokens.check(&forged).await, Err(AuthError::NotAccepted)));
    // An attacker has the newer key and the public id of a token that it signed.
    let mut claims = claims_of(&good);
    claims["jti"] = json!(row.id);
    let forged = encode(&header(&new_key.kid), &claims, &leaked(new.path())).unwrap();
    assert!(matches!(office.tokens.check(&forged).await, Err(AuthError::NotAccepted)));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_secret_id_of_a_token_is_never_shown_or_stored() {
    let database = Database::new().await;
    let server = Server::start(&database).await;
    let desk = Desk::new(&server, &database);
    let admin = desk.manager("admin", "*").await;
    let private_id = claims_of(admin.token.as_deref().unwrap())["jti"].as_str().unwrap().to_owned();
    assert_eq!(private_id.len(), 64);
    for path in ["/api/v1/tokens", "/api/v1/audit"] {
        let shown = admin.get(path).await.ok().body.to_string();
        assert!(shown.contains("admin on *") && !shown.contains(&private_id), "{shown}");
    }
    let stored: Vec<String> = sqlx::query_scalar("select t::text from tokens t union all select a::text from audit a")
        .fetch_all(&database.pool().await)
        .await
        .unwrap();
    assert!(stored.len() >= 2 && !stored.concat().contains(&private_id), "{stored:?}");
    server.stop().await;
}

#[tokio::test]
async fn revoking_a_key_revokes_its_tokens_and_prevents_new_ones() {
    let (database, old, new) = (Database::new().await, tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (office, clock) = office(&database).await;
    let (old_key, new_key) = (key(old.path()), key(new.path()));
    let viewer = grant(Role::Viewer, "*");
    let (_, first) = office.issue(&old_key, "first", &viewer, HOUR).await.unwrap();
    let (_, second) = office.issue(&old_key, "second", &viewer, HOUR).await.unwrap();
    let (_, other) = office.issue(&new_key, "other", &viewer, HOUR).await.unwrap();
    let live = |keys: &[lockkeeper::manage::records::SigningKeyRow]| {
        let mut live: Vec<_> = keys.iter().map(|key| (key.kid.clone(), key.live_tokens)).collect();
        live.sort();
        live
    };
    let mut expected = vec![(old_key.kid.clone(), 2), (new_key.kid.clone(), 1)];
    expected.sort();
    assert_eq!(live(&office.manage.signing_keys().await.unwrap()), expected);
    clock.advance(SignedDuration::from_secs(5));
    assert_eq!(office.manage.revoke_signing_key(&old_key.kid, &office.request()).await.unwrap(), 2);
    for token in [first, second] {
        assert!(matches!(office.tokens.check(&token).await, Err(AuthError::Revoked)));
    }
    assert!(office.tokens.check(&other).await.is_ok());
    let refused = office.issue(&old_key, "third", &viewer, HOUR).await.unwrap_err().to_string();
    assert!(refused.contains("was revoked"), "{refused}");
    for none in [old_key.kid.as_str(), "0000000000000000", "x\0", ""] {
        assert!(office.manage.revoke_signing_key(none, &office.request()).await.is_err(), "{none:?}");
    }
    let entry = newest_entry(&office.manage).await;
    assert_eq!((entry.action.as_str(), entry.actor.id.as_str()), ("signing-key.revoke", "local:test"));
    assert_eq!(entry.subject.as_deref(), Some(&*format!("{} (2 valid tokens)", old_key.kid)));
}

/// Tokens from before private ids could be forged with a key and a list of tokens.
#[tokio::test]
async fn the_migration_revokes_earlier_tokens() {
    const BEFORE: i64 = 20_261_128_190_000;
    let database = Database::new().await;
    let pool = database.pool().await;
    let migrations = sqlx::migrate!();
    for migration in migrations.iter().filter(|migration| migration.version < BEFORE) {
        sqlx::raw_sql(migration.sql.clone()).execute(&pool).await.unwrap();
    }
    sqlx::raw_sql(
        "insert into signing_keys values ('0123456789abcdef', decode(repeat('00', 32), 'hex'), now());
         insert into tokens (id, kid, name, role, pattern, issued_at, issued_by, expires_at)
         select gen_random_uuid(), '0123456789abcdef', 'ci', 'admin', '*', now(), 'local:core', now() + make_interval(days => n)
         from generate_series(1, 3) n;
         update tokens set revoked_at = '2026-01-01', revoked_by = 'local:core' where expires_at < now() + interval '36 h'",
    )
    .execute(&pool)
    .await
    .unwrap();
    for migration in migrations.iter().filter(|migration| migration.version >= BEFORE) {
        sqlx::raw_sql(migration.sql.clone()).execute(&pool).await.unwrap();
    }
    let by: Vec<(String, i64)> =
        sqlx::query_as("select revoked_by, count(*) from tokens where revoked_at is not null group by 1 order by 1")
            .fetch_all(&pool)
            .await
            .unwrap();
    assert_eq!(by, [("local:core".into(), 1), ("migration:separate-token-ids".into(), 2)]);
}

/// Returns the SQL of a query of the product, and the number of its parameters.
fn product_query(name: &str) -> (String, usize) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(".sqlx");
    let files = std::fs::read_dir(folder).unwrap().map(|file| std::fs::read(file.unwrap().path()).unwrap());
    let first_line = format!("-- name: {name}\n");
    for checked in files.map(|file| serde_json::from_slice::<Value>(&file).unwrap()) {
        let sql = checked["query"].as_str().unwrap();
        if sql.starts_with(&first_line) {
            return (sql.to_owned(), checked["describe"]["parameters"]["Left"].as_array().unwrap().len());
        }
    }
    panic!("no query is named {name}");
}

/// The row of a token is found by an index: checking a token costs the same for any number of issued tokens.
#[tokio::test]
async fn a_token_is_found_by_an_index() {
    let (database, folder) = (Database::new().await, tempfile::tempdir().unwrap());
    let (office, _) = office(&database).await;
    office.issue(&key(folder.path()), "ci", &grant(Role::Viewer, "*"), HOUR).await.unwrap();
    let mut transaction = database.pool().await.begin().await.unwrap();
    sqlx::raw_sql(
        "insert into tokens (id, kid, name, role, pattern, issued_at, issued_by, expires_at, jti_hash, jti_nonce)
         select gen_random_uuid(), kid, name, role, pattern, issued_at, issued_by, expires_at, sha256(n::text::bytea), jti_nonce
         from tokens, generate_series(1, 5000) n;
         analyze tokens;
         set local plan_cache_mode = force_generic_plan",
    )
    .execute(&mut *transaction)
    .await
    .unwrap();
    for (query, column) in [
        ("shown_token", "jti_hash"),
        ("token", "id"),
        ("lock_token", "id"),
        ("token_nonce", "id"),
        ("revoke_token", "id"),
    ] {
        let (sql, parameters) = product_query(query);
        let prepare = sqlx::AssertSqlSafe(format!("prepare {query} as {sql}"));
        sqlx::raw_sql(prepare).execute(&mut *transaction).await.unwrap();
        let nulls = vec!["null"; parameters].join(", ");
        let explain = sqlx::AssertSqlSafe(format!("explain execute {query} ({nulls})"));
        let plan = sqlx::raw_sql(explain).fetch_all(&mut *transaction).await.unwrap();
        let plan: Vec<String> = plan.iter().map(|line| line.get(0)).collect();
        let plan = plan.join("\n");
        assert!(plan.contains(&format!("Index Cond: ({column} = ")), "{query}: {plan}");
        assert!(!plan.contains("Seq Scan on tokens"), "{query}: {plan}");
    }
}

/// Found by review: an unknown key's id made the database count the valid tokens of every key.
#[tokio::test]
async fn forged_tokens_are_refused_without_reading_tokens() {
    let (database, folder, stranger) =
        (Database::new().await, tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (office, _) = office(&database).await;
    let (known_key, unknown_key) = (key(folder.path()), key(stranger.path()));
    let (_, good) = office.issue(&known_key, "ci", &grant(Role::Viewer, "*"), HOUR).await.unwrap();
    let forge = |kid: &str| encode(&header(kid), &claims_of(&good), &leaked(stranger.path())).unwrap();
    let mut transaction = database.pool().await.begin().await.unwrap();
    let mut lock = async |table: &str| {
        let lock = sqlx::AssertSqlSafe(format!("lock table {table} in access exclusive mode"));
        sqlx::raw_sql(lock).execute(&mut *transaction).await.unwrap();
    };
    let is_foreign = async |token: &str| {
        let checked = tokio::time::timeout(std::time::Duration::from_secs(30), office.tokens.check(token)).await;
        matches!(checked, Ok(Err(AuthError::NotAccepted)))
    };
    lock("tokens").await;
    assert!(is_foreign(&forge(&unknown_key.kid)).await, "an unknown key");
    // The keys are cached now and not read again.
    lock("signing_keys").await;
    assert!(is_foreign(&forge(&known_key.kid)).await, "a known key's id");
    transaction.rollback().await.unwrap();
    assert!(office.tokens.check(&good).await.is_ok());
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
async fn forged_and_altered_tokens_are_refused() {
    let (database, other) = (Database::new().await, Database::new().await);
    let folder = tempfile::tempdir().unwrap();
    let (office, clock) = office(&database).await;
    let key = key(folder.path());
    let admin = grant(Role::Admin, "*");
    let (row, good) = office.issue(&key, "root", &admin, HOUR).await.unwrap();
    let [head, claims, signature]: [&str; 3] = good.split('.').collect::<Vec<_>>().try_into().unwrap();
    let good_claims = claims_of(&good);
    let sign = |header: &Header, claims: &Value, key: &EncodingKey| encode(header, claims, key).unwrap();
    let ours = header(&key.kid);
    let with = |field: &str, value: Value| {
        let mut claims = good_claims.clone();
        claims[field] = value;
        sign(&ours, &claims, &leaked(folder.path()))
    };
    // A token that is altered harmlessly and signed again is accepted: the others are refused for their one fault.
    assert!(office.tokens.check(&with("iat", json!(0))).await.is_ok());
    let stranger = tempfile::tempdir().unwrap();
    SigningKey::open(&stranger.path().join("keys/signing-key.pem")).unwrap();
    let hs256 = Header { kid: Some(key.kid.clone()), ..Header::new(Algorithm::HS256) };
    let none = json!({"alg": "none", "typ": "JWT", "kid": key.kid});
    let forged = [
        ("empty", String::new()),
        ("text", "x.y.z".into()),
        ("no signature", format!("{head}.{claims}.")),
        ("two parts only", format!("{head}.{claims}")),
        ("other claims", format!("{head}.{}.{signature}", part(&json!({"sub": "x"})))),
        ("no algorithm", format!("{}.{claims}.", part(&none))),
        ("a shared secret that is the public key", sign(&hs256, &good_claims, &EncodingKey::from_secret(&key.public))),
        ("another key under the known id", sign(&ours, &good_claims, &leaked(stranger.path()))),
        (
            "an unknown key",
            sign(&Header { kid: Some("00".into()), ..ours.clone() }, &good_claims, &leaked(folder.path())),
        ),
        ("no key id", sign(&Header { kid: None, ..ours.clone() }, &good_claims, &leaked(folder.path()))),
        ("another issuer", with("iss", json!("https://issuer.example"))),
        ("another audience", with("aud", json!("other"))),
        ("an unknown private id", with("jti", json!("0".repeat(64)))),
        ("its public id", with("jti", json!(row.id))),
        ("an invalid id", with("jti", json!("x"))),
        ("an id with a NUL", with("jti", json!("\0".repeat(64)))),
        ("no id", with("jti", Value::Null)),
        ("an audience among others", with("aud", json!([good_claims["aud"], "other"]))),
        ("a critical header", {
            let critical = json!({"alg": "EdDSA", "typ": "JWT", "kid": key.kid, "crit": ["exp"]});
            format!("{}.{claims}.{signature}", part(&critical))
        }),
    ];
    let kids =
        ["\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", "x", "0123456789ABCDEF", "'; drop table tokens; --", "\u{202e}", ""];
    let by_kid = kids.map(|kid| ("an invalid key id", sign(&header(kid), &good_claims, &leaked(folder.path()))));
    for (what, token) in forged.into_iter().chain(by_kid) {
        let checked = office.tokens.check(&token).await;
        assert!(matches!(checked, Err(AuthError::NotAccepted)), "{what}: {token}: {checked:?}");
    }
    // A store accepts its own tokens only, even if the key is the same.
    let other_office = TokenOffice::new(&other, clock).await;
    other_office.issue(&key, "root", &admin, HOUR).await.unwrap();
    assert!(matches!(other_office.tokens.check(&good).await, Err(AuthError::NotAccepted)));
}

/// The bytes between the lines of a PEM file.
fn pem_content(text: &[u8]) -> Vec<u8> {
    use rustls::pki_types::{PrivatePkcs8KeyDer, pem::PemObject};
    PrivatePkcs8KeyDer::from_pem_slice(text).unwrap().secret_pkcs8_der().to_vec()
}

#[test]
fn the_signing_key_file_must_be_private_to_its_owner() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keys/signing-key.pem");
    let first = SigningKey::open(&path).unwrap();
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(SigningKey::open(&path).unwrap().kid, first.kid, "the key is created once");
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o644)).unwrap();
    assert!(SigningKey::open(&path).err().unwrap().to_string().contains("is accessible to other users"));
    // Group access is accepted only for a file of root, who may share it with an account by its group.
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o640)).unwrap();
    assert_eq!(SigningKey::open(&path).is_ok(), std::fs::metadata(&path).unwrap().uid() == 0);
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).unwrap();
    std::fs::write(&path, "no key").unwrap();
    assert!(SigningKey::open(&path).err().unwrap().to_string().contains("is not an Ed25519 private key"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_line_issues_lists_and_revokes() {
    let (database, folder) = (Database::new().await, tempfile::tempdir().unwrap());
    let run = |arguments: &[&str]| {
        let mut command = lockkeeper();
        command.env("DATABASE_URL", &database.url).env("LOCKKEEPER_DATA_DIR", folder.path());
        let output = command.env("USER", "core").args(arguments).output().unwrap();
        (output.status.success(), text(&output.stdout), text(&output.stderr))
    };
    let create = ["token", "create", "--role", "manager", "--streams", "os/*", "--name", "desk", "--expires-in"];
    let (done, token, message) = run(&[&create[..], &["30d"]].concat());
    assert!(done, "{message}");
    let store = database.store().await;
    let tokens = lockkeeper::auth::Tokens::new(store.clone(), Arc::new(SystemClock));
    let identity = tokens.check(token.strip_suffix('\n').unwrap()).await.unwrap();
    assert_eq!((identity.actor.name.as_str(), identity.grants), ("desk", vec![grant(Role::Manager, "os/*")]));
    let manage = Manage::new(store, Arc::new(SystemClock), dialects());
    let list = manage.tokens(&Identity::local("test")).await.unwrap();
    assert_eq!(list[0].expires_at.duration_since(list[0].issued_at), SignedDuration::from_hours(30 * 24));
    let lines = || run(&["token", "list"]).1;
    assert!(lines().contains("\tdesk\tmanager\tos/*\t"), "{}", lines());
    eventually("the use is listed", async || lines().contains("\tvalid\tused 20")).await;
    let (_, keys, _) = run(&["key", "list"]);
    assert!(keys.starts_with(&list[0].kid) && keys.ends_with("\t1 valid tokens\tvalid\n"), "{keys}");
    assert!(run(&["token", "revoke", &list[0].id]).0);
    assert!(run(&["token", "list"]).1.contains("\trevoked "));
    assert!(!run(&["token", "revoke", &list[0].id]).0, "a token can be revoked once");

    // Local commands may exceed the maximum lifetime; the audit log records that.
    assert!(run(&[&create[..], &["91d", "--reason", "a robot"]].concat()).0);
    let entry = newest_entry(&manage).await;
    assert_eq!(entry.actor.id, "local:core");
    assert_eq!(entry.reason, "a robot (2184 h, beyond auth.max_token_lifetime of 2160 h)");
    let (done, message, _) = run(&["key", "revoke", &list[0].kid, "--reason", "it leaked"]);
    assert!(done && message.ends_with("and 1 valid tokens signed with it\n"), "{message}");
    let (done, _, message) = run(&[&create[..], &["1h"]].concat());
    assert!(!done && message.contains("was revoked: remove its file"), "{message}");
    for (wrong, expected) in [
        (
            &["token", "create", "--name", "x", "--role", "root", "--streams", "*", "--expires-in", "1h"][..],
            "expected viewer, publisher, manager or admin",
        ),
        (
            &["token", "create", "--name", "x", "--role", "admin", "--streams", "os", "--expires-in", "1h"],
            "is not a stream pattern",
        ),
        (
            &["token", "create", "--name", "x", "--role", "admin", "--streams", "*", "--expires-in", "soon"],
            "--expires-in",
        ),
        (
            &["token", "create", "--name", "x", "--role", "admin", "--streams", "*", "--expires-in", "0s"],
            "at least 1 second",
        ),
        (&["token", "create", "--role", "admin", "--streams", "*", "--expires-in", "1h"], "--name"),
        (
            &["token", "create", "--name", "a\u{202e}b", "--role", "admin", "--streams", "*", "--expires-in", "1h"],
            "bidirectional",
        ),
    ] {
        let (done, _, error) = run(wrong);
        assert!(!done && error.contains(expected), "{wrong:?}: {error}");
    }
}

/// Found by an attack: an admin of one stream issued a token with a global admin's name, and was treated as the global admin.
#[tokio::test(flavor = "multi_thread")]
async fn a_display_name_does_not_give_the_identity_of_another_actor() {
    let database = Database::new().await;
    let server = Server::start(&database).await;
    let desk = Desk::new(&server, &database);
    let (root, other) = (desk.manager("admin", "*").await, desk.manager("admin", "os/stable").await);
    let new = json!({"name": "admin on *", "role": "admin", "streams": "os/stable", "expires_in": "PT1H"});
    let impostor = other.post("/api/v1/tokens", &new).await.body["token"].as_str().unwrap().to_owned();
    let impostor = Manager::with(&server, Some(&impostor));
    let create = json!({"arches": ["x86_64"], "mirrors": []});
    let put = async |caller: &Manager<'_>| {
        let headers = [("if-none-match", "*"), ("idempotency-key", "same")];
        caller.ask(Method::PUT, &with_reason("/api/v1/products/os/streams/stable"), &headers, Some(&create)).await
    };
    let first = put(&root).await.ok();
    // The same key of another actor is another request.
    put(&impostor).await.is_problem(412);
    assert_eq!(put(&root).await.ok().body, first.body);
    let barrier = json!({"arches": ["x86_64", "aarch64"], "mirrors": []});
    impostor.change(Method::PUT, "/api/v1/products/os/streams/stable", Some(&barrier)).await.ok();
    let entries = root.get("/api/v1/audit?product=os&stream=stable").await.ok().body;
    let actors: Vec<&Value> = entries["items"].as_array().unwrap().iter().map(|entry| &entry["actor"]).collect();
    assert!(actors.len() == 2 && actors[0] != actors[1], "{entries}");
    assert_eq!(entries["items"][0]["actor_name"], entries["items"][1]["actor_name"]);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn over_the_api_lifetimes_and_names_are_limited() {
    let database = Database::new().await;
    let server = Server::start(&database).await;
    let admin = Desk::new(&server, &database).manager("admin", "*").await;
    let ask = async |name: &str, lifetime: &str| {
        let new = json!({"name": name, "role": "viewer", "streams": "*", "expires_in": lifetime});
        admin.change(Method::POST, "/api/v1/tokens", Some(&new)).await
    };
    ask("ci", "P90D").await.ok();
    for (name, lifetime, field) in [
        ("ci", "P91D", "expires_in"),
        ("", "P1D", "name"),
        ("a\nb", "P1D", "name"),
        ("a\u{202e}b", "P1D", "name"),
        ("a\u{2028}b", "P1D", "name"),
        ("a\u{200b}b", "P1D", "name"),
        (&"a".repeat(256), "P1D", "name"),
    ] {
        let refused = ask(name, lifetime).await;
        refused.is_problem(422);
        assert_eq!(refused.body["errors"][0]["path"], field, "{name:?} {lifetime}: {refused:?}");
    }
    server.stop().await;
}

#[tokio::test]
async fn the_last_use_of_a_token_is_recorded_at_most_once_a_minute() {
    let database = Database::new().await;
    let server = Server::start(&database).await;
    let root = Desk::new(&server, &database).manager("admin", "*").await;
    let new = json!({"name": "desk", "role": "viewer", "streams": "os/*", "expires_in": "PT1H"});
    let issued = root.post("/api/v1/tokens", &new).await.body;
    let path = format!("/api/v1/tokens/{}", issued["metadata"]["id"].as_str().unwrap());
    let last_use = async || {
        let listed = root.get("/api/v1/tokens?limit=100").await.ok().body;
        let items = listed["items"].as_array().unwrap();
        let own = items.iter().find(|token| path.ends_with(token["id"].as_str().unwrap())).unwrap();
        own["last_used_at"].as_str().map(|at| at.parse::<Timestamp>().unwrap().as_second())
    };
    assert_eq!(last_use().await, None);
    let desk = Manager::with(&server, issued["token"].as_str());
    for (seconds, recorded) in [(0, 0), (60, 0), (61, 61), (100, 61)] {
        server.at(NOW + seconds);
        desk.get("/api/v1/presets").await.ok();
        eventually("the use is recorded", || async { last_use().await == Some(NOW + recorded) }).await;
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn revoking_a_token_can_revoke_what_it_issued() {
    let database = Database::new().await;
    let server = Server::start(&database).await;
    let desk = Desk::new(&server, &database);
    let root = desk.manager("admin", "*").await;
    let issue = async |by: &Manager<'_>, name: &str| {
        let new = json!({"name": name, "role": "admin", "streams": "os/*", "expires_in": "PT1H"});
        let response = by.post("/api/v1/tokens", &new).await.body;
        let id = response["metadata"]["id"].as_str().unwrap().to_owned();
        (id, Manager::with(&server, response["token"].as_str()))
    };
    // Tokens that were issued in the same second have no order.
    let names = |response: &Value| -> BTreeSet<String> {
        response["issued_tokens"]
            .as_array()
            .unwrap()
            .iter()
            .map(|row| row["name"].as_str().unwrap().to_owned())
            .collect()
    };
    let both = BTreeSet::from(["child".to_owned(), "grandchild".into()]);
    let (id, mallory) = issue(&root, "mallory").await;
    let (_, child) = issue(&mallory, "child").await;
    let (_, grandchild) = issue(&child, "grandchild").await;
    let dry_run = format!("/api/v1/tokens/{id}?dry_run=true&with_issued=true");
    let preview = root.change(Method::DELETE, &dry_run, None).await.ok().body;
    assert_eq!(names(&preview), both);
    grandchild.get("/api/v1/presets").await.ok();
    let done = root.change(Method::DELETE, &format!("/api/v1/tokens/{id}"), None).await.ok().body;
    assert_eq!((names(&done), &done["with_issued"]), (both, &json!(false)));
    mallory.get("/api/v1/presets").await.is_problem(401);
    let new = json!({"name": "late", "role": "admin", "streams": "os/*", "expires_in": "PT1H"});
    mallory.change(Method::POST, "/api/v1/tokens", Some(&new)).await.is_problem(401);
    child.get("/api/v1/presets").await.ok();

    let (id, second) = issue(&root, "second").await;
    let (_, child) = issue(&second, "child of the second").await;
    let path = format!("/api/v1/tokens/{id}?with_issued=true");
    root.change(Method::DELETE, &path, None).await.ok();
    child.get("/api/v1/presets").await.is_problem(401);
    root.change(Method::DELETE, &format!("/api/v1/tokens/{id}?with_isued=true"), None).await.is_problem(400);
    server.stop().await;
}

#[tokio::test]
async fn a_token_revoked_after_authentication_issues_nothing() {
    let (database, folder) = (Database::new().await, tempfile::tempdir().unwrap());
    let (office, _) = office(&database).await;
    let key = key(folder.path());
    let (row, token) = office.issue(&key, "admin", &grant(Role::Admin, "*"), HOUR).await.unwrap();
    let identity = office.tokens.check(&token).await.unwrap();
    office.revoke(&row.id).await.unwrap();
    let wanted = lockkeeper::manage::TokenRequest {
        name: "late",
        grant: grant(Role::Admin, "*"),
        lifetime: HOUR,
        max_lifetime: HOUR,
    };
    let request = lockkeeper::manage::Request { caller: &identity, ..office.request() };
    let refused = office.manage.create_token(&key, &wanted, &request).await;
    assert!(matches!(refused, Err(lockkeeper::manage::CommandError::Refused(Refusal::Denied { .. }))), "{refused:?}");
}
