//! The executor of commands for products. A stop waits for no stream, only for another change of its product.

use super::{
    command::{ProductCommand, ProductState},
    error::CommandError,
    executor::{Before, Written},
    idempotency::{store_answer, stored_answer},
    manager::Manage,
    plan::refuse_reserved,
    refusal::Refusal,
    report::{ProductReport, Report},
    request::Request,
};
use crate::{
    auth::Pattern,
    domain::{document::Problem, ids::ProductName},
    store::{StoreError, Transaction, audit::AuditEntry, retrying},
};
use jiff::Timestamp;
use std::collections::BTreeSet;

impl Manage {
    /// Executes a command for a product.
    ///
    /// # Errors
    /// The caller lacks the role on all streams of the product, the product does not exist, the command is refused, or the database
    /// failed. Nothing was changed.
    pub async fn run_on_product(
        &self,
        command: &dyn ProductCommand,
        request: &Request<'_>,
    ) -> Result<ProductReport, CommandError> {
        let (action, product) = (command.action(), command.product());
        let all = Pattern::for_product(product.clone());
        if !request.caller.may_on_all(action.role, &all) {
            return Err(Refusal::denied(action.role, &all).into());
        }
        request.require_reason()?;
        let attempt = async || {
            let mut transaction = self.store().begin(action.name).await?;
            let now = self.clock().now();
            let key = request.idempotency_key().filter(|_| !request.dry_run);
            if let Some(json) = stored_answer(&mut transaction, key, now).await? {
                let report = ProductReport::from_stored(&json);
                return Ok(report.map_err(|error| StoreError::corrupt("idempotency_keys", error))?);
            }
            if command.changes_existence() {
                transaction.lock_product_with_streams(product).await?;
            } else {
                transaction.lock_product(product).await?;
            }
            let (report, written) = self.apply_to_product(&mut transaction, command, request, now).await?;
            if request.dry_run {
                return Ok(ProductReport { dry_run: true, ..report });
            }
            if report.changed {
                let (product, subject) = (Some(product.to_string()), command.subject());
                let entry = AuditEntry { product, subject, ..request.audit_entry(action, now) };
                transaction.record_audit_entry(&entry).await?;
            }
            store_answer(&mut transaction, key, &report).await?;
            transaction.announce().await?;
            transaction.commit().await?;
            self.keep_written(written);
            Ok(report)
        };
        retrying(action.name, attempt).await
    }

    async fn apply_to_product(
        &self,
        transaction: &mut Transaction,
        command: &dyn ProductCommand,
        request: &Request<'_>,
        now: Timestamp,
    ) -> Result<(ProductReport, Vec<Written>), CommandError> {
        let product = command.product();
        let before = product_state(transaction, command).await?;
        if before.protocol.is_none() && !command.can_create() {
            return Err(Refusal::no_such("product", product).into());
        }
        let after = command.apply(&before, now.into())?;
        let has_protocol = match after.protocol {
            None => {
                transaction.delete_product(product, now).await?;
                true
            }
            Some(_) => self.save_protocol(transaction, product, &before, &after, now).await?,
        };
        let has_settings = save_settings(transaction, product, &before, &after).await?;
        let (streams, written) = self.run_in_streams(transaction, command, request).await?;
        let has_stop = match (&before.stop, &after.stop) {
            (None, Some(stop)) => transaction.stop_product(product, stop, now).await?,
            (Some(_), None) => transaction.lift_product_stop(product, now).await?,
            _ => false,
        };
        let state = product_state(transaction, command).await?;
        let created = created(product, &before, &after);
        let report = ProductReport::new(product, state, streams);
        let changed = has_protocol || has_settings || has_stop || !report.streams.is_empty();
        Ok((ProductReport { changed, created, ..report }, written))
    }

    /// Saves the protocol of a product. Returns false if it has that protocol already.
    async fn save_protocol(
        &self,
        transaction: &mut Transaction,
        product: &ProductName,
        before: &ProductState,
        after: &ProductState,
        now: Timestamp,
    ) -> Result<bool, CommandError> {
        let Some(protocol) = after.protocol.as_ref().filter(|_| before.protocol != after.protocol) else {
            return Ok(false);
        };
        let invalid = |path: &str, message| Refusal::Invalid(vec![Problem { path: path.into(), message }]);
        if self.dialects().get(protocol).is_none() {
            let names: Vec<&str> = self.dialects().names().collect();
            let message = format!("is {protocol:?}, expected one of {}", names.join(", "));
            return Err(invalid("protocol", message).into());
        }
        if before.protocol.is_some() {
            transaction.set_protocol(product, protocol, now).await?;
            return Ok(true);
        }
        refuse_reserved(self.dialects(), product)?;
        if transaction.create_product(product, protocol, now).await? {
            return Ok(true);
        }
        Err(Refusal::Exists { what: "product", name: product.to_string() }.into())
    }

    /// Executes what follows from the command in each stream of the product, in the order of their names.
    async fn run_in_streams(
        &self,
        transaction: &mut Transaction,
        command: &dyn ProductCommand,
        request: &Request<'_>,
    ) -> Result<(Vec<Report>, Vec<Written>), CommandError> {
        let request = Request { subject: "", expected: None, ..*request };
        let (mut reports, mut written) = (Vec::new(), Vec::new());
        let heads = transaction.heads().await?;
        let ids: BTreeSet<_> =
            heads.into_iter().map(|head| head.id).filter(|id| id.product == *command.product()).collect();
        for id in ids {
            let Some(command) = command.in_stream(&id) else { continue };
            let executed = self.run_in(transaction, &*command, &request, Before::default()).await?;
            if executed.report.changed {
                reports.push(executed.report);
            }
            written.extend(executed.written);
        }
        Ok((reports, written))
    }
}

async fn product_state(
    transaction: &mut Transaction,
    command: &dyn ProductCommand,
) -> Result<ProductState, StoreError> {
    let product = command.product();
    let state = ProductState {
        protocol: transaction.protocol(product).await?,
        has_streams: transaction.has_streams(product).await?,
        stop: transaction.product_stop(product).await?,
        ..ProductState::default()
    };
    if !command.uses_settings() {
        return Ok(state);
    }
    let description = transaction.product_description(product).await?;
    Ok(ProductState { description, presets: transaction.presets(product).await?, ..state })
}

/// Saves the description and the presets of a product. Returns false if none of them changes.
async fn save_settings(
    transaction: &mut Transaction,
    product: &ProductName,
    before: &ProductState,
    after: &ProductState,
) -> Result<bool, StoreError> {
    let has_description = before.description != after.description;
    if has_description {
        transaction.set_product_description(product, after.description.as_ref()).await?;
    }
    for (name, preset) in after.presets.iter().filter(|(name, preset)| before.presets.get(*name) != Some(*preset)) {
        transaction.set_preset(product, name, preset).await?;
    }
    for name in before.presets.keys().filter(|name| !after.presets.contains_key(*name)) {
        transaction.remove_preset(product, name).await?;
    }
    Ok(has_description || before.presets != after.presets)
}

/// Returns the name of what a command creates: the product, or one of its presets.
fn created(product: &ProductName, before: &ProductState, after: &ProductState) -> Option<String> {
    if before.protocol.is_none() {
        return Some(product.to_string());
    }
    after.presets.keys().find(|name| !before.presets.contains_key(*name)).map(ToString::to_string)
}
