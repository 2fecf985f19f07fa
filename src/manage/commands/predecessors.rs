//! Sets and removes predecessors.

use crate::{
    domain::{ids::StreamId, policy::predecessors::Predecessors},
    manage::{
        address::ReleaseAddress,
        command::{Command, Next, Present},
        refusal::Refusal,
        request::Action,
    },
};

/// Sets the releases that may update to a release, if the edge rule of the stream is `explicit`.
#[derive(Debug, Clone)]
pub struct SetPredecessors {
    /// The release.
    pub release: ReleaseAddress,
    /// The predecessors.
    pub predecessors: Predecessors,
}

impl Command for SetPredecessors {
    fn action(&self) -> Action {
        Action::SET_PREDECESSORS
    }

    fn target(&self) -> &StreamId {
        &self.release.stream
    }

    fn apply(&self, present: &Present<'_>) -> Result<Next, Refusal> {
        if let (Some(stream), version) = (present.stream, &self.release.version)
            && let Some(position) = stream.position_of(version)
        {
            let is_older = |position_of: Option<usize>| position_of.is_some_and(|older| older < position);
            let mut versions = self.predecessors.versions.iter();
            if let Some(unknown) = versions.find(|older| !is_older(stream.position_of(older))) {
                let message = format!("{unknown} is not an older release of {}", stream.id);
                return Err(Refusal::field("versions", message));
            }
        }
        self.release.edit(present, |release| {
            release.predecessors = Some(Box::new(self.predecessors.clone()));
            Ok(())
        })
    }
}

/// Removes the predecessors of a release.
#[derive(Debug, Clone)]
pub struct RemovePredecessors {
    /// The release.
    pub release: ReleaseAddress,
}

impl Command for RemovePredecessors {
    fn action(&self) -> Action {
        Action::REMOVE_PREDECESSORS
    }

    fn target(&self) -> &StreamId {
        &self.release.stream
    }

    fn apply(&self, present: &Present<'_>) -> Result<Next, Refusal> {
        self.release.edit(present, |release| {
            let no_such = || Refusal::no_such("list of predecessors", format!("on release {}", release.version));
            if release.predecessors.is_none() {
                return Err(no_such());
            }
            release.predecessors = None;
            Ok(())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        domain::{origin::Origin, release::Release},
        manage::testing::{found, next, refusal, release, stream, version},
    };

    fn set(text: &str, older: &[&str]) -> SetPredecessors {
        let versions = older.iter().map(|older| version(older)).collect();
        SetPredecessors { release: release(text), predecessors: Predecessors { versions, origin: Origin::Local } }
    }

    #[test]
    fn predecessors_replace_those_before() {
        for text in ["2", "3", "4", "5"] {
            let before = next(&set(text, &["1"]), &stream());
            let after = if text == "2" { before } else { next(&set(text, &["1", "2"]), &before) };
            let set = set(text, if text == "2" { &["1"] } else { &["1", "2"] });
            let predecessors = Some(Box::new(set.predecessors));
            assert_eq!(found(&after, text), &Release { predecessors, ..found(&stream(), text).clone() });
            let remove = RemovePredecessors { release: release(text) };
            assert_eq!(next(&remove, &after), stream());
            assert_eq!(refusal(&remove, &stream()), format!("there is no list of predecessors on release {text}"));
        }
    }

    #[test]
    fn only_older_releases_are_predecessors() {
        for (text, older, message) in [
            ("3", "9", "versions: 9 is not an older release of os/stable"),
            ("3", "3", "versions: 3 is not an older release of os/stable"),
            ("3", "4", "versions: 4 is not an older release of os/stable"),
            ("9", "1", "there is no release 9"),
        ] {
            assert_eq!(refusal(&set(text, &[older]), &stream()), message);
        }
    }
}
