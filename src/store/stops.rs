//! Emergency stops of whole products.

use super::{error::StoreError, rows::parse, transaction::Transaction};
use crate::domain::{
    admission::emergency_stop::EmergencyStop,
    epoch::Epoch,
    ids::{ProductName, StreamId},
    reason::Reason,
};
use jiff::Timestamp;
use jiff_sqlx::ToSqlx;
use std::collections::BTreeMap;

/// All product stops at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ProductStops {
    /// The active stops.
    pub active: BTreeMap<ProductName, EmergencyStop>,
    /// When a stop was last created or lifted; `None` if there never was one.
    pub changed_at: Option<Timestamp>,
}

fn stop(since: i64, reason: &str) -> Result<EmergencyStop, StoreError> {
    let reason = Reason::new(reason).map_err(|error| StoreError::corrupt("product_stops", error))?;
    Ok(EmergencyStop { since: Epoch(since), reason })
}

impl Transaction {
    /// Returns the active product stops.
    ///
    /// # Errors
    /// The database is unavailable, or a row is invalid.
    pub async fn product_stops(&mut self) -> Result<ProductStops, StoreError> {
        let rows = sqlx::query!(
            "-- name: product_stops
            select products.name as product, since, reason, lifted_at, changed_at as \"changed_at: jiff_sqlx::Timestamp\"
            from product_stops join products on products.id = product_id
            order by changed_at",
        )
        .fetch_all(self.connection())
        .await
        .map_err(StoreError::at("product_stops"))?;
        let mut stops = ProductStops::default();
        for row in rows {
            stops.changed_at = Some(row.changed_at.to_jiff());
            if row.lifted_at.is_none() {
                stops.active.insert(parse("products", &row.product)?, stop(row.since, &row.reason)?);
            }
        }
        Ok(stops)
    }

    /// Returns the active stop of a product.
    ///
    /// # Errors
    /// The database is unavailable, or a row is invalid.
    pub async fn product_stop(&mut self, product: &ProductName) -> Result<Option<EmergencyStop>, StoreError> {
        let row = sqlx::query!(
            "-- name: product_stop
            select since, reason from product_stops join products on products.id = product_id
            where products.name = $1 and lifted_at is null",
            product.as_str()
        )
        .fetch_optional(self.connection())
        .await
        .map_err(StoreError::at("product_stop"))?;
        row.map(|row| stop(row.since, &row.reason)).transpose()
    }

    /// Returns the stop of a product that was active at a time.
    ///
    /// # Errors
    /// The database is unavailable, or a row is invalid.
    pub async fn product_stop_at(
        &mut self,
        product: &ProductName,
        at: Epoch,
    ) -> Result<Option<EmergencyStop>, StoreError> {
        let row = sqlx::query!(
            "-- name: product_stop_at
            select since, reason from product_stops join products on products.id = product_id
            where products.name = $1 and since <= $2 and (lifted_at is null or lifted_at > $2)
            order by since limit 1",
            product.as_str(),
            at.0
        )
        .fetch_optional(self.connection())
        .await
        .map_err(StoreError::at("product_stop_at"))?;
        row.map(|row| stop(row.since, &row.reason)).transpose()
    }

    /// Returns the streams that have their own active stop.
    ///
    /// # Errors
    /// The database is unavailable, or a row is invalid.
    pub async fn stream_stops(&mut self) -> Result<Vec<(StreamId, EmergencyStop)>, StoreError> {
        let rows = sqlx::query!(
            "-- name: stream_stops
            select products.name as product, streams.name as stream, stopped_since as \"since!\",
                stopped_because as \"reason!\"
            from streams join products on products.id = product_id
            where stopped_since is not null and stopped_because is not null
            order by products.name, streams.name",
        )
        .fetch_all(self.connection())
        .await
        .map_err(StoreError::at("stream_stops"))?;
        let stops = rows.into_iter().map(|row| {
            let id = StreamId { product: parse("products", &row.product)?, stream: parse("streams", &row.stream)? };
            Ok((id, stop(row.since, &row.reason)?))
        });
        stops.collect()
    }

    /// Returns true if a product has a stream.
    ///
    /// # Errors
    /// The database is unavailable.
    pub async fn has_streams(&mut self, product: &ProductName) -> Result<bool, StoreError> {
        let found = sqlx::query_scalar!(
            "-- name: has_streams
            select exists (
                select from streams join products on products.id = product_id 
                where products.name = $1 and revision > 0 and streams.deleted_revision is distinct from revision
            ) as \"found!\"",
            product.as_str()
        );
        found.fetch_one(self.connection()).await.map_err(StoreError::at("has_streams"))
    }

    /// Locks a product against other changes of the product until this transaction ends. Its streams can still be changed. Returns
    /// false if it does not exist.
    ///
    /// # Errors
    /// The database is unavailable.
    pub async fn lock_product(&mut self, product: &ProductName) -> Result<bool, StoreError> {
        let found = sqlx::query!(
            "-- name: lock_product
            select id from products where name = $1 for no key update",
            product.as_str()
        );
        let found = found.fetch_optional(self.connection()).await.map_err(StoreError::at("lock_product"))?;
        Ok(found.is_some())
    }

    /// Locks a product against every other change, the creation of its streams included, until this transaction ends. Returns false if it does
    /// not exist.
    ///
    /// # Errors
    /// The database is unavailable.
    pub async fn lock_product_with_streams(&mut self, product: &ProductName) -> Result<bool, StoreError> {
        let found = sqlx::query!(
            "-- name: lock_product_with_streams
            select id from products where name = $1 for update",
            product.as_str()
        );
        let found =
            found.fetch_optional(self.connection()).await.map_err(StoreError::at("lock_product_with_streams"))?;
        Ok(found.is_some())
    }

    /// Stops a product. Returns false if it was already stopped. The time of the change is later than that of every earlier change,
    /// whatever the clocks of the processes say, so processes can compare the times to find the newer state.
    ///
    /// # Errors
    /// The database is unavailable.
    pub async fn stop_product(
        &mut self,
        product: &ProductName,
        stop: &EmergencyStop,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let done = sqlx::query!(
            "-- name: stop_product
            insert into product_stops (product_id, since, reason, changed_at)
            select id, $2, $3, greatest($4, (select max(changed_at) + interval '1 microsecond' from product_stops))
            from products where name = $1
            on conflict (product_id) where lifted_at is null do nothing",
            product.as_str(),
            stop.since.0,
            stop.reason.as_str(),
            now.to_sqlx() as _
        )
        .execute(self.connection())
        .await
        .map_err(StoreError::at("stop_product"))?;
        Ok(done.rows_affected() == 1)
    }

    /// Lifts the stop of a product. Returns false if none is active.
    ///
    /// # Errors
    /// The database is unavailable.
    pub async fn lift_product_stop(&mut self, product: &ProductName, now: Timestamp) -> Result<bool, StoreError> {
        let done = sqlx::query!(
            "-- name: lift_product_stop
            update product_stops
            set lifted_at = greatest(since, $2),
                changed_at = greatest($3, (select max(changed_at) + interval '1 microsecond' from product_stops))
            where product_id = (select id from products where name = $1) and lifted_at is null",
            product.as_str(),
            Epoch::from(now).0,
            now.to_sqlx() as _
        )
        .execute(self.connection())
        .await
        .map_err(StoreError::at("lift_product_stop"))?;
        Ok(done.rows_affected() == 1)
    }
}
