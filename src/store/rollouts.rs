//! Rows of rollouts.

use super::{
    error::StoreError,
    releases::{Changed, Loaded, ReleaseKeys, origin},
    rows::{StreamKey, parse_some, texts},
    transaction::Transaction,
};
use crate::domain::{
    duration::Minutes,
    epoch::Epoch,
    rollout::{
        Rollout, RolloutClock, RolloutState,
        ramp::{Course, Ramp, Step},
        selector::Selector,
        share::Share,
    },
};

const TABLE: &str = "rollouts";

/// The columns of a course. Minutes are text, since they can exceed `bigint`.
struct CourseColumns {
    course: String,
    duration_minutes: Option<String>,
    end_share: Option<f64>,
    step_minutes: Option<Vec<String>>,
    step_shares: Option<Vec<f64>>,
}

impl CourseColumns {
    fn from_course(course: &Course) -> Self {
        let none = Self {
            course: "constant".into(),
            duration_minutes: None,
            end_share: None,
            step_minutes: None,
            step_shares: None,
        };
        match course {
            Course::Constant => none,
            Course::Linear { duration, end_share } => Self {
                course: "linear".into(),
                duration_minutes: Some(duration.0.to_string()),
                end_share: Some(end_share.get()),
                ..none
            },
            Course::Steps(steps) => Self {
                course: "steps".into(),
                step_minutes: Some(steps.iter().map(|step| step.after.0.to_string()).collect()),
                step_shares: Some(steps.iter().map(|step| step.share.get()).collect()),
                ..none
            },
        }
    }

    fn into_course(self) -> Result<Course, StoreError> {
        match (self.course.as_str(), self.duration_minutes, self.end_share, self.step_minutes, self.step_shares) {
            ("constant", None, None, None, None) => Ok(Course::Constant),
            ("linear", Some(duration), Some(end_share), None, None) => {
                Ok(Course::Linear { duration: minutes(&duration)?, end_share: share(end_share)? })
            }
            ("steps", None, None, Some(times), Some(shares)) => {
                let steps =
                    times.iter().zip(shares).map(|(after, to)| Ok(Step { after: minutes(after)?, share: share(to)? }));
                Ok(Course::Steps(steps.collect::<Result<_, StoreError>>()?))
            }
            (other, ..) => Err(StoreError::corrupt(TABLE, format!("incomplete course {other:?}"))),
        }
    }
}

fn minutes(text: &str) -> Result<Minutes, StoreError> {
    text.parse().map(Minutes).map_err(|error| StoreError::corrupt(TABLE, error))
}

fn share(share: f64) -> Result<Share, StoreError> {
    Share::from_record(share).map_err(|error| StoreError::corrupt(TABLE, error))
}

fn state(name: &str, paused_at: Option<i64>) -> Result<RolloutState, StoreError> {
    match (name, paused_at) {
        ("active", None) => Ok(RolloutState::Active),
        ("paused", Some(at)) => Ok(RolloutState::Paused { at: Epoch(at) }),
        ("completed", None) => Ok(RolloutState::Completed),
        ("aborted", None) => Ok(RolloutState::Aborted),
        (other, _) => Err(StoreError::corrupt(TABLE, format!("invalid state {other:?}"))),
    }
}

impl Transaction {
    pub(super) async fn fill_rollouts(&mut self, key: StreamKey, releases: &mut Loaded) -> Result<(), StoreError> {
        let rows = sqlx::query!(
            r#"-- name: rollouts
            select release_id, selector_arches, selector_schemes, selector_groups, selector_platforms, start_epoch,
                start_share, course, duration_minutes::text as duration_minutes, end_share,
                step_minutes::text[] as step_minutes, step_shares, rollouts.state, paused_at, stood_still, first_opened,
                rollouts.origin
            from rollouts join releases on releases.id = release_id where stream_id = $1
            order by release_id, rollouts.position"#,
            key.0
        )
        .fetch_all(self.connection())
        .await
        .map_err(StoreError::at("rollouts"))?;
        for row in rows {
            let columns = CourseColumns {
                course: row.course,
                duration_minutes: row.duration_minutes,
                end_share: row.end_share,
                step_minutes: row.step_minutes,
                step_shares: row.step_shares,
            };
            let rollout = Rollout {
                selector: Selector {
                    arches: parse_some(TABLE, row.selector_arches.as_ref())?,
                    schemes: parse_some(TABLE, row.selector_schemes.as_ref())?,
                    groups: parse_some(TABLE, row.selector_groups.as_ref())?,
                    platforms: parse_some(TABLE, row.selector_platforms.as_ref())?,
                }
                .into(),
                ramp: Ramp {
                    start: row.start_epoch.map(Epoch),
                    start_share: row.start_share.map(share).transpose()?,
                    course: columns.into_course()?,
                },
                state: state(&row.state, row.paused_at)?,
                clock: RolloutClock { stood_still: row.stood_still, first_opened: row.first_opened.map(Epoch) },
                origin: origin(TABLE, &row.origin)?,
            };
            releases.get(TABLE, row.release_id)?.rollouts.push(rollout);
        }
        Ok(())
    }

    pub(super) async fn save_rollouts(&mut self, keys: &ReleaseKeys<'_>) -> Result<(), StoreError> {
        for Changed { row, release, .. } in &keys.changed {
            for (position, rollout) in (0i32..).zip(&release.rollouts) {
                self.save_rollout(*row, position, rollout).await?;
            }
        }
        Ok(())
    }

    async fn save_rollout(&mut self, row: i64, position: i32, rollout: &Rollout) -> Result<(), StoreError> {
        let columns = CourseColumns::from_course(&rollout.ramp.course);
        let paused_at = match rollout.state {
            RolloutState::Paused { at } => Some(at.0),
            _ => None,
        };
        sqlx::query!(
            "-- name: save_rollout
            insert into rollouts (release_id, position, selector_arches, selector_schemes, selector_groups,
                selector_platforms, start_epoch, start_share, course, duration_minutes, end_share, step_minutes,
                step_shares, state, paused_at, stood_still, first_opened, origin)
            values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10::text::numeric, $11, $12::text[]::numeric[], $13, $14, $15, $16, $17,
                $18)",
            row,
            position,
            texts(rollout.selector.arches.as_ref()) as _,
            texts(rollout.selector.schemes.as_ref()) as _,
            texts(rollout.selector.groups.as_ref()) as _,
            texts(rollout.selector.platforms.as_ref()) as _,
            rollout.ramp.start.map(|start| start.0),
            rollout.ramp.start_share.map(Share::get),
            columns.course,
            columns.duration_minutes,
            columns.end_share,
            columns.step_minutes as _,
            columns.step_shares as _,
            rollout.state.as_str(),
            paused_at,
            rollout.clock.stood_still,
            rollout.clock.first_opened.map(|at| at.0),
            rollout.origin.as_str(),
        )
        .execute(self.connection())
        .await
        .map(drop)
        .map_err(StoreError::at("save_rollout"))
    }
}
