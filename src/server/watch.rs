//! What is shown of the state that answers come from: read when somebody asks for metrics, or looked up now and then.

use crate::{
    auth::Issuers,
    catalog::Live,
    clock::SharedClock,
    domain::{
        release::{Release, ReleaseState},
        share::OpenShare,
        stream::StreamId,
    },
    store::Store,
    telemetry::{Metrics, Reading},
};
use jiff::Timestamp;
use std::{
    collections::BTreeSet,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};
use tokio::time::{Interval, MissedTickBehavior};

/// Shows the catalog: how new it is, and how far its rollouts are open.
pub(super) fn catalog(metrics: &Metrics, live: &Arc<Live>, clock: &SharedClock) {
    let of = |read: fn(&Live, Timestamp) -> Vec<Reading>| {
        let (live, clock) = (live.clone(), clock.clone());
        move || read(&live, clock.now())
    };
    metrics.gauge(
        "lockkeeper.catalog.age",
        "s",
        "Since the store was last heard of",
        of(|live, now| {
            let heard = live.heard_at();
            heard.map(|at| (now.duration_since(at).as_secs_f64(), Vec::new())).into_iter().collect()
        }),
    );
    metrics.gauge(
        "lockkeeper.catalog.frozen",
        "",
        "1 while every share stands still, as the store is silent",
        of(|live, now| vec![(f64::from(u8::from(live.is_frozen(now))), Vec::new())]),
    );
    metrics.gauge(
        "lockkeeper.catalog.revision",
        "",
        "The revision of each stream that polls are answered from",
        of(|live, _| {
            let catalog = live.get();
            let streams = catalog.iter().flat_map(|catalog| catalog.streams());
            streams.map(|(id, entry)| (number(entry.revision().0), labels(&id))).collect()
        }),
    );
    metrics.gauge(
        "lockkeeper.catalog.broken",
        "",
        "1 while a stream stays as it was, since its newest revision cannot be read",
        of(|live, _| {
            let (catalog, broken) = (live.get(), live.broken());
            let shown = catalog.iter().flat_map(|catalog| catalog.streams()).map(|(id, _)| id);
            let all: BTreeSet<StreamId> = shown.chain(broken.keys().cloned()).collect();
            all.iter().map(|id| (f64::from(u8::from(broken.contains_key(id))), labels(id))).collect()
        }),
    );
    metrics.gauge(
        "lockkeeper.rollout.open_share",
        "",
        "The share of nodes, 0 to 1, that each live rollout lets in now",
        of(open_shares),
    );
}

/// Rollouts that still move, or would if they were not paused.
fn open_shares(live: &Live, now: Timestamp) -> Vec<Reading> {
    let (catalog, now) = (live.get(), live.time(now).into());
    let mut readings = Vec::new();
    for (id, entry) in catalog.iter().flat_map(|catalog| catalog.streams()) {
        let released = |release: &&Release| release.state != ReleaseState::Withdrawn;
        for release in entry.stream().aged().map(|(_, release)| release).filter(released) {
            for (index, rollout) in release.rollouts.iter().enumerate() {
                let OpenShare::Open(share) = rollout.open_share(now) else { continue };
                if rollout.is_live() && share < 1.0 {
                    let mut labels = labels(&id);
                    labels.push(("release", release.version.to_string()));
                    labels.push(("rollout", index.to_string()));
                    labels.push(("state", rollout.state.as_str().to_owned()));
                    readings.push((share, labels));
                }
            }
        }
    }
    readings
}

/// Keeps the keys fresh by which tokens of other issuers are judged, and shows how old they are, for as long as it is polled. Without
/// them there is nothing to do.
pub(super) async fn issuers(metrics: &Metrics, issuers: Option<Arc<Issuers>>, clock: &SharedClock) {
    let Some(issuers) = issuers else { return std::future::pending().await };
    let (shown, clock) = (issuers.clone(), clock.clone());
    let what = "Since the keys of an issuer were fetched; a day and more where they never were";
    metrics.gauge("lockkeeper.issuer.keys_age", "s", what, move || {
        let now = clock.now();
        let age =
            |(name, at): (&str, Timestamp)| (now.duration_since(at).as_secs_f64(), vec![("issuer", name.to_owned())]);
        shown.keys_since().map(age).collect()
    });
    let mut ticks = looks();
    loop {
        ticks.tick().await;
        issuers.keep_fresh().await;
    }
}

/// How often the database is asked how it is.
const LOOK_EVERY: Duration = Duration::from_mins(1);
/// How long it may take to say so.
const MOST_TIME: Duration = Duration::from_secs(30);
/// Not known, or nothing to be known.
const NONE: i64 = i64::MIN;

/// Shows the pool, the database's clock and the tokens that are about to expire, for as long as it is polled.
pub(super) async fn database(metrics: &Metrics, store: &Store, clock: &SharedClock) {
    let connections = store.connections();
    metrics.gauge("db.client.connection.count", "", "Connections to the database, by what they do", move || {
        let (idle, used) = connections();
        [("idle", idle), ("used", used)]
            .map(|(state, count)| {
                let pool = ("db.client.connection.pool.name", "lockkeeper".to_owned());
                (f64::from(count), vec![pool, ("db.client.connection.state", state.to_owned())])
            })
            .into()
    });
    let difference = Arc::new(Mutex::new(None));
    let shown = difference.clone();
    metrics.gauge(
        "lockkeeper.database.clock_difference",
        "s",
        "How far the database's clock is from ours, in either direction",
        move || {
            let seconds: Option<f64> = *shown.lock().unwrap_or_else(PoisonError::into_inner);
            seconds.map(|seconds| (seconds, Vec::new())).into_iter().collect()
        },
    );
    let expiry = Arc::new(AtomicI64::new(NONE));
    let shown = expiry.clone();
    metrics.gauge("lockkeeper.token.next_expiry_timestamp", "s", "When the first of our tokens expires", move || {
        let at = shown.load(Ordering::Relaxed);
        if at == NONE { Vec::new() } else { vec![(number(at), Vec::new())] }
    });
    let mut ticks = looks();
    loop {
        ticks.tick().await;
        let asked_at = clock.now();
        // What fails is told by whoever follows the store; nothing is known then.
        let health = tokio::time::timeout(MOST_TIME, store.health(asked_at)).await.ok().and_then(Result::ok);
        let apart = health.as_ref().map(|health| health.apart(asked_at, clock.now()));
        *difference.lock().unwrap_or_else(PoisonError::into_inner) = apart;
        let next = health.and_then(|health| health.next_expiry);
        expiry.store(next.map_or(NONE, Timestamp::as_second), Ordering::Relaxed);
    }
}

/// One that comes late is not followed by others at once.
fn looks() -> Interval {
    let mut ticks = tokio::time::interval(LOOK_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}

fn labels(id: &StreamId) -> Vec<(&'static str, String)> {
    vec![("product", id.product.to_string()), ("stream", id.stream.to_string())]
}

#[expect(clippy::cast_precision_loss, reason = "metrics are f64, and exact below 2 to the power of 53")]
fn number(number: i64) -> f64 {
    number as f64
}
