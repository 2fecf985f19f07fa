//! Checks of files and folders: the data directory, keys, the snapshot, the certificate.

use super::{Finding, chain};
use crate::{
    auth::SigningKey,
    catalog::{LocalStopFile, SnapshotStore},
    config::Settings,
    http::certificate::certified,
};
use jiff::{SignedDuration, Timestamp};
use std::path::Path;

/// The free disk space below which there is a warning.
const MIN_FREE_BYTES: u64 = 256 << 20;
/// The remaining lifetime of a certificate that causes a warning.
const SOON: SignedDuration = SignedDuration::from_hours(21 * 24);
/// The age of a snapshot that causes a warning, since it is of little use in an outage.
const OLD: SignedDuration = SignedDuration::from_hours(1);

pub(super) fn streams(settings: &Settings) -> Option<Finding> {
    const WHAT: &str = "streams_dir";
    let folder = settings.streams_dir.as_ref()?;
    Some(match std::fs::read_dir(folder) {
        Ok(_) => Finding::ok(WHAT, folder.display().to_string()),
        Err(error) => {
            let found = format!("{}: {error}", folder.display());
            Finding::fail(WHAT, found, "set it to a folder of stream documents, or remove the setting")
        }
    })
}

pub(super) fn data_dir(settings: &Settings) -> Finding {
    const WHAT: &str = "data_dir";
    let folder = &settings.data_dir;
    if !folder.exists() {
        let found = format!("{} does not exist", folder.display());
        return Finding::warn(WHAT, found, "correct the setting, or start the service, which creates the folder");
    }
    match rustix::fs::statvfs(folder) {
        Err(error) => {
            Finding::fail(WHAT, format!("{}: {error}", folder.display()), "check that this account can access it")
        }
        Ok(_) if !is_writable(folder) => Finding::warn(
            WHAT,
            format!("{} is not writable", folder.display()),
            "make this account its owner; without it, no snapshot is saved",
        ),
        Ok(disk) => {
            let free = disk.f_bavail.saturating_mul(disk.f_frsize);
            let found = format!("{}, {} MiB free", folder.display(), free >> 20);
            if free < MIN_FREE_BYTES { Finding::warn(WHAT, found, "free disk space") } else { Finding::ok(WHAT, found) }
        }
    }
}

/// Checks the signing key, if tokens are created on this machine.
pub(super) fn signing_key(settings: &Settings) -> (Finding, Option<SigningKey>) {
    const WHAT: &str = "signing key";
    let path = settings.auth.signing_key(&settings.data_dir);
    if !path.exists() {
        let found = format!("none at {}: no tokens are created on this machine", path.display());
        return (Finding::ok(WHAT, found), None);
    }
    match SigningKey::open(&path) {
        Ok(key) => (Finding::ok(WHAT, format!("{} is usable", path.display())), Some(key)),
        Err(error) => {
            (Finding::fail(WHAT, chain(&error), "repair it, or move it away, and a new key is created"), None)
        }
    }
}

/// Reports the local stop of this data directory.
pub(super) fn local_stop(settings: &Settings) -> Option<Finding> {
    const WHAT: &str = "local stop";
    let file = LocalStopFile::below(&settings.data_dir);
    match file.read() {
        Ok(None) => None,
        Ok(Some(stop)) => {
            let since = stop.since.map(|since| format!(" since {since}")).unwrap_or_default();
            let found = format!("nothing is offered{since}: {}", stop.reason);
            Some(Finding::warn(WHAT, found, "lift it when the emergency is over: `lockkeeper stop --local --lift`"))
        }
        Err(error) => Some(Finding::fail(WHAT, chain(&error), "check that this account can read the file")),
    }
}

fn is_writable(folder: &Path) -> bool {
    rustix::fs::access(folder, rustix::fs::Access::WRITE_OK).is_ok()
}

pub(super) fn snapshot(settings: &Settings, installation: Option<&str>, now: Timestamp) -> Finding {
    const WHAT: &str = "snapshot";
    let folder = settings.data_dir.join("catalog");
    if !settings.catalog.keep_snapshot || !folder.exists() {
        return Finding::ok(WHAT, "not used");
    }
    let advice = "start the service, which saves a new one";
    match SnapshotStore::open(&folder).and_then(|store| store.read()) {
        Err(error) => Finding::warn(WHAT, chain(&error), advice),
        Ok(None) => Finding::ok(WHAT, "none saved yet"),
        Ok(Some(snapshot)) if installation.is_some_and(|expected| expected != snapshot.installation) => {
            Finding::warn(WHAT, "it belongs to another database", advice)
        }
        Ok(Some(snapshot)) => {
            let age = now.duration_since(snapshot.last_contact_at);
            let seconds = age.as_secs();
            let found = format!("{} streams, {seconds} s old", snapshot.states.len());
            if age > OLD { Finding::warn(WHAT, found, advice) } else { Finding::ok(WHAT, found) }
        }
    }
}

pub(super) fn certificate(settings: &Settings, now: Timestamp) -> Option<Finding> {
    const WHAT: &str = "certificate";
    let (certificate, key) = settings.tls.files()?;
    let certified = match certified(certificate, key) {
        Ok(certified) => certified,
        Err(error) => return Some(Finding::fail(WHAT, chain(&error), "correct tls.certificate and tls.key")),
    };
    let Some(end) = certified.expires_at.and_then(|at| Timestamp::from_second(at).ok()) else {
        return Some(Finding::ok(WHAT, "it matches its key"));
    };
    let (found, advice) = (format!("valid until {end}"), "replace the file: it is reloaded automatically");
    Some(match end.duration_since(now) {
        remaining if remaining.is_negative() => Finding::fail(WHAT, format!("expired {end}"), advice),
        remaining if remaining < SOON => Finding::warn(WHAT, found, advice),
        _ => Finding::ok(WHAT, found),
    })
}
