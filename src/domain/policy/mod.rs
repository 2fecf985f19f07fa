//! The policies of releases and updates: barriers, dead ends and blocked updates. No rollouts, which have their own folder.

pub mod barrier;
pub mod blocked_update;
pub mod dead_end;
pub mod references;
pub mod removed;
