//! Selectors: which nodes a rollout is for.

use crate::domain::{ids::Arch, payload::Scheme, text::text_type};
use std::{
    collections::BTreeSet,
    fmt::Debug,
    ops::{Deref, DerefMut},
};

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

static ANY: Selector = Selector { arches: None, schemes: None, groups: None, platforms: None };

/// A selector that takes little memory if it matches every node, as most do.
#[derive(Clone, Default)]
pub struct BoxedSelector(Option<Box<Selector>>);

impl From<Selector> for BoxedSelector {
    fn from(selector: Selector) -> Self {
        Self((!selector.is_any()).then(|| Box::new(selector)))
    }
}

impl Deref for BoxedSelector {
    type Target = Selector;

    fn deref(&self) -> &Selector {
        self.0.as_deref().unwrap_or(&ANY)
    }
}

impl DerefMut for BoxedSelector {
    fn deref_mut(&mut self) -> &mut Selector {
        self.0.get_or_insert_default()
    }
}

impl PartialEq for BoxedSelector {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl Debug for BoxedSelector {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        (**self).fmt(formatter)
    }
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
    fn a_selector_of_every_node_takes_no_memory() {
        let (mut any, none) = (BoxedSelector::from(Selector::default()), BoxedSelector::default());
        assert!(any.0.is_none() && any.is_any() && any == none);
        any.groups = Some(BTreeSet::from([Label::parse("canary").unwrap()]));
        assert!(any != none && any == BoxedSelector::from(Selector::clone(&any)));
        any.groups = None;
        assert!(any == none, "a selector that matches every node again is equal to others that do");
    }

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
