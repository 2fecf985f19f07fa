//! Which nodes a rollout is for.

use super::{arch::Arch, payload::Scheme, text::text_type};
use std::collections::BTreeSet;

text_type!(
    /// A group or a platform, as nodes say it.
    Label,
    255,
    "1 to 255 bytes without control characters",
    |_, c| !c.is_control()
);

/// What a node is, as far as rollouts ask.
#[derive(Debug, Clone, Copy)]
pub struct Audience<'a> {
    /// Its architecture.
    pub arch: &'a Arch,
    /// The scheme of its payload.
    pub scheme: &'a Scheme,
    /// The group that it says it is in.
    pub group: Option<&'a str>,
    /// The platform that it says it runs on.
    pub platform: Option<&'a str>,
}

/// Picks nodes; each part that is absent picks any. A node that does not tell its group or platform is picked only by
/// selectors that do not ask for it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Selector {
    /// One of these arches.
    pub arches: Option<BTreeSet<Arch>>,
    /// One of these schemes.
    pub schemes: Option<BTreeSet<Scheme>>,
    /// One of these groups.
    pub groups: Option<BTreeSet<Label>>,
    /// One of these platforms.
    pub platforms: Option<BTreeSet<Label>>,
}

impl Selector {
    /// Picks it this node?
    #[must_use]
    pub fn matches(&self, node: &Audience<'_>) -> bool {
        let told = |wanted: &Option<BTreeSet<Label>>, value: Option<&str>| {
            wanted.as_ref().is_none_or(|set| value.is_some_and(|value| set.contains(value)))
        };
        self.arches.as_ref().is_none_or(|set| set.contains(node.arch))
            && self.schemes.as_ref().is_none_or(|set| set.contains(node.scheme))
            && told(&self.groups, node.group)
            && told(&self.platforms, node.platform)
    }

    /// Picks it every node?
    #[must_use]
    pub fn is_any(&self) -> bool {
        *self == Self::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_that_tells_nothing_matches_only_who_does_not_ask() {
        let (arch, scheme) = (Arch::parse("x86_64").unwrap(), Scheme::checksum());
        let silent = Audience { arch: &arch, scheme: &scheme, group: None, platform: None };
        let canary =
            Selector { groups: Some(BTreeSet::from([Label::parse("canary").unwrap()])), ..Selector::default() };
        assert!(Selector::default().matches(&silent));
        assert!(!canary.matches(&silent));
        assert!(canary.matches(&Audience { group: Some("canary"), ..silent }));
        assert!(!canary.matches(&Audience { group: Some("default"), ..silent }));
        let oci = Selector { schemes: Some(BTreeSet::from([Scheme::oci()])), ..Selector::default() };
        assert!(!oci.matches(&silent));
    }
}
