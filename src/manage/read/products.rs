//! Products: their protocols, streams and emergency stops.

use super::access::ReadError;
use crate::{
    auth::{Identity, Pattern, Role},
    domain::{
        admission::emergency_stop::EmergencyStop,
        description::Description,
        ids::{ProductName, ProtocolName, StreamName},
        product_preset::ProductPresets,
    },
    manage::manager::Manage,
    store::{ProductRecord, streams::Head},
};
use std::collections::{BTreeMap, BTreeSet};

/// A product.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Product {
    /// Its name.
    pub name: ProductName,
    /// The protocol that its nodes speak.
    pub protocol: ProtocolName,
    /// What it is for, if that is described.
    pub description: Option<Description>,
    /// Its streams that the caller may read, by name.
    pub streams: Vec<StreamName>,
}

/// The reads of a product, for a caller who may read at least one of its streams. The product need not exist.
#[derive(Clone)]
pub struct ProductReader<'a> {
    manage: &'a Manage,
    caller: &'a Identity,
    product: ProductName,
}

impl Manage {
    /// Returns the products of which the caller may read a stream, by name. Of products without streams, returns those that the caller
    /// may read in whole.
    ///
    /// # Errors
    /// The database failed.
    pub async fn products(&self, caller: &Identity) -> Result<Vec<Product>, ReadError> {
        let mut transaction = self.reading("products").await?;
        let (records, heads) = (transaction.product_records().await?, transaction.heads().await?);
        let mut descriptions = transaction.product_descriptions().await?;
        drop(transaction);
        let with_streams: BTreeSet<ProductName> = heads.iter().map(|head| head.id.product.clone()).collect();
        let mut streams: BTreeMap<ProductName, Vec<StreamName>> = BTreeMap::new();
        for head in heads.into_iter().filter(|head| caller.may(Role::Viewer, &head.id)) {
            streams.entry(head.id.product).or_default().push(head.id.stream);
        }
        let product = |(name, record): (ProductName, ProductRecord)| {
            let streams = streams.remove(&name).unwrap_or_default();
            let may_read_all = || caller.may_on_all(Role::Viewer, &Pattern::for_product(name.clone()));
            if streams.is_empty() && (with_streams.contains(&name) || !may_read_all()) {
                return None;
            }
            let description = descriptions.remove(&name);
            Some(Product { name, protocol: record.protocol, description, streams })
        };
        Ok(records.into_iter().filter_map(product).collect())
    }

    /// Returns the reads of a product.
    ///
    /// # Errors
    /// The caller may read no stream of the product.
    pub fn product_reader<'a>(
        &'a self,
        caller: &'a Identity,
        product: ProductName,
    ) -> Result<ProductReader<'a>, ReadError> {
        if caller.may_on_some(Role::Viewer, &product) {
            return Ok(ProductReader { manage: self, caller, product });
        }
        Err(ReadError::denied(caller, Role::Viewer, format_args!("a stream of `{product}`")))
    }
}

impl ProductReader<'_> {
    /// Returns the product.
    ///
    /// # Errors
    /// The product does not exist, it has no stream that the caller may read, or the database failed.
    pub async fn product(&self) -> Result<Product, ReadError> {
        let found = self.manage.products(self.caller).await?.into_iter().find(|product| product.name == self.product);
        found.ok_or_else(|| ReadError::NotFound(format!("there is no product {}", self.product)))
    }

    /// Returns the newest revisions of the streams that the caller may read, by name.
    ///
    /// # Errors
    /// The database failed.
    pub async fn streams(&self) -> Result<Vec<Head>, ReadError> {
        let mut heads = self.manage.reading("streams").await?.heads().await?;
        heads.retain(|head| head.id.product == self.product && self.caller.may(Role::Viewer, &head.id));
        Ok(heads)
    }

    /// Returns the presets of the product.
    ///
    /// # Errors
    /// The product does not exist, or the database failed.
    pub async fn presets(&self) -> Result<ProductPresets, ReadError> {
        let mut transaction = self.manage.reading("presets").await?;
        if transaction.protocol(&self.product).await?.is_none() {
            return Err(ReadError::NotFound(format!("there is no product {}", self.product)));
        }
        Ok(transaction.presets(&self.product).await?)
    }

    /// Returns the emergency stop of the product, if one is in force.
    ///
    /// # Errors
    /// The database failed.
    pub async fn stop(&self) -> Result<Option<EmergencyStop>, ReadError> {
        Ok(self.manage.reading("product_stop").await?.product_stop(&self.product).await?)
    }
}
