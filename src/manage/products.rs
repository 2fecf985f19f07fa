//! The executor of commands for products. A stop waits for no stream, only for another change of its product.

use super::{
    command::{ProductCommand, ProductState},
    error::CommandError,
    executor::{Before, Written},
    idempotency::{store_answer, stored_answer},
    manager::Manage,
    refusal::Refusal,
    report::{ProductStopReport, Report},
    request::Request,
};
use crate::{
    auth::Pattern,
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
    ) -> Result<ProductStopReport, CommandError> {
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
                let report = ProductStopReport::from_stored(&json);
                return Ok(report.map_err(|error| StoreError::corrupt("idempotency_keys", error))?);
            }
            if !transaction.lock_product(product).await? || !transaction.has_streams(product).await? {
                return Err(Refusal::no_such("product", product).into());
            }
            let (report, written) = self.apply_to_product(&mut transaction, command, request, now).await?;
            if request.dry_run {
                return Ok(ProductStopReport { dry_run: true, ..report });
            }
            if report.changed {
                let entry = AuditEntry { product: Some(product.to_string()), ..request.audit_entry(action, now) };
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
    ) -> Result<(ProductStopReport, Vec<Written>), CommandError> {
        let product = command.product();
        let before = ProductState { stop: transaction.product_stop(product).await? };
        let after = command.apply(&before, now.into())?;
        let (streams, written) = self.run_in_streams(transaction, command, request).await?;
        let changed = match (before.stop, after.stop) {
            (None, Some(stop)) => transaction.stop_product(product, &stop, now).await?,
            (Some(_), None) => transaction.lift_product_stop(product, now).await?,
            _ => false,
        };
        let stop = transaction.product_stop(product).await?;
        Ok((ProductStopReport::new(product, changed, stop.as_ref(), streams), written))
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
