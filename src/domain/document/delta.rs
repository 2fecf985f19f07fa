//! What differs between two states of a stream, as revisions store it. Its size follows the change, not the stream.

use super::{
    read::{Problem, Reader, Strictness},
    shape::{ReleaseDocument, StreamDocument},
    write,
};
use crate::domain::{changes::Changes, origin::Origin, release::Release, shared::Shared, stream::Stream};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;

/// The changes from one state of a stream to the next.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeltaDocument {
    /// Everything but the releases, if any of that changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    settings: Option<StreamDocument>,
    /// The releases of the later state, oldest first.
    releases: Vec<DeltaPart>,
}

/// Consecutive releases of the later state.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum DeltaPart {
    /// Releases of the earlier state: the index of the first one, and their number.
    Keep(usize, usize),
    /// A release that was added or changed, with the origin of every value.
    Set(Box<ReleaseDocument>),
}

impl Stream {
    /// Returns the changes from another state to this one.
    #[must_use]
    pub fn delta_from(&self, before: &Self) -> DeltaDocument {
        let changes = Changes::between(before, self);
        let (first, last) = (changes.equal_first(), changes.equal_last());
        let mut parts = Parts::default();
        parts.keep(0, first);
        for pair in changes.pairs() {
            match (pair.before, pair.after) {
                (Some(before), Some(_)) if !pair.has_changed() => parts.keep(before.index, 1),
                (_, Some(after)) => parts.0.push(DeltaPart::Set(Box::new(write::release(after.release)))),
                (_, None) => {}
            }
        }
        parts.keep(before.releases.len() - last, last);
        let settings = (!have_same_settings(before, self)).then(|| self.without_releases().to_document());
        DeltaDocument { settings, releases: parts.0 }
    }

    /// Returns the state that follows this one by a delta. The stop of the product stays.
    ///
    /// # Errors
    /// Returns a problem for each invalid field, and for releases that this state does not have.
    pub fn with_delta(&self, delta: &DeltaDocument) -> Result<Self, Vec<Problem>> {
        let mut reader = Reader::new(Strictness::Recorded, Origin::Local);
        // Blocked updates name releases, which may have changed.
        let own = (delta.settings.is_none() && !self.blocked_updates.is_empty())
            .then(|| self.without_releases().to_document());
        let document = delta.settings.as_ref().or(own.as_ref());
        let settings = document.map_or_else(|| Some(self.without_releases()), |document| reader.settings(document));
        let mut releases: Vec<Shared<Release>> = Vec::with_capacity(self.releases.len() + 1);
        let earlier = self.releases_without_ids_in(delta);
        for (index, part) in delta.releases.iter().enumerate() {
            let path = format!("releases[{index}]");
            match part {
                DeltaPart::Keep(first, count) => {
                    match first.checked_add(*count).and_then(|end| self.releases.get(*first..end)) {
                        Some(kept) => releases.extend_from_slice(kept),
                        None => reader.problem(path, "names releases that the earlier state does not have"),
                    }
                }
                DeltaPart::Set(release) => {
                    let earlier = earlier.get(release.version.as_str());
                    let read = reader.release(&path, release);
                    let numbered = read.map(|read| match earlier {
                        Some(earlier) => read.numbered_after(earlier),
                        None => read,
                    });
                    releases.extend(numbered.map(Shared::from));
                }
            }
        }
        reader.check_releases(&releases);
        let blocked_updates = document.map_or(&[][..], |document| &document.blocked_updates);
        let blocked_updates = reader.blocked_updates(blocked_updates, &releases);
        let product_stop = self.product_stop.clone();
        match settings {
            Some(settings) if reader.problems().is_empty() => {
                Ok(Self { product_stop, releases, blocked_updates, ..settings })
            }
            _ => Err(reader.into_problems()),
        }
    }

    /// Returns the present releases of which a delta has rollouts without ids, by version.
    fn releases_without_ids_in(&self, delta: &DeltaDocument) -> HashMap<&str, &Release> {
        let is_new = |part: &DeltaPart| match part {
            DeltaPart::Set(release) => release.rollouts.iter().any(|rollout| rollout.id.is_none()),
            DeltaPart::Keep(..) => false,
        };
        if !delta.releases.iter().any(is_new) {
            return HashMap::new();
        }
        // Of releases with the same version, the oldest one.
        self.releases.iter().rev().map(|release| (release.version.as_str(), &**release)).collect()
    }

    /// Returns the stream without its releases.
    fn without_releases(&self) -> Self {
        Self {
            id: self.id.clone(),
            description: self.description.clone(),
            arches: self.arches.clone(),
            mirrors: self.mirrors.clone(),
            rules: self.rules,
            protection: self.protection.clone(),
            default_rollout: self.default_rollout,
            base: self.base.clone(),
            follow: self.follow.clone(),
            stop: self.stop.clone(),
            product_stop: self.product_stop.clone(),
            releases: Vec::new(),
            blocked_updates: self.blocked_updates.clone(),
            sources: self.sources.clone(),
        }
    }
}

/// Returns true if two states differ at most in their releases and in the stop of their product.
fn have_same_settings(before: &Stream, after: &Stream) -> bool {
    // Every field is named, so that a new one is not forgotten here.
    let Stream {
        id,
        description,
        arches,
        mirrors,
        rules,
        protection,
        default_rollout,
        base,
        follow,
        stop,
        product_stop: _,
        releases: _,
        blocked_updates,
        sources,
    } = before;
    (id, arches, mirrors, rules, protection)
        == (&after.id, &after.arches, &after.mirrors, &after.rules, &after.protection)
        && (description, default_rollout, base, follow, stop)
            == (&after.description, &after.default_rollout, &after.base, &after.follow, &after.stop)
        && (blocked_updates, sources) == (&after.blocked_updates, &after.sources)
}

#[derive(Default)]
struct Parts(Vec<DeltaPart>);

impl Parts {
    fn keep(&mut self, first: usize, count: usize) {
        match self.0.last_mut() {
            _ if count == 0 => {}
            Some(DeltaPart::Keep(start, length)) if *start + *length == first => *length += count,
            _ => self.0.push(DeltaPart::Keep(first, count)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{base::samples as bases, samples};
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_delta_leads_from_one_state_to_the_other(before in bases::stream(), after in bases::stream()) {
            let after = Stream { product_stop: before.product_stop.clone(), id: before.id.clone(), ..after };
            let text = serde_json::to_string(&after.delta_from(&before)).unwrap();
            let delta: DeltaDocument = serde_json::from_str(&text).unwrap();
            prop_assert_eq!(before.with_delta(&delta), Ok(after));
        }

        #[test]
        fn a_delta_holds_only_what_changed(stream in samples::stream(), at in 0usize..20) {
            let mut after = stream.clone();
            let Some(release) = after.releases.get_mut(at) else { return Ok(()) };
            release.notes = crate::domain::artifact::Notes::parse("new").ok();
            let delta = after.delta_from(&stream);
            let set = delta.releases.iter().filter(|part| matches!(part, DeltaPart::Set(_))).count();
            prop_assert!(set <= 1 && delta.releases.len() <= 3 && delta.settings.is_none(), "{:?}", delta);
            let kept = stream.with_delta(&delta).unwrap();
            prop_assert!(kept.releases.iter().zip(&stream.releases).filter(|(kept, known)| kept.is_same(known)).count() + set >= stream.releases.len());
        }
    }

    #[test]
    fn a_delta_of_another_state_is_refused() {
        let delta: DeltaDocument = serde_json::from_str(r#"{"releases":[{"keep":[0,1]}]}"#).unwrap();
        let problems = Stream::empty(samples::id()).with_delta(&delta).unwrap_err();
        assert_eq!(problems[0].to_string(), "releases[0]: names releases that the earlier state does not have");
        let delta: DeltaDocument =
            serde_json::from_str(&format!(r#"{{"releases":[{{"keep":[{},2]}}]}}"#, usize::MAX)).unwrap();
        assert!(Stream::empty(samples::id()).with_delta(&delta).is_err());
    }
}
