//! Watches the file of a local stop: an emergency stop of all processes that use a data directory, without the database.

use crate::catalog::{CatalogHandle, LocalStop, LocalStopFile};
use std::{path::Path, sync::Arc, time::Duration};

/// How often the file is read. A stop has to take effect within a second.
const CHECK_INTERVAL: Duration = Duration::from_millis(300);

/// Watches the file and applies its stop to the catalog of this process.
pub(super) struct LocalStopWatch {
    file: LocalStopFile,
    catalog: Arc<CatalogHandle>,
}

impl LocalStopWatch {
    pub(super) fn new(data_dir: &Path, catalog: Arc<CatalogHandle>) -> Self {
        Self { file: LocalStopFile::below(data_dir), catalog }
    }

    /// Reads the file once. If it cannot be read, the present state is kept.
    pub(super) fn check(&self) {
        let found = match self.file.read() {
            Ok(found) => found,
            Err(error) => {
                tracing::error!(error = &error as &dyn std::error::Error, "local stop file cannot be read");
                return;
            }
        };
        let active = self.catalog.local_stop();
        if active.as_deref() == found.as_ref() {
            return;
        }
        if let Some(LocalStop { reason, .. }) = &found {
            let path = self.file.path().display();
            tracing::error!(reason, %path, "local stop is active, no updates are offered");
        } else {
            tracing::warn!("local stop lifted");
        }
        self.catalog.set_local_stop(found);
    }

    /// Reads the file periodically. It is small, and reading it takes a few microseconds.
    pub(super) async fn watch_for_ever(self) {
        let mut ticks = tokio::time::interval(CHECK_INTERVAL);
        loop {
            ticks.tick().await;
            self.check();
        }
    }
}
