//! All streams at one instant.

use super::{entry::StreamEntry, known::KnownPayloads, rendered::Render};
use crate::{
    domain::{
        ids::{ProductName, StreamId, StreamName},
        located::Located,
    },
    store::{ProductStops, State},
};
use std::{collections::BTreeMap, sync::Arc};

/// All streams at one instant. Each change produces a new value, which shares unchanged entries with the old one.
#[derive(Debug, Clone, Default)]
pub struct Catalog {
    products: BTreeMap<ProductName, BTreeMap<StreamName, Arc<StreamEntry>>>,
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

    /// Adds or replaces a stream.
    pub fn insert(&mut self, state: State, render: &dyn Render) {
        self.insert_entry(state.stream.id.clone(), StreamEntry::new(state, render));
    }

    /// Returns the active product stops.
    #[must_use]
    pub fn stops(&self) -> &ProductStops {
        &self.stops
    }

    /// Replaces the product stops.
    pub fn set_stops(&mut self, stops: ProductStops) {
        for (product, streams) in &mut self.products {
            let stop = stops.active.get(product);
            for entry in streams.values_mut().filter(|entry| entry.stream().product_stop.as_ref() != stop) {
                *entry = Arc::new(entry.with_product_stop(stop));
            }
        }
        self.stops = stops;
    }

    pub(super) fn insert_entry(&mut self, id: StreamId, entry: StreamEntry) {
        let stop = self.stops.active.get(&id.product);
        let entry = if entry.stream().product_stop.as_ref() == stop { entry } else { entry.with_product_stop(stop) };
        let entry = Arc::new(entry);
        let before = self.products.entry(id.product).or_default().insert(id.stream, entry.clone());
        self.payloads.replace(before.as_ref().map_or(&[] as &[u64], |before| before.payloads()), entry.payloads());
    }

    /// Removes a stream.
    pub fn remove(&mut self, id: &StreamId) {
        if let Some(streams) = self.products.get_mut(&id.product) {
            if let Some(removed) = streams.remove(&id.stream) {
                self.payloads.replace(removed.payloads(), &[]);
            }
            if streams.is_empty() {
                self.products.remove(&id.product);
            }
        }
    }

    /// Returns a stream of a product.
    #[must_use]
    pub fn stream(&self, product: &str, stream: &str) -> Option<&Arc<StreamEntry>> {
        self.products.get(product)?.get(stream)
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
        let scopes = self.streams().flat_map(|(id, entry)| entry.scopes().map(move |scope| (id.clone(), scope)));
        let located = scopes.filter_map(|(stream, scope)| {
            let graph = scope.graph();
            let node = graph.node(graph.recognise(payload)?.node)?;
            let (arch, scheme) = (graph.arch.clone(), graph.scheme.clone());
            Some(Located { stream, version: node.version.clone(), arch, scheme })
        });
        located.collect()
    }

    /// Returns true if the product has any stream.
    #[must_use]
    pub fn has_product(&self, product: &str) -> bool {
        self.products.contains_key(product)
    }

    /// Returns all streams, ordered by name.
    pub fn streams(&self) -> impl Iterator<Item = (StreamId, &Arc<StreamEntry>)> {
        self.products.iter().flat_map(|(product, streams)| {
            streams.iter().map(|(stream, entry)| (StreamId { product: product.clone(), stream: stream.clone() }, entry))
        })
    }
}
