//! Events: written by one process at a time, and read by every process for its readers.
//!
//! [`EventWriter`] writes what changed since the cursor in one transaction with the cursor. [`EventFeed`] reads new events once for all
//! readers of this process; a reader that falls behind reads the table itself. Which events lie between two states is a rule of
//! `domain::event`.

mod feed;
mod follow;
mod reader;
mod writer;

pub(super) use feed::EventFeed;
pub use reader::{EventFilter, EventItem, EventReader};
pub use writer::EventWriter;
