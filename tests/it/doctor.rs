//! `lockkeeper doctor`, `health` and `shadow`: each problem is reported, and a healthy service has no findings.

use crate::support::{
    collector::Collector,
    issuer::{Issuer, Key},
    postgres::Database,
    process::Serving,
    program::{import, lockkeeper, text},
    server::Server,
    upstream,
};
use jsonwebtoken::Algorithm;
use lockkeeper::{
    clock::{ManualClock, SharedClock, SystemClock},
    config::Settings,
    operate::doctor::{Finding, Grade, examine},
};
use std::{num::NonZeroU32, path::Path, process::Output, sync::Arc};

fn settings(database: &Database, folder: &Path) -> Settings {
    let mut settings = Settings { data_dir: folder.into(), listen: "127.0.0.1:1".into(), ..Settings::default() };
    settings.database = database.settings();
    settings
}

async fn run_checks(settings: &Settings) -> Vec<Finding> {
    let clock: SharedClock = Arc::new(SystemClock);
    examine(settings, &clock).await
}

fn finding<'a>(findings: &'a [Finding], what: &str) -> &'a Finding {
    findings.iter().find(|finding| finding.what == what).unwrap_or_else(|| panic!("no {what} in {findings:#?}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_healthy_service_has_no_problems() {
    let (database, folder) = (Database::new().await, tempfile::tempdir().unwrap());
    upstream::plain(2).write(folder.path(), "stable");
    import(&database.url, folder.path());
    let data_dir = folder.path().to_str().unwrap().to_owned();
    let serving = Serving::ready(
        &database,
        &[("LOCKKEEPER_DATA_DIR", data_dir.as_str()), ("LOCKKEEPER_CATALOG__KEEP_SNAPSHOT", "true")],
    )
    .await;
    let run = |command: &str| -> Output {
        let mut program = lockkeeper();
        program.args(command.split(' ')).args(["--data-dir", &data_dir]).env("DATABASE_URL", &database.url);
        program.env("LOCKKEEPER_LISTEN", &serving.address).output().unwrap()
    };
    let doctor = run("doctor");
    let output = text(&doctor.stdout);
    assert!(doctor.status.success(), "{output}");
    assert!(output.lines().all(|line| line.starts_with("ok ")), "{output}");
    for what in [
        "database: PostgreSQL 15",
        "schema",
        "clock",
        "notifications: they arrive",
        "streams: all 1",
        "service: running and ready",
    ] {
        assert!(output.contains(what), "{what} is not in {output}");
    }
    let health = run("health");
    assert!(health.status.success() && text(&health.stdout).contains("\"ready\":true"), "{}", text(&health.stdout));
    let live = run("health --live");
    assert!(live.status.success() && text(&live.stdout) == "alive\n", "{live:?}");
    let address = serving.address.clone();
    assert!(serving.stop());
    let gone = lockkeeper().arg("health").env("LOCKKEEPER_LISTEN", address).output().unwrap();
    assert!(!gone.status.success() && text(&gone.stderr).contains("no response from"), "{}", text(&gone.stderr));
}

#[tokio::test(flavor = "multi_thread")]
async fn problems_of_the_database_are_reported() {
    let (database, folder) = (Database::new().await, tempfile::tempdir().unwrap());
    let mut settings = settings(&database, folder.path());
    let empty = run_checks(&settings).await;
    assert_eq!(finding(&empty, "schema").grade, Grade::Fail);
    assert!(finding(&empty, "schema").advice.contains("lockkeeper database migrate"));
    database.store().await;
    assert_eq!(finding(&run_checks(&settings).await, "streams").grade, Grade::Warn);

    upstream::plain(2).write(folder.path(), "stable");
    import(&database.url, folder.path());
    let early: SharedClock = Arc::new(ManualClock::new("2026-01-01T00:00:00Z".parse().unwrap()));
    let apart = examine(&settings, &early).await;
    assert_eq!(finding(&apart, "clock").grade, Grade::Fail, "{apart:#?}");

    let mut connection = database.connection().await;
    for statement in
        ["alter table releases drop constraint releases_state_known", "update releases set state = 'unknown'"]
    {
        sqlx::query(statement).execute(&mut connection).await.unwrap();
    }
    let broken = run_checks(&settings).await;
    assert_eq!(finding(&broken, "streams").grade, Grade::Fail);
    assert!(finding(&broken, "streams").found.contains("fedora-coreos/stable"), "{broken:#?}");

    settings.database.url = Some("postgres://127.0.0.1:1/none".into());
    assert_eq!(finding(&run_checks(&settings).await, "database").grade, Grade::Fail);
    settings.database.url = None;
    assert_eq!(finding(&run_checks(&settings).await, "database").grade, Grade::Warn);
}

#[tokio::test(flavor = "multi_thread")]
async fn problems_of_keys_and_files_are_reported() {
    let (database, folder) = (Database::new().await, tempfile::tempdir().unwrap());
    database.store().await;
    let mut settings = settings(&database, folder.path());
    let token = |lifetime: &str| {
        let mut command = lockkeeper();
        command.args([
            "token",
            "create",
            "--name",
            "x",
            "--role",
            "viewer",
            "--streams",
            "*",
            "--expires-in",
            lifetime,
            "--data-dir",
        ]);
        assert!(command.arg(folder.path()).env("DATABASE_URL", &database.url).output().unwrap().status.success());
    };
    token("90d");
    assert_eq!(finding(&run_checks(&settings).await, "tokens").grade, Grade::Ok);
    token("3d");
    let soon = run_checks(&settings).await;
    assert_eq!(finding(&soon, "tokens").grade, Grade::Warn);
    assert_eq!(finding(&soon, "signing key").grade, Grade::Ok);
    assert!(finding(&soon, "signing keys in the database").found.contains("valid tokens"));
    let key = folder.path().join("signing-key.pem");
    std::fs::set_permissions(&key, std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
    assert_eq!(finding(&run_checks(&settings).await, "signing key").grade, Grade::Fail);

    std::fs::create_dir(folder.path().join("catalog")).unwrap();
    assert_eq!(finding(&run_checks(&settings).await, "snapshot").grade, Grade::Ok);
    std::fs::write(folder.path().join("catalog/catalog"), "lockkeeper catalog 1\nnonsense").unwrap();
    assert_eq!(finding(&run_checks(&settings).await, "snapshot").grade, Grade::Warn);

    settings.streams_dir = Some(folder.path().join("nowhere"));
    let (good, bad) = (Issuer::start(&[&Key::new("a", Algorithm::EdDSA)]).await, Issuer::start(&[]).await);
    settings.auth.issuers = vec![good.settings(), bad.settings()];
    let mut certified = rcgen::CertificateParams::new(vec!["localhost".into()]).unwrap();
    certified.not_after = rcgen::date_time_ymd(2026, 1, 1);
    let pair = rcgen::KeyPair::generate().unwrap();
    let (certificate, private) = (folder.path().join("tls.crt"), folder.path().join("tls.key"));
    std::fs::write(&certificate, certified.self_signed(&pair).unwrap().pem()).unwrap();
    std::fs::write(&private, pair.serialize_pem()).unwrap();
    settings.tls.certificate = Some(certificate.clone());
    settings.tls.key = Some(private);
    let all = run_checks(&settings).await;
    assert_eq!(finding(&all, "streams_dir").grade, Grade::Fail);
    assert!(finding(&all, "certificate").found.starts_with("expired"), "{all:#?}");
    let issuers: Vec<Grade> =
        all.iter().filter(|finding| finding.what == "issuer").map(|finding| finding.grade).collect();
    let mut sorted = issuers.clone();
    sorted.sort();
    assert_eq!(sorted, [Grade::Ok, Grade::Fail], "{all:#?}");
    std::fs::write(&certificate, "nonsense").unwrap();
    assert_eq!(finding(&run_checks(&settings).await, "certificate").grade, Grade::Fail);
}

#[tokio::test(flavor = "multi_thread")]
async fn files_are_checked_while_the_database_is_unavailable() {
    let folder = tempfile::tempdir().unwrap();
    let mut settings = Settings { data_dir: folder.path().join("nowhere"), ..Settings::default() };
    settings.database.url = Some("postgres://127.0.0.1:1/none".into());
    assert_eq!(finding(&run_checks(&settings).await, "data_dir").grade, Grade::Warn);
    settings.data_dir = folder.path().into();
    std::fs::write(folder.path().join("signing-key.pem"), "nonsense").unwrap();
    let collector = Collector::start().await;
    settings.telemetry.otlp_endpoint = Some(collector.url.clone());
    let all = run_checks(&settings).await;
    assert_eq!(finding(&all, "signing key").grade, Grade::Fail);
    assert_eq!(finding(&all, "collector").grade, Grade::Ok, "{all:#?}");
    settings.telemetry.otlp_endpoint = Some("http://127.0.0.1:1".into());
    assert_eq!(finding(&run_checks(&settings).await, "collector").grade, Grade::Warn);
}

#[tokio::test(flavor = "multi_thread")]
async fn ineffective_and_shared_limits_are_reported() {
    let folder = tempfile::tempdir().unwrap();
    let mut settings = Settings { data_dir: folder.path().join("nowhere"), ..Settings::default() };
    settings.database.url = Some("postgres://127.0.0.1:1/none".into());
    let connections = async |settings: &Settings| finding(&run_checks(settings).await, "connections").clone();
    assert_eq!(connections(&settings).await.grade, Grade::Ok, "on loopback");
    settings.listen = "0.0.0.0:1".into();
    let shared = connections(&settings).await;
    assert_eq!(shared.grade, Grade::Warn);
    assert!(
        shared.found.contains("share 2500 connections") && shared.found.contains("have no limit on polls"),
        "{shared:?}"
    );
    assert!(shared.advice.contains("limits.trusted_proxies"), "{shared:?}");
    settings.limits.polls_per_address = NonZeroU32::new(50);
    assert!(connections(&settings).await.found.contains("share 50 polls/s"));
    settings.limits.trusted_proxies = vec!["10.0.0.0/8".parse().unwrap()];
    assert_eq!(connections(&settings).await.grade, Grade::Ok);
    settings.limits.trusted_proxies.clear();
    settings.limits.connections_per_address = NonZeroU32::new(9_999);
    assert_eq!(connections(&settings).await.grade, Grade::Ok, "the operator chose it");
    settings.limits.connections_per_address = NonZeroU32::new(10_000);
    let unbounded = connections(&settings).await;
    assert_eq!(unbounded.grade, Grade::Warn);
    assert!(unbounded.found.contains("all 10000 of limits.max_connections"), "{unbounded:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_migration_is_reported() {
    let (database, folder) = (Database::new().await, tempfile::tempdir().unwrap());
    let store = database.store().await;
    assert!(store.is_up_to_date().await.unwrap());
    let statement =
        "update _sqlx_migrations set checksum = '\\x00' where version = (select min(version) from _sqlx_migrations)";
    sqlx::query(statement).execute(&mut database.connection().await).await.unwrap();
    store.migrate().await.unwrap_err();
    let settings = settings(&database, folder.path());
    assert_eq!(finding(&run_checks(&settings).await, "schema").grade, Grade::Fail);
}

fn shadow(upstream: &Server, local: &Server) -> Output {
    let (upstream, local) = (format!("http://{}", upstream.agents), format!("http://{}", local.agents));
    let mut command = lockkeeper();
    command.args([
        "shadow",
        "--upstream",
        &upstream,
        "--local",
        &local,
        "--ids",
        "3",
        "--rounds",
        "2",
        "--every",
        "0s",
    ]);
    command.args(["--stream", "stable", "--arch", "x86_64", "--arch", "m68k"]).output().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn shadow_compares_two_services() {
    let (one, other) = (Database::new().await, Database::new().await);
    let folder = tempfile::tempdir().unwrap();
    let (before, after) = (folder.path().join("before"), folder.path().join("after"));
    upstream::ramping(4).write(&before, "stable");
    upstream::ramping(5).write(&after, "stable");
    import(&one.url, &before);
    import(&other.url, &before);
    // Upstream has no node views. Its full graph contains the same edges for the node as the local node view.
    let remote = Server::start_with(&one, |settings| {
        settings.protocols.insert("fcos".into(), toml::toml! { view = "full" });
    })
    .await;
    let local = Server::start(&other).await;
    let same = shadow(&remote, &local);
    assert!(same.status.success(), "{}{}", text(&same.stdout), text(&same.stderr));
    let output = text(&same.stdout);
    // Two rounds; both schemes of x86_64 and of an unknown arch, with nine queries each, and twenty node views.
    assert!(output.contains(" answers compared in 2 rounds, "), "{output}");
    assert!(output.trim_end().ends_with(" of them with releases from both servers, 0 differences"), "{output}");
    let compared: usize = output.split(' ').next().unwrap().parse().unwrap();
    assert!(compared >= 2 * (4 * 9 + 20), "{output}");

    import(&other.url, &after);
    local.shows("fedora-coreos/stable", 2).await;
    let different = shadow(&remote, &local);
    let output = text(&different.stdout);
    assert_eq!(different.status.code(), Some(1), "{output}");
    for what in
        ["stable x86_64 checksum, no parameters: release 44.4.0", "is only here", "from 44.0.0: the update from 44.0.0"]
    {
        assert!(output.contains(what), "{what} is not in {output}");
    }
    let (upstream, here) = (format!("http://{}", remote.agents), format!("http://{}", local.agents));
    let nothing = lockkeeper()
        .args(["shadow", "--upstream", &upstream, "--local", &here, "--ids", "0", "--stream", "stabel"])
        .output()
        .unwrap();
    assert_eq!(nothing.status.code(), Some(2), "{}", text(&nothing.stdout));
    assert!(text(&nothing.stdout).contains("no answer had releases"));
    local.stop().await;
    let gone = lockkeeper()
        .args(["shadow", "--upstream", "http://127.0.0.1:1", "--local", "http://127.0.0.1:1"])
        .output()
        .unwrap();
    assert_eq!(gone.status.code(), Some(2), "{}", text(&gone.stdout));
    // Every comparison is tried and reported: three streams on four arches in two schemes.
    assert_eq!(text(&gone.stdout).matches("not compared: ").count(), 24, "{}", text(&gone.stdout));
    let none = lockkeeper().args(["shadow", "--upstream", &upstream, "--rounds", "0"]).output().unwrap();
    assert!(!none.status.success());
    remote.stop().await;
}
