//! Emergency stops. Stopping waits only for the row that it writes: not for other managers, and a product's stop not for its
//! streams.

use super::{
    change::{Change, Decision, Manage, Outcome},
    edit::{author, idempotency},
    idempotency::{store_answer, stored_answer},
    refusal::{EditError, Refusal},
    report::{ProductStopReport, Report},
    request::{Action, Request},
};
use crate::{
    auth::Pattern,
    domain::{
        admission::emergency_stop::EmergencyStop,
        epoch::Epoch,
        ids::{ProductName, StreamId},
        reason::Reason,
        stream::Stream,
    },
    store::{StoreError, Transaction, audit::AuditEntry, retrying},
};
use jiff::Timestamp;

impl Manage {
    /// Stops a stream: it offers no updates to any node until the stop is lifted. A stop that is in force already stays as it is.
    ///
    /// # Errors
    /// Those of [`Manage::edit`].
    pub async fn stop(&self, id: &StreamId, request: &Request<'_>) -> Result<Report, EditError> {
        let reason = reason(request)?;
        let edit = |present: &Stream, now: Epoch| {
            let mut stream = present.clone();
            stream.stop.get_or_insert_with(|| EmergencyStop { since: now, reason: reason.clone() });
            Ok(stream.into())
        };
        self.edit(Action::STOP, id, request, edit).await
    }

    /// Lifts a stream's stop. The offers from before the stop are restored. Rollouts that would open further are paused as of the
    /// beginning of the stop, until a release manager resumes them.
    ///
    /// # Errors
    /// Those of [`Manage::edit`]; the stream is not stopped.
    pub async fn lift_stop(&self, id: &StreamId, request: &Request<'_>) -> Result<Report, EditError> {
        let edit = |present: &Stream, now: Epoch| {
            let mut stream = present.clone();
            if stream.stop.is_none() {
                return Err(Refusal::no_such("emergency stop", format!("of {id}")));
            }
            stream.pause_at_stop(now);
            stream.stop = None;
            Ok(stream.into())
        };
        self.edit(Action::LIFT_STOP, id, request, edit).await
    }

    /// Stops a product with all its streams, also those that are created or imported later.
    ///
    /// # Errors
    /// The caller lacks the role, the product does not exist, or the database failed.
    pub async fn stop_product(
        &self,
        product: &ProductName,
        request: &Request<'_>,
    ) -> Result<ProductStopReport, EditError> {
        self.change_product_stop(Action::STOP, product, request).await
    }

    /// Lifts a product's stop. In each of its streams, rollouts that would open further are paused as of the beginning of the stop.
    ///
    /// # Errors
    /// The caller lacks the role, the product does not exist or is not stopped, or the database failed.
    pub async fn lift_product_stop(
        &self,
        product: &ProductName,
        request: &Request<'_>,
    ) -> Result<ProductStopReport, EditError> {
        self.change_product_stop(Action::LIFT_STOP, product, request).await
    }

    async fn stop_product_in(
        &self,
        transaction: &mut Transaction,
        product: &ProductName,
        request: &Request<'_>,
        now: Timestamp,
    ) -> Result<ProductStopReport, EditError> {
        let stop = EmergencyStop { since: now.into(), reason: reason(request)? };
        let changed = transaction.stop_product(product, &stop, now).await?;
        let stop = transaction.product_stop(product).await?;
        Ok(ProductStopReport::new(product, changed, stop.as_ref(), Vec::new()))
    }

    async fn lift_product_stop_in(
        &self,
        transaction: &mut Transaction,
        product: &ProductName,
        request: &Request<'_>,
        now: Timestamp,
    ) -> Result<ProductStopReport, EditError> {
        if transaction.product_stop(product).await?.is_none() {
            return Err(Refusal::no_such("emergency stop", format!("of {product}")).into());
        }
        let author = author(request);
        let mut reports = Vec::new();
        for head in transaction.heads().await?.iter().filter(|head| head.id.product == *product) {
            let pause = |present: Option<&Stream>, now: Timestamp| {
                let mut stream = present.cloned().ok_or_else(|| Refusal::no_such("stream", &head.id))?;
                stream.pause_at_stop(now.into());
                Ok::<_, Refusal>(Decision { stream, value: () })
            };
            let change = Change::new(&head.id, &author).as_action(Action::LIFT_STOP.name);
            if let (Outcome::Changed { revision, diff }, ()) = self.change_in(transaction, change, &pause).await? {
                reports.push(Report::new(&head.id, revision, diff, None, Vec::new()));
            }
        }
        let changed = transaction.lift_product_stop(product, now).await?;
        Ok(ProductStopReport::new(product, changed, None, reports))
    }

    async fn change_product_stop(
        &self,
        action: Action,
        product: &ProductName,
        request: &Request<'_>,
    ) -> Result<ProductStopReport, EditError> {
        let all = Pattern::for_product(product.clone());
        if !request.caller.may_on_all(action.role, &all) {
            return Err(Refusal::denied(action.role, &all).into());
        }
        reason(request)?;
        let attempt = async || {
            let mut transaction = self.store().begin(action.name).await?;
            let now = self.clock().now();
            let key = idempotency(request).filter(|_| !request.dry_run);
            if let Some(json) = stored_answer(&mut transaction, key, now).await? {
                let report = ProductStopReport::from_stored(&json);
                return Ok(report.map_err(|error| StoreError::corrupt("idempotency_keys", error))?);
            }
            if !transaction.has_streams(product).await? {
                return Err(Refusal::no_such("product", product).into());
            }
            let report = if action == Action::STOP {
                self.stop_product_in(&mut transaction, product, request, now).await?
            } else {
                self.lift_product_stop_in(&mut transaction, product, request, now).await?
            };
            if request.dry_run {
                return Ok(ProductStopReport { dry_run: true, ..report });
            }
            if report.changed {
                let entry = AuditEntry {
                    at: now,
                    actor: request.caller.actor.clone(),
                    action: action.name.into(),
                    product: Some(product.to_string()),
                    stream: None,
                    revision: None,
                    subject: None,
                    reason: request.reason.into(),
                    request_id: request.request_id.map(Into::into),
                };
                transaction.record_audit_entry(&entry).await?;
            }
            store_answer(&mut transaction, key, &report).await?;
            transaction.announce().await?;
            transaction.commit().await?;
            Ok(report)
        };
        retrying(action.name, attempt).await
    }

    /// Returns the stop of a product that is in force.
    ///
    /// # Errors
    /// The database is unavailable.
    pub async fn product_stop(&self, product: &ProductName) -> Result<Option<EmergencyStop>, StoreError> {
        self.reading("product_stop").await?.product_stop(product).await
    }
}

impl Manage {
    /// Returns the stop of a product that was in force at a time.
    ///
    /// # Errors
    /// The database is unavailable.
    pub async fn product_stop_at(&self, product: &ProductName, at: Epoch) -> Result<Option<EmergencyStop>, StoreError> {
        self.reading("product_stop_at").await?.product_stop_at(product, at).await
    }
}

fn reason(request: &Request<'_>) -> Result<Reason, Refusal> {
    Reason::new(request.reason).map_err(|error| Refusal::field("reason", error))
}
