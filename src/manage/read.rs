//! What managers read: the store itself, never a replica's copy of it.

use super::change::Manage;
use crate::{
    domain::stream::StreamId,
    store::{State, StoreError},
};

impl Manage {
    /// The newest state of every stream that is wanted, all of one moment.
    ///
    /// # Errors
    /// The database is away, or a row cannot be.
    pub async fn states(&self, wanted: impl Fn(&StreamId) -> bool) -> Result<Vec<State>, StoreError> {
        let mut transaction = self.store().begin_read("states").await?;
        let mut states = Vec::new();
        for head in transaction.heads().await?.iter().filter(|head| wanted(&head.id)) {
            states.push(transaction.load_state(head, |_| None).await?);
        }
        transaction.commit().await?;
        Ok(states)
    }
}
