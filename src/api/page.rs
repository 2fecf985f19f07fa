//! Lists, a page at a time.

use crate::http::problem::{Problem, ProblemKind};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// Which page of a list.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct PageQuery {
    /// Where to go on: `next` of the page before.
    cursor: Option<String>,
    /// How many at most, 1 to 500; 100 if absent.
    #[param(minimum = 1, maximum = 500)]
    limit: Option<u16>,
}

/// A page of a list.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Page<T> {
    /// What is on it.
    pub(super) items: Vec<T>,
    /// The cursor of the next page; absent on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) next: Option<String>,
}

impl PageQuery {
    pub(super) fn limit(&self) -> Result<usize, Problem> {
        match self.limit.unwrap_or(100) {
            limit @ 1..=500 => Ok(limit.into()),
            _ => Err(ProblemKind::BadRequest.because("limit has to be 1 to 500")),
        }
    }

    /// A cursor that is a number.
    pub(super) fn number(&self) -> Result<Option<i64>, Problem> {
        let wrong = || ProblemKind::BadRequest.because("cursor is none that was given");
        self.cursor.as_ref().map(|cursor| cursor.parse().map_err(|_| wrong())).transpose()
    }

    /// The page of a list whose entries have names that are in order.
    pub(super) fn of<T>(
        &self,
        list: impl IntoIterator<Item = T>,
        name: impl Fn(&T) -> String,
    ) -> Result<Page<T>, Problem> {
        let limit = self.limit()?;
        let is_left = |item: &T| self.cursor.as_ref().is_none_or(|cursor| name(item) > *cursor);
        let mut items: Vec<T> = list.into_iter().filter(is_left).take(limit + 1).collect();
        let more = items.len() > limit;
        items.truncate(limit);
        let next = items.last().filter(|_| more).map(name);
        Ok(Page { items, next })
    }

    /// The page of a list whose entries are known by numbers that fall.
    pub(super) fn falling<T>(&self, mut items: Vec<T>, number: impl Fn(&T) -> i64) -> Result<Page<T>, Problem> {
        let limit = self.limit()?;
        let more = items.len() > limit;
        items.truncate(limit);
        let next = items.last().filter(|_| more).map(|last| number(last).to_string());
        Ok(Page { items, next })
    }
}
