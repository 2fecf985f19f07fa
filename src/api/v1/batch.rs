//! Several commands on one stream as one revision.

use super::{
    rollout_actions::further,
    rollout_plans::{plan_within, rollout_id},
};
use crate::{
    api::{
        model::{BatchModel, BatchedCommand, BatchedRollout},
        paths::{PathParams, StreamPath},
        refuse::field,
        request::UncheckedWrite,
        respond::{Answer, changed},
        state::Api,
    },
    domain::{
        document::{parts, shape::PolicyDocument},
        duration::Minutes,
        ids::{Arch, StreamId, Version},
        origin::Origin,
        policy::{barrier::Barrier, dead_end::DeadEnd},
        reason::Reason,
        rollout::share::Share,
    },
    http::problem::Problem,
    manage::{
        Action, Command, ReleaseAddress, Report, RolloutAddress,
        commands::{
            all_rollouts::{PauseRollouts, ResumeRollouts},
            batch::Batch,
            policies::{RemoveBarrier, RemoveDeadEnd, SetBarrier, SetDeadEnd},
            releases::{PublishRelease, WithdrawRelease},
            rollout_actions::{
                AbortRollout, AccelerateRollout, AdvanceRollout, CompleteRollout, HoldRollout, PauseRollout,
                RestartRollout, ResumeRollout, StartRollout,
            },
            rollouts::CreateRollout,
        },
    },
};
use axum::extract::State;
use std::collections::BTreeSet;
use utoipa_axum::{router::OpenApiRouter, routes};

/// The maximum number of commands in a batch.
const MAX_COMMANDS: usize = 100;

pub(super) fn operations() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(run_batch))
}

/// Carry out several commands on a stream as one revision: all of them, or none
///
/// Each command is applied to the state that the one before leads to. The report is about all of them together. Requires the highest role
/// that one of the commands requires. A batch lifts no emergency stop.
#[utoipa::path(post, path = "/batch", tag = "streams", params(StreamPath), request_body = BatchModel,
    responses((status = 200, description = "The commands are carried out", body = Report)))]
async fn run_batch(State(api): State<Api>, PathParams(path): PathParams<StreamPath>, write: UncheckedWrite) -> Answer {
    let stream = path.id()?;
    let write = write.authorize(Action::BATCH, &stream)?.json::<BatchModel>().await?;
    let request = write.conditional_request()?;
    let count = write.body.commands.len();
    if count == 0 || count > MAX_COMMANDS {
        return Err(field("commands", format!("must be 1 to {MAX_COMMANDS} commands, are {count}")));
    }
    let commands = write.body.commands.iter().enumerate();
    let commands = commands.map(|(index, command)| Position { stream: &stream, index }.command(command));
    let batch = Batch { commands: commands.collect::<Result<_, _>>()?, stream: stream.clone() };
    changed(&write.run(&api, &batch, &request).await?)
}

/// Where a command is in a batch.
struct Position<'a> {
    stream: &'a StreamId,
    index: usize,
}

impl Position<'_> {
    fn command(&self, command: &BatchedCommand) -> Result<Box<dyn Command>, Problem> {
        let stream = || self.stream.clone();
        Ok(match command {
            BatchedCommand::PublishRelease(of) => Box::new(PublishRelease { release: self.release(&of.release)? }),
            BatchedCommand::WithdrawRelease(of) => Box::new(WithdrawRelease { release: self.release(&of.release)? }),
            BatchedCommand::SetBarrier(of) => {
                let (reason, arches) = self.policy(&of.reason, of.arches.as_ref())?;
                let barrier = Barrier { reason, arches, origin: Origin::Local };
                Box::new(SetBarrier { release: self.release(&of.release)?, barrier })
            }
            BatchedCommand::DeleteBarrier(of) => Box::new(RemoveBarrier { release: self.release(&of.release)? }),
            BatchedCommand::SetDeadEnd(of) => {
                let (reason, arches) = self.policy(&of.reason, of.arches.as_ref())?;
                let dead_end = DeadEnd { reason, arches, origin: Origin::Local };
                Box::new(SetDeadEnd { release: self.release(&of.release)?, dead_end })
            }
            BatchedCommand::DeleteDeadEnd(of) => Box::new(RemoveDeadEnd { release: self.release(&of.release)? }),
            BatchedCommand::CreateRollout(of) => {
                let plan = plan_within(&format!("commands[{}].rollout.", self.index), &of.rollout)?;
                Box::new(CreateRollout { release: self.release(&of.release)?, plan, before: None })
            }
            BatchedCommand::StartRollout(of) => Box::new(StartRollout { rollout: self.rollout(of)? }),
            BatchedCommand::PauseRollout(of) => Box::new(PauseRollout { rollout: self.rollout(of)? }),
            BatchedCommand::ResumeRollout(of) => Box::new(ResumeRollout { rollout: self.rollout(of)? }),
            BatchedCommand::AdvanceRollout(of) => {
                let rollout = self.rollout_of(&of.release, of.rollout)?;
                let further = further(of.share, of.over.as_deref(), |name, message| self.invalid(name, message))?;
                Box::new(AdvanceRollout { rollout, further })
            }
            BatchedCommand::HoldRollout(of) => {
                let share = Share::new(of.share).map_err(|error| self.invalid("share", error.to_string()))?;
                Box::new(HoldRollout { rollout: self.rollout_of(&of.release, of.rollout)?, share })
            }
            BatchedCommand::AccelerateRollout(of) => {
                let within = Minutes::parse(&of.within).map_err(|error| self.invalid("within", error.to_string()))?;
                Box::new(AccelerateRollout { rollout: self.rollout_of(&of.release, of.rollout)?, within })
            }
            BatchedCommand::CompleteRollout(of) => Box::new(CompleteRollout { rollout: self.rollout(of)? }),
            BatchedCommand::AbortRollout(of) => Box::new(AbortRollout { rollout: self.rollout(of)? }),
            BatchedCommand::RestartRollout(of) => Box::new(RestartRollout { rollout: self.rollout(of)? }),
            BatchedCommand::PauseRollouts {} => Box::new(PauseRollouts { stream: stream() }),
            BatchedCommand::ResumeRollouts {} => Box::new(ResumeRollouts { stream: stream() }),
        })
    }

    fn release(&self, version: &str) -> Result<ReleaseAddress, Problem> {
        let version = Version::parse(version).map_err(|error| self.invalid("release", error.to_string()))?;
        Ok(ReleaseAddress { stream: self.stream.clone(), version })
    }

    fn rollout(&self, of: &BatchedRollout) -> Result<RolloutAddress, Problem> {
        self.rollout_of(&of.release, of.rollout)
    }

    fn rollout_of(&self, release: &str, id: u32) -> Result<RolloutAddress, Problem> {
        let id = rollout_id(&format!("commands[{}].rollout", self.index), id)?;
        Ok(RolloutAddress { release: self.release(release)?, id })
    }

    fn policy(&self, reason: &str, arches: Option<&Vec<String>>) -> Result<(Reason, Option<BTreeSet<Arch>>), Problem> {
        let document = PolicyDocument { reason: reason.into(), arches: arches.cloned(), origin: None };
        parts::policy(&document).map_err(|problems| {
            let first = problems.into_iter().next();
            let (path, message) = first.map(|problem| (problem.path, problem.message)).unwrap_or_default();
            self.invalid(&path, message)
        })
    }

    fn invalid(&self, name: &str, message: String) -> Problem {
        field(&format!("commands[{}].{name}", self.index), message)
    }
}
