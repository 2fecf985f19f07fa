//! Checks everything that the service needs, and gives advice where something is wrong.
//!
//! `database`: the database and its content; `files`: keys, certificates and the snapshot; `limits`: limits on clients.

mod database;
mod files;
mod limits;

use super::health::{self, Probe};
use crate::{
    auth::{Issuers, SigningKey},
    clock::SharedClock,
    config::Settings,
    store::{Access, Store},
};
use std::error::Error;

/// The result of a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Grade {
    /// Everything is fine.
    Ok,
    /// It works for now, but needs attention.
    Warn,
    /// It does not work.
    Fail,
}

impl Grade {
    /// Returns the name that is printed.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warn => "warn",
            Self::Fail => "FAIL",
        }
    }
}

/// A check and its result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What was checked.
    pub what: &'static str,
    /// The grade.
    pub grade: Grade,
    /// What was found.
    pub found: String,
    /// What to do about it; empty if everything is fine.
    pub advice: String,
}

impl Finding {
    fn ok(what: &'static str, found: impl Into<String>) -> Self {
        Self { what, grade: Grade::Ok, found: found.into(), advice: String::new() }
    }

    fn warn(what: &'static str, found: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { what, grade: Grade::Warn, found: found.into(), advice: advice.into() }
    }

    fn fail(what: &'static str, found: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { what, grade: Grade::Fail, found: found.into(), advice: advice.into() }
    }
}

/// Runs all checks with validated settings.
pub async fn examine(settings: &Settings, clock: &SharedClock) -> Vec<Finding> {
    let mut findings = vec![Finding::ok("settings", "valid")];
    findings.push(limits::connections(settings));
    findings.extend(files::streams(settings));
    findings.push(files::data_dir(settings));
    let (file, key) = files::signing_key(settings);
    findings.push(file);
    let mut installation = None;
    if settings.database.url.is_none() && !settings.data_dir.join("postgres").exists() {
        findings.push(Finding::warn(
            "database",
            "there is no private PostgreSQL yet, and database.url is not set",
            "start `lockkeeper serve`, which creates one; replicas need database.url",
        ));
    } else {
        match Access::open(&settings.database, &settings.data_dir).await {
            Err(error) => {
                findings.push(Finding::fail(
                    "database",
                    chain(&error),
                    "correct database.url, or repair the private PostgreSQL",
                ));
            }
            Ok(access) => {
                findings.extend(check_store(settings, access.store(), clock, key.as_ref(), &mut installation).await);
                if let Err(error) = access.close().await {
                    findings.push(Finding::warn(
                        "database",
                        chain(&error),
                        "check whether another PostgreSQL runs below data_dir",
                    ));
                }
            }
        }
    }
    findings.push(files::snapshot(settings, installation.as_deref(), clock.now()));
    findings.extend(files::certificate(settings, clock.now()));
    findings.extend(files::local_stop(settings));
    findings.extend(issuers(settings, clock).await);
    findings.extend(collector(settings).await);
    findings.push(reachability(settings).await);
    findings
}

async fn check_store(
    settings: &Settings,
    store: &Store,
    clock: &SharedClock,
    key: Option<&SigningKey>,
    installation: &mut Option<String>,
) -> Vec<Finding> {
    let mut findings = Vec::new();
    let server = match store.server_settings().await {
        Ok(server) => server,
        Err(error) => {
            let advice = "start the database, and check database.url, its password and the network path";
            return vec![Finding::fail("database", chain(&error), advice)];
        }
    };
    findings.push(database::server(&server, settings));
    let schema = database::schema(store).await;
    let is_usable = schema.grade != Grade::Fail;
    findings.push(schema);
    if !is_usable {
        return findings;
    }
    findings.push(database::clock(store, clock).await);
    findings.push(database::notifications(settings, store, &server).await);
    findings.extend(database::streams(store, installation).await);
    findings.extend(database::stops(store).await);
    findings.extend(database::images(store).await);
    findings.extend(database::follows(store).await);
    findings.extend(database::signing_keys(key, store, clock).await);
    findings.push(database::tokens(store, clock).await);
    findings
}

async fn issuers(settings: &Settings, clock: &SharedClock) -> Vec<Finding> {
    const WHAT: &str = "issuer";
    let advice = "check that this machine reaches it over https, and that auth.issuers has its exact name";
    let issuers = match Issuers::new(&settings.auth, clock) {
        Ok(issuers) => issuers,
        Err(error) => return vec![Finding::fail(WHAT, chain(&error), "correct auth.issuers")],
    };
    let to_finding = |(name, keys): (String, Result<usize, String>)| match keys {
        Ok(0) => Finding::fail(WHAT, format!("{name} publishes no usable key"), advice),
        Ok(count) => Finding::ok(WHAT, format!("{name} publishes {count} usable keys")),
        Err(problem) => Finding::fail(WHAT, format!("{name}: {problem}"), advice),
    };
    issuers.probe().await.into_iter().map(to_finding).collect()
}

async fn collector(settings: &Settings) -> Option<Finding> {
    const WHAT: &str = "collector";
    let otlp = settings.telemetry.otlp()?;
    let endpoint = without_credentials(&otlp.endpoint);
    let advice = "check that a collector accepts OTLP over HTTP there; serving does not depend on it";
    Some(match otlp.probe().await {
        Ok(status) if status < 300 => Finding::ok(WHAT, format!("{endpoint} accepts telemetry")),
        // The credentials in OTEL_EXPORTER_OTLP_HEADERS are used only by the exporters, not by this probe.
        Ok(401 | 403) => Finding::ok(WHAT, format!("{endpoint} responds, and requires credentials")),
        Ok(status) => Finding::warn(WHAT, format!("{endpoint} answered {status}"), advice),
        Err(error) => Finding::warn(WHAT, chain(&error), advice),
    })
}

/// Returns a URL without a user name and password.
fn without_credentials(url: &str) -> String {
    let Ok(mut url) = reqwest::Url::parse(url) else { return "the collector".to_owned() };
    let _ = (url.set_username(""), url.set_password(None));
    url.to_string()
}

async fn reachability(settings: &Settings) -> Finding {
    const WHAT: &str = "service";
    match health::probe(settings, Probe::Ready).await {
        Ok((true, _)) => Finding::ok(WHAT, "running and ready"),
        Ok((false, body)) => Finding::fail(WHAT, format!("running, but not ready: {}", body.trim()), "check its log"),
        Err(error) => Finding::warn(WHAT, chain(&error), "start it if it should run on this machine"),
    }
}

/// Formats an error and its causes as one line.
fn chain(error: &dyn Error) -> String {
    let (mut messages, mut source) = (vec![error.to_string()], error.source());
    while let Some(error) = source {
        messages.push(error.to_string());
        source = error.source();
    }
    messages.join(": ")
}
