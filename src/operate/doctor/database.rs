//! What only the database tells.

use super::{Finding, chain};
use crate::{
    auth::{SigningKey, Tokens},
    clock::SharedClock,
    config::Settings,
    store::{Store, StoreError, health::ServerSettings},
};
use jiff::SignedDuration;
use std::time::Duration;

/// The oldest server that is good enough.
const OLDEST: i32 = 140_000;
/// How long word of a change may take.
const WORD: Duration = Duration::from_secs(5);
/// How far clocks may be apart, in seconds, before somebody should look, and before nothing can be relied on.
const APART: (f64, f64) = (1.0, 30.0);
/// When somebody should think of new tokens.
const SOON: SignedDuration = SignedDuration::from_hours(14 * 24);

pub(super) fn server(server: &ServerSettings, settings: &Settings) -> Finding {
    const WHAT: &str = "database";
    let ours = settings.database.max_connections;
    let version = format!("PostgreSQL {}.{}", server.version / 10_000, server.version % 10_000);
    if server.version < OLDEST {
        return Finding::fail(WHAT, version, "use PostgreSQL 14 or later");
    }
    if !server.fsync {
        let found = format!("{version}, which runs without fsync: what it acknowledged may be lost");
        return Finding::fail(WHAT, found, "set fsync = on");
    }
    if server.synchronous_commit == "off" {
        let found = format!("{version}, which acknowledges before it has written");
        return Finding::warn(WHAT, found, "set synchronous_commit = on");
    }
    if i64::from(ours) * 2 > i64::from(server.max_connections) {
        let found = format!("{version}; {ours} of its {} connections may be ours alone", server.max_connections);
        return Finding::warn(WHAT, found, "lower database.max_connections, or put a pooler between");
    }
    if server.is_replica && settings.listeners().is_ok_and(|listeners| listeners.managers.is_some()) {
        let found = format!("{version}, a read replica, through which managers can change nothing");
        return Finding::warn(WHAT, found, "name the server that it follows, or set listeners.managers = \"off\"");
    }
    let kind =
        if server.is_replica { "a read replica: nothing can be changed through it" } else { "can be written to" };
    Finding::ok(WHAT, format!("{version}, {kind}"))
}

pub(super) async fn schema(store: &Store) -> Finding {
    const WHAT: &str = "schema";
    match store.is_up_to_date().await {
        Ok(true) => Finding::ok(WHAT, "it has all that this program needs"),
        Ok(false) => Finding::fail(WHAT, "it is older than this program", "`lockkeeper database migrate`"),
        Err(error) => Finding::fail(WHAT, chain(&error), "see that the account may read its tables"),
    }
}

pub(super) async fn clock(store: &Store, clock: &SharedClock) -> Finding {
    const WHAT: &str = "clock";
    let asked_at = clock.now();
    match store.health(asked_at).await {
        Err(error) => Finding::fail(WHAT, chain(&error), "see the database's log"),
        Ok(health) => {
            let apart = health.apart(asked_at, clock.now());
            let found = format!("{apart:.3} s apart from the database's");
            let advice = "let both machines follow a time server: rollouts open by our clock";
            match apart {
                apart if apart > APART.1 => Finding::fail(WHAT, found, advice),
                apart if apart > APART.0 => Finding::warn(WHAT, found, advice),
                _ => Finding::ok(WHAT, found),
            }
        }
    }
}

/// Does word of a change come through?
pub(super) async fn word(settings: &Settings, store: &Store, server: &ServerSettings) -> Finding {
    const WHAT: &str = "word of changes";
    let asked = format!("the store is asked every {:#}", settings.catalog.poll_interval);
    if !settings.catalog.notifications || server.is_replica {
        return Finding::ok(WHAT, asked);
    }
    let advice = "set catalog.notifications = false, or let database.url lead past the pooler of transactions";
    match tokio::time::timeout(WORD, heard(store)).await {
        Ok(Ok(())) => Finding::ok(WHAT, "it comes through"),
        Ok(Err(error)) => Finding::warn(WHAT, format!("{}; {asked}", chain(&error)), advice),
        Err(_) => Finding::warn(WHAT, format!("it does not come through; {asked}"), advice),
    }
}

async fn heard(store: &Store) -> Result<(), StoreError> {
    let mut changes = store.listen().await?;
    let mut transaction = store.begin("doctor").await?;
    transaction.announce().await?;
    transaction.commit().await?;
    changes.next().await.map(drop)
}

pub(super) async fn streams(store: &Store, installation: &mut Option<String>) -> Vec<Finding> {
    const WHAT: &str = "streams";
    let advice = "`lockkeeper database check` tells more; restore a backup, or put the stream's last document again";
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
        Err(error) => vec![Finding::fail(WHAT, chain(&error), "see that the account may read its tables")],
        Ok((0, _)) => vec![Finding::warn(WHAT, "there is none", "`lockkeeper import fcos`, or streams_dir")],
        Ok((count, broken)) if broken.is_empty() => vec![Finding::ok(WHAT, format!("all {count} can be read"))],
        Ok((_, broken)) => {
            broken.into_iter().map(|(id, problem)| Finding::fail(WHAT, format!("{id}: {problem}"), advice)).collect()
        }
    }
}

pub(super) async fn signing_key(key: &SigningKey, store: &Store) -> Finding {
    const WHAT: &str = "signing key in the store";
    let known = async { store.begin_read("doctor").await?.signing_key(&key.kid).await };
    match known.await {
        Err(error) => Finding::fail(WHAT, chain(&error), "see that the account may read its tables"),
        Ok(None) => Finding::ok(WHAT, format!("{}, which no token was signed with yet", key.kid)),
        Ok(Some(public)) if public == key.public => Finding::ok(WHAT, format!("{}, which the store knows", key.kid)),
        Ok(Some(_)) => Finding::fail(WHAT, format!("{} is another one in the store", key.kid), "use a new key"),
    }
}

pub(super) async fn tokens(store: &Store, clock: &SharedClock) -> Finding {
    const WHAT: &str = "tokens";
    let now = clock.now();
    match Tokens::of(store.clone(), clock.clone()).list().await {
        Err(error) => Finding::fail(WHAT, chain(&error), "see that the account may read its tables"),
        Ok(tokens) => {
            let good = tokens.into_iter().filter(|token| token.revoked_at.is_none() && token.expires_at > now);
            let (soon, later): (Vec<_>, Vec<_>) = good.partition(|token| token.expires_at.duration_since(now) < SOON);
            if soon.is_empty() {
                return Finding::ok(WHAT, format!("{} are good, none ends within 14 days", later.len()));
            }
            let names: Vec<String> =
                soon.iter().map(|token| format!("{} on {:.0}", token.name, token.expires_at)).collect();
            Finding::warn(
                WHAT,
                format!("about to end: {}", names.join(", ")),
                "`lockkeeper token create`, and hand them out",
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{super::Grade, *};

    #[test]
    fn a_server_is_judged_by_how_it_is_set() {
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
