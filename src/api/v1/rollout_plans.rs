//! Parsing of rollouts that are requested.

use crate::{
    api::{model::NewRollout, refuse::field},
    domain::rollout::{id::RolloutId, preset::Preset},
    http::problem::Problem,
    manage::commands::rollouts::{NamedPreset, RolloutPlan},
};

/// Parses what of a requested rollout does not depend on the time.
pub(super) fn plan(new: &NewRollout) -> Result<RolloutPlan, Problem> {
    parse_plan(new, field)
}

/// Parses a rollout that is requested together with its release. Errors name its fields within the request.
pub(super) fn plan_within(part: &str, new: &NewRollout) -> Result<RolloutPlan, Problem> {
    let invalid = |name: &str, message: String| field(&format!("{part}{name}"), message);
    if new.before.is_some() {
        return Err(invalid("before", "is not allowed here: the rollouts are in their order".into()));
    }
    parse_plan(new, invalid)
}

fn parse_plan(new: &NewRollout, invalid: impl Fn(&str, String) -> Problem) -> Result<RolloutPlan, Problem> {
    let preset = |name: &str| {
        let names = || Preset::ALL.iter().map(|preset| preset.as_str()).collect::<Vec<_>>().join(", ");
        let unknown = || format!("must be one of {} or a preset of the product, is {name:?}", names());
        NamedPreset::from_name(name).ok_or_else(|| invalid("preset", unknown()))
    };
    let preset = new.preset.as_deref().map(preset).transpose()?;
    if preset.is_some() && new.has_ramp() {
        return Err(invalid("preset", "cannot be combined with start_share, duration, end_share or steps".into()));
    }
    let waits_for_windows = match new.freeze.as_deref() {
        None | Some("refuse") => false,
        Some("wait") => true,
        Some(other) => return Err(invalid("freeze", format!("must be \"refuse\" or \"wait\", is {other:?}"))),
    };
    Ok(RolloutPlan { document: new.to_document(), preset, waits_for_windows })
}

pub(super) fn rollout_id(name: &str, number: u32) -> Result<RolloutId, Problem> {
    RolloutId::from_number(number).ok_or_else(|| field(name, format!("is {number}, which is not the id of a rollout")))
}
