//! `lockkeeper doctor`, `health` and `shadow`: each thing that can be wrong is found, and nothing is found where all is well.

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
use std::{path::Path, process::Output, sync::Arc};

fn settings(database: &Database, folder: &Path) -> Settings {
    let mut settings = Settings { data_dir: folder.into(), listen: "127.0.0.1:1".into(), ..Settings::default() };
    settings.database = database.settings();
    settings
}

async fn found(settings: &Settings) -> Vec<Finding> {
    let clock: SharedClock = Arc::new(SystemClock);
    examine(settings, &clock).await
}

fn of<'a>(findings: &'a [Finding], what: &str) -> &'a Finding {
    findings.iter().find(|finding| finding.what == what).unwrap_or_else(|| panic!("no {what} in {findings:#?}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn where_all_is_well_nothing_is_found() {
    let (database, folder) = (Database::new().await, tempfile::tempdir().unwrap());
    upstream::plain(2).write(folder.path(), "stable");
    import(&database.url, folder.path());
    let data_dir = folder.path().to_str().unwrap().to_owned();
    let serving = Serving::ready(
        &database,
        &[("LOCKKEEPER_DATA_DIR", data_dir.as_str()), ("LOCKKEEPER_CATALOG__KEEP_COPY", "true")],
    )
    .await;
    let run = |command: &str| -> Output {
        let mut program = lockkeeper();
        program.args(command.split(' ')).args(["--data-dir", &data_dir]).env("DATABASE_URL", &database.url);
        program.env("LOCKKEEPER_LISTEN", &serving.address).output().unwrap()
    };
    let doctor = run("doctor");
    let told = text(&doctor.stdout);
    assert!(doctor.status.success(), "{told}");
    assert!(told.lines().all(|line| line.starts_with("ok ")), "{told}");
    for what in [
        "database: PostgreSQL 15",
        "schema",
        "clock",
        "word of changes: it comes",
        "streams: all 1",
        "service: it runs",
    ] {
        assert!(told.contains(what), "{what} is not in {told}");
    }
    let health = run("health");
    assert!(health.status.success() && text(&health.stdout).contains("\"ready\":true"), "{}", text(&health.stdout));
    let live = run("health --live");
    assert!(live.status.success() && text(&live.stdout) == "alive\n", "{live:?}");
    let address = serving.address.clone();
    assert!(serving.stop());
    let gone = lockkeeper().arg("health").env("LOCKKEEPER_LISTEN", address).output().unwrap();
    assert!(!gone.status.success() && text(&gone.stderr).contains("nobody answers"), "{}", text(&gone.stderr));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_the_database_is_found() {
    let (database, folder) = (Database::new().await, tempfile::tempdir().unwrap());
    let mut settings = settings(&database, folder.path());
    let empty = found(&settings).await;
    assert_eq!(of(&empty, "schema").grade, Grade::Fail);
    assert!(of(&empty, "schema").advice.contains("lockkeeper database migrate"));
    database.store().await;
    assert_eq!(of(&found(&settings).await, "streams").grade, Grade::Warn);

    upstream::plain(2).write(folder.path(), "stable");
    import(&database.url, folder.path());
    let early: SharedClock = Arc::new(ManualClock::at("2026-01-01T00:00:00Z".parse().unwrap()));
    let apart = examine(&settings, &early).await;
    assert_eq!(of(&apart, "clock").grade, Grade::Fail, "{apart:#?}");

    let mut connection = database.connection().await;
    for statement in ["alter table releases drop constraint releases_state_known", "update releases set state = 'odd'"]
    {
        sqlx::query(statement).execute(&mut connection).await.unwrap();
    }
    let broken = found(&settings).await;
    assert_eq!(of(&broken, "streams").grade, Grade::Fail);
    assert!(of(&broken, "streams").found.contains("fedora-coreos/stable"), "{broken:#?}");

    settings.database.url = Some("postgres://127.0.0.1:1/none".into());
    assert_eq!(of(&found(&settings).await, "database").grade, Grade::Fail);
    settings.database.url = None;
    assert_eq!(of(&found(&settings).await, "database").grade, Grade::Warn);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_keys_and_files_is_found() {
    let (database, folder) = (Database::new().await, tempfile::tempdir().unwrap());
    database.store().await;
    let mut settings = settings(&database, folder.path());
    let token = |lifetime: &str| {
        let mut command = lockkeeper();
        command.args(["token", "create", "--role", "viewer", "--on", "*", "--for", lifetime, "--data-dir"]);
        assert!(command.arg(folder.path()).env("DATABASE_URL", &database.url).output().unwrap().status.success());
    };
    token("90d");
    assert_eq!(of(&found(&settings).await, "tokens").grade, Grade::Ok);
    token("3d");
    let soon = found(&settings).await;
    assert_eq!(of(&soon, "tokens").grade, Grade::Warn);
    assert_eq!(of(&soon, "signing key").grade, Grade::Ok);
    assert!(of(&soon, "signing key in the store").found.contains("which the store knows"));
    let key = folder.path().join("signing-key.pem");
    std::fs::set_permissions(&key, std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
    assert_eq!(of(&found(&settings).await, "signing key").grade, Grade::Fail);

    std::fs::create_dir(folder.path().join("catalog")).unwrap();
    assert_eq!(of(&found(&settings).await, "copy on disk").grade, Grade::Ok);
    std::fs::write(folder.path().join("catalog/catalog"), "lockkeeper catalog 1\nnonsense").unwrap();
    assert_eq!(of(&found(&settings).await, "copy on disk").grade, Grade::Warn);

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
    let all = found(&settings).await;
    assert_eq!(of(&all, "streams_dir").grade, Grade::Fail);
    assert!(of(&all, "certificate").found.starts_with("expired"), "{all:#?}");
    let issuers: Vec<Grade> =
        all.iter().filter(|finding| finding.what == "issuer").map(|finding| finding.grade).collect();
    let mut sorted = issuers.clone();
    sorted.sort();
    assert_eq!(sorted, [Grade::Ok, Grade::Fail], "{all:#?}");
    std::fs::write(&certificate, "nonsense").unwrap();
    assert_eq!(of(&found(&settings).await, "certificate").grade, Grade::Fail);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nothing_can_be_served_without_is_looked_at_even_where_the_database_is_away() {
    let folder = tempfile::tempdir().unwrap();
    let mut settings = Settings { data_dir: folder.path().join("nowhere"), ..Settings::default() };
    settings.database.url = Some("postgres://127.0.0.1:1/none".into());
    assert_eq!(of(&found(&settings).await, "data_dir").grade, Grade::Warn);
    settings.data_dir = folder.path().into();
    std::fs::write(folder.path().join("signing-key.pem"), "nonsense").unwrap();
    let collector = Collector::start().await;
    settings.telemetry.otlp_endpoint = Some(collector.url.clone());
    let all = found(&settings).await;
    assert_eq!(of(&all, "signing key").grade, Grade::Fail);
    assert_eq!(of(&all, "collector").grade, Grade::Ok, "{all:#?}");
    settings.telemetry.otlp_endpoint = Some("http://127.0.0.1:1".into());
    assert_eq!(of(&found(&settings).await, "collector").grade, Grade::Warn);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_migration_that_was_another_one_is_found() {
    let (database, folder) = (Database::new().await, tempfile::tempdir().unwrap());
    let store = database.store().await;
    assert!(store.is_up_to_date().await.unwrap());
    let statement =
        "update _sqlx_migrations set checksum = '\\x00' where version = (select min(version) from _sqlx_migrations)";
    sqlx::query(statement).execute(&mut database.connection().await).await.unwrap();
    store.migrate().await.unwrap_err();
    let settings = settings(&database, folder.path());
    assert_eq!(of(&found(&settings).await, "schema").grade, Grade::Fail);
}

fn shadow(upstream: &Server, ours: &Server) -> Output {
    let (upstream, ours) = (format!("http://{}", upstream.agents), format!("http://{}", ours.agents));
    let mut command = lockkeeper();
    command.args(["shadow", "--upstream", &upstream, "--ours", &ours, "--ids", "3", "--rounds", "2", "--every", "0s"]);
    command.args(["--stream", "stable", "--arch", "x86_64", "--arch", "m68k"]).output().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn two_services_are_held_against_each_other() {
    let (one, other) = (Database::new().await, Database::new().await);
    let folder = tempfile::tempdir().unwrap();
    let (before, after) = (folder.path().join("before"), folder.path().join("after"));
    upstream::ramping(4).write(&before, "stable");
    upstream::ramping(5).write(&after, "stable");
    import(&one.url, &before);
    import(&other.url, &before);
    // Upstream knows no node views; to whom it shows all, ours shows the same ways out.
    let theirs = Server::start_with(&one, |settings| settings.fcos.view = lockkeeper::config::View::Full).await;
    let ours = Server::start(&other).await;
    let same = shadow(&theirs, &ours);
    assert!(same.status.success(), "{}{}", text(&same.stdout), text(&same.stderr));
    let told = text(&same.stdout);
    // Two rounds; both schemes of x86_64 and of an arch that there is not, asked by nine, and twenty views of nodes.
    assert!(told.contains(" answers compared in 2 rounds, "), "{told}");
    assert!(told.trim_end().ends_with(" of them with releases on both sides, 0 differences"), "{told}");
    let compared: usize = told.split(' ').next().unwrap().parse().unwrap();
    assert!(compared >= 2 * (4 * 9 + 20), "{told}");

    import(&other.url, &after);
    ours.shows("fedora-coreos/stable", 2).await;
    let different = shadow(&theirs, &ours);
    let told = text(&different.stdout);
    assert_eq!(different.status.code(), Some(1), "{told}");
    for what in
        ["stable x86_64 checksum, nothing said: release 44.4.0", "is here alone", "from 44.0.0: the update from 44.0.0"]
    {
        assert!(told.contains(what), "{what} is not in {told}");
    }
    let (upstream, here) = (format!("http://{}", theirs.agents), format!("http://{}", ours.agents));
    let nothing = lockkeeper()
        .args(["shadow", "--upstream", &upstream, "--ours", &here, "--ids", "0", "--stream", "stabel"])
        .output()
        .unwrap();
    assert_eq!(nothing.status.code(), Some(2), "{}", text(&nothing.stdout));
    assert!(text(&nothing.stdout).contains("nothing was compared that has releases"));
    ours.stop().await;
    let gone = lockkeeper()
        .args(["shadow", "--upstream", "http://127.0.0.1:1", "--ours", "http://127.0.0.1:1"])
        .output()
        .unwrap();
    assert_eq!(gone.status.code(), Some(2), "{}", text(&gone.stdout));
    // All of it is tried, and told of: three streams on four arches in two schemes.
    assert_eq!(text(&gone.stdout).matches("not compared: ").count(), 24, "{}", text(&gone.stdout));
    let none = lockkeeper().args(["shadow", "--upstream", &upstream, "--rounds", "0"]).output().unwrap();
    assert!(!none.status.success());
    theirs.stop().await;
}
