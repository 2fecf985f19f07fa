//! Every stream at one instant.

use super::{entry::StreamEntry, rendered::Render};
use crate::{
    domain::{
        product::ProductName,
        stream::{StreamId, StreamName},
    },
    store::State,
};
use std::{collections::BTreeMap, sync::Arc};

/// Every stream at one instant. A change makes a new value; entries that did not change are shared with the old one.
#[derive(Debug, Clone, Default)]
pub struct Catalog {
    products: BTreeMap<ProductName, BTreeMap<StreamName, Arc<StreamEntry>>>,
    /// The store that they are of.
    installation: Option<String>,
}

impl Catalog {
    /// Nothing yet, of a store.
    #[must_use]
    pub fn of(installation: String) -> Self {
        Self { products: BTreeMap::new(), installation: Some(installation) }
    }

    /// The store that it is of; none if it never was in one.
    #[must_use]
    pub fn installation(&self) -> Option<&str> {
        self.installation.as_deref()
    }

    /// Adds a stream, or puts another state of it in its place.
    pub fn insert(&mut self, state: State, render: &dyn Render) {
        self.insert_entry(state.stream.id.clone(), StreamEntry::of(state, render));
    }

    pub(super) fn insert_entry(&mut self, id: StreamId, entry: StreamEntry) {
        self.products.entry(id.product).or_default().insert(id.stream, Arc::new(entry));
    }

    /// Takes a stream out.
    pub fn remove(&mut self, id: &StreamId) {
        if let Some(streams) = self.products.get_mut(&id.product) {
            streams.remove(&id.stream);
            if streams.is_empty() {
                self.products.remove(&id.product);
            }
        }
    }

    /// A stream of a product.
    #[must_use]
    pub fn stream(&self, product: &str, stream: &str) -> Option<&Arc<StreamEntry>> {
        self.products.get(product)?.get(stream)
    }

    /// Is there anything of this product?
    #[must_use]
    pub fn has_product(&self, product: &str) -> bool {
        self.products.contains_key(product)
    }

    /// Every stream, in the order of their names.
    pub fn streams(&self) -> impl Iterator<Item = (StreamId, &Arc<StreamEntry>)> {
        self.products.iter().flat_map(|(product, streams)| {
            streams.iter().map(|(stream, entry)| (StreamId { product: product.clone(), stream: stream.clone() }, entry))
        })
    }
}
