//! The registry: the protocols whose documents the command line reads and writes. Adding a protocol adds its folder and a line here.

use super::{Exchange, fcos};

/// The operations of all protocols.
pub const EXCHANGES: &[Exchange] = &[fcos::EXCHANGE];
