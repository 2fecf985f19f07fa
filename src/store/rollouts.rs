//! Rows of rollouts.

use super::{
    error::StoreError,
    releases::{Changed, Loaded, origin},
    rows::{parse_some, rollout_id, texts},
    transaction::Transaction,
};
use crate::domain::{
    duration::Minutes,
    epoch::Epoch,
    rollout::{
        Rollout, RolloutClock, RolloutState,
        ramp::{Course, Ramp},
        selector::Selector,
        share::Share,
        step::{Step, StepGate, before_gate},
    },
};
use serde::{Deserialize, Serialize, Serializer};
use sqlx::types::Json;

const TABLE: &str = "rollouts";

/// The columns of a course. Minutes are text, since they can exceed `bigint`.
#[derive(Serialize)]
struct CourseColumns {
    course: String,
    duration_minutes: Option<String>,
    #[serde(serialize_with = "share_as_text")]
    end_share: Option<f64>,
    step_minutes: Option<Vec<String>>,
    #[serde(serialize_with = "shares_as_text")]
    step_shares: Option<Vec<f64>>,
    steps: Option<Json<Vec<StepColumn>>>,
}

/// A step in the column that has all of them, with a share as text.
#[derive(Debug, Serialize, Deserialize)]
struct StepColumn {
    after: u64,
    over: u64,
    share: String,
    gate: bool,
    /// True if the rollout has passed the gate.
    #[serde(default)]
    passed: bool,
}

impl StepColumn {
    fn new(step: &Step) -> Self {
        let Step { after, share, over, gate } = *step;
        Self {
            after: after.0,
            over: over.0,
            share: share.get().to_string(),
            gate: gate != StepGate::None,
            passed: gate == StepGate::Passed,
        }
    }

    fn into_step(self) -> Result<Step, StoreError> {
        let number = self.share.parse().map_err(|error| StoreError::corrupt(TABLE, error))?;
        let gate = match (self.gate, self.passed) {
            (false, _) => StepGate::None,
            (true, false) => StepGate::Closed,
            (true, true) => StepGate::Passed,
        };
        Ok(Step { after: Minutes(self.after), share: share(number)?, over: Minutes(self.over), gate })
    }
}

/// Numbers of `jsonb` have no negative zero, which upstream may publish.
#[expect(clippy::ref_option, reason = "serde passes a reference")]
fn share_as_text<S: Serializer>(share: &Option<f64>, serializer: S) -> Result<S::Ok, S::Error> {
    share.map(|share| share.to_string()).serialize(serializer)
}

#[expect(clippy::ref_option, reason = "serde passes a reference")]
fn shares_as_text<S: Serializer>(shares: &Option<Vec<f64>>, serializer: S) -> Result<S::Ok, S::Error> {
    let texts = shares.as_ref().map(|shares| shares.iter().map(ToString::to_string).collect::<Vec<_>>());
    texts.serialize(serializer)
}

impl CourseColumns {
    fn from_course(course: &Course) -> Self {
        let none = Self {
            course: "constant".into(),
            duration_minutes: None,
            end_share: None,
            step_minutes: None,
            step_shares: None,
            steps: None,
        };
        match course {
            Course::Constant => none,
            Course::Linear { duration, end_share } => Self {
                course: "linear".into(),
                duration_minutes: Some(duration.0.to_string()),
                end_share: Some(end_share.get()),
                ..none
            },
            Course::Steps(steps) => {
                // Older versions open no gate, and open a step that takes time at its end.
                let known = before_gate(steps);
                Self {
                    course: "steps".into(),
                    step_minutes: Some(known.iter().map(|step| step.end().0.to_string()).collect()),
                    step_shares: Some(known.iter().map(|step| step.share.get()).collect()),
                    steps: (!steps.iter().all(Step::is_plain))
                        .then(|| Json(steps.iter().map(StepColumn::new).collect())),
                    ..none
                }
            }
        }
    }

    fn into_course(self) -> Result<Course, StoreError> {
        match (self.course.as_str(), self.duration_minutes, self.end_share, self.step_minutes, self.step_shares) {
            ("constant", None, None, None, None) => Ok(Course::Constant),
            ("linear", Some(duration), Some(end_share), None, None) => {
                Ok(Course::Linear { duration: minutes(&duration)?, end_share: share(end_share)? })
            }
            ("steps", None, None, Some(times), Some(shares)) => {
                let plain = times.iter().zip(shares).map(|(after, to)| Ok(Step::at_once(minutes(after)?, share(to)?)));
                let steps: Result<_, StoreError> = match self.steps {
                    Some(Json(steps)) => steps.into_iter().map(StepColumn::into_step).collect(),
                    None => plain.collect(),
                };
                Ok(Course::Steps(steps?))
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
    pub(super) async fn fill_rollouts(&mut self, streams: &[i64], releases: &mut Loaded) -> Result<(), StoreError> {
        let rows = sqlx::query!(
            r#"-- name: rollouts
            select release_id, selector_arches, selector_schemes, selector_groups, selector_platforms, start_epoch,
                start_share, course, duration_minutes::text as duration_minutes, end_share,
                step_minutes::text[] as step_minutes, step_shares, steps as "steps: Json<Vec<StepColumn>>", rollouts.state,
                paused_at, stood_still, first_opened, rollouts.origin, rollout_ids[rollouts.position + 1] as id
            from rollouts join releases on releases.id = release_id where stream_id = any($1)
            order by release_id, rollouts.position"#,
            streams
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
                steps: row.steps,
            };
            let rollout = Rollout {
                id: rollout_id(row.id.unwrap_or_default())?,
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

    pub(super) async fn save_rollouts(&mut self, changed: &[Changed<'_>]) -> Result<(), StoreError> {
        let changed = changed.iter().filter(|changed| changed.differs(|release| &release.rollouts));
        let rows: Vec<RolloutRow> = changed
            .flat_map(|changed| {
                let rollouts = (0i32..).zip(&changed.release.rollouts);
                rollouts.map(|(position, rollout)| RolloutRow::new(changed.row, position, rollout))
            })
            .collect();
        if rows.is_empty() {
            return Ok(());
        }
        sqlx::query!(
            "-- name: save_rollouts
            insert into rollouts (release_id, position, selector_arches, selector_schemes, selector_groups,
                selector_platforms, start_epoch, start_share, course, duration_minutes, end_share, step_minutes,
                step_shares, steps, state, paused_at, stood_still, first_opened, origin)
            select * from jsonb_to_recordset($1) as row (release_id bigint, position integer, selector_arches text[],
                selector_schemes text[], selector_groups text[], selector_platforms text[], start_epoch bigint,
                start_share double precision, course text, duration_minutes numeric, end_share double precision,
                step_minutes numeric[], step_shares double precision[], steps jsonb, state text, paused_at bigint, stood_still bigint,
                first_opened bigint, origin text)",
            Json(rows) as _
        )
        .execute(self.connection())
        .await
        .map(drop)
        .map_err(StoreError::at("save_rollouts"))
    }
}

/// A row of a rollout.
#[derive(Serialize)]
struct RolloutRow {
    release_id: i64,
    position: i32,
    selector_arches: Option<Vec<String>>,
    selector_schemes: Option<Vec<String>>,
    selector_groups: Option<Vec<String>>,
    selector_platforms: Option<Vec<String>>,
    start_epoch: Option<i64>,
    #[serde(serialize_with = "share_as_text")]
    start_share: Option<f64>,
    #[serde(flatten)]
    course: CourseColumns,
    state: &'static str,
    paused_at: Option<i64>,
    stood_still: i64,
    first_opened: Option<i64>,
    origin: &'static str,
}

impl RolloutRow {
    fn new(release_id: i64, position: i32, rollout: &Rollout) -> Self {
        let Selector { arches, schemes, groups, platforms } = &*rollout.selector;
        Self {
            release_id,
            position,
            selector_arches: texts(arches.as_ref()),
            selector_schemes: texts(schemes.as_ref()),
            selector_groups: texts(groups.as_ref()),
            selector_platforms: texts(platforms.as_ref()),
            start_epoch: rollout.ramp.start.map(|start| start.0),
            start_share: rollout.ramp.start_share.map(Share::get),
            course: CourseColumns::from_course(&rollout.ramp.course),
            state: rollout.state.as_str(),
            paused_at: match rollout.state {
                RolloutState::Paused { at } => Some(at.0),
                _ => None,
            },
            stood_still: rollout.clock.stood_still,
            first_opened: rollout.clock.first_opened.map(|at| at.0),
            origin: rollout.origin.as_str(),
        }
    }
}
