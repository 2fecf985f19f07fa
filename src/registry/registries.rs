//! The registries that images may be read from, and the bounds of reading.

use super::{
    access::{Access, AuthFile},
    error::RegistryError,
    presence::{Inquiry, Presence, WantedImage},
    read,
    reference::{ImageReference, RepositoryReference},
    session::{Clients, Session},
    tags::{self, MAX_TAG_TIME, TagDigests, TagList},
};
use crate::{config::RegistrySettings, domain::image::Image};
use std::{sync::Arc, time::Duration};
use tokio::{
    sync::{OnceCell, Semaphore},
    time::Instant,
};

/// The longest time for reading an image, with all requests.
const MAX_TIME: Duration = Duration::from_secs(30);
/// The largest number of images that are read at a time: each may take several megabytes of memory.
const MAX_READS: usize = 8;
/// The number of requests that fail one after the other before the other images of a repository are given up.
const MAX_FAILURES: usize = 3;

/// The registries that images may be read from. Clones share its bounds.
#[derive(Debug, Clone)]
pub struct Registries(Arc<Parts>);

#[derive(Debug)]
struct Parts {
    access: Access,
    time: Duration,
    slots: Semaphore,
    /// Made when a registry is first asked.
    clients: OnceCell<Clients>,
}

impl Registries {
    /// Returns the registries that callers of the API may name. Reading an image takes at most `max_time`, and never more than 30 seconds.
    #[must_use]
    pub fn allowed(settings: &RegistrySettings, max_time: Duration) -> Self {
        let auth_files = configured(settings).into_iter().collect();
        let access = Access { allow: Some(settings.allow.clone()), private: settings.private.clone(), auth_files };
        Self::new(access, max_time.min(MAX_TIME))
    }

    /// Returns the registries that followers ask. Each request with all that belongs to it takes at most 30 seconds.
    #[must_use]
    pub fn followed(settings: &RegistrySettings) -> Self {
        Self::allowed(settings, MAX_TIME)
    }

    /// Returns all registries, for commands of this machine's users: the registry that they name may have a private address. Credentials are
    /// those of the configured auth file, or without one, of the first of these files that has an entry.
    #[must_use]
    pub fn all(settings: &RegistrySettings, auth_files: Vec<AuthFile>) -> Self {
        let auth_files = configured(settings).map_or(auth_files, |file| vec![file]);
        Self::new(Access { allow: None, private: settings.private.clone(), auth_files }, MAX_TIME)
    }

    fn new(access: Access, time: Duration) -> Self {
        Self(Arc::new(Parts { access, time, slots: Semaphore::new(MAX_READS), clients: OnceCell::new() }))
    }

    /// Reads what a reference stands for now.
    ///
    /// # Errors
    /// The registry may not be asked, does not have the image, or fails, or the image cannot become a release.
    pub async fn read(&self, image: &ImageReference) -> Result<Image, RegistryError> {
        let repository = image.repository();
        self.within_bounds(repository, async |access, clients| {
            read::image(&mut Session::new(access, clients, repository, image)?, image).await
        })
        .await
    }

    /// Lists the tags of a repository that `selects` returns true for. With the entity tag of an earlier answer, the list need not be sent again.
    ///
    /// # Errors
    /// The registry may not be asked, does not have the repository, or fails, or the list is too long.
    pub async fn tags(
        &self,
        repository: &RepositoryReference,
        selects: &(dyn Fn(&str) -> bool + Send + Sync),
        known: Option<&str>,
    ) -> Result<TagList, RegistryError> {
        self.within_bounds(repository, async |access, clients| {
            tags::list(&mut Session::new(access, clients, repository, repository)?, selects, known).await
        })
        .await
    }

    /// Asks for the digests that tags stand for now, group by group. A tag that fails does not keep others out, unless several of its group fail one
    /// after the other. Where the time ends, the other tags are not asked for.
    ///
    /// # Errors
    /// The registry may not be asked.
    pub async fn digests(
        &self,
        repository: &RepositoryReference,
        groups: &[Vec<String>],
    ) -> Result<TagDigests, RegistryError> {
        let time = self.0.time;
        self.within(time.saturating_add(MAX_TAG_TIME), repository, async |access, clients| {
            let mut session = Session::new(access, clients, repository, repository)?;
            Ok(tags::digests(&mut session, groups, Instant::now() + time).await)
        })
        .await
    }

    /// Asks a registry that may be asked, when there is room, and within the time.
    async fn within_bounds<T>(
        &self,
        repository: &RepositoryReference,
        ask: impl AsyncFnOnce(&Access, &Clients) -> Result<T, RegistryError>,
    ) -> Result<T, RegistryError> {
        self.within(self.0.time, repository, ask).await
    }

    async fn within<T>(
        &self,
        time: Duration,
        repository: &RepositoryReference,
        ask: impl AsyncFnOnce(&Access, &Clients) -> Result<T, RegistryError>,
    ) -> Result<T, RegistryError> {
        let Parts { access, slots, clients, .. } = &*self.0;
        access.check(repository)?;
        let asking = async {
            // The semaphore is never closed.
            let _slot = slots.acquire().await;
            let failed = |source| RegistryError::Http { host: repository.registry().to_owned(), source };
            let clients = clients.get_or_try_init(async || Clients::new()).await.map_err(failed)?;
            ask(access, clients).await
        };
        let timeout = |_| RegistryError::Timeout(repository.registry().to_owned());
        tokio::time::timeout(time, asking).await.map_err(timeout)?
    }

    /// Asks whether the registry has images of one repository, one after the other, each within `time`. The results are in the same order.
    /// Credentials are read and tokens are fetched once for all.
    pub async fn presence(&self, images: &[WantedImage], time: Duration) -> Vec<Result<Presence, RegistryError>> {
        let Parts { access, slots, clients, .. } = &*self.0;
        let (mut results, mut inquiry, mut failures) = (Vec::with_capacity(images.len()), None, 0);
        for image in images {
            let repository = image.reference.repository();
            let registry = || repository.registry().to_owned();
            let asking = async {
                access.check(repository)?;
                if failures >= MAX_FAILURES {
                    return Err(RegistryError::GivenUp(registry()));
                }
                // The semaphore is never closed.
                let _slot = slots.acquire().await;
                let deadline = Instant::now() + time;
                let failed = |source| RegistryError::Http { host: registry(), source };
                let clients = clients.get_or_try_init(async || Clients::new()).await.map_err(failed)?;
                let inquiry = match &mut inquiry {
                    Some(inquiry) => inquiry,
                    none => none.insert(Inquiry::new(Session::new(access, clients, repository, &image.reference)?)),
                };
                let timeout = |_| RegistryError::Timeout(registry());
                tokio::time::timeout_at(deadline, inquiry.presence(image, deadline)).await.map_err(timeout)?
            };
            let result = asking.await;
            let has_failed = matches!(result, Err(RegistryError::Http { .. } | RegistryError::Timeout(_)));
            failures = if has_failed { failures + 1 } else { failures };
            if result.is_ok() {
                failures = 0;
            }
            results.push(result);
        }
        results
    }
}

fn configured(settings: &RegistrySettings) -> Option<AuthFile> {
    settings.auth_file.clone().map(|path| AuthFile { path, is_required: true })
}
