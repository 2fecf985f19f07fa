//! Paged lists.

use super::query;
use crate::{
    domain::ids::StreamId,
    http::problem::{Problem, ProblemKind},
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// The page of a list to return.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct PageQuery {
    /// The value of `next` in the page before, unchanged. Default: the first page.
    cursor: Option<String>,
    /// The maximum number of items in the page, 1 to 500. Default: 100.
    #[param(value_type = Option<u16>, minimum = 1, maximum = 500)]
    #[serde(default, deserialize_with = "query::between::<1, 500, _>")]
    limit: Option<i64>,
}

/// The highest position.
const MAX_POSITION: usize = 99_999_999;

/// The prefix of cursors of lists by name: other cursors are not from this service.
const AFTER: &str = "after:";

/// A page of a list.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Page<T> {
    /// The items of the page.
    pub(super) items: Vec<T>,
    /// The cursor of the next page; absent on the last page.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) next: Option<String>,
}

impl PageQuery {
    /// Returns the maximum number of items in a page.
    pub(super) fn limit(&self) -> usize {
        self.limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(100)
    }

    /// Parses a cursor that is a number: the page has items with lower numbers.
    pub(super) fn number(&self) -> Result<Option<i64>, Problem> {
        let parse = |cursor: &String| cursor.parse().ok().filter(|number| *number > 0).ok_or_else(invalid_cursor);
        self.cursor.as_ref().map(parse).transpose()
    }

    /// Returns a page of a list that is sorted by name.
    ///
    /// # Errors
    /// The cursor is not from such a list.
    pub(super) fn by_name<T>(
        &self,
        list: impl IntoIterator<Item = T>,
        name: impl Fn(&T) -> String,
    ) -> Result<Page<T>, Problem> {
        let (limit, after) = (self.limit(), self.after()?);
        let is_after = |item: &T| after.is_none_or(|after| name(item).as_str() > after);
        let mut items: Vec<T> = list.into_iter().filter(is_after).take(limit + 1).collect();
        let has_more = items.len() > limit;
        items.truncate(limit);
        let next = items.last().filter(|_| has_more).map(|last| format!("{AFTER}{}", name(last)));
        Ok(Page { items, next })
    }

    /// Returns a page of a list that is sorted by position.
    ///
    /// # Errors
    /// The cursor is not from such a list.
    pub(super) fn by_position<T>(
        &self,
        list: impl IntoIterator<Item = T>,
        position: impl Fn(&T) -> usize,
    ) -> Result<Page<T>, Problem> {
        let is_position = |after: &str| after.len() == 8 && after.bytes().all(|byte| byte.is_ascii_digit());
        if self.after()?.is_some_and(|after| !is_position(after)) {
            return Err(invalid_cursor());
        }
        self.by_name(list, |item| format!("{:08}", position(item)))
    }

    /// Parses a cursor of a list by name.
    fn after(&self) -> Result<Option<&str>, Problem> {
        let Some(cursor) = &self.cursor else { return Ok(None) };
        let name = cursor.strip_prefix(AFTER).filter(|name| !name.is_empty());
        name.map(Some).ok_or_else(invalid_cursor)
    }

    /// Returns a page of a list that is sorted by descending numbers.
    pub(super) fn descending<T>(&self, mut items: Vec<T>, number: impl Fn(&T) -> i64) -> Page<T> {
        let limit = self.limit();
        let has_more = items.len() > limit;
        items.truncate(limit);
        let next = items.last().filter(|_| has_more).map(|last| number(last).to_string());
        Page { items, next }
    }
}

/// Returns the name of a place in a list of streams by name, the newest release of each first. The list stays in this order when other
/// releases change. No name of a product or stream has a character before `!`.
pub(super) fn newest_first(stream: &StreamId, position: usize) -> String {
    format!("{}!{}!{:08}", stream.product, stream.stream, descending(position))
}

/// Returns a position that counts from the end of a list.
pub(super) fn descending(position: usize) -> usize {
    MAX_POSITION.saturating_sub(position)
}

fn invalid_cursor() -> Problem {
    ProblemKind::BadRequest.because("`cursor` must be the unchanged `next` of the page before")
}
