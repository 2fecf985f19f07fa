//! Checks of the database and its content.

use super::{Finding, chain};
use crate::{
    auth::SigningKey,
    clock::SharedClock,
    config::Settings,
    store::{Store, StoreError, health::ServerSettings},
};
use jiff::SignedDuration;
use std::time::Duration;

/// The oldest supported server version.
const OLDEST: i32 = 140_000;
/// How long a notification may take.
const NOTIFICATION_TIMEOUT: Duration = Duration::from_secs(5);
/// Clock offsets, in seconds, that cause a warning and a failure.
const CLOCK_OFFSETS: (f64, f64) = (1.0, 30.0);
/// The remaining lifetime of a token that causes a warning.
const SOON: SignedDuration = SignedDuration::from_hours(14 * 24);

pub(super) fn server(server: &ServerSettings, settings: &Settings) -> Finding {
    const WHAT: &str = "database";
    let max_connections = settings.database.max_connections;
    let version = format!("PostgreSQL {}.{}", server.version / 10_000, server.version % 10_000);
    if server.version < OLDEST {
        return Finding::fail(WHAT, version, "use PostgreSQL 14 or later");
    }
    if !server.fsync {
        let found = format!("{version} runs without fsync: acknowledged changes may be lost");
        return Finding::fail(WHAT, found, "set fsync = on");
    }
    if server.synchronous_commit == "off" {
        let found = format!("{version} acknowledges commits before they are on disk");
        return Finding::warn(WHAT, found, "set synchronous_commit = on");
    }
    if i64::from(max_connections) * 2 > i64::from(server.max_connections) {
        let found =
            format!("{version}: this process may use {max_connections} of its {} connections", server.max_connections);
        return Finding::warn(WHAT, found, "lower database.max_connections, or use a connection pooler");
    }
    if server.is_replica && settings.listeners().is_ok_and(|listeners| listeners.managers.is_some()) {
        let found = format!("{version} is a read replica: release managers cannot change anything through it");
        return Finding::warn(
            WHAT,
            found,
            "set database.url to the primary server, or set listeners.managers = \"off\"",
        );
    }
    let kind = if server.is_replica { "read replica" } else { "writable" };
    Finding::ok(WHAT, format!("{version}, {kind}"))
}

pub(super) async fn schema(store: &Store) -> Finding {
    const WHAT: &str = "schema";
    match store.is_up_to_date().await {
        Ok(true) => Finding::ok(WHAT, "up to date"),
        Ok(false) => Finding::fail(WHAT, "migrations are pending", "run `lockkeeper database migrate`"),
        Err(error) => Finding::fail(WHAT, chain(&error), "check that the database account can read the tables"),
    }
}

pub(super) async fn clock(store: &Store, clock: &SharedClock) -> Finding {
    const WHAT: &str = "clock";
    let sent_at = clock.now();
    match store.health(sent_at).await {
        Err(error) => Finding::fail(WHAT, chain(&error), "check the log of the database"),
        Ok(health) => {
            let offset = health.clock_offset(sent_at, clock.now());
            let found = format!("differs from the database's clock by {offset:.3} s");
            let advice = "synchronise both machines with a time server: rollouts follow the local clock";
            match offset {
                offset if offset > CLOCK_OFFSETS.1 => Finding::fail(WHAT, found, advice),
                offset if offset > CLOCK_OFFSETS.0 => Finding::warn(WHAT, found, advice),
                _ => Finding::ok(WHAT, found),
            }
        }
    }
}

/// Checks that change notifications arrive.
pub(super) async fn notifications(settings: &Settings, store: &Store, server: &ServerSettings) -> Finding {
    const WHAT: &str = "notifications";
    let polling = format!("the database is checked every {:#}", settings.catalog.poll_interval);
    if !settings.catalog.notifications || server.is_replica {
        return Finding::ok(WHAT, polling);
    }
    let advice = "set catalog.notifications = false, or a database.url that bypasses the transaction pooler";
    match tokio::time::timeout(NOTIFICATION_TIMEOUT, receive_own_notification(store)).await {
        Ok(Ok(())) => Finding::ok(WHAT, "they arrive"),
        Ok(Err(error)) => Finding::warn(WHAT, format!("{}; {polling}", chain(&error)), advice),
        Err(_) => Finding::warn(WHAT, format!("they do not arrive; {polling}"), advice),
    }
}

async fn receive_own_notification(store: &Store) -> Result<(), StoreError> {
    let mut changes = store.listen().await?;
    let mut transaction = store.begin("doctor").await?;
    transaction.announce().await?;
    transaction.commit().await?;
    changes.next().await.map(drop)
}

/// Reports the active emergency stops.
pub(super) async fn stops(store: &Store) -> Vec<Finding> {
    const WHAT: &str = "emergency stop";
    let read = async {
        let mut transaction = store.begin_read("doctor_stops").await?;
        let mut found = Vec::new();
        for (product, stop) in &transaction.product_stops().await?.active {
            found.push(format!("{product} has offered nothing since {}: {}", stop.since, stop.reason.as_str()));
        }
        for (id, stop) in transaction.stream_stops().await? {
            found.push(format!("{id} has offered nothing since {}: {}", stop.since, stop.reason.as_str()));
        }
        Ok::<_, StoreError>(found)
    };
    match read.await {
        // Another check reports a database that cannot be read.
        Err(_) => Vec::new(),
        Ok(found) => found
            .into_iter()
            .map(|found| Finding::warn(WHAT, found, "lift it when the emergency is over: DELETE .../emergency-stop"))
            .collect(),
    }
}

/// Reports images that are gone or unknown, as the last check found.
pub(super) async fn images(store: &Store) -> Vec<Finding> {
    const WHAT: &str = "images";
    // Another check reports a database that cannot be read.
    let Ok(counts) = store.image_counts().await else { return Vec::new() };
    let mut findings = Vec::new();
    if counts.gone > 0 {
        let found = format!("{} images that nodes are sent to are no longer in their registries", counts.gone);
        let advice = "see `lockkeeper image check`; push them again, or withdraw the releases that need them";
        findings.push(Finding::warn(WHAT, found, advice));
    }
    if counts.unknown > 0 {
        let found = format!("registries could not be asked for {} images", counts.unknown);
        findings.push(Finding::warn(WHAT, found, "see `lockkeeper image check`, which says why"));
    }
    findings
}

/// Reports the streams whose followed repositories cannot be read, or whose newest tag could not become a release.
pub(super) async fn follows(store: &Store) -> Vec<Finding> {
    let read = async { store.begin_read("doctor_follows").await?.failing_follows().await };
    let advice = "see GET .../follow of the stream, and docs/how-to/follow-a-registry.md";
    // Another check reports a database that cannot be read.
    let found = read.await.unwrap_or_default();
    found.into_iter().map(|(id, error)| Finding::warn("follow", format!("{id}: {error}"), advice)).collect()
}

pub(super) async fn streams(store: &Store, installation: &mut Option<String>) -> Vec<Finding> {
    const WHAT: &str = "streams";
    let advice = "see `lockkeeper database check`; restore a backup, or upload the stream's last document again";
    let read = async {
        let mut transaction = store.begin_read("doctor").await?;
        *installation = Some(transaction.installation().await?);
        let heads = transaction.heads().await?;
        let mut broken = Vec::new();
        for head in &heads {
            match transaction.load_stream(head).await {
                Err(error @ StoreError::Corrupt { .. }) => broken.push((head.id.to_string(), chain(&error))),
                loaded => drop(loaded?),
            }
        }
        Ok::<_, StoreError>((heads.len(), broken))
    };
    match read.await {
        Err(error) => vec![Finding::fail(WHAT, chain(&error), "check that the database account can read the tables")],
        Ok((0, _)) => {
            vec![Finding::warn(
                WHAT,
                "there are no streams",
                "import upstream's metadata (`lockkeeper import --help`), or set streams_dir",
            )]
        }
        Ok((count, broken)) if broken.is_empty() => vec![Finding::ok(WHAT, format!("all {count} are readable"))],
        Ok((_, broken)) => {
            broken.into_iter().map(|(id, problem)| Finding::fail(WHAT, format!("{id}: {problem}"), advice)).collect()
        }
    }
}

/// Checks the keys in the database, and the one that this process would sign with, if it has one.
pub(super) async fn signing_keys(own: Option<&SigningKey>, store: &Store, clock: &SharedClock) -> Vec<Finding> {
    const WHAT: &str = "signing keys in the database";
    let now = clock.now();
    let keys = match async { store.begin_read("doctor").await?.signing_keys(now).await }.await {
        Ok(keys) => keys,
        Err(error) => {
            return vec![Finding::fail(WHAT, chain(&error), "check that the database account can read the tables")];
        }
    };
    let mut findings = Vec::new();
    if let Some(own) = own {
        findings.push(match keys.iter().find(|key| key.kid == own.kid) {
            None => Finding::ok(WHAT, format!("{} has not signed any token yet", own.kid)),
            Some(key) if key.public_key != own.public => {
                Finding::fail(WHAT, format!("{} differs from the key in the database", own.kid), "use a new key")
            }
            Some(key) if key.revoked_at.is_some() => {
                let advice = "remove the file: creating the next token creates a new key";
                Finding::fail(WHAT, format!("{} was revoked and cannot sign tokens", own.kid), advice)
            }
            Some(key) => Finding::ok(WHAT, format!("{} signed {} valid tokens", key.kid, key.live_tokens)),
        });
    }
    let others = keys.iter().filter(|key| own.is_none_or(|own| own.kid != key.kid) && key.live_tokens > 0);
    findings.extend(others.map(|key| {
        let found = format!("{} signed {} valid tokens", key.kid, key.live_tokens);
        if own.is_none() {
            return Finding::ok(WHAT, found);
        }
        Finding::warn(
            WHAT,
            format!("{found}, but is not the key of this machine"),
            "if you replaced it, revoke it with `lockkeeper key revoke` once its tokens are replaced",
        )
    }));
    findings
}

pub(super) async fn tokens(store: &Store, clock: &SharedClock) -> Finding {
    const WHAT: &str = "tokens";
    let now = clock.now();
    match async { store.begin_read("doctor").await?.tokens().await }.await {
        Err(error) => Finding::fail(WHAT, chain(&error), "check that the database account can read the tables"),
        Ok(tokens) => {
            let live = tokens.into_iter().filter(|token| token.is_live(now));
            let (soon, later): (Vec<_>, Vec<_>) = live.partition(|token| token.expires_at.duration_since(now) < SOON);
            if soon.is_empty() {
                return Finding::ok(WHAT, format!("{} are live, none expires within 14 days", later.len()));
            }
            let names: Vec<String> =
                soon.iter().map(|token| format!("{} on {:.0}", token.name, token.expires_at)).collect();
            Finding::warn(
                WHAT,
                format!("about to expire: {}", names.join(", ")),
                "create new ones with `lockkeeper token create` and distribute them",
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{super::Grade, *};

    #[test]
    fn server_settings_determine_the_grade() {
        let good = ServerSettings {
            version: 150_004,
            is_replica: false,
            fsync: true,
            synchronous_commit: "on".into(),
            max_connections: 100,
        };
        let mut settings = Settings::default();
        settings.listeners.managers = Some("off".into());
        let grade = |server: &ServerSettings| super::server(server, &settings).grade;
        assert_eq!(grade(&good), Grade::Ok);
        assert_eq!(grade(&ServerSettings { is_replica: true, ..good.clone() }), Grade::Ok);
        assert_eq!(grade(&ServerSettings { max_connections: 19, ..good.clone() }), Grade::Warn);
        assert_eq!(grade(&ServerSettings { synchronous_commit: "off".into(), ..good.clone() }), Grade::Warn);
        assert_eq!(grade(&ServerSettings { fsync: false, ..good.clone() }), Grade::Fail);
        assert_eq!(grade(&ServerSettings { version: 130_011, ..good.clone() }), Grade::Fail);
        let replica = ServerSettings { is_replica: true, ..good };
        assert_eq!(super::server(&replica, &Settings::default()).grade, Grade::Warn);
    }
}
