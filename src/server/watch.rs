//! Gauges of the state that answers come from: read when metrics are collected, or checked periodically.

use crate::{
    api::Api,
    auth::Issuers,
    catalog::CatalogHandle,
    clock::SharedClock,
    domain::{
        ids::StreamId,
        release::{Release, ReleaseState},
        rollout::share::OpenShare,
    },
    store::{Store, bases::BaseLag},
    telemetry::{GaugeSample, Metrics},
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

/// Registers the gauges of the catalog: its age, its revisions, and the shares of its rollouts.
pub(super) fn catalog(metrics: &Metrics, handle: &Arc<CatalogHandle>, clock: &SharedClock) {
    let gauge = |read: fn(&CatalogHandle, Timestamp) -> Vec<GaugeSample>| {
        let (handle, clock) = (handle.clone(), clock.clone());
        move || read(&handle, clock.now())
    };
    metrics.gauge(
        "lockkeeper.catalog.age",
        "s",
        "Time since the last contact with the database",
        gauge(|handle, now| {
            let last_contact_at = handle.last_contact_at();
            last_contact_at.map(|at| (now.duration_since(at).as_secs_f64(), Vec::new())).into_iter().collect()
        }),
    );
    metrics.gauge(
        "lockkeeper.catalog.stale",
        "",
        "1 while shares are frozen, because the last contact with the database was longer ago than catalog.stale_after",
        gauge(|handle, now| vec![(f64::from(u8::from(handle.is_stale(now))), Vec::new())]),
    );
    metrics.gauge(
        "lockkeeper.catalog.closed",
        "",
        "1 while no updates are offered, because the last contact with the database was longer ago than catalog.close_after",
        gauge(|handle, now| vec![(f64::from(u8::from(handle.is_closed(now))), Vec::new())]),
    );
    metrics.gauge(
        "lockkeeper.local_stop",
        "",
        "1 while no updates are offered, because of a local stop of this data directory",
        gauge(|handle, _| vec![(f64::from(u8::from(handle.local_stop().is_some())), Vec::new())]),
    );
    metrics.gauge(
        "lockkeeper.stream.stopped",
        "",
        "1 while an emergency stop of the stream or of its product is active",
        gauge(|handle, _| {
            let catalog = handle.get();
            let streams = catalog.iter().flat_map(|catalog| catalog.streams());
            streams.map(|(id, entry)| (f64::from(u8::from(entry.is_stopped())), labels(&id))).collect()
        }),
    );
    metrics.gauge(
        "lockkeeper.catalog.revision",
        "",
        "The revision of each stream that polls are answered from",
        gauge(|handle, _| {
            let catalog = handle.get();
            let streams = catalog.iter().flat_map(|catalog| catalog.streams());
            streams.map(|(id, entry)| (number(entry.revision().0), labels(&id))).collect()
        }),
    );
    metrics.gauge(
        "lockkeeper.catalog.broken",
        "",
        "1 while an older revision of the stream is served, because the newest one cannot be read",
        gauge(|handle, _| {
            let (catalog, broken) = (handle.get(), handle.broken());
            let served = catalog.iter().flat_map(|catalog| catalog.streams()).map(|(id, _)| id);
            let all: BTreeSet<StreamId> = served.chain(broken.keys().cloned()).collect();
            all.iter().map(|id| (f64::from(u8::from(broken.contains_key(id))), labels(id))).collect()
        }),
    );
    metrics.gauge(
        "lockkeeper.rollout.open_share",
        "",
        "The share of nodes, 0 to 1, that each live rollout admits now; 0 while an emergency stop is active",
        gauge(open_shares),
    );
}

/// Registers the gauge of open event streams.
pub(super) fn event_streams(metrics: &Metrics, api: &Api) {
    let api = api.clone();
    metrics.gauge("lockkeeper.event_streams.open", "", "Event streams that clients have open", move || {
        let open = u32::try_from(api.open_event_streams()).unwrap_or(u32::MAX);
        vec![(f64::from(open), Vec::new())]
    });
}

/// Returns the shares of the live rollouts that do not admit all nodes yet.
fn open_shares(handle: &CatalogHandle, now: Timestamp) -> Vec<GaugeSample> {
    let (catalog, now) = (handle.get(), handle.time(now).into());
    let mut samples = Vec::new();
    for (id, entry) in catalog.iter().flat_map(|catalog| catalog.streams()) {
        let released = |release: &&Release| release.state != ReleaseState::Withdrawn;
        for release in entry.stream().aged().map(|(_, release)| release).filter(released) {
            for rollout in &release.rollouts {
                let OpenShare::Open(share) = rollout.open_share(now) else { continue };
                if rollout.is_live() && share < 1.0 {
                    let mut labels = labels(&id);
                    labels.push(("release", release.version.to_string()));
                    labels.push(("rollout", rollout.id.to_string()));
                    let is_waiting = rollout.is_waiting(entry.stream().plan_time(now));
                    let state = if is_waiting { "waiting" } else { rollout.state.as_str() };
                    labels.push(("state", state.to_owned()));
                    samples.push((if entry.is_stopped() { 0.0 } else { share }, labels));
                }
            }
        }
    }
    samples
}

/// Refreshes the keys of token issuers periodically, and registers the gauge of their age. Without issuers, waits forever.
pub(super) async fn issuers(metrics: &Metrics, issuers: Option<Arc<Issuers>>, clock: &SharedClock) {
    let Some(issuers) = issuers else { return std::future::pending().await };
    let (shown, clock) = (issuers.clone(), clock.clone());
    let description = "Time since the keys of an issuer were fetched; more than a day if they never were";
    metrics.gauge("lockkeeper.issuer.keys_age", "s", description, move || {
        let now = clock.now();
        let age =
            |(name, at): (&str, Timestamp)| (now.duration_since(at).as_secs_f64(), vec![("issuer", name.to_owned())]);
        shown.keys_since().map(age).collect()
    });
    let mut ticks = check_ticks();
    loop {
        ticks.tick().await;
        issuers.keep_fresh().await;
    }
}

/// How often the state of the database is checked.
const CHECK_INTERVAL: Duration = Duration::from_mins(1);
/// How long a check may take.
const MAX_TIME: Duration = Duration::from_secs(30);
/// There is no value, or it is not known.
const NONE: i64 = i64::MIN;

/// Registers the gauges of the connection pool, the database's clock and the next expiry of a token, and updates them periodically.
pub(super) async fn database(metrics: &Metrics, store: &Store, clock: &SharedClock) {
    let connections = store.connections();
    metrics.gauge("db.client.connection.count", "", "Connections to the database by state", move || {
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
        "The difference between the clocks of the database and of this process, in either direction",
        move || {
            let seconds: Option<f64> = *shown.lock().unwrap_or_else(PoisonError::into_inner);
            seconds.map(|seconds| (seconds, Vec::new())).into_iter().collect()
        },
    );
    let expiry = Arc::new(AtomicI64::new(NONE));
    let shown = expiry.clone();
    metrics.gauge(
        "lockkeeper.token.next_expiry_timestamp",
        "s",
        "When the next token of this service expires",
        move || {
            let at = shown.load(Ordering::Relaxed);
            if at == NONE { Vec::new() } else { vec![(number(at), Vec::new())] }
        },
    );
    let failing = Arc::new(AtomicI64::new(NONE));
    let shown = failing.clone();
    metrics.gauge(
        "lockkeeper.follow.failing",
        "",
        "The number of streams whose followed repository cannot be read, or whose newest tag could not become a release",
        move || {
            let count = shown.load(Ordering::Relaxed);
            if count == NONE { Vec::new() } else { vec![(number(count), Vec::new())] }
        },
    );
    let lags: Arc<Mutex<Vec<BaseLag>>> = Arc::default();
    let shown = lags.clone();
    metrics.gauge(
        "lockkeeper.stream.base_lagging",
        "",
        "1 if the base of the stream has had a newer release for longer than base_lag; only for streams with that setting",
        move || {
            let lags = shown.lock().unwrap_or_else(PoisonError::into_inner);
            lags.iter().map(|lag| (f64::from(u8::from(lag.newer.is_some())), labels(&lag.stream))).collect()
        },
    );
    let mut ticks = check_ticks();
    loop {
        ticks.tick().await;
        let started_at = clock.now();
        // The catalog sync logs failures of the database; here they only mean that there are no values.
        let health = tokio::time::timeout(MAX_TIME, store.health(started_at)).await.ok().and_then(Result::ok);
        let apart = health.as_ref().map(|health| health.clock_offset(started_at, clock.now()));
        *difference.lock().unwrap_or_else(PoisonError::into_inner) = apart;
        let next = health.and_then(|health| health.next_expiry);
        expiry.store(next.map_or(NONE, Timestamp::as_second), Ordering::Relaxed);
        let read = async { store.begin_read("failing_follows").await?.failing_follows().await };
        let found = tokio::time::timeout(MAX_TIME, read).await.ok().and_then(Result::ok);
        let count = found.map_or(NONE, |found| i64::try_from(found.len()).unwrap_or(i64::MAX));
        failing.store(count, Ordering::Relaxed);
        let read = async { store.begin_read("base_lags").await?.base_lags(None, clock.now()).await };
        let found = tokio::time::timeout(MAX_TIME, read).await.ok().and_then(Result::ok);
        *lags.lock().unwrap_or_else(PoisonError::into_inner) = found.unwrap_or_default();
    }
}

/// Returns the ticks of the checks. A late tick delays the ones after it.
fn check_ticks() -> Interval {
    let mut ticks = tokio::time::interval(CHECK_INTERVAL);
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
