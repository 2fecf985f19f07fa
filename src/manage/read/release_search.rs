//! Releases by what they are: filters, and a search across streams.

use super::access::ReadError;
use crate::{
    auth::Identity,
    domain::{
        ids::{Arch, ProductName, StreamId},
        payload::PayloadId,
        release::{Release, ReleaseState},
        shared::Shared,
    },
    manage::manager::Manage,
};

/// Which releases are listed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ReleaseFilter {
    /// Only those in this state.
    pub state: Option<ReleaseState>,
    /// Only those with a payload on this arch.
    pub arch: Option<Arch>,
    /// Only those whose version begins with this text.
    pub version_prefix: String,
    /// Only those that nodes with this payload run: it is one of their payloads or aliases, or the digest of one.
    pub payload: Option<String>,
}

impl ReleaseFilter {
    /// Returns true if the filter selects a release.
    #[must_use]
    pub fn selects(&self, release: &Release) -> bool {
        self.state.is_none_or(|state| state == release.state)
            && self.arch.as_ref().is_none_or(|arch| release.payloads.keys().any(|key| key.arch == *arch))
            && release.version.as_str().starts_with(&self.version_prefix)
            && self.payload.as_ref().is_none_or(|payload| is_run_as(release, payload))
    }
}

fn is_run_as(release: &Release, payload: &str) -> bool {
    let is_it = |id: &PayloadId| {
        let digest = id.as_str().rsplit_once('@').map(|(_, digest)| digest);
        id.as_str() == payload || digest == Some(payload)
    };
    release.payloads.values().any(|payload| is_it(&payload.id))
        || release.aliases.values().any(|aliases| aliases.keys().any(is_it))
}

/// A release that a search found.
#[derive(Debug, Clone)]
pub struct FoundRelease {
    /// Its stream.
    pub stream: StreamId,
    /// Its position in the stream, which is its age index unless it is a draft.
    pub position: usize,
    /// The release.
    pub release: Shared<Release>,
}

impl Manage {
    /// Returns the releases that a filter selects in the streams that the caller may read, by stream, the newest first. All are from one state
    /// of the database.
    ///
    /// # Errors
    /// The caller may read no stream of the product, or the database failed.
    pub async fn find_releases(
        &self,
        caller: &Identity,
        product: Option<&ProductName>,
        filter: &ReleaseFilter,
    ) -> Result<Vec<FoundRelease>, ReadError> {
        let mut transaction = self.reading("find_releases").await?;
        let is_selected = |id: &StreamId| product.is_none_or(|product| *product == id.product);
        let streams = self.readable_streams(&mut transaction, caller, product, is_selected).await?;
        let found = streams.iter().flat_map(|(head, stream)| {
            let releases = stream.releases.iter().enumerate().rev();
            let selected = releases.filter(|(_, release)| filter.selects(release));
            selected.map(|(position, release)| FoundRelease {
                stream: head.id.clone(),
                position,
                release: release.clone(),
            })
        });
        Ok(found.collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manage::testing::{found, payload_id, stream};

    #[test]
    fn a_release_is_found_by_what_nodes_run() {
        let (stream, id) = (stream(), payload_id(11));
        let digest = id.as_str().rsplit_once('@').unwrap().1;
        let by = |payload: &str| {
            let filter = ReleaseFilter { payload: Some(payload.into()), ..ReleaseFilter::default() };
            let found = stream.releases.iter().filter(|release| filter.selects(release));
            found.map(|release| release.version.to_string()).collect::<Vec<_>>()
        };
        assert_eq!([by(id.as_str()), by(digest)], [["1"], ["1"]], "its alias");
        assert_eq!((by(payload_id(3).as_str()), by("quay.io/os/os"), by("")), (vec!["3".into()], vec![], vec![]));
    }

    #[test]
    fn filters_are_combined() {
        let stream = stream();
        let filter = ReleaseFilter {
            state: Some(ReleaseState::Draft),
            arch: Arch::parse("x86_64").ok(),
            ..ReleaseFilter::default()
        };
        let selected: Vec<_> = stream.releases.iter().filter(|release| filter.selects(release)).collect();
        assert_eq!(selected.len(), 1, "a draft without payloads has no arch");
        assert_eq!(&**selected[0], found(&stream, "4"));
        let other = ReleaseFilter { version_prefix: "3".into(), ..filter };
        assert!(!stream.releases.iter().any(|release| other.selects(release)));
    }
}
