//! Predecessors: the releases that may update to a release under the edge rule `explicit`.

use crate::domain::{ids::Version, origin::Origin};
use std::collections::BTreeSet;

/// Lists the releases that may update to a release. Other edge rules ignore it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Predecessors {
    /// The versions, at least one. All are older releases of the same stream.
    pub versions: BTreeSet<Version>,
    /// Its origin.
    pub origin: Origin,
}
