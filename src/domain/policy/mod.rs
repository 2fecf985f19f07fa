//! The policies of streams, releases and updates: graph rules, barriers, dead ends, predecessors and blocked updates. No rollouts, which
//! have their own folder.

pub mod barrier;
pub mod blocked_update;
pub mod dead_end;
pub mod graph_rules;
pub mod predecessors;
pub mod references;
pub mod removed;
