//! Replaces streams by documents.

use super::known_payloads::{named_payloads, upstream_aliases};
use crate::{
    domain::{
        document::Problem,
        duration::Minutes,
        ids::StreamId,
        origin::Origin,
        release::ReleaseState,
        rollout::{Rollout, ramp::Course, step::StepGate},
        stream::Stream,
    },
    manage::{
        command::{Command, Need, Next, Present, Provenance, Reads},
        refusal::Refusal,
        request::Action,
    },
};
use std::collections::BTreeMap;

/// Replaces a stream by a document, or creates it.
#[derive(Debug, Clone)]
pub struct PutDocument {
    /// What the document says.
    pub written: Stream,
}

impl Command for PutDocument {
    fn action(&self) -> Action {
        Action::PUT_DOCUMENT
    }

    fn target(&self) -> &StreamId {
        &self.written.id
    }

    /// A document that creates a stream, or changes its settings, requires the role for that.
    fn needs(&self, present: &Present<'_>) -> Option<Need> {
        let changes_settings = present.stream.is_none_or(|before| {
            before.arches != self.written.arches
                || before.mirrors != self.written.mirrors
                || before.rules != self.written.rules
                || before.protection != self.written.protection
                || before.default_rollout != self.written.default_rollout
                || before.follow != self.written.follow
                || before.description != self.written.description
                || base_settings(before) != base_settings(&self.written)
        });
        changes_settings.then_some(Need { role: Action::SET_STREAM.role, why: None })
    }

    fn reads(&self) -> Reads {
        Reads::for_base(self.written.base.as_deref())
    }

    fn apply(&self, present: &Present<'_>) -> Result<Next, Refusal> {
        let written = with_recorded_base(present.stream, self.written.clone());
        let Some(before) = present.stream else { return Ok(written.into()) };
        let problems = rollout_problems(before, &written);
        if problems.is_empty() { Ok(with_upstream_aliases(before, &written).into()) } else { Err(problems.into()) }
    }
}

/// Creates a stream from a document of the first start.
#[derive(Debug, Clone)]
pub struct StartStream {
    /// What the document says.
    pub written: Stream,
}

impl Command for StartStream {
    fn action(&self) -> Action {
        Action::CHANGE_STREAM
    }

    fn target(&self) -> &StreamId {
        &self.written.id
    }

    fn provenance(&self) -> Provenance<'_> {
        Provenance::Recorded
    }

    fn reads(&self) -> Reads {
        Reads::for_base(self.written.base.as_deref())
    }

    fn apply(&self, _: &Present<'_>) -> Result<Next, Refusal> {
        Ok(with_recorded_base(None, self.written.clone()).into())
    }
}

fn base_settings(stream: &Stream) -> Option<(&StreamId, Option<Minutes>)> {
    stream.base.as_ref().map(|base| (&base.stream, base.lag))
}

/// Returns what a document says, with what was recorded about its base instead of what the document says about that.
fn with_recorded_base(present: Option<&Stream>, mut written: Stream) -> Stream {
    if let Some(base) = &mut written.base {
        let known = present.and_then(|present| present.base.as_ref()).filter(|known| known.stream == base.stream);
        base.policies = known.map(|known| known.policies.clone()).unwrap_or_default();
    }
    written
}

/// Finds ids of rollouts that were removed, and gates that the document lets rollouts pass: what waited at a gate would count as time of
/// the plan, and all later steps would open at once.
fn rollout_problems(present: &Stream, written: &Stream) -> Vec<Problem> {
    let known: BTreeMap<_, _> = present.identified().into_iter().collect();
    let mut problems = Vec::new();
    for (index, (identity, release)) in written.identified().iter().enumerate() {
        let Some(before) = known.get(identity) else { continue };
        for (number, rollout) in release.rollouts.iter().enumerate() {
            let mut add = |field: &str, message: String| {
                problems.push(Problem { path: format!("releases[{index}].rollouts[{number}].{field}"), message });
            };
            let id = rollout.id;
            let is_known = before.rollouts.iter().any(|known| known.id == id);
            if !id.is_new() && id <= before.last_rollout_id && !is_known {
                add("id", format!("{id} is the id of a rollout that was removed; leave it out, to get a new one"));
            }
            let mut continued = before
                .rollouts
                .iter()
                .filter(|known| known.selector == rollout.selector && (id.is_new() || known.id == id));
            if continued.any(|known| passes_gate(known, rollout)) {
                add(
                    "steps",
                    "let the rollout pass a gate at which it has not been let pass; advance it instead".into(),
                );
            }
        }
    }
    problems
}

/// Returns true if a rollout has passed a gate that is closed in its known state.
fn passes_gate(known: &Rollout, rollout: &Rollout) -> bool {
    let (Course::Steps(before), Course::Steps(after)) = (&known.ramp.course, &rollout.ramp.course) else {
        return false;
    };
    before.iter().zip(after).any(|(before, after)| (before.gate, after.gate) == (StepGate::Closed, StepGate::Passed))
}

/// Returns what a document says, with upstream's aliases of published releases if it omits them: nodes may run those payloads, and no
/// later import would add them again.
fn with_upstream_aliases(present: &Stream, written: &Stream) -> Stream {
    let known: BTreeMap<_, _> = present.identified().into_iter().collect();
    let before: Vec<_> = written.identified().iter().map(|(identity, _)| known.get(identity).copied()).collect();
    let mut stream = written.clone();
    let named = named_payloads(&stream);
    for (release, before) in stream.releases.iter_mut().zip(before) {
        let Some(before) = before.filter(|before| before.state != ReleaseState::Draft) else { continue };
        for (key, id) in upstream_aliases(before) {
            if !named.contains(&(key.clone(), id.clone())) {
                release.aliases.entry(key.clone()).or_default().insert(id.clone(), Origin::Upstream);
            }
        }
    }
    stream
}

#[cfg(test)]
#[path = "documents_tests.rs"]
mod tests;
