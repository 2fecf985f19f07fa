//! When tokens were last used.

use crate::store::{Store, StoreError, tokens::TokenRow};
use jiff::{SignedDuration, Timestamp};
use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

/// How precisely the last use of a token is recorded.
const PRECISION: SignedDuration = SignedDuration::from_mins(1);
/// The longest time that recording takes.
const MAX_TIME: Duration = Duration::from_secs(1);
/// The number of tokens whose last attempt is remembered.
const MAX_REMEMBERED: usize = 10_000;

/// Records the last use of each token, at most once a minute. No request waits for it, and a use that cannot be recorded is not reported to
/// the caller.
pub(super) struct TokenUses {
    store: Store,
    /// The last attempt per token: while the database cannot be written, there is one a minute, too.
    attempts: Mutex<HashMap<String, Timestamp>>,
}

impl TokenUses {
    pub(super) fn new(store: Store) -> Self {
        Self { store, attempts: Mutex::default() }
    }

    pub(super) fn record(&self, token: &TokenRow, now: Timestamp) {
        let Ok(unless_since) = now.checked_sub(PRECISION) else { return };
        let is_recent = |last: Timestamp| last >= unless_since && last <= now;
        if token.last_used_at.is_some_and(is_recent) || !self.begin_attempt(&token.id, now, is_recent) {
            return;
        }
        let (store, id) = (self.store.clone(), token.id.clone());
        tokio::spawn(async move {
            match tokio::time::timeout(MAX_TIME, write(&store, &id, now, unless_since)).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => {
                    tracing::debug!(error = &error as &dyn std::error::Error, "use of a token not recorded");
                }
                Err(_) => tracing::debug!("use of a token not recorded in time"),
            }
        });
    }

    /// Returns false if there was an attempt recently.
    fn begin_attempt(&self, id: &str, now: Timestamp, is_recent: impl Fn(Timestamp) -> bool) -> bool {
        let mut attempts = self.attempts.lock().unwrap_or_else(PoisonError::into_inner);
        if attempts.get(id).copied().is_some_and(is_recent) {
            return false;
        }
        if attempts.len() >= MAX_REMEMBERED {
            attempts.clear();
        }
        attempts.insert(id.to_owned(), now);
        true
    }
}

async fn write(store: &Store, id: &str, now: Timestamp, unless_since: Timestamp) -> Result<(), StoreError> {
    let mut transaction = store.begin("record_token_use").await?;
    transaction.record_token_use(id, now, unless_since).await?;
    transaction.commit().await
}
