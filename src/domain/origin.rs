//! The origin of a policy, a rollout, an alias or a release's state.

use super::text::named_values;
use strum::{EnumString, IntoStaticStr, VariantArray};

/// The source that set a value. Local values take precedence over imported ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, EnumString, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "snake_case")]
pub enum Origin {
    /// Imported from upstream's documents; the next import may change it.
    Upstream,
    /// Set by a stream document that is kept in a Git repository.
    Git,
    /// Set here, through the API or a local command.
    Local,
}

named_values!(Origin, "origin");
