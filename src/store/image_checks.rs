//! What registries said about images. The process that holds [`Task::ImageCheck`](super::task_lock::Task), and local commands, write it.

use super::{database::Store, error::StoreError, rows::parse, transaction::Transaction};
use crate::domain::{
    image_check::{ImageAnswer, ImageCheck, ImageState},
    payload::PayloadId,
};
use jiff::Timestamp;
use jiff_sqlx::ToSqlx;

/// The tables that backups leave out.
pub const TABLES: [&str; 2] = ["image_checks", "image_check_runs"];

/// Counts of images, and when all were checked the last time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ImageCounts {
    /// Images that are missing.
    pub gone: i64,
    /// Images that registries could not be asked for.
    pub unknown: i64,
    /// When all images were checked the last time.
    pub finished_at: Option<Timestamp>,
    /// When missing images were asked for the last time.
    pub missing_asked_at: Option<Timestamp>,
}

struct Row {
    image: String,
    state: String,
    checked_at: jiff_sqlx::Timestamp,
    missing_since: Option<jiff_sqlx::Timestamp>,
    problem: Option<String>,
}

impl TryFrom<Row> for ImageCheck {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self, StoreError> {
        let corrupt = || StoreError::corrupt("image_checks", format!("unknown state {:?}", row.state));
        Ok(Self {
            image: parse("image_checks", &row.image)?,
            answer: ImageAnswer { state: ImageState::from_name(&row.state).ok_or_else(corrupt)?, problem: row.problem },
            checked_at: row.checked_at.to_jiff(),
            missing_since: row.missing_since.map(jiff_sqlx::Timestamp::to_jiff),
        })
    }
}

impl Store {
    /// Counts images by what registries said.
    ///
    /// # Errors
    /// The database is unavailable.
    pub async fn image_counts(&self) -> Result<ImageCounts, StoreError> {
        let mut transaction = self.begin_read("image_counts").await?;
        let row = sqlx::query!(
            r#"-- name: image_counts
            select count(*) filter (where missing_since is not null) as "gone!",
                count(*) filter (where state = 'unknown') as "unknown!",
                (select finished_at from image_check_runs) as "finished_at: jiff_sqlx::Timestamp",
                (select missing_asked_at from image_check_runs) as "missing_asked_at: jiff_sqlx::Timestamp"
            from image_checks"#
        )
        .fetch_one(transaction.connection())
        .await
        .map_err(StoreError::at("image_counts"))?;
        let [finished_at, missing_asked_at] =
            [row.finished_at, row.missing_asked_at].map(|at| at.map(jiff_sqlx::Timestamp::to_jiff));
        Ok(ImageCounts { gone: row.gone, unknown: row.unknown, finished_at, missing_asked_at })
    }
}

impl Transaction {
    /// Returns the checks of these images, ordered by image.
    ///
    /// # Errors
    /// The database is unavailable, or a row is invalid.
    pub async fn image_checks<'a>(
        &mut self,
        images: impl IntoIterator<Item = &'a PayloadId>,
    ) -> Result<Vec<ImageCheck>, StoreError> {
        let images: Vec<String> = images.into_iter().map(ToString::to_string).collect();
        let rows = sqlx::query_as!(
            Row,
            r#"-- name: image_checks
            select image, state, checked_at as "checked_at: _", missing_since as "missing_since: _", problem
            from image_checks where image = any($1) order by image"#,
            &images
        );
        let rows = rows.fetch_all(self.connection()).await.map_err(StoreError::at("image_checks"))?;
        rows.into_iter().map(TryInto::try_into).collect()
    }

    /// Returns the checks of the images that are missing, ordered by image.
    ///
    /// # Errors
    /// The database is unavailable, or a row is invalid.
    pub async fn missing_images(&mut self) -> Result<Vec<ImageCheck>, StoreError> {
        let rows = sqlx::query_as!(
            Row,
            r#"-- name: missing_images
            select image, state, checked_at as "checked_at: _", missing_since as "missing_since: _", problem
            from image_checks where missing_since is not null order by image"#
        );
        let rows = rows.fetch_all(self.connection()).await.map_err(StoreError::at("missing_images"))?;
        rows.into_iter().map(TryInto::try_into).collect()
    }

    /// Stores answers of registries. An image that was missing stays so until it is found, or is no longer asked for.
    ///
    /// # Errors
    /// The database is unavailable, or the account may not write.
    pub async fn set_image_checks<'a>(
        &mut self,
        answers: impl IntoIterator<Item = (&'a PayloadId, &'a ImageAnswer)>,
        at: Timestamp,
    ) -> Result<(), StoreError> {
        let (mut images, mut states, mut problems) = (Vec::new(), Vec::new(), Vec::new());
        for (image, answer) in answers {
            images.push(image.to_string());
            states.push(answer.state.as_str().to_owned());
            problems.push(answer.problem.clone());
        }
        sqlx::query!(
            "-- name: set_image_checks
            insert into image_checks (image, state, checked_at, missing_since, problem)
            select image, state, $4::timestamptz, case when state = 'gone' then $4::timestamptz end, problem
            from unnest($1::text[], $2::text[], $3::text[]) as answers (image, state, problem)
            on conflict (image) do update set state = excluded.state, checked_at = excluded.checked_at,
                problem = excluded.problem,
                missing_since = case excluded.state
                    when 'gone' then coalesce(image_checks.missing_since, excluded.missing_since)
                    when 'unknown' then image_checks.missing_since
                end",
            &images,
            &states,
            &problems as _,
            at.to_sqlx() as _
        )
        .execute(self.connection())
        .await
        .map(drop)
        .map_err(StoreError::at("set_image_checks"))
    }

    /// Deletes the checks of all other images: no node is sent to them any more.
    ///
    /// # Errors
    /// The database is unavailable, or the account may not write.
    pub async fn keep_image_checks<'a>(
        &mut self,
        images: impl IntoIterator<Item = &'a PayloadId>,
    ) -> Result<(), StoreError> {
        let images: Vec<String> = images.into_iter().map(ToString::to_string).collect();
        sqlx::query!(
            "-- name: keep_image_checks
            delete from image_checks where not exists (select from unnest($1::text[]) as kept (image)
                where kept.image = image_checks.image)",
            &images
        )
        .execute(self.connection())
        .await
        .map(drop)
        .map_err(StoreError::at("keep_image_checks"))
    }

    /// Stores when all images were checked.
    ///
    /// # Errors
    /// The database is unavailable, or the account may not write.
    pub async fn finish_image_checks(&mut self, at: Timestamp) -> Result<(), StoreError> {
        sqlx::query!(
            "-- name: finish_image_checks
            insert into image_check_runs (finished_at, missing_asked_at) values ($1, $1)
            on conflict (is_single) do update
            set finished_at = excluded.finished_at, missing_asked_at = excluded.missing_asked_at",
            at.to_sqlx() as _
        )
        .execute(self.connection())
        .await
        .map(drop)
        .map_err(StoreError::at("finish_image_checks"))
    }

    /// Stores when missing images were asked for again.
    ///
    /// # Errors
    /// The database is unavailable, or the account may not write.
    pub async fn finish_missing_images(&mut self, at: Timestamp) -> Result<(), StoreError> {
        sqlx::query!(
            "-- name: finish_missing_images\nupdate image_check_runs set missing_asked_at = $1",
            at.to_sqlx() as _
        )
        .execute(self.connection())
        .await
        .map(drop)
        .map_err(StoreError::at("finish_missing_images"))
    }
}
