//! The part of the service that uses the database: opens and prepares it, follows its changes, and closes it.

use super::{error::ServeError, seed, watch};
use crate::{
    api::Api,
    auth::Authenticator,
    catalog::{CatalogHandle, CatalogSync, RetryDelay, SyncDeps},
    config::{ApiSettings, AuthSettings, DatabaseSettings, LimitSettings, RegistrySettings},
    domain::{dialect::Dialects, ids::StreamId},
    exchange::documents::DocumentFile,
    follower::Follower,
    image_check::{ImageChecker, PublicationCheck},
    manage::{EventWriter, Manage},
    registry::Registries,
    store::{Access, AccessError},
};
use jiff::SignedDuration;
use std::{path::PathBuf, pin::pin, sync::Arc, time::Duration};

/// The part of the service that uses the database.
pub(super) struct Database {
    pub(super) dialects: Arc<Dialects>,
    pub(super) settings: DatabaseSettings,
    pub(super) data_dir: PathBuf,
    pub(super) grace: Duration,
    pub(super) documents: Vec<DocumentFile>,
    pub(super) sync_deps: SyncDeps,
    /// The management API. It answers once the database is open.
    pub(super) manager_api: Api,
    /// True if the service has routes that require tokens.
    pub(super) is_for_managers: bool,
    pub(super) auth: AuthSettings,
    pub(super) api: ApiSettings,
    pub(super) limits: LimitSettings,
    /// How registries are followed, and which images are asked for.
    pub(super) registries: RegistrySettings,
}

impl Database {
    /// Opens and prepares the database, follows its changes until `stopped` completes, and then closes it. Calls `ready` once polls are
    /// answered.
    pub(super) async fn follow(
        self,
        stopped: impl Future<Output = ()>,
        ready: impl FnOnce(),
    ) -> Result<(), ServeError> {
        let mut stopped = pin!(stopped);
        let mut readiness = Readiness { catalog: self.sync_deps.catalog.clone(), ready: Some(ready) };
        let opened = {
            let mut opening = pin!(self.open(&mut readiness));
            tokio::select! {
                access = &mut opening => access?,
                () = &mut stopped => {
                    // Starting PostgreSQL is not interrupted, but the wait for it is limited.
                    if let Ok(access) = tokio::time::timeout(self.grace, opening).await {
                        access?.close().await?;
                    } else {
                        tracing::warn!("private PostgreSQL is still starting, exiting without closing it");
                    }
                    return Ok(());
                }
            }
        };
        let access = Arc::new(opened);
        let (clock, metrics) = (self.sync_deps.clock.clone(), self.sync_deps.metrics.clone());
        let catalog = self.sync_deps.catalog.clone();
        let served =
            move |id: &StreamId| Some(catalog.get().as_ref()?.stream(id.product.as_str(), id.stream.as_str())?.known());
        let manage = Manage::new(access.store().clone(), clock.clone(), self.dialects.clone())
            .with_max_graph_bytes(self.limits.graph_bytes)
            .with_served(served);
        let registries = Registries::allowed(&self.registries, self.limits.answer_timeout.unsigned_abs());
        let manage = if self.registries.require_images {
            let check = PublicationCheck::new(registries.clone(), publication_time(&self.limits));
            manage.with_required_images(Arc::new(check))
        } else {
            manage
        };
        let authenticator = Authenticator::new(access.store().clone(), &self.auth, &self.api, clock.clone())?;
        let issuers = self.is_for_managers.then(|| authenticator.issuers());
        let backoff = RetryDelay::from(self.sync_deps.settings.interval());
        let refreshed = self.sync_deps.refreshed.subscribe();
        let events_written = self.sync_deps.events_written.subscribe();
        let event_writer = EventWriter::new(manage.clone(), self.limits.events);
        // Processes for agents only need not reach registries, nor have credentials for them.
        let check_interval = if self.is_for_managers { self.registries.check_interval } else { SignedDuration::ZERO };
        let image_checker = ImageChecker::new(access.store().clone(), clock.clone(), registries, check_interval);
        let registry_follower = Follower::new(access.store().clone(), manage.clone(), &self.registries);
        let follower = CatalogSync::new(access.clone(), self.sync_deps);
        let documents = self.documents;
        let work = async {
            // Freed when the database is prepared.
            let documents = documents;
            let failed = || readiness.report();
            let with = seed::Preparation {
                access: &access,
                manage: &manage,
                documents: &documents,
                migrates: self.settings.migrate,
                sync: &follower,
            };
            seed::prepare(&with, backoff, failed).await;
            drop(documents);
            self.manager_api.open(manage.clone(), authenticator);
            readiness.report();
            tokio::select! {
                () = follower.run() => {}
                () = event_writer.run(refreshed) => {}
                () = manage.distribute_events(events_written) => {}
                () = image_checker.run(&metrics) => {}
                () = registry_follower.run() => {}
                () = watch::database(&metrics, access.store(), &clock) => {}
                () = watch::issuers(&metrics, issuers, &clock) => {}
            }
        };
        tokio::select! {
            () = &mut stopped => {}
            () = work => {}
        }
        follower.save_pending().await;
        drop(follower);
        match Arc::try_unwrap(access) {
            Ok(access) => Ok(access.close().await?),
            Err(_) => Ok(()),
        }
    }

    /// Opens the database. With a snapshot to serve, retries until it can be opened; without one, returns the first error.
    async fn open(&self, readiness: &mut Readiness<impl FnOnce()>) -> Result<Access, AccessError> {
        let mut backoff = RetryDelay::from(self.sync_deps.settings.interval());
        loop {
            match Access::open_with_metrics(&self.settings, &self.data_dir, self.sync_deps.metrics.clone()).await {
                Err(error) if self.sync_deps.catalog.get().is_some() => {
                    tracing::error!(
                        error = &error as &dyn std::error::Error,
                        "database cannot be opened, serving the snapshot"
                    );
                    readiness.report();
                    backoff.wait().await;
                }
                opened => return opened,
            }
        }
    }
}

/// Returns how long a publication waits for registries. It may come after two thirds of the time of a response, in which an image is read.
fn publication_time(limits: &LimitSettings) -> Duration {
    limits.answer_timeout.unsigned_abs() / 4
}

/// Calls `ready` once, as soon as polls are answered from the database or from the snapshot.
struct Readiness<F> {
    catalog: Arc<CatalogHandle>,
    ready: Option<F>,
}

impl<F: FnOnce()> Readiness<F> {
    fn report(&mut self) {
        if self.catalog.get().is_some()
            && let Some(ready) = self.ready.take()
        {
            ready();
        }
    }
}
