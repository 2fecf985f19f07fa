//! Saves the catalog on disk, in the background. Nothing waits for it, however slow the disk is.

use super::{handle::CatalogHandle, snapshot::SnapshotStore};
use jiff::{SignedDuration, Timestamp};
use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

/// How old the saved time of the last contact may be.
const CONTACT_INTERVAL: SignedDuration = SignedDuration::from_secs(15);
/// After a save, the saver rests for this many times the time that it took: many changes to a large catalog do not keep a core busy.
const REST: u32 = 3;
/// The longest time for which the end of the process waits for a save.
const MAX_TIME_AT_STOP: Duration = Duration::from_secs(5);

/// Saves the catalog after changes: at once if the saver is idle, and otherwise the newest state after its rest.
pub(super) struct SnapshotSaver {
    snapshots: Arc<SnapshotStore>,
    catalog: Arc<CatalogHandle>,
    progress: Arc<SaveProgress>,
}

/// How far the snapshot on disk is behind the catalog.
#[derive(Debug)]
struct SaveProgress {
    /// The catalog is newer than the snapshot.
    is_pending: AtomicBool,
    /// The last save failed. The next one is delayed.
    has_failed: AtomicBool,
    /// A task saves, or rests.
    is_saving: AtomicBool,
    contact: Mutex<Contact>,
    /// Held by the save that writes: an older catalog never replaces a newer one.
    writing: Mutex<()>,
}

/// When the database was last in contact.
#[derive(Debug, Clone, Copy)]
struct Contact {
    last_at: Timestamp,
    saved_at: Timestamp,
}

impl SnapshotSaver {
    pub(super) fn new(snapshots: Arc<SnapshotStore>, catalog: Arc<CatalogHandle>) -> Self {
        let progress = SaveProgress {
            is_pending: AtomicBool::new(false),
            has_failed: AtomicBool::new(false),
            is_saving: AtomicBool::new(false),
            contact: Mutex::new(Contact { last_at: Timestamp::MIN, saved_at: Timestamp::MIN }),
            writing: Mutex::new(()),
        };
        Self { snapshots, catalog, progress: Arc::new(progress) }
    }

    /// Saves a new catalog. Otherwise, saves the time of the last contact now and then.
    pub(super) fn save(&self, is_new: bool, last_contact_at: Timestamp) {
        if !self.snapshots.is_writer() {
            return;
        }
        // The snapshot of the process that saved until now may be older.
        self.progress.is_pending.fetch_or(is_new || self.snapshots.was_taken_over(), Ordering::Relaxed);
        self.progress.with_contact(|contact| contact.last_at = last_contact_at);
        if !self.progress.is_due() || self.progress.is_saving.swap(true, Ordering::Acquire) {
            return;
        }
        let (snapshots, catalog, progress) = (self.snapshots.clone(), self.catalog.clone(), self.progress.clone());
        tokio::spawn(async move {
            while progress.is_due() {
                let (started, save) = (Instant::now(), (snapshots.clone(), catalog.clone(), progress.clone()));
                let saved = tokio::task::spawn_blocking(move || save_now(&save.0, &save.1, &save.2)).await;
                if saved.is_err() {
                    break;
                }
                tokio::time::sleep(started.elapsed() * REST).await;
            }
            // What becomes due from here on is saved after the next refresh.
            progress.is_saving.store(false, Ordering::Release);
        });
    }

    /// Saves a catalog that is not saved yet, and waits for it, but not for long: a disk that hangs must not keep the process from ending.
    pub(super) async fn save_pending(&self) {
        let (snapshots, catalog, progress) = (self.snapshots.clone(), self.catalog.clone(), self.progress.clone());
        if snapshots.is_writer() && progress.is_pending.load(Ordering::Relaxed) {
            let save = tokio::task::spawn_blocking(move || save_now(&snapshots, &catalog, &progress));
            if tokio::time::timeout(MAX_TIME_AT_STOP, save).await.is_err() {
                tracing::error!("snapshot not saved before the process ends: the disk is too slow");
            }
        }
    }
}

fn save_now(snapshots: &SnapshotStore, catalog: &CatalogHandle, progress: &SaveProgress) {
    let _writing = progress.writing.lock().unwrap_or_else(PoisonError::into_inner);
    // Cleared before the catalog is read: whatever sets it again from here on is newer than what is saved now.
    let is_new = progress.is_pending.swap(false, Ordering::Relaxed);
    let last_at = progress.with_contact(|contact| {
        contact.saved_at = contact.last_at;
        contact.last_at
    });
    let Some(catalog) = catalog.get().clone() else { return };
    let written = match (is_new, catalog.installation()) {
        (true, _) => snapshots.save(&catalog, last_at),
        (false, Some(installation)) => snapshots.save_contact(installation, last_at),
        (false, None) => Ok(()),
    };
    progress.has_failed.store(written.is_err(), Ordering::Relaxed);
    if let Err(error) = written {
        progress.is_pending.fetch_or(is_new, Ordering::Relaxed);
        tracing::error!(error = &error as &dyn std::error::Error, "snapshot not saved");
    }
}

impl SaveProgress {
    fn is_due(&self) -> bool {
        let is_new = self.is_pending.load(Ordering::Relaxed) && !self.has_failed.load(Ordering::Relaxed);
        let Contact { last_at, saved_at } = self.with_contact(|contact| *contact);
        is_new || saved_at.checked_add(CONTACT_INTERVAL).is_ok_and(|due| due <= last_at)
    }

    fn with_contact<T>(&self, change: impl FnOnce(&mut Contact) -> T) -> T {
        change(&mut self.contact.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::Catalog;

    #[tokio::test]
    async fn what_many_changes_led_to_is_saved_before_the_process_ends() {
        let folder = tempfile::tempdir().unwrap();
        let snapshots = Arc::new(SnapshotStore::open(folder.path()).unwrap());
        let catalog = Arc::new(CatalogHandle::new(SignedDuration::from_mins(10), None));
        let saver = SnapshotSaver::new(snapshots.clone(), catalog.clone());
        for number in 1..=20 {
            catalog.set(Catalog::new(format!("installation {number}")));
            saver.save(true, Timestamp::from_second(number).unwrap());
        }
        assert!(snapshots.read().unwrap().is_none(), "no change waits for its save");
        saver.save_pending().await;
        let snapshot = snapshots.read().unwrap().unwrap();
        assert_eq!((snapshot.installation.as_str(), snapshot.last_contact_at.as_second()), ("installation 20", 20));
        assert!(!saver.progress.is_pending.load(Ordering::Relaxed));
    }
}
