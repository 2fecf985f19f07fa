//! Files and folders: where data is kept, the copy on disk, the certificate.

use super::{Finding, chain};
use crate::{auth::SigningKey, catalog::DiskCopy, config::Settings, http::certificate::certified};
use jiff::{SignedDuration, Timestamp};
use std::path::Path;

/// Less than this makes trouble soon.
const LEAST_ROOM: u64 = 256 << 20;
/// When somebody should think of a new certificate.
const SOON: SignedDuration = SignedDuration::from_hours(21 * 24);
/// A copy that is older than this is of little use in an outage.
const OLD: SignedDuration = SignedDuration::from_hours(1);

pub(super) fn streams(settings: &Settings) -> Option<Finding> {
    const WHAT: &str = "streams_dir";
    let folder = settings.streams_dir.as_ref()?;
    Some(match std::fs::read_dir(folder) {
        Ok(_) => Finding::ok(WHAT, folder.display().to_string()),
        Err(error) => {
            let found = format!("{}: {error}", folder.display());
            Finding::fail(WHAT, found, "name a folder of stream documents, or leave the setting out")
        }
    })
}

pub(super) fn data_dir(settings: &Settings) -> Finding {
    const WHAT: &str = "data_dir";
    let folder = &settings.data_dir;
    if !folder.exists() {
        let found = format!("{} is not there", folder.display());
        return Finding::warn(WHAT, found, "mend the setting, or start the service: it makes the folder");
    }
    match rustix::fs::statvfs(folder) {
        Err(error) => Finding::fail(WHAT, format!("{}: {error}", folder.display()), "see that this account may use it"),
        Ok(_) if !is_writable(folder) => Finding::warn(
            WHAT,
            format!("{} cannot be written to", folder.display()),
            "make it this account's own; no copy of what is served is kept",
        ),
        Ok(disk) => {
            let room = disk.f_bavail.saturating_mul(disk.f_frsize);
            let found = format!("{}, {} MiB are free", folder.display(), room >> 20);
            if room < LEAST_ROOM { Finding::warn(WHAT, found, "make room") } else { Finding::ok(WHAT, found) }
        }
    }
}

/// What tokens are signed with, where they are given here.
pub(super) fn signing_key(settings: &Settings) -> (Finding, Option<SigningKey>) {
    const WHAT: &str = "signing key";
    let path = settings.auth.signing_key(&settings.data_dir);
    if !path.exists() {
        let found = format!("none at {}: tokens are given elsewhere, or will be", path.display());
        return (Finding::ok(WHAT, found), None);
    }
    match SigningKey::open(&path) {
        Ok(key) => (Finding::ok(WHAT, format!("{} can be used", path.display())), Some(key)),
        Err(error) => (Finding::fail(WHAT, chain(&error), "mend it, or move it away: a new one is made"), None),
    }
}

fn is_writable(folder: &Path) -> bool {
    rustix::fs::access(folder, rustix::fs::Access::WRITE_OK).is_ok()
}

pub(super) fn copy(settings: &Settings, installation: Option<&str>, now: Timestamp) -> Finding {
    const WHAT: &str = "copy on disk";
    let folder = settings.data_dir.join("catalog");
    if !settings.catalog.keep_copy || !folder.exists() {
        return Finding::ok(WHAT, "none is kept here");
    }
    let advice = "start the service: it makes a new one";
    match DiskCopy::open(&folder).and_then(|copy| copy.read()) {
        Err(error) => Finding::warn(WHAT, chain(&error), advice),
        Ok(None) => Finding::ok(WHAT, "none was made yet"),
        Ok(Some(kept)) if installation.is_some_and(|ours| ours != kept.installation) => {
            Finding::warn(WHAT, "it is of another store", advice)
        }
        Ok(Some(kept)) => {
            let age = now.duration_since(kept.heard_at);
            let seconds = age.as_secs();
            let found = format!("{} streams, as they were {seconds} s ago", kept.states.len());
            if age > OLD { Finding::warn(WHAT, found, advice) } else { Finding::ok(WHAT, found) }
        }
    }
}

pub(super) fn certificate(settings: &Settings, now: Timestamp) -> Option<Finding> {
    const WHAT: &str = "certificate";
    let (certificate, key) = settings.tls.files()?;
    let certified = match certified(certificate, key) {
        Ok(certified) => certified,
        Err(error) => return Some(Finding::fail(WHAT, chain(&error), "mend tls.certificate and tls.key")),
    };
    let Some(end) = certified.expires_at.and_then(|at| Timestamp::from_second(at).ok()) else {
        return Some(Finding::ok(WHAT, "it goes with its key"));
    };
    let (found, advice) = (format!("good until {end}"), "put a new one in its place: it is read again by itself");
    Some(match end.duration_since(now) {
        left if left.is_negative() => Finding::fail(WHAT, format!("expired {end}"), advice),
        left if left < SOON => Finding::warn(WHAT, found, advice),
        _ => Finding::ok(WHAT, found),
    })
}
