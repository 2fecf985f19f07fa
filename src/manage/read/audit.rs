//! The audit log, across streams.

use super::access::ReadError;
use crate::{
    auth::{Identity, Pattern, Role},
    domain::ids::{ProductName, StreamId},
    manage::manager::Manage,
    store::audit::{AuditEntry, AuditFilter},
};

/// The entries to read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AuditScope {
    /// All entries.
    All,
    /// The entries about a product and its streams.
    Product(ProductName),
    /// The entries about a stream.
    Stream(StreamId),
}

/// The reads of the audit log, for a caller who may read at least one stream.
#[derive(Clone)]
pub struct AuditReader<'a> {
    manage: &'a Manage,
    caller: &'a Identity,
}

impl Manage {
    /// Returns the reads of the audit log.
    ///
    /// # Errors
    /// The caller may read no stream.
    pub fn audit_reader<'a>(&'a self, caller: &'a Identity) -> Result<AuditReader<'a>, ReadError> {
        if caller.has_anywhere(Role::Viewer) {
            return Ok(AuditReader { manage: self, caller });
        }
        Err(ReadError::denied(caller, Role::Viewer, "at least one stream"))
    }
}

impl AuditReader<'_> {
    /// Checks that the caller may read all streams of a scope.
    ///
    /// # Errors
    /// The caller may not.
    pub fn check(&self, scope: &AuditScope) -> Result<(), ReadError> {
        let on = match scope {
            AuditScope::Stream(id) if self.caller.may(Role::Viewer, id) => return Ok(()),
            AuditScope::Stream(id) => {
                return Err(ReadError::denied(self.caller, Role::Viewer, format_args!("`{id}`")));
            }
            AuditScope::Product(product) => Pattern::for_product(product.clone()),
            AuditScope::All => Pattern::ALL,
        };
        if self.caller.may_on_all(Role::Viewer, &on) {
            return Ok(());
        }
        Err(ReadError::denied(self.caller, Role::Viewer, format_args!("`{on}`")))
    }

    /// Returns at most `limit` entries with their numbers, newest first, optionally only those before a given one.
    ///
    /// # Errors
    /// The caller may not read all streams of the scope, or the database failed.
    pub async fn entries(
        &self,
        scope: &AuditScope,
        before: Option<i64>,
        limit: i64,
    ) -> Result<Vec<(i64, AuditEntry)>, ReadError> {
        self.check(scope)?;
        let (product, stream) = match scope {
            AuditScope::All => (None, None),
            AuditScope::Product(product) => (Some(product), None),
            AuditScope::Stream(id) => (Some(&id.product), Some(&id.stream)),
        };
        let filter = AuditFilter {
            revision: None,
            product: product.map(ProductName::as_str),
            stream: stream.map(crate::domain::ids::StreamName::as_str),
            before,
            limit,
        };
        Ok(self.manage.reading("audit_entries").await?.audit_entries(filter).await?)
    }
}
