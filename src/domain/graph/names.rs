//! The texts by which nodes are recognised.

use super::{Node, NodeIndex};
use crate::domain::{payload::PayloadId, policy::graph_rules::Identity};
use hashbrown::{HashTable, hash_table::Entry};
use std::hash::{BuildHasher, RandomState};

/// Finds a node by what identifies it. The tables hold no texts: each entry is the number of a text, and first come those of the nodes, in
/// their order, then the aliases.
#[derive(Debug, Clone)]
pub(super) struct Names {
    identity: Identity,
    has_mirrors: bool,
    aliases: Box<[Alias]>,
    hasher: RandomState,
    by_text: HashTable<u32>,
    /// Empty if the stream has no mirrors.
    by_digest: HashTable<u32>,
}

/// Another payload under which nodes report a release.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Alias {
    pub(super) node: u32,
    pub(super) id: PayloadId,
}

/// The nodes of a graph and their aliases, from which names are collected.
#[derive(Debug)]
pub(super) struct Named<'a> {
    pub(super) identity: Identity,
    pub(super) nodes: &'a [Node],
    /// In the order of the nodes; empty if the version identifies them.
    pub(super) aliases: Vec<Alias>,
    /// True if they are recognised by digests, too.
    pub(super) has_mirrors: bool,
}

impl Names {
    pub(super) fn new(named: Named<'_>) -> Self {
        let Named { identity, nodes, aliases, has_mirrors } = named;
        let mut new = Self {
            identity,
            has_mirrors,
            hasher: RandomState::new(),
            by_text: HashTable::with_capacity(nodes.len() + aliases.len()),
            by_digest: HashTable::new(),
            aliases: aliases.into(),
        };
        for number in (0u32..).take(nodes.len() + new.aliases.len()) {
            new.add_text(nodes, number);
        }
        if has_mirrors {
            let mut numbers: Vec<u32> = new.by_text.iter().copied().collect();
            // If two nodes share a digest, it identifies the older one.
            numbers.sort_unstable_by_key(|number| (new.node(nodes, *number), *number));
            for number in numbers {
                new.add_digest(nodes, number);
            }
        }
        new
    }

    /// Returns true if these are the names of other nodes too.
    pub(super) fn are_of(&self, own: &[Node], named: &Named<'_>) -> bool {
        self.identity == named.identity
            && self.has_mirrors == named.has_mirrors
            && *self.aliases == *named.aliases
            && own.len() == named.nodes.len()
            && own.iter().zip(named.nodes).all(|(own, new)| self.own_text(own) == self.own_text(new))
    }

    /// Adds a text. If several nodes have it, it identifies the first one.
    fn add_text(&mut self, nodes: &[Node], number: u32) {
        let Some(text) = text(self.identity, nodes, &self.aliases, number) else { return };
        let (identity, aliases, hasher) = (self.identity, &self.aliases, &self.hasher);
        let is_same = |other: &u32| self::text(identity, nodes, aliases, *other) == Some(text);
        let rehash = |other: &u32| self::text(identity, nodes, aliases, *other).map_or(0, |text| hasher.hash_one(text));
        if let Entry::Vacant(vacant) = self.by_text.entry(hasher.hash_one(text), is_same, rehash) {
            vacant.insert(number);
        }
    }

    fn add_digest(&mut self, nodes: &[Node], number: u32) {
        let (identity, aliases, hasher) = (self.identity, &self.aliases, &self.hasher);
        let digest_of = |number: u32| digest(self::text(identity, nodes, aliases, number)?);
        let Some(digest) = digest_of(number) else { return };
        let is_same = |other: &u32| digest_of(*other) == Some(digest);
        let rehash = |other: &u32| digest_of(*other).map_or(0, |digest| hasher.hash_one(digest));
        if let Entry::Vacant(vacant) = self.by_digest.entry(hasher.hash_one(digest), is_same, rehash) {
            vacant.insert(number);
        }
    }

    /// Returns true if nodes are recognised by the digests of their payloads, too.
    pub(super) fn has_mirrors(&self) -> bool {
        self.has_mirrors
    }

    /// Returns the node that a text identifies.
    pub(super) fn find(&self, nodes: &[Node], name: &str) -> Option<NodeIndex> {
        let is_same = |number: &u32| self.text(nodes, *number) == Some(name);
        let number = self.by_text.find(self.hasher.hash_one(name), is_same)?;
        self.node(nodes, *number)
    }

    /// Returns the node whose payload or alias has a digest.
    pub(super) fn find_digest(&self, nodes: &[Node], wanted: &str) -> Option<NodeIndex> {
        let is_same = |number: &u32| self.text(nodes, *number).and_then(digest) == Some(wanted);
        let number = self.by_digest.find(self.hasher.hash_one(wanted), is_same)?;
        self.node(nodes, *number)
    }

    /// Returns all texts.
    pub(super) fn texts<'a>(&'a self, nodes: &'a [Node]) -> impl Iterator<Item = &'a str> {
        self.by_text.iter().filter_map(|number| self.text(nodes, *number))
    }

    /// Returns all digests.
    pub(super) fn digests<'a>(&'a self, nodes: &'a [Node]) -> impl Iterator<Item = &'a str> {
        self.by_digest.iter().filter_map(|number| digest(self.text(nodes, *number)?))
    }

    fn own_text<'a>(&self, node: &'a Node) -> &'a str {
        own_text(self.identity, node)
    }

    fn text<'a>(&'a self, nodes: &'a [Node], number: u32) -> Option<&'a str> {
        text(self.identity, nodes, &self.aliases, number)
    }

    fn node(&self, nodes: &[Node], number: u32) -> Option<NodeIndex> {
        let number = usize::try_from(number).ok()?;
        let Some(alias) = number.checked_sub(nodes.len()) else { return Some(NodeIndex(number)) };
        Some(NodeIndex(usize::try_from(self.aliases.get(alias)?.node).ok()?))
    }
}

/// The tables follow from the nodes of the graph and the aliases.
impl PartialEq for Names {
    fn eq(&self, other: &Self) -> bool {
        self.identity == other.identity && self.aliases == other.aliases
    }
}

fn own_text(identity: Identity, node: &Node) -> &str {
    match identity {
        Identity::Payload => node.payload.as_str(),
        Identity::Version => node.version.as_str(),
    }
}

fn text<'a>(identity: Identity, nodes: &'a [Node], aliases: &'a [Alias], number: u32) -> Option<&'a str> {
    let number = usize::try_from(number).ok()?;
    match nodes.get(number) {
        Some(node) => Some(own_text(identity, node)),
        None => Some(aliases.get(number - nodes.len())?.id.as_str()),
    }
}

fn digest(text: &str) -> Option<&str> {
    Some(text.split_once('@')?.1)
}

#[cfg(test)]
mod tests {
    use crate::domain::{
        graph::{Graph, NodeIndex},
        policy::graph_rules::Identity,
        release::{Aliases, PayloadKey},
        samples,
        stream::Stream,
    };
    use proptest::prelude::*;
    use std::{
        borrow::Cow,
        collections::{BTreeMap, BTreeSet},
    };

    /// Returns the node and the mirror for each text that identifies a node.
    fn expected(stream: &Stream, graph: &Graph, key: &PayloadKey) -> BTreeMap<String, (NodeIndex, Option<String>)> {
        let indexed = || graph.nodes().iter().enumerate().map(|(index, node)| (NodeIndex(index), node));
        let mut names: BTreeMap<String, NodeIndex> = BTreeMap::new();
        let is_by_version = stream.rules.identity == Identity::Version;
        for (index, node) in indexed() {
            let own = if is_by_version { node.version.to_string() } else { node.payload.to_string() };
            names.entry(own).or_insert(index);
        }
        let mut mirrored = BTreeMap::new();
        if !is_by_version {
            for (index, node) in indexed() {
                for alias in stream.releases[node.age].aliases.get(key).into_iter().flat_map(Aliases::keys) {
                    names.entry(alias.to_string()).or_insert(index);
                }
            }
            for (name, index) in &names {
                let Some((_, digest)) = name.split_once('@') else { continue };
                for mirror in &stream.mirrors {
                    let first =
                        mirrored.entry(format!("{mirror}@{digest}")).or_insert((*index, Some(mirror.to_string())));
                    first.0 = first.0.min(*index);
                }
            }
        }
        mirrored.extend(names.into_iter().map(|(name, index)| (name, (index, None))));
        mirrored
    }

    proptest! {
        #[test]
        fn nodes_are_recognised_by_their_names_and_by_nothing_else(stream in samples::stream(), other in samples::stream()) {
            for key in stream.payload_keys() {
                let graph = Graph::new(&stream, &key.arch, &key.scheme);
                let expected = expected(&stream, &graph, key);
                let names: BTreeSet<String> = graph.names().map(Cow::into_owned).collect();
                prop_assert_eq!(&names, &expected.keys().cloned().collect());
                let elsewhere = Graph::new(&other, &key.arch, &key.scheme);
                for name in names.into_iter().chain(elsewhere.names().map(Cow::into_owned)) {
                    let found = graph.recognise(&name).map(|found| (found.node, found.mirror.map(ToString::to_string)));
                    prop_assert_eq!(found.as_ref(), expected.get(&name), "{}", name);
                }
            }
        }

        #[test]
        fn names_are_shared_with_the_previous_graph_if_they_did_not_change(before in samples::stream(), after in samples::stream()) {
            for key in after.payload_keys() {
                let [fresh, old] = [&after, &before].map(|stream| Graph::new(stream, &key.arch, &key.scheme));
                let next = Graph::new_after(&after, &key.arch, &key.scheme, Some(&old));
                prop_assert_eq!(&next, &fresh);
                for name in fresh.names().chain(old.names()) {
                    prop_assert_eq!(next.recognise(&name), fresh.recognise(&name));
                }
                let same = Graph::new_after(&after.clone(), &key.arch, &key.scheme, Some(&fresh));
                prop_assert!(same.shares_names_with(&fresh));
            }
        }
    }
}
