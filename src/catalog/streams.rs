//! All products and streams at one instant.

use super::{
    entry::StreamEntry,
    known::KnownPayloads,
    prepared::{Prepared, Preparers},
    product::Product,
};
use crate::{
    domain::{
        ids::{ProductName, StreamId, StreamName},
        located::Located,
    },
    store::{ProductRecord, ProductStops, State},
};
use bytes::Bytes;
use std::{any::Any, collections::BTreeMap, sync::Arc};

/// All products and streams at one instant. Each change produces a new value, which shares unchanged entries with the old one.
#[derive(Debug, Clone, Default)]
pub struct Catalog {
    products: BTreeMap<ProductName, Product>,
    /// The active product stops.
    stops: ProductStops,
    /// The payloads of all streams.
    payloads: KnownPayloads,
    /// The id of the database from which the streams come.
    installation: Option<String>,
}

impl Catalog {
    /// Creates an empty catalog of a database.
    #[must_use]
    pub fn new(installation: String) -> Self {
        Self { installation: Some(installation), ..Self::default() }
    }

    /// Returns the id of the database from which it comes, or `None` if it comes from no database.
    #[must_use]
    pub fn installation(&self) -> Option<&str> {
        self.installation.as_deref()
    }

    /// Adds or replaces a stream. The answers of its product must then be prepared.
    pub fn insert(&mut self, state: State) {
        let id = state.stream.id.clone();
        let before = self.stream(id.product.as_str(), id.stream.as_str());
        let entry = StreamEntry::new_after(state, before.map(|before| &**before));
        self.insert_entry(id, entry);
    }

    /// Prepares the answers of all products that changed, on the calling thread.
    pub fn prepare(&mut self, preparers: &Preparers) {
        for (name, product) in self.products.iter_mut().filter(|(_, product)| product.is_changed) {
            product.prepare(name, preparers);
        }
    }

    /// Returns true if the answers of a product could not be prepared.
    pub(super) fn has_unprepared(&self) -> bool {
        self.products.values().any(|product| product.is_changed)
    }

    /// Returns what the protocol of a product prepared, if it is of this type. A product of another protocol has none.
    #[must_use]
    pub fn prepared<T: Prepared>(&self, product: &str) -> Option<&T> {
        let prepared: &dyn Any = &**self.products.get(product)?.prepared.as_ref()?;
        prepared.downcast_ref()
    }

    /// Returns what was prepared for all products.
    pub(super) fn all_prepared(&self) -> impl Iterator<Item = &Arc<dyn Prepared>> {
        self.products.values().filter_map(|product| product.prepared.as_ref())
    }

    /// Returns the active product stops.
    #[must_use]
    pub fn stops(&self) -> &ProductStops {
        &self.stops
    }

    /// Replaces the product stops.
    pub fn set_stops(&mut self, stops: ProductStops) {
        for (name, product) in &mut self.products {
            let stop = stops.active.get(name);
            for entry in product.streams.values_mut().filter(|entry| entry.stream().product_stop.as_ref() != stop) {
                *entry = Arc::new(entry.with_product_stop(stop));
                product.is_changed = true;
            }
        }
        self.stops = stops;
    }

    /// Returns the products whose settings are known, with their settings and published files.
    pub(super) fn records(&self) -> impl Iterator<Item = (&ProductName, &ProductRecord, &BTreeMap<String, Bytes>)> {
        self.products.iter().filter_map(|(name, product)| Some((name, product.record.as_ref()?, &*product.files)))
    }

    /// Returns the settings of a product.
    #[must_use]
    pub fn record(&self, product: &ProductName) -> Option<&ProductRecord> {
        self.products.get(product)?.record.as_ref()
    }

    /// Replaces the settings and the published files of a product.
    pub(super) fn set_record(&mut self, name: &ProductName, record: ProductRecord, files: BTreeMap<String, Bytes>) {
        let product = self.products.entry(name.clone()).or_default();
        (product.record, product.files, product.is_changed) = (Some(record), Arc::new(files), true);
    }

    /// Removes the settings and the published files of a product.
    pub(super) fn remove_record(&mut self, name: &ProductName) {
        let Some(product) = self.products.get_mut(name) else { return };
        (product.record, product.files, product.is_changed) = (None, Arc::default(), true);
        if product.is_absent() {
            self.products.remove(name);
        }
    }

    pub(super) fn insert_entry(&mut self, id: StreamId, entry: StreamEntry) {
        let stop = self.stops.active.get(&id.product);
        let entry = if entry.stream().product_stop.as_ref() == stop { entry } else { entry.with_product_stop(stop) };
        let entry = Arc::new(entry);
        let product = self.products.entry(id.product).or_default();
        product.is_changed = true;
        let before = product.streams.insert(id.stream, entry.clone());
        self.payloads.replace(before.as_ref().map_or(&[] as &[u64], |before| before.payloads()), entry.payloads());
    }

    /// Removes a stream.
    pub fn remove(&mut self, id: &StreamId) {
        if let Some(product) = self.products.get_mut(&id.product) {
            if let Some(removed) = product.streams.remove(&id.stream) {
                self.payloads.replace(removed.payloads(), &[]);
                product.is_changed = true;
            }
            if product.is_absent() {
                self.products.remove(&id.product);
            }
        }
    }

    /// Returns a stream of a product.
    #[must_use]
    pub fn stream(&self, product: &str, stream: &str) -> Option<&Arc<StreamEntry>> {
        self.products.get(product)?.streams.get(stream)
    }

    /// Returns true if any stream has the payload in any scope. Cheap enough for polls.
    #[must_use]
    pub fn knows_payload(&self, payload: &str) -> bool {
        self.payloads.contains(payload)
    }

    /// Returns the releases that have a payload, in all scopes. Searches every scope, so it is not for polls.
    #[must_use]
    pub fn locate(&self, payload: &str) -> Vec<Located> {
        if !self.knows_payload(payload) {
            return Vec::new();
        }
        let graphs = self.streams().flat_map(|(id, entry)| entry.graphs().map(move |graph| (id.clone(), graph)));
        let located = graphs.filter_map(|(stream, graph)| {
            let node = graph.node(graph.recognise(payload)?.node)?;
            let (arch, scheme) = (graph.arch.clone(), graph.scheme.clone());
            Some(Located { stream, version: node.version.clone(), arch, scheme })
        });
        located.collect()
    }

    /// Returns all streams, ordered by name.
    pub fn streams(&self) -> impl Iterator<Item = (StreamId, &Arc<StreamEntry>)> {
        self.products.iter().flat_map(|(name, product)| {
            let id = |stream: &StreamName| StreamId { product: name.clone(), stream: stream.clone() };
            product.streams.iter().map(move |(stream, entry)| (id(stream), entry))
        })
    }
}

#[cfg(test)]
#[path = "streams_tests.rs"]
mod tests;
