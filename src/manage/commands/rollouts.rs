//! Creates, replaces and deletes rollouts.

use crate::{
    domain::{
        document::{parts, shape::RolloutDocument},
        ids::StreamId,
        origin::Origin,
        product_preset::{PresetName, PresetRollout, names as preset_names},
        release::{PolicyKind, Release, ReleaseState},
        rollout::{Rollout, id::RolloutId, preset::Preset},
    },
    manage::{
        address::{ReleaseAddress, RolloutAddress},
        command::{Command, Next, Present},
        refusal::Refusal,
        request::Action,
    },
};
use std::collections::BTreeSet;

/// A rollout as it is requested.
#[derive(Debug, Clone)]
pub struct RolloutPlan {
    /// The selector and the ramp. Without a start, the rollout starts at the time of the command.
    pub document: RolloutDocument,
    /// The preset to use instead of the document's ramp, or of its ramp and selector.
    pub preset: Option<NamedPreset>,
    /// If true, a start or step that would fall into a freeze window waits for its end; otherwise the command is refused, unless the rollouts
    /// of the preset wait.
    pub waits_for_windows: bool,
}

/// A preset as it is named in a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NamedPreset {
    /// A ramp of the service, for the nodes that the request selects.
    Ramp(Preset),
    /// A preset of the product, which has one or more rollouts.
    OfProduct(PresetName),
}

impl NamedPreset {
    /// Parses the name of a preset. Whether the product has it is known when the command is carried out.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        let of_product = || PresetName::parse(name).ok().map(Self::OfProduct);
        Preset::from_name(name).map(Self::Ramp).or_else(of_product)
    }
}

impl RolloutPlan {
    /// Plans rollouts by a preset, which start at the time of the command.
    #[must_use]
    pub fn from_preset(preset: NamedPreset) -> Self {
        Self { document: RolloutDocument::default(), preset: Some(preset), waits_for_windows: false }
    }

    /// Returns true if a preset of the product replaces the plan.
    pub(super) fn uses_presets(&self) -> bool {
        matches!(self.preset, Some(NamedPreset::OfProduct(_)))
    }

    /// Builds the rollouts: one, or those of a preset of the product, in their order.
    pub(super) fn rollouts(&self, present: &Present<'_>) -> Result<Vec<Rollout>, Refusal> {
        let (stream, now) = (present.existing()?, present.now);
        let start = self.document.start.clone().unwrap_or_else(|| now.to_string());
        let rollout = parts::rollout(&RolloutDocument { start: Some(start), ..self.document.clone() })?;
        let placed = |rollout: Rollout, waits_for_windows: bool| {
            let rollout = if waits_for_windows {
                // A start at `now` is still ahead: the rollout has not opened yet.
                rollout.delayed_past(&stream.protection.freeze_windows, now.plus_seconds(-1))
            } else {
                rollout
            };
            let ramp = rollout.ramp.with_closed_gates();
            Rollout { origin: Origin::Local, ramp, ..rollout }
        };
        let start = rollout.ramp.start();
        let rollouts = match &self.preset {
            None => vec![placed(rollout, self.waits_for_windows)],
            Some(NamedPreset::Ramp(named)) => {
                vec![placed(rollout.with_plan(named.ramp(start)), self.waits_for_windows)]
            }
            Some(NamedPreset::OfProduct(name)) => {
                let known = &present.read.presets;
                let unknown = || format!("must be one of {}, is {:?}", preset_names(known), name.as_str());
                let found = known.get(name).ok_or_else(|| Refusal::field("preset", unknown()))?;
                if self.document.selector.is_some() {
                    let message =
                        "cannot be combined with a preset of the product, whose rollouts have their own selectors";
                    return Err(Refusal::field("selector", message));
                }
                let waits = |planned: &PresetRollout| self.waits_for_windows || planned.waits_for_windows;
                found.rollouts.iter().map(|planned| placed(planned.starting_at(start), waits(planned))).collect()
            }
        };
        Ok(rollouts)
    }
}

/// Inserts new rollouts into a release, in their order, and gives them the next ids. Returns the id of the first one.
pub(super) fn insert_rollouts(release: &mut Release, index: usize, rollouts: Vec<Rollout>) -> Option<RolloutId> {
    let numbered: Vec<Rollout> =
        rollouts.into_iter().map(|rollout| Rollout { id: release.next_rollout_id(), ..rollout }).collect();
    let first = numbered.first().map(|rollout| rollout.id);
    release.rollouts.splice(index..index, numbered);
    first
}

/// Adds a rollout to a release, as the last one or before another one.
#[derive(Debug, Clone)]
pub struct CreateRollout {
    /// The release.
    pub release: ReleaseAddress,
    /// The rollout.
    pub plan: RolloutPlan,
    /// The rollout before which it is inserted. Default: after all others.
    pub before: Option<RolloutId>,
}

impl Command for CreateRollout {
    fn action(&self) -> Action {
        Action::CREATE_ROLLOUT
    }

    fn target(&self) -> &StreamId {
        &self.release.stream
    }

    fn uses_presets(&self) -> bool {
        self.plan.uses_presets()
    }

    fn apply(&self, present: &Present<'_>) -> Result<Next, Refusal> {
        let mut stream = present.existing()?.clone();
        let release = self.release.find(&mut stream)?;
        let index = match self.before {
            None => release.rollouts.len(),
            Some(before) => {
                let found = release.rollouts.iter().position(|rollout| rollout.id == before);
                found
                    .ok_or_else(|| Refusal::field("before", format!("is {before}, which the release does not have")))?
            }
        };
        let first = insert_rollouts(release, index, self.plan.rollouts(present)?);
        release.suppressed_upstream.remove(&PolicyKind::Rollouts);
        Ok(Next { created: first.map(|id| id.to_string()), ..Next::from(stream) })
    }
}

/// Replaces a rollout that has not started. A started rollout changes by its actions only.
#[derive(Debug, Clone)]
pub struct ReplaceRollout {
    /// The rollout.
    pub rollout: RolloutAddress,
    /// The new rollout.
    pub plan: RolloutPlan,
}

impl Command for ReplaceRollout {
    fn action(&self) -> Action {
        Action::SET_ROLLOUT
    }

    fn target(&self) -> &StreamId {
        &self.rollout.release.stream
    }

    fn uses_presets(&self) -> bool {
        self.plan.uses_presets()
    }

    fn apply(&self, present: &Present<'_>) -> Result<Next, Refusal> {
        let before = present.existing()?;
        let mut stream = before.clone();
        let release = self.rollout.release.find(&mut stream)?;
        let is_draft = release.state == ReleaseState::Draft;
        let rollout = self.rollout.find(&mut release.rollouts)?;
        // A completed or aborted rollout stays so, even before its start.
        let is_waiting = rollout.is_live() && !rollout.is_open(before.plan_time(present.now));
        if !is_draft && !is_waiting {
            let detail = "has started or ended: pause, hold, advance, accelerate, complete or abort it instead";
            return Err(Refusal::State(format!("{} {detail}", self.rollout)));
        }
        let rollouts = self.plan.rollouts(present)?;
        let [new] = <[Rollout; 1]>::try_from(rollouts).map_err(|rollouts| {
            Refusal::field("preset", format!("has {} rollouts, but replaces a single one", rollouts.len()))
        })?;
        *rollout = Rollout { id: rollout.id, ..new };
        Ok(stream.into())
    }
}

/// Deletes a rollout of a draft. Rollouts of published releases are never deleted: without one, the release could be open to all
/// nodes.
#[derive(Debug, Clone)]
pub struct RemoveRollout {
    /// The rollout.
    pub rollout: RolloutAddress,
}

impl Command for RemoveRollout {
    fn action(&self) -> Action {
        Action::REMOVE_ROLLOUT
    }

    fn target(&self) -> &StreamId {
        &self.rollout.release.stream
    }

    fn apply(&self, present: &Present<'_>) -> Result<Next, Refusal> {
        self.rollout.release.edit(present, |release| {
            let index = self.rollout.index_in(&release.rollouts)?;
            if release.state != ReleaseState::Draft {
                let detail = format!("release {} was published: abort the rollout instead", release.version);
                return Err(Refusal::State(detail));
            }
            release.rollouts.remove(index);
            Ok(())
        })
    }
}

/// Changes the order in which the rollouts of a release are tried on a node. Their ids stay.
#[derive(Debug, Clone)]
pub struct OrderRollouts {
    /// The release.
    pub release: ReleaseAddress,
    /// The ids of all its rollouts, in the new order.
    pub ids: Vec<RolloutId>,
}

impl Command for OrderRollouts {
    fn action(&self) -> Action {
        Action::ORDER_ROLLOUTS
    }

    fn target(&self) -> &StreamId {
        &self.release.stream
    }

    fn apply(&self, present: &Present<'_>) -> Result<Next, Refusal> {
        self.release.edit(present, |release| {
            let place = |rollout: &Rollout| self.ids.iter().position(|id| *id == rollout.id);
            let listed: BTreeSet<RolloutId> = self.ids.iter().copied().collect();
            let known: BTreeSet<RolloutId> = release.rollouts.iter().map(|rollout| rollout.id).collect();
            if listed != known || self.ids.len() != known.len() {
                let known: Vec<String> = known.iter().map(ToString::to_string).collect();
                let expected = format!("must list every rollout of the release once: {}", known.join(", "));
                return Err(Refusal::field("ids", expected));
            }
            release.rollouts.sort_by_key(place);
            Ok(())
        })
    }
}

#[cfg(test)]
#[path = "rollouts_tests.rs"]
mod tests;
