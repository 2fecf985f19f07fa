//! What release managers do: check, write, record, announce, in one transaction.
//!
//! [`change`] is the only way to change a stream: the API, the page, the command line and every import call it. Must not live
//! here: HTTP, SQL, or the catalog: what is decided is decided on rows under the stream's lock.

pub mod change;
mod documents;
pub mod read;

pub use change::{Author, Change, ChangeError, Decision, KeptDocument, Manage, Outcome};
