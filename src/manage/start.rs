//! The first start: creates the first streams of an empty store.

use super::{
    command::Command, commands::documents::StartStream, error::CommandError, executor::Before, manager::Manage,
    request::Request,
};
use crate::{domain::stream::Stream, store::retrying};

/// The number of streams after which the first start logs its progress.
const PROGRESS_INTERVAL: usize = 100;

impl Manage {
    /// Creates the first streams of an empty store, all or none. Returns false if there are streams already, or none to create.
    ///
    /// # Errors
    /// The database failed, or a stream breaks a rule.
    pub async fn start_from(&self, streams: &[Stream], request: &Request<'_>) -> Result<bool, CommandError> {
        let commands: Vec<_> = streams.iter().map(|stream| StartStream { written: stream.clone() }).collect();
        let start = async || {
            let mut transaction = self.store().begin("start_store").await?;
            transaction.lock_all_streams().await?;
            if commands.is_empty() || !transaction.heads().await?.is_empty() {
                return Ok(false);
            }
            for (number, command) in commands.iter().enumerate() {
                if number > 0 && number % PROGRESS_INTERVAL == 0 {
                    tracing::info!(streams = number, total = commands.len(), "creating the first streams");
                }
                self.run_in(&mut transaction, command as &dyn Command, request, Before::default()).await?;
            }
            transaction.announce().await?;
            transaction.commit().await?;
            Ok(true)
        };
        retrying("start_store", start).await
    }
}
