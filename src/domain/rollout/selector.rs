//! Selectors: which nodes a rollout is for.

use crate::domain::{ids::Arch, payload::Scheme, text::text_type};
use std::collections::BTreeSet;

text_type!(
    /// A group or a platform, as nodes report it.
    Label,
    255,
    "1 to 255 bytes without control characters",
    |_, c| !c.is_control()
);

/// The properties of a node that selectors match.
#[derive(Debug, Clone, Copy)]
pub struct Audience<'a> {
    /// Its architecture.
    pub arch: &'a Arch,
    /// The scheme of its payload.
    pub scheme: &'a Scheme,
    /// The group that the node reports.
    pub group: Option<&'a str>,
    /// The platform that the node reports.
    pub platform: Option<&'a str>,
}

/// A condition on nodes. An absent part matches all nodes. A node that does not report its group or platform matches only selectors
/// without that part.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Selector {
    /// The arches that match.
    pub arches: Option<BTreeSet<Arch>>,
    /// The schemes that match.
    pub schemes: Option<BTreeSet<Scheme>>,
    /// The groups that match.
    pub groups: Option<BTreeSet<Label>>,
    /// The platforms that match.
    pub platforms: Option<BTreeSet<Label>>,
}

impl Selector {
    /// Returns true if the selector matches `node`.
    #[must_use]
    pub fn matches(&self, node: &Audience<'_>) -> bool {
        let matches_label = |wanted: &Option<BTreeSet<Label>>, value: Option<&str>| {
            wanted.as_ref().is_none_or(|set| value.is_some_and(|value| set.contains(value)))
        };
        self.arches.as_ref().is_none_or(|set| set.contains(node.arch))
            && self.schemes.as_ref().is_none_or(|set| set.contains(node.scheme))
            && matches_label(&self.groups, node.group)
            && matches_label(&self.platforms, node.platform)
    }

    /// Returns true if the selector matches every node.
    #[must_use]
    pub fn is_any(&self) -> bool {
        *self == Self::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_without_a_group_matches_only_selectors_without_groups() {
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
