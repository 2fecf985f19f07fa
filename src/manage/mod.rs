//! What release managers do: check, write, record, announce, in one transaction.
//!
//! [`change`] is the only way to change a stream: the API, the page, the command line and every import call it. Must not live
//! here: HTTP, SQL, or the catalog: what is decided is decided on rows under the stream's lock.

pub mod change;
mod documents;
mod edit;
pub mod policies;
pub mod read;
mod refusal;
mod releases;
mod report;
mod request;
mod rollouts;
mod streams;
mod tokens;

pub use change::{Author, Change, ChangeError, Decision, KeptDocument, Manage, Outcome};
pub use edit::{EditError, Edited};
pub use read::Snapshot;
pub use refusal::Refusal;
pub use releases::Promoted;
pub use report::{ReachReport, Report, Update};
pub use request::{Action, Request};
pub use rollouts::{RolloutPlace, Verb};
pub use streams::Target;
pub use tokens::TokenRequest;

/// What is kept of what was done, as those see it who may not see the store.
pub mod kept {
    pub use crate::store::{
        StoreError,
        audit::{Act, Wanted},
        revisions::Record,
        streams::Head,
        tokens::TokenRow,
    };
}
