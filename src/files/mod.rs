//! Files with a limit on their size when read, and atomic replacement when written. All other modules read and write files through here.
//!
//! Does not belong here: the content and the location of files.

mod folder;
mod read;
mod write;

pub use folder::Folder;
pub use read::{read, read_line, read_open, read_text, too_long};
pub use write::{AtomicFile, create_new, remove_leftovers, replace};
