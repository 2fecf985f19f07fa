//! Rows of presets of products.

use super::{error::StoreError, rows::parse, transaction::Transaction};
use crate::domain::{
    document::{parts, preset_shape::PresetDocument},
    ids::ProductName,
    product_preset::{PresetName, ProductPreset, ProductPresets},
};
use sqlx::types::Json;

impl Transaction {
    /// Returns the presets of a product.
    ///
    /// # Errors
    /// The database is unavailable, or a row is invalid.
    pub async fn presets(&mut self, product: &ProductName) -> Result<ProductPresets, StoreError> {
        let rows = sqlx::query!(
            "-- name: presets
            select presets.name, content as \"content: Json<PresetDocument>\"
            from presets join products on products.id = product_id where products.name = $1",
            product.as_str()
        )
        .fetch_all(self.connection())
        .await
        .map_err(StoreError::at("presets"))?;
        rows.into_iter().map(|row| Ok((parse("presets", &row.name)?, preset(&row.content)?))).collect()
    }

    /// Adds a preset to a product, or replaces the one of this name.
    ///
    /// # Errors
    /// The database is unavailable.
    pub async fn set_preset(
        &mut self,
        product: &ProductName,
        name: &PresetName,
        preset: &ProductPreset,
    ) -> Result<(), StoreError> {
        sqlx::query!(
            "-- name: set_preset
            insert into presets (product_id, name, content) select id, $2, $3 from products where name = $1
            on conflict (product_id, name) do update set content = excluded.content",
            product.as_str(),
            name.as_str(),
            Json(PresetDocument::from(preset)) as _
        )
        .execute(self.connection())
        .await
        .map(drop)
        .map_err(StoreError::at("set_preset"))
    }

    /// Deletes a preset of a product.
    ///
    /// # Errors
    /// The database is unavailable.
    pub async fn remove_preset(&mut self, product: &ProductName, name: &PresetName) -> Result<(), StoreError> {
        sqlx::query!(
            "-- name: remove_preset
            delete from presets using products
            where products.id = product_id and products.name = $1 and presets.name = $2",
            product.as_str(),
            name.as_str()
        )
        .execute(self.connection())
        .await
        .map(drop)
        .map_err(StoreError::at("remove_preset"))
    }
}

fn preset(document: &PresetDocument) -> Result<ProductPreset, StoreError> {
    parts::product_preset(document).map_err(|problems| {
        let problems: Vec<String> = problems.iter().map(ToString::to_string).collect();
        StoreError::corrupt("presets", problems.join("; "))
    })
}
