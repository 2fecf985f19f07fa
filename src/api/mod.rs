//! The REST face of what release managers do. Must not live here: a rule.

pub mod v1;
