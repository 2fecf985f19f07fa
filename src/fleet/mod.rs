//! Who polled, as far as that helps to run releases, and never who in particular: no node is kept or told apart.

mod unknown;

pub use unknown::{UnknownPayload, UnknownPayloads, Unknowns};
