//! The origin of a policy, a rollout, an alias or a release's state.

/// The source that set a value. Local values take precedence over imported ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Origin {
    /// Imported from upstream's documents; the next import may change it.
    Upstream,
    /// Set by a stream document that is kept in a Git repository.
    Git,
    /// Set here, through the API or a local command.
    Local,
}

impl Origin {
    /// Every origin.
    pub const ALL: [Self; 3] = [Self::Upstream, Self::Git, Self::Local];

    /// Returns the name that documents and the database use.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Upstream => "upstream",
            Self::Git => "git",
            Self::Local => "local",
        }
    }

    /// Returns the origin with this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|origin| origin.as_str() == name)
    }
}
