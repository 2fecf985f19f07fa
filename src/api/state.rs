//! What every handler works with.

use super::refuse::refused;
use crate::{
    auth::{AuthError, Gate, Identity, Role},
    domain::{
        epoch::Epoch,
        stream::{Revision, StreamId},
    },
    http::problem::{Problem, ProblemKind},
    manage::{Manage, Snapshot, kept::StoreError},
};
use http::{HeaderMap, header};
use std::{
    path::{Path, PathBuf},
    sync::{Arc, OnceLock},
};

/// What every handler works with, once there is a database. Clones share it.
#[derive(Clone)]
pub struct Api(Arc<Parts>);

struct Parts {
    opened: OnceLock<(Manage, Gate)>,
    signing_key: PathBuf,
}

impl Api {
    /// Waits for its database. The signing key is made where it is missing, when it is first needed.
    #[must_use]
    pub fn waiting(signing_key: PathBuf) -> Self {
        Self(Arc::new(Parts { opened: OnceLock::new(), signing_key }))
    }

    /// Goes to work. Only the first time counts.
    pub fn open(&self, manage: Manage, gate: Gate) {
        let _ = self.0.opened.set((manage, gate));
    }

    fn opened(&self) -> Result<&(Manage, Gate), Problem> {
        self.0.opened.get().ok_or_else(|| ProblemKind::NotReady.because("the database is not open yet"))
    }

    pub(super) fn manage(&self) -> Result<&Manage, Problem> {
        Ok(&self.opened()?.0)
    }

    pub(super) fn signing_key(&self) -> &Path {
        &self.0.signing_key
    }

    pub(super) fn now(&self) -> Result<Epoch, Problem> {
        Ok(self.manage()?.now())
    }

    /// Who asks.
    pub(super) async fn identify(&self, headers: &HeaderMap) -> Result<Identity, Problem> {
        let (_, gate) = self.opened()?;
        let mut given = headers.get_all(header::AUTHORIZATION).iter();
        let Some(authorization) = given.next() else {
            let anonymous = gate.anonymous();
            return anonymous.ok_or_else(|| ProblemKind::Unauthenticated.because("a bearer token is needed"));
        };
        let no_bearer = || ProblemKind::Unauthenticated.because("the Authorization header holds no bearer token");
        if given.next().is_some() {
            return Err(no_bearer());
        }
        let text = authorization.to_str().map_err(|_| no_bearer())?;
        let (scheme, token) = text.split_once(' ').ok_or_else(no_bearer)?;
        if !scheme.eq_ignore_ascii_case("bearer") {
            return Err(no_bearer());
        }
        gate.check(token.trim()).await.map_err(|error| match error {
            AuthError::Store(error) => refused(error),
            AuthError::Unreachable => ProblemKind::Unavailable.because(error.to_string()),
            error => ProblemKind::Unauthenticated.because(error.to_string()),
        })
    }

    /// A stream as it is, for somebody who may read it.
    pub(super) async fn stream(&self, who: &Identity, id: &StreamId) -> Result<Snapshot, Problem> {
        may_read(who, id)?;
        self.manage()?.stream(id).await.map_err(refused)?.ok_or_else(|| no_stream(id))
    }

    /// A stream as it is, or was at a revision, for somebody who may read it.
    pub(super) async fn stream_at(
        &self,
        who: &Identity,
        id: &StreamId,
        revision: Option<i64>,
    ) -> Result<Snapshot, Problem> {
        let Some(revision) = revision else { return self.stream(who, id).await };
        may_read(who, id)?;
        let found = self.manage()?.revision(id, Revision(revision)).await.map_err(refused)?;
        found.ok_or_else(|| ProblemKind::NotFound.because(format!("there is no revision {revision} of {id}")))
    }
}

/// Sees to it that somebody may read a stream.
pub(super) fn may_read(who: &Identity, id: &StreamId) -> Result<(), Problem> {
    if who.may(Role::Viewer, id) {
        return Ok(());
    }
    Err(ProblemKind::Forbidden.because(format!("this takes the role viewer on {id}")))
}

/// There is no such stream.
pub(super) fn no_stream(id: &StreamId) -> Problem {
    ProblemKind::NotFound.because(format!("there is no stream {id}"))
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        refused(error)
    }
}
