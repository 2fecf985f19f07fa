//! Pauses and resumes all rollouts of a stream or of a product.

use super::rollout_actions::check_not_stopped;
use crate::{
    domain::{
        epoch::Epoch,
        ids::{ProductName, StreamId},
        release::{Release, ReleaseState},
        rollout::{Rollout, RolloutState},
        shared::Shared,
    },
    manage::{
        command::{Command, Next, Present, ProductCommand, ProductState},
        refusal::Refusal,
        request::Action,
    },
};

/// Pauses the rollouts of a stream that would open further, now or after a gate. What they have opened stays open.
#[derive(Debug, Clone)]
pub struct PauseRollouts {
    /// The stream.
    pub stream: StreamId,
}

impl Command for PauseRollouts {
    fn action(&self) -> Action {
        Action::PAUSE_ROLLOUTS
    }

    fn target(&self) -> &StreamId {
        &self.stream
    }

    fn apply(&self, present: &Present<'_>) -> Result<Next, Refusal> {
        let now = present.existing()?.plan_time(present.now);
        let opens = |rollout: &Rollout| {
            let has_gate = rollout.state == RolloutState::Active && rollout.next_gate().is_some();
            has_gate || rollout.opens_further_after(now)
        };
        change_each(present, opens, |rollout| Ok(rollout.pause(now)?))
    }
}

/// Resumes all paused rollouts of a stream, each where it was paused.
#[derive(Debug, Clone)]
pub struct ResumeRollouts {
    /// The stream.
    pub stream: StreamId,
}

impl Command for ResumeRollouts {
    fn action(&self) -> Action {
        Action::RESUME_ROLLOUTS
    }

    fn target(&self) -> &StreamId {
        &self.stream
    }

    fn apply(&self, present: &Present<'_>) -> Result<Next, Refusal> {
        let stream = present.existing()?;
        check_not_stopped(stream)?;
        let (now, windows) = (present.now, &stream.protection.freeze_windows);
        let is_paused = |rollout: &Rollout| matches!(rollout.state, RolloutState::Paused { .. });
        change_each(present, is_paused, |rollout| Ok(rollout.resume(now)?.delayed_past(windows, now)))
    }
}

/// Returns the next state in which some rollouts of published releases are changed. Releases that are not changed stay shared with the present state.
fn change_each(
    present: &Present<'_>,
    is_meant: impl Fn(&Rollout) -> bool,
    change: impl Fn(&Rollout) -> Result<Rollout, Refusal>,
) -> Result<Next, Refusal> {
    let mut stream = present.existing()?.clone();
    let has_any = |release: &&mut Shared<Release>| {
        release.state == ReleaseState::Published && release.rollouts.iter().any(&is_meant)
    };
    for release in stream.releases.iter_mut().filter(has_any) {
        for rollout in release.rollouts.iter_mut().filter(|rollout| is_meant(rollout)) {
            *rollout = change(rollout)?;
        }
    }
    Ok(stream.into())
}

/// Pauses the rollouts of all streams of a product, in one transaction.
#[derive(Debug, Clone)]
pub struct PauseProductRollouts {
    /// The product.
    pub product: ProductName,
}

impl ProductCommand for PauseProductRollouts {
    fn action(&self) -> Action {
        Action::PAUSE_ROLLOUTS
    }

    fn product(&self) -> &ProductName {
        &self.product
    }

    fn apply(&self, present: &ProductState, _: Epoch) -> Result<ProductState, Refusal> {
        Ok(present.clone())
    }

    fn in_stream(&self, stream: &StreamId) -> Option<Box<dyn Command>> {
        Some(Box::new(PauseRollouts { stream: stream.clone() }))
    }
}

/// Resumes the paused rollouts of all streams of a product, in one transaction.
#[derive(Debug, Clone)]
pub struct ResumeProductRollouts {
    /// The product.
    pub product: ProductName,
}

impl ProductCommand for ResumeProductRollouts {
    fn action(&self) -> Action {
        Action::RESUME_ROLLOUTS
    }

    fn product(&self) -> &ProductName {
        &self.product
    }

    fn apply(&self, present: &ProductState, _: Epoch) -> Result<ProductState, Refusal> {
        Ok(present.clone())
    }

    fn in_stream(&self, stream: &StreamId) -> Option<Box<dyn Command>> {
        Some(Box::new(ResumeRollouts { stream: stream.clone() }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        domain::stream::Stream,
        manage::testing::{NOW, at, found_rollout, id, next, refusal, stopped, stream},
    };

    fn states(stream: &Stream) -> Vec<&'static str> {
        (1..=5).map(|number| found_rollout(stream, number).state.as_str()).collect()
    }

    #[test]
    fn pausing_all_keeps_offers_and_resuming_all_continues_each_plan() {
        let before = stream();
        assert_eq!(states(&before), ["active", "active", "paused", "completed", "aborted"]);
        let paused = next(&PauseRollouts { stream: id() }, &before);
        assert_eq!(states(&paused), ["paused", "paused", "paused", "completed", "aborted"]);
        for number in 1..=5 {
            let [old, new] = [&before, &paused].map(|stream| found_rollout(stream, number).open_share(NOW));
            assert_eq!(old, new, "rollout {number}");
        }
        assert!(paused.releases[0].is_same(&before.releases[0]), "a release without rollouts stays shared");
        assert_eq!(next(&PauseRollouts { stream: id() }, &paused), paused);
        let resumed = next(&ResumeRollouts { stream: id() }, &paused);
        assert_eq!(states(&resumed), ["active", "active", "active", "completed", "aborted"]);
        // What was paused now continues without delay; the third one was paused for half a day.
        assert_eq!(found_rollout(&resumed, 1), found_rollout(&before, 1));
        assert_eq!(found_rollout(&resumed, 3).open_share(at(12)), found_rollout(&before, 1).open_share(NOW));
        assert_eq!(next(&ResumeRollouts { stream: id() }, &resumed), resumed);
    }

    #[test]
    fn only_rollouts_of_published_releases_are_paused() {
        let paused = next(&PauseRollouts { stream: id() }, &stream());
        let [before, after] = [&stream(), &paused].map(|stream| crate::manage::testing::found(stream, "4").clone());
        assert_eq!(before, after, "a draft");
    }

    #[test]
    fn a_stopped_stream_can_be_paused_but_not_resumed() {
        let paused = next(&PauseRollouts { stream: id() }, &stopped(stream()));
        assert_eq!(found_rollout(&paused, 1).state, RolloutState::Paused { at: at(-6) });
        assert!(refusal(&ResumeRollouts { stream: id() }, &paused).contains("lift the stop first"));
    }

    #[test]
    fn all_streams_of_a_product_are_paused_and_resumed() {
        let product = id().product;
        let commands: [Box<dyn ProductCommand>; 2] = [
            Box::new(PauseProductRollouts { product: product.clone() }),
            Box::new(ResumeProductRollouts { product: product.clone() }),
        ];
        for command in commands {
            let state = ProductState::default();
            assert_eq!((command.product(), command.apply(&state, NOW)), (&product, Ok(state.clone())));
            let in_stream = command.in_stream(&id()).unwrap();
            assert_eq!((in_stream.action(), in_stream.target()), (command.action(), &id()));
        }
    }
}
