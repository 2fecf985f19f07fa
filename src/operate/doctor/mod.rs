//! Looks at everything that a service needs, and says what to do where something is wrong.
//!
//! `database`: what only a database tells; `files`: keys, certificates and the copy on disk.

mod database;
mod files;

use super::health::{self, Question};
use crate::{
    auth::{Issuers, SigningKey},
    clock::SharedClock,
    config::Settings,
    store::{Access, Store},
};
use std::{error::Error, fmt};

/// How something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Grade {
    /// As it should be.
    Ok,
    /// It works, for now.
    Warn,
    /// It does not work.
    Fail,
}

/// What was looked at, and what was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What was looked at.
    pub what: &'static str,
    /// How it is.
    pub grade: Grade,
    /// What was found.
    pub found: String,
    /// What to do about it.
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

impl fmt::Display for Finding {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { what, grade, found, advice } = self;
        let grade = match grade {
            Grade::Ok => "ok",
            Grade::Warn => "warn",
            Grade::Fail => "FAIL",
        };
        write!(formatter, "{grade:<5} {what}: {found}")?;
        if advice.is_empty() { Ok(()) } else { write!(formatter, "\n      to do: {advice}") }
    }
}

/// Looks at everything. The settings are validated ones.
pub async fn examine(settings: &Settings, clock: &SharedClock) -> Vec<Finding> {
    let mut findings = vec![Finding::ok("settings", "they can be read, and fit together")];
    findings.extend(files::streams(settings));
    findings.push(files::data_dir(settings));
    let (file, key) = files::signing_key(settings);
    findings.push(file);
    let mut installation = None;
    if settings.database.url.is_none() && !settings.data_dir.join("postgres").exists() {
        findings.push(Finding::warn(
            "database",
            "there is no private PostgreSQL yet, and database.url names no other",
            "`lockkeeper serve` makes one; replicas need database.url",
        ));
    } else {
        match Access::open(&settings.database, &settings.data_dir).await {
            Err(error) => {
                findings.push(Finding::fail("database", chain(&error), "mend database.url, or the private PostgreSQL"));
            }
            Ok(access) => {
                findings.extend(of_store(settings, access.store(), clock, key.as_ref(), &mut installation).await);
                if let Err(error) = access.close().await {
                    findings.push(Finding::warn(
                        "database",
                        chain(&error),
                        "see whether another PostgreSQL runs below data_dir",
                    ));
                }
            }
        }
    }
    findings.push(files::copy(settings, installation.as_deref(), clock.now()));
    findings.extend(files::certificate(settings, clock.now()));
    findings.extend(issuers(settings, clock).await);
    findings.extend(collector(settings).await);
    findings.push(reachability(settings).await);
    findings
}

async fn of_store(
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
            let advice = "start it, and see that database.url and its password are right and that nothing is between";
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
    findings.push(database::word(settings, store, &server).await);
    findings.extend(database::streams(store, installation).await);
    if let Some(key) = key {
        findings.push(database::signing_key(key, store).await);
    }
    findings.push(database::tokens(store, clock).await);
    findings
}

async fn issuers(settings: &Settings, clock: &SharedClock) -> Vec<Finding> {
    const WHAT: &str = "issuer";
    let advice = "see that this machine reaches it over https, and that auth.issuers names it to the letter";
    let issuers = match Issuers::of(&settings.auth, clock) {
        Ok(issuers) => issuers,
        Err(error) => return vec![Finding::fail(WHAT, chain(&error), "mend auth.issuers")],
    };
    let tell = |(name, keys): (String, Result<usize, String>)| match keys {
        Ok(0) => Finding::fail(WHAT, format!("{name} shows no key that could be used"), advice),
        Ok(count) => Finding::ok(WHAT, format!("{name} shows {count} keys")),
        Err(problem) => Finding::fail(WHAT, format!("{name}: {problem}"), advice),
    };
    issuers.probe().await.into_iter().map(tell).collect()
}

async fn collector(settings: &Settings) -> Option<Finding> {
    const WHAT: &str = "collector";
    let otlp = settings.telemetry.otlp()?;
    let endpoint = nameless(&otlp.endpoint);
    let advice = "see that a collector takes OTLP over HTTP there; nothing else waits for it";
    Some(match otlp.probe().await {
        Ok(status) if status < 400 => Finding::ok(WHAT, format!("{endpoint} takes what is sent")),
        // Who may send is said in OTEL_EXPORTER_OTLP_HEADERS, which only what sends knows.
        Ok(401 | 403) => Finding::ok(WHAT, format!("{endpoint} is there, and wants to know who sends")),
        Ok(status) => Finding::warn(WHAT, format!("{endpoint} answers {status}"), advice),
        Err(error) => Finding::warn(WHAT, chain(&error), advice),
    })
}

/// A URL without the name and password that it may have.
fn nameless(url: &str) -> String {
    let Ok(mut url) = reqwest::Url::parse(url) else { return "it".to_owned() };
    let _ = (url.set_username(""), url.set_password(None));
    url.to_string()
}

async fn reachability(settings: &Settings) -> Finding {
    const WHAT: &str = "service";
    match health::ask(settings, Question::Ready).await {
        Ok((true, _)) => Finding::ok(WHAT, "it runs, and is ready"),
        Ok((false, said)) => Finding::fail(WHAT, format!("it runs, and is not ready: {}", said.trim()), "see its log"),
        Err(error) => Finding::warn(WHAT, chain(&error), "start it, if it should run on this machine"),
    }
}

/// An error and what lies below it, in one line.
fn chain(error: &dyn Error) -> String {
    let (mut told, mut below) = (vec![error.to_string()], error.source());
    while let Some(error) = below {
        told.push(error.to_string());
        below = error.source();
    }
    told.join(": ")
}
