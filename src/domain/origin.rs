//! Who set a policy, a rollout or a release's state.

/// Where something comes from. What was set locally wins over what comes from outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Origin {
    /// Imported from upstream's documents; the next import may change it.
    Upstream,
    /// From a stream document kept in a repository.
    Git,
    /// Set here by somebody.
    Local,
}

impl Origin {
    /// Every origin.
    pub const ALL: [Self; 3] = [Self::Upstream, Self::Git, Self::Local];

    /// Its name in documents and in the store.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Upstream => "upstream",
            Self::Git => "git",
            Self::Local => "local",
        }
    }

    /// The origin of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|origin| origin.as_str() == name)
    }
}
