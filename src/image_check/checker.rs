//! Checks all images periodically, and missing ones more often. Every process that may write runs this, and the one that gets the lock checks.

use super::{
    ask::{Limits, ask, confirm_gone},
    needed::needed_images,
};
use crate::{
    clock::SharedClock,
    domain::{image_check::ImageState, payload::PayloadId},
    registry::Registries,
    store::{Store, StoreError, image_checks::ImageCounts, task_lock::Task},
    telemetry::Metrics,
};
use jiff::{SignedDuration, Timestamp};
use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

/// How long registries are asked. Registries may ask to wait, and layers are asked for one after the other.
const LIMITS: Limits = Limits { image: Duration::from_mins(2), all: Duration::from_hours(1) };
/// The time after which an image that is gone is asked for again before it is reported.
const CONFIRM_AFTER: Duration = Duration::from_mins(1);
/// The longest time of a check, with the requests to the database.
const MAX_TIME: Duration = Duration::from_hours(3);
/// The time after which missing images are asked for again, since they may have been pushed again. Nothing else is asked for then.
const MISSING_AGAIN_AFTER: SignedDuration = SignedDuration::from_mins(15);
/// How often a process looks whether a check is due.
const LOOK_INTERVAL: Duration = Duration::from_mins(1);
/// How often that time is doubled at most, once after each failure.
const MAX_DOUBLINGS: u32 = 6;

/// Checks all images periodically.
pub struct ImageChecker {
    store: Store,
    clock: SharedClock,
    registries: Registries,
    interval: SignedDuration,
    confirm_after: Duration,
}

/// The images that are due to be asked for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Due {
    /// All that nodes may be sent to.
    All,
    /// Those of them that were missing when they were last asked for.
    Missing,
}

/// What gauges show.
struct Shown {
    counts: Option<ImageCounts>,
    started_at: Timestamp,
}

impl ImageChecker {
    /// Creates a checker. An interval of zero turns it off.
    #[must_use]
    pub fn new(store: Store, clock: SharedClock, registries: Registries, interval: SignedDuration) -> Self {
        Self { store, clock, registries, interval, confirm_after: CONFIRM_AFTER }
    }

    /// Sets the time after which an image that is gone is asked for again.
    #[must_use]
    pub fn with_confirmation_after(self, confirm_after: Duration) -> Self {
        Self { confirm_after, ..self }
    }

    /// Checks the images whenever that is due, and keeps the gauges up to date. Never returns.
    pub async fn run(self, metrics: &Metrics) {
        if !self.interval.is_positive() {
            return std::future::pending().await;
        }
        let shown = Arc::new(Mutex::new(Shown { counts: None, started_at: self.clock.now() }));
        self.register_gauges(metrics, &shown);
        self.refresh(&shown).await;
        let pause = LOOK_INTERVAL.min(self.interval.unsigned_abs());
        // Replicas that start together do not all look at the same time.
        tokio::time::sleep(pause.mul_f64(fastrand::f64())).await;
        let mut failures = 0;
        loop {
            let checked = tokio::time::timeout(MAX_TIME, self.check_if_due()).await;
            match checked.unwrap_or(Err(StoreError::Timeout { seconds: MAX_TIME.as_secs() })) {
                Ok(_) => failures = 0,
                Err(error) => {
                    failures = MAX_DOUBLINGS.min(failures + 1);
                    tracing::warn!(error = &error as &dyn std::error::Error, "images cannot be checked now");
                }
            }
            self.refresh(&shown).await;
            // What fails at its end asks registries for all images each time.
            tokio::time::sleep(pause * 2_u32.pow(failures)).await;
        }
    }

    /// Reads what gauges show. Without the database, they keep their values.
    async fn refresh(&self, shown: &Mutex<Shown>) {
        // The catalog sync logs failures of the database.
        if let Ok(counts) = self.store.image_counts().await {
            shown.lock().unwrap_or_else(PoisonError::into_inner).counts = Some(counts);
        }
    }

    fn register_gauges(&self, metrics: &Metrics, shown: &Arc<Mutex<Shown>>) {
        let gauge = |name, description, read: fn(&ImageCounts) -> i64| {
            let shown = shown.clone();
            metrics.gauge(name, "", description, move || {
                let counts = shown.lock().unwrap_or_else(PoisonError::into_inner).counts;
                counts.map(|counts| (count(read(&counts)), Vec::new())).into_iter().collect()
            });
        };
        gauge("lockkeeper.images.gone", "Images that nodes are sent to and that registries no longer have", |counts| {
            counts.gone
        });
        gauge(
            "lockkeeper.images.unknown",
            "Images that registries could not be asked for by the last check",
            |counts| counts.unknown,
        );
        let (shown, clock) = (shown.clone(), self.clock.clone());
        let description = "Time since all images were checked; since the start of the process if they never were";
        metrics.gauge("lockkeeper.images.check_age", "s", description, move || {
            let shown = shown.lock().unwrap_or_else(PoisonError::into_inner);
            let since = shown.counts.and_then(|counts| counts.finished_at).unwrap_or(shown.started_at);
            vec![(clock.now().duration_since(since).as_secs_f64(), Vec::new())]
        });
    }

    /// Asks for the images that are due, if no other process does. Returns true if it did.
    ///
    /// # Errors
    /// The database is unavailable.
    pub async fn check_if_due(&self) -> Result<bool, StoreError> {
        if self.due().await?.is_none() {
            return Ok(false);
        }
        let mut lock = self.store.task_lock(Task::ImageCheck).await?;
        // Another process may have ended a check since.
        if !lock.try_hold().await? {
            return Ok(false);
        }
        let Some(due) = self.due().await? else { return Ok(false) };
        let needed = needed_images(&self.store, |_| true).await?;
        let mut images = needed.arches();
        if due == Due::Missing {
            let missing = self.store.begin_read("missing_images").await?.missing_images().await?;
            let missing: BTreeSet<PayloadId> = missing.into_iter().map(|check| check.image).collect();
            images.retain(|image, _| missing.contains(image));
        }
        let asking = async {
            let mut answers = ask(&self.registries, &images, LIMITS).await;
            confirm_gone(&self.registries, &images, &mut answers, LIMITS, self.confirm_after).await;
            answers
        };
        let answers = lock.hold_while(asking).await?;
        let mut transaction = self.store.begin("image_checks").await?;
        let now = self.clock.now();
        transaction.set_image_checks(&answers, now).await?;
        if !needed.is_incomplete {
            transaction.keep_image_checks(needed.images.keys()).await?;
        }
        match due {
            Due::All => transaction.finish_image_checks(now).await?,
            Due::Missing => transaction.finish_missing_images(now).await?,
        }
        transaction.commit().await?;
        let number = |state| answers.values().filter(|answer| answer.state == state).count();
        let (gone, unknown) = (number(ImageState::Gone), number(ImageState::Unknown));
        let not_allowed = number(ImageState::NotAllowed);
        tracing::info!(images = answers.len(), gone, unknown, not_allowed, "images checked");
        Ok(true)
    }

    async fn due(&self) -> Result<Option<Due>, StoreError> {
        let (counts, now) = (self.store.image_counts().await?, self.clock.now());
        // The clock of the process that asked may have been wrong.
        let is_over = |interval: SignedDuration, last: Timestamp| now.duration_since(last).abs() >= interval;
        if counts.finished_at.is_none_or(|last| is_over(self.interval, last)) {
            return Ok(Some(Due::All));
        }
        let is_due = counts.gone > 0 && counts.missing_asked_at.is_none_or(|last| is_over(MISSING_AGAIN_AFTER, last));
        Ok(is_due.then_some(Due::Missing))
    }
}

fn count(count: i64) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX))
}
