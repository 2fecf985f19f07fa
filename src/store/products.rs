//! Products: their protocols, and the files that are published for them.

use super::{error::StoreError, rows::parse, transaction::Transaction};
use crate::domain::{
    description::Description,
    ids::{ProductName, ProtocolName},
};
use bytes::Bytes;
use jiff::Timestamp;
use jiff_sqlx::ToSqlx;
use std::collections::BTreeMap;

/// The settings of a product.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProductRecord {
    /// The protocol that its nodes speak.
    pub protocol: ProtocolName,
    /// The number of its changes, its published files included, but not its description and its presets, which processes do not keep.
    pub revision: i64,
    /// When it was last changed.
    pub changed_at: Timestamp,
    /// True if the last change deleted it.
    pub is_deleted: bool,
}

impl ProductRecord {
    /// Returns true if this is a later state than `other`. A lower revision with a later time means that a backup was restored.
    #[must_use]
    pub fn is_newer_than(&self, other: &Self) -> bool {
        self.revision > other.revision || self.changed_at > other.changed_at
    }
}

/// A product with its published files, by path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublishedProduct {
    /// The settings.
    pub record: ProductRecord,
    /// The files.
    pub files: BTreeMap<String, Bytes>,
}

impl Transaction {
    /// Returns the settings of all products.
    ///
    /// # Errors
    /// The database is unavailable, or a row is invalid.
    pub async fn product_records(&mut self) -> Result<BTreeMap<ProductName, ProductRecord>, StoreError> {
        let mut records = self.product_records_with_deleted().await?;
        records.retain(|_, record| !record.is_deleted);
        Ok(records)
    }

    /// Returns the settings of all products, those of deleted ones included.
    ///
    /// # Errors
    /// The database is unavailable, or a row is invalid.
    pub async fn product_records_with_deleted(&mut self) -> Result<BTreeMap<ProductName, ProductRecord>, StoreError> {
        let rows = sqlx::query!(
            "-- name: product_records
            select name, protocol, settings_revision as revision,
                settings_changed_at as \"changed_at: jiff_sqlx::Timestamp\",
                (deleted_revision is not distinct from settings_revision and not exists (
                    select from streams where product_id = products.id and streams.deleted_revision is distinct from revision
                )) as \"is_deleted!\"
            from products",
        )
        .fetch_all(self.connection())
        .await
        .map_err(StoreError::at("product_records"))?;
        let records = rows.into_iter().map(|row| {
            let (protocol, changed_at) = (parse("products", &row.protocol)?, row.changed_at.to_jiff());
            let (revision, is_deleted) = (row.revision, row.is_deleted);
            Ok((parse("products", &row.name)?, ProductRecord { protocol, revision, changed_at, is_deleted }))
        });
        records.collect()
    }

    /// Returns the protocol of a product, or `None` if the product does not exist.
    ///
    /// # Errors
    /// The database is unavailable, or the row is invalid.
    pub async fn protocol(&mut self, product: &ProductName) -> Result<Option<ProtocolName>, StoreError> {
        let found = sqlx::query_scalar!(
            "-- name: protocol
            select protocol from products
            where name = $1 and (deleted_revision is distinct from settings_revision or exists (
                select from streams where product_id = products.id and streams.deleted_revision is distinct from revision
            ))",
            product.as_str()
        );
        let found = found.fetch_optional(self.connection()).await.map_err(StoreError::at("protocol"))?;
        found.map(|name| parse("products", &name)).transpose()
    }

    /// Returns the descriptions of the products that have one.
    ///
    /// # Errors
    /// The database is unavailable, or a row is invalid.
    pub async fn product_descriptions(&mut self) -> Result<BTreeMap<ProductName, Description>, StoreError> {
        let rows = sqlx::query!(
            "-- name: product_descriptions
            select name, description as \"description!\" from products where description is not null"
        );
        let rows = rows.fetch_all(self.connection()).await.map_err(StoreError::at("product_descriptions"))?;
        let parsed =
            rows.into_iter().map(|row| Ok((parse("products", &row.name)?, parse("products", &row.description)?)));
        parsed.collect()
    }

    /// Returns the description of a product, if it has one.
    ///
    /// # Errors
    /// The database is unavailable, or the row is invalid.
    pub async fn product_description(&mut self, product: &ProductName) -> Result<Option<Description>, StoreError> {
        let found = sqlx::query_scalar!(
            "-- name: product_description
            select description from products where name = $1",
            product.as_str()
        );
        let found = found.fetch_optional(self.connection()).await.map_err(StoreError::at("product_description"))?;
        found.flatten().map(|text| parse("products", &text)).transpose()
    }

    /// Changes the description of a product. It is no new state for other processes, which do not keep it.
    ///
    /// # Errors
    /// The database is unavailable.
    pub async fn set_product_description(
        &mut self,
        product: &ProductName,
        description: Option<&Description>,
    ) -> Result<(), StoreError> {
        sqlx::query!(
            "-- name: set_product_description
            update products set description = $2 where name = $1",
            product.as_str(),
            description.map(Description::as_str)
        )
        .execute(self.connection())
        .await
        .map(drop)
        .map_err(StoreError::at("set_product_description"))
    }

    /// Creates a product, or creates a deleted one again. Returns false if it exists already.
    ///
    /// # Errors
    /// The database is unavailable.
    pub async fn create_product(
        &mut self,
        product: &ProductName,
        protocol: &ProtocolName,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let done = sqlx::query!(
            "-- name: create_product
            insert into products (name, protocol, settings_changed_at) values ($1, $2, $3)
            on conflict (name) do update
            set protocol = excluded.protocol, settings_revision = products.settings_revision + 1,
                settings_changed_at = greatest($3, products.settings_changed_at + interval '1 microsecond')
            where products.deleted_revision = products.settings_revision",
            product.as_str(),
            protocol.as_str(),
            now.to_sqlx() as _
        )
        .execute(self.connection())
        .await
        .map_err(StoreError::at("create_product"))?;
        Ok(done.rows_affected() == 1)
    }

    /// Creates a product again, with the default protocol, if it is deleted: a stream is created in it.
    ///
    /// # Errors
    /// The database is unavailable.
    pub async fn revive_product(&mut self, product: &ProductName, now: Timestamp) -> Result<(), StoreError> {
        sqlx::query!(
            "-- name: revive_product
            update products
            set protocol = default, settings_revision = settings_revision + 1,
                settings_changed_at = greatest($2, settings_changed_at + interval '1 microsecond')
            where name = $1 and deleted_revision = settings_revision",
            product.as_str(),
            now.to_sqlx() as _
        )
        .execute(self.connection())
        .await
        .map(drop)
        .map_err(StoreError::at("revive_product"))
    }

    /// Deletes a product: its published files, and its settings. Its row stays, so that every process hears of it.
    ///
    /// # Errors
    /// The database is unavailable.
    pub async fn delete_product(&mut self, product: &ProductName, now: Timestamp) -> Result<(), StoreError> {
        self.publish_files(product, &BTreeMap::new(), now).await?;
        sqlx::query!(
            "-- name: delete_product
            update products set deleted_revision = settings_revision where name = $1",
            product.as_str()
        )
        .execute(self.connection())
        .await
        .map(drop)
        .map_err(StoreError::at("delete_product"))
    }

    /// Changes the protocol of a product.
    ///
    /// # Errors
    /// The database is unavailable.
    pub async fn set_protocol(
        &mut self,
        product: &ProductName,
        protocol: &ProtocolName,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        sqlx::query!(
            "-- name: set_protocol
            update products
            set protocol = $2, settings_revision = settings_revision + 1,
                settings_changed_at = greatest($3, settings_changed_at + interval '1 microsecond')
            where name = $1",
            product.as_str(),
            protocol.as_str(),
            now.to_sqlx() as _
        )
        .execute(self.connection())
        .await
        .map(drop)
        .map_err(StoreError::at("set_protocol"))
    }

    /// Returns the published files of a product, by path.
    ///
    /// # Errors
    /// The database is unavailable.
    pub async fn published_files(&mut self, product: &ProductName) -> Result<BTreeMap<String, Bytes>, StoreError> {
        let rows = sqlx::query!(
            "-- name: published_files
            select path, content from published_files join products on products.id = product_id where name = $1",
            product.as_str()
        );
        let rows = rows.fetch_all(self.connection()).await.map_err(StoreError::at("published_files"))?;
        Ok(rows.into_iter().map(|row| (row.path, row.content.into())).collect())
    }

    /// Replaces the published files of a product. Processes hear of it once the transaction is announced and committed.
    ///
    /// # Errors
    /// The database is unavailable, or a path is not of segments of letters, digits, `.`, `_` and `-`.
    pub async fn publish_files(
        &mut self,
        product: &ProductName,
        files: &BTreeMap<String, Bytes>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let id = sqlx::query_scalar!(
            "-- name: touch_product
            update products
            set settings_revision = settings_revision + 1,
                settings_changed_at = greatest($2, settings_changed_at + interval '1 microsecond')
            where name = $1 returning id",
            product.as_str(),
            now.to_sqlx() as _
        )
        .fetch_one(self.connection())
        .await
        .map_err(StoreError::at("touch_product"))?;
        sqlx::query!("-- name: clear_files\ndelete from published_files where product_id = $1", id)
            .execute(self.connection())
            .await
            .map_err(StoreError::at("clear_files"))?;
        let paths: Vec<String> = files.keys().cloned().collect();
        let contents: Vec<Vec<u8>> = files.values().map(|content| content.to_vec()).collect();
        sqlx::query!(
            "-- name: publish_files
            insert into published_files (product_id, path, content)
            select $1, path, content from unnest($2::text[], $3::bytea[]) as file (path, content)",
            id,
            &paths,
            &contents
        )
        .execute(self.connection())
        .await
        .map(drop)
        .map_err(StoreError::at("publish_files"))
    }
}
