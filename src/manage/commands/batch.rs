//! Several commands on one stream as one revision: all of them, or none.

use crate::{
    domain::ids::StreamId,
    manage::{
        command::{Command, Need, Next, Present, Reads},
        refusal::Refusal,
        request::Action,
    },
};

/// Commands on a stream, each applied to the state that the one before leads to. They read nothing else but presets, and none lifts a stop.
pub struct Batch {
    /// The stream.
    pub stream: StreamId,
    /// The commands, in their order.
    pub commands: Vec<Box<dyn Command>>,
}

impl Command for Batch {
    fn action(&self) -> Action {
        Action::BATCH
    }

    fn target(&self) -> &StreamId {
        &self.stream
    }

    /// A batch requires the highest role of its commands.
    fn needs(&self, present: &Present<'_>) -> Option<Need> {
        let needs = self.commands.iter().flat_map(|command| {
            let why = Some(format!("it contains `{}`", command.action().name));
            [Some(Need { role: command.action().role, why }), command.needs(present)]
        });
        needs.flatten().max_by_key(|need| need.role)
    }

    fn uses_presets(&self) -> bool {
        self.commands.iter().any(|command| command.uses_presets())
    }

    fn apply(&self, present: &Present<'_>) -> Result<Next, Refusal> {
        let mut next = Next::from(present.existing()?.clone());
        for (index, command) in self.commands.iter().enumerate() {
            let part = format!("commands[{index}]");
            if command.target() != &self.stream || command.reads() != Reads::default() || command.lifts_stop() {
                return Err(Refusal::field(&part, format!("cannot be part of a batch: {}", command.action().name)));
            }
            let before = Present { stream: Some(&next.stream), ..*present };
            // The fields of a rollout are in a part of their own.
            let part = if command.action() == Action::CREATE_ROLLOUT { format!("{part}.rollout") } else { part };
            let Next { stream, created, findings, .. } =
                command.apply(&before).map_err(|refusal| refusal.within(&part))?;
            let findings = next.findings.into_iter().chain(findings).collect();
            next = Next { created: created.or(next.created), findings, ..stream.into() };
        }
        Ok(next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        auth::Role,
        domain::policy::graph_rules::GraphRules,
        manage::{
            command::LoadedReads,
            commands::{
                releases::{PublishRelease, WithdrawRelease},
                rollout_actions::{PauseRollout, ResumeRollout},
                stops::LiftStop,
            },
            testing::{NOW, apply, id, next, refusal, release, rollout, stopped, stream},
        },
    };

    fn batch(commands: Vec<Box<dyn Command>>) -> Batch {
        Batch { stream: id(), commands }
    }

    #[test]
    fn commands_are_applied_one_after_the_other() {
        let pause = || Box::new(PauseRollout { rollout: rollout("3", 1) });
        let publish = || Box::new(PublishRelease { release: release("4") });
        let both = next(&batch(vec![pause(), publish()]), &stream());
        assert_eq!(both, next(&*publish(), &next(&*pause(), &stream())));
        assert_eq!(next(&batch(Vec::new()), &stream()), stream());
        // The second one fits only the state after the first one.
        let withdraw = || Box::new(WithdrawRelease { release: release("4") });
        assert!(apply(&batch(vec![publish(), withdraw()]), &stream()).is_ok());
        assert!(apply(&batch(vec![withdraw(), publish()]), &stream()).is_err());
    }

    #[test]
    fn a_batch_requires_the_highest_role_of_its_commands() {
        let read = LoadedReads::default();
        let present =
            Present { id: &id(), stream: Some(&stream()), read: &read, rules: GraphRules::default(), now: NOW };
        let pause = || Box::new(PauseRollout { rollout: rollout("3", 1) });
        let role = |commands| batch(commands).needs(&present).map(|need| need.role);
        assert_eq!(role(vec![pause()]), Some(Role::Publisher));
        assert_eq!(role(vec![pause(), Box::new(ResumeRollout { rollout: rollout("3", 3) })]), Some(Role::Manager));
    }

    #[test]
    fn a_batch_lifts_no_stop() {
        let lift = batch(vec![Box::new(LiftStop { stream: id() })]);
        let message = "commands[0]: cannot be part of a batch: stream.lift-stop";
        assert_eq!(refusal(&lift, &stopped(stream())), message);
    }
}
