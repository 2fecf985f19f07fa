//! The database's side of the service: opened, prepared, followed, closed.

use super::{error::ServeError, seed, watch};
use crate::{
    api::Api,
    auth::Gate,
    catalog::{Backoff, Follower, Following, Live},
    config::{ApiSettings, AuthSettings, DatabaseSettings},
    domain::stream::Stream,
    manage::Manage,
    store::{Access, AccessError},
};
use std::{path::PathBuf, pin::pin, sync::Arc, time::Duration};

/// The database's side of the service.
pub(super) struct Database {
    pub(super) settings: DatabaseSettings,
    pub(super) data_dir: PathBuf,
    pub(super) grace: Duration,
    pub(super) documents: Vec<Stream>,
    pub(super) following: Following,
    /// Goes to work once the database is open.
    pub(super) managers: Api,
    /// Are there routes for which tokens are needed at all?
    pub(super) is_for_managers: bool,
    pub(super) auth: AuthSettings,
    pub(super) api: ApiSettings,
}

impl Database {
    /// Opens the database, prepares it, and follows it until `stopped` ends; then closes it, whatever went before.
    pub(super) async fn follow(
        self,
        stopped: impl Future<Output = ()>,
        ready: impl FnOnce(),
    ) -> Result<(), ServeError> {
        let mut stopped = pin!(stopped);
        let mut answering = Answering { live: self.following.live.clone(), ready: Some(ready) };
        let opened = {
            let mut opening = pin!(self.open(&mut answering));
            tokio::select! {
                access = &mut opening => access?,
                () = &mut stopped => {
                    // A start is not broken off in the middle, but not waited for without end either.
                    if let Ok(access) = tokio::time::timeout(self.grace, opening).await {
                        access?.close().await?;
                    } else {
                        tracing::warn!("the private PostgreSQL was still starting and is left alone");
                    }
                    return Ok(());
                }
            }
        };
        let access = Arc::new(opened);
        let (clock, metrics) = (self.following.clock.clone(), self.following.metrics.clone());
        let manage = Manage::new(access.store().clone(), clock.clone());
        let gate = Gate::of(access.store().clone(), &self.auth, &self.api, clock.clone())?;
        let issuers = self.is_for_managers.then(|| gate.issuers());
        let backoff = Backoff::from(self.following.settings.interval());
        let follower = Follower::new(access.clone(), self.following);
        let work = async {
            let failed = || answering.tell();
            seed::prepare(&access, &manage, &self.documents, self.settings.migrate, &follower, backoff, failed).await;
            self.managers.open(manage.clone(), gate);
            answering.tell();
            tokio::select! {
                () = follower.follow_for_ever() => {}
                () = watch::database(&metrics, access.store(), &clock) => {}
                () = watch::issuers(&metrics, issuers, &clock) => {}
            }
        };
        tokio::select! {
            () = &mut stopped => {}
            () = work => {}
        }
        drop(follower);
        match Arc::try_unwrap(access) {
            Ok(access) => Ok(access.close().await?),
            Err(_) => Ok(()),
        }
    }

    /// Who has something to serve meanwhile tries again and again; who has nothing is told what is wrong, and ends.
    async fn open(&self, answering: &mut Answering<impl FnOnce()>) -> Result<Access, AccessError> {
        let mut backoff = Backoff::from(self.following.settings.interval());
        loop {
            match Access::metered(&self.settings, &self.data_dir, self.following.metrics.clone()).await {
                Err(error) if self.following.live.get().is_some() => {
                    tracing::error!(
                        error = &error as &dyn std::error::Error,
                        "the database cannot be used; the copy on disk is served"
                    );
                    answering.tell();
                    backoff.wait().await;
                }
                opened => return opened,
            }
        }
    }
}

/// Tells once that polls are answered: from the store, or from the copy of it once that cannot be used.
struct Answering<F> {
    live: Arc<Live>,
    ready: Option<F>,
}

impl<F: FnOnce()> Answering<F> {
    fn tell(&mut self) {
        if self.live.get().is_some()
            && let Some(ready) = self.ready.take()
        {
            ready();
        }
    }
}
