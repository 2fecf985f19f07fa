//! Products: their streams and emergency stops.

use super::access::ReadError;
use crate::{
    auth::{Identity, Role},
    domain::{
        admission::emergency_stop::EmergencyStop,
        ids::{ProductName, StreamName},
    },
    manage::manager::Manage,
    store::streams::Head,
};
use std::collections::BTreeMap;

/// A product that has streams.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Product {
    /// Its name.
    pub name: ProductName,
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
    /// Returns the products of which the caller may read a stream, by name.
    ///
    /// # Errors
    /// The database failed.
    pub async fn products(&self, caller: &Identity) -> Result<Vec<Product>, ReadError> {
        let mut products: BTreeMap<ProductName, Vec<StreamName>> = BTreeMap::new();
        let heads = self.reading("products").await?.heads().await?;
        for head in heads.into_iter().filter(|head| caller.may(Role::Viewer, &head.id)) {
            products.entry(head.id.product).or_default().push(head.id.stream);
        }
        Ok(products.into_iter().map(|(name, streams)| Product { name, streams }).collect())
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
    /// The product has no stream that the caller may read, or the database failed.
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

    /// Returns the emergency stop of the product, if one is in force.
    ///
    /// # Errors
    /// The database failed.
    pub async fn stop(&self) -> Result<Option<EmergencyStop>, ReadError> {
        Ok(self.manage.reading("product_stop").await?.product_stop(&self.product).await?)
    }
}
