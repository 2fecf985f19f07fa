//! The shared state of all handlers.

use super::{
    body::BodyBudget,
    event_stream::EventStreams,
    failures::{AuthFailures, SUMMARY_PERIOD},
    load::CallerLoad,
    refuse::refused,
};
use crate::{
    auth::{AuthError, Authenticator, Identity},
    domain::epoch::Epoch,
    http::{
        client_addr::ClientAddress,
        problem::{Problem, ProblemKind},
    },
    manage::Manage,
    registry::{Registries, WebhookSecret},
    telemetry::Metrics,
};
use http::{HeaderMap, HeaderValue, header};
use jiff::{SignedDuration, Timestamp};
use std::{
    path::{Path, PathBuf},
    sync::{Arc, OnceLock},
};

/// The shared state of all handlers. Clones share it. Until a database is open, it answers 503.
#[derive(Clone)]
pub struct Api(Arc<Parts>);

struct Parts {
    opened: OnceLock<(Manage, Authenticator)>,
    settings: ApiParts,
    bodies: BodyBudget,
    failures: AuthFailures,
    load: CallerLoad,
    event_streams: EventStreams,
}

/// The settings of the API.
#[derive(Debug)]
pub struct ApiParts {
    /// The file of the signing key. A missing key is created when it is first needed.
    pub signing_key: PathBuf,
    /// The maximum lifetime of a token that is issued over the API.
    pub max_token_lifetime: SignedDuration,
    /// The number of bytes of request bodies that may be in memory at a time.
    pub bodies_bytes: usize,
    /// The largest number of event streams that are open at a time.
    pub event_streams: usize,
    /// The registries that releases are made from.
    pub registries: Registries,
    /// The secret of registries that report changes, if any may.
    pub webhook_secret: Option<WebhookSecret>,
}

impl Api {
    /// Creates the state of an API that waits for its database.
    #[must_use]
    pub fn waiting(settings: ApiParts) -> Self {
        let bodies = BodyBudget::new(settings.bodies_bytes);
        let event_streams = EventStreams::new(settings.event_streams);
        Self(Arc::new(Parts {
            opened: OnceLock::new(),
            settings,
            bodies,
            failures: AuthFailures::new(),
            load: CallerLoad::default(),
            event_streams,
        }))
    }

    /// Opens the API. Only the first call has an effect.
    pub fn open(&self, manage: Manage, authenticator: Authenticator) {
        let _ = self.0.opened.set((manage, authenticator));
    }

    fn opened(&self) -> Result<&(Manage, Authenticator), Problem> {
        self.0.opened.get().ok_or_else(|| ProblemKind::NotReady.because("the database is not open yet"))
    }

    pub(super) fn manage(&self) -> Result<&Manage, Problem> {
        Ok(&self.opened()?.0)
    }

    pub(super) fn signing_key(&self) -> &Path {
        &self.0.settings.signing_key
    }

    pub(super) fn max_token_lifetime(&self) -> SignedDuration {
        self.0.settings.max_token_lifetime
    }

    pub(super) fn registries(&self) -> &Registries {
        &self.0.settings.registries
    }

    pub(super) fn webhook_secret(&self) -> Option<&WebhookSecret> {
        self.0.settings.webhook_secret.as_ref()
    }

    pub(super) fn load(&self) -> &CallerLoad {
        &self.0.load
    }

    pub(super) fn bodies(&self) -> &BodyBudget {
        &self.0.bodies
    }

    pub(super) fn event_streams(&self) -> &EventStreams {
        &self.0.event_streams
    }

    /// Returns the number of open event streams.
    #[must_use]
    pub fn open_event_streams(&self) -> usize {
        self.event_streams().open()
    }

    /// Ends all event streams, which would otherwise delay a stop.
    pub fn close_event_streams(&self) {
        self.event_streams().close();
    }

    pub(super) fn timestamp(&self) -> Result<Timestamp, Problem> {
        Ok(self.manage()?.timestamp())
    }

    pub(super) fn now(&self) -> Result<Epoch, Problem> {
        Ok(self.manage()?.now())
    }

    /// Identifies the caller. Every token that is not accepted counts as a failed authentication of the caller's address. A token
    /// that cannot be checked now does not count: the caller is not at fault.
    pub(super) async fn identify(&self, headers: &HeaderMap, from: Option<ClientAddress>) -> Result<Identity, Problem> {
        let (manage, authenticator) = self.opened()?;
        let mut values = headers.get_all(header::AUTHORIZATION).iter();
        let Some(authorization) = values.next() else {
            let anonymous = authenticator.anonymous();
            return anonymous.ok_or_else(|| ProblemKind::Unauthenticated.because("requires a bearer token"));
        };
        let token = bearer_token(authorization).filter(|_| values.next().is_none());
        let checked = match token {
            Some(token) => authenticator.check(token).await,
            None => Err(AuthError::NoBearer),
        };
        checked.map_err(|error| match error {
            AuthError::Store(error) => refused(error),
            AuthError::Unreachable => ProblemKind::Unavailable.because(error.to_string()),
            error => {
                let problem = ProblemKind::Unauthenticated.because(error.to_string());
                self.authentication_failed(from, problem, manage.metrics())
            }
        })
    }

    /// Counts a failed authentication of an address, and returns the problem to answer with.
    pub(super) fn authentication_failed(
        &self,
        from: Option<ClientAddress>,
        problem: Problem,
        metrics: &Metrics,
    ) -> Problem {
        self.0.failures.record(from, problem, metrics)
    }

    /// Logs summaries of failed authentications. Never returns.
    pub async fn log_failed_authentications(&self) {
        self.0.failures.log_summaries(SUMMARY_PERIOD).await;
    }

    /// Logs the failed authentications since the last summary.
    pub fn flush_failed_authentications(&self) {
        self.0.failures.log_summary();
    }
}

/// Returns the token of an `Authorization` header (RFC 6750, section 2.1).
fn bearer_token(authorization: &HeaderValue) -> Option<&str> {
    let (scheme, token) = authorization.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}
