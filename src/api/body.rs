//! Request bodies: read within a shared budget, and parsed with the paths of invalid fields.

use crate::{
    domain::document::field_path,
    http::problem::{FieldError, Problem, ProblemKind},
};
use axum::body::{Body, Bytes};
use bytes::BytesMut;
use http::{HeaderMap, header};
use http_body_util::{BodyExt, LengthLimitError};
use serde::{
    Deserializer,
    de::{DeserializeOwned, DeserializeSeed, Error, IgnoredAny, MapAccess, SeqAccess, Visitor},
};
use std::{fmt, sync::Arc};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The maximum number of values (objects, lists, strings, numbers, ...) in a JSON body. A parsed value takes more memory than its
/// text.
const MAX_JSON_VALUES: usize = 1_000_000;

/// The number of bytes of request bodies that may be in memory at a time.
#[derive(Debug, Clone)]
pub(super) struct BodyBudget(Arc<Semaphore>);

/// The part of the budget that a body uses until this is dropped.
pub(super) type BodyPermit = OwnedSemaphorePermit;

/// The content of a body, and its part of the budget.
#[derive(Debug, Default)]
pub(super) struct Content {
    pub(super) bytes: Bytes,
    pub(super) permit: Option<BodyPermit>,
}

impl BodyBudget {
    pub(super) fn new(bytes: usize) -> Self {
        Self(Arc::new(Semaphore::new(bytes.min(Semaphore::MAX_PERMITS))))
    }

    /// Takes a number of bytes from the budget. Does not wait for bytes that are in use: their requests could be waiting, too.
    fn take(&self, bytes: usize) -> Result<BodyPermit, Problem> {
        let permit = u32::try_from(bytes).ok().and_then(|bytes| self.0.clone().try_acquire_many_owned(bytes).ok());
        let problem = || ProblemKind::Overloaded.because("too many request bodies in memory (limits.bodies_bytes)");
        permit.ok_or_else(problem)
    }
}

/// Reads a body to its end, within its size limit and the budget.
///
/// # Errors
/// 413 if the body is too large, 503 if the budget is used up, 400 if the body does not arrive.
pub(super) async fn read(mut body: Body, budget: &BodyBudget) -> Result<Content, Problem> {
    let mut permit = budget.take(0)?;
    let mut content = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(|error| unreadable(&error))?.into_data() else { continue };
        permit.merge(budget.take(data.len())?);
        content.extend_from_slice(&data);
    }
    Ok(Content { bytes: content.freeze(), permit: Some(permit) })
}

fn unreadable(error: &axum::Error) -> Problem {
    let mut causes = std::iter::successors(Some(error as &dyn std::error::Error), |error| error.source());
    if causes.any(<dyn std::error::Error>::is::<LengthLimitError>) {
        return ProblemKind::TooLarge.into();
    }
    ProblemKind::BadRequest.because("the body could not be read")
}

/// Parses a JSON body.
///
/// # Errors
/// 415 if the media type is another one, 400 if the body is not JSON, 413 if it has too many values, 422 with the invalid fields.
pub(super) fn json<T: DeserializeOwned>(headers: &HeaderMap, content: &Content) -> Result<T, Problem> {
    let media_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = media_type.split(';').next().unwrap_or_default().trim();
    if !essence.eq_ignore_ascii_case("application/json") {
        return Err(ProblemKind::UnsupportedMediaType.because("requires Content-Type application/json"));
    }
    // Parsed twice: the first pass distinguishes invalid JSON (400) from invalid fields (422) and limits the memory of the second.
    check_json(&content.bytes)?;
    let mut json = serde_json::Deserializer::from_slice(&content.bytes);
    serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let path = field_path(error.path());
        let message = error.into_inner().to_string();
        // The path names the field; the line and column are not needed.
        let message = message.rsplit_once(" at line ").map_or(message.as_str(), |(message, _)| message).to_owned();
        Problem::from(ProblemKind::Invalid).at([FieldError { path, message }])
    })
}

fn check_json(content: &[u8]) -> Result<(), Problem> {
    let (mut values, mut json) = (0, serde_json::Deserializer::from_slice(content));
    let checked = CountValues(&mut values).deserialize(&mut json).and_then(|()| json.end());
    if values > MAX_JSON_VALUES {
        return Err(ProblemKind::TooLarge.because(format!("the body has more than {MAX_JSON_VALUES} values")));
    }
    checked.map_err(|error| ProblemKind::BadRequest.because(format!("the body is not JSON: {error}")))
}

/// Counts the values of a document, including the document itself, and stops above the maximum.
struct CountValues<'a>(&'a mut usize);

impl<'de> DeserializeSeed<'de> for CountValues<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        *self.0 += 1;
        if *self.0 > MAX_JSON_VALUES {
            return Err(D::Error::custom("too many values"));
        }
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for CountValues<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        while list.next_element_seed(CountValues(self.0))?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<(), A::Error> {
        while object.next_key::<IgnoredAny>()?.is_some() {
            object.next_value_seed(CountValues(self.0))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    fn parsed(content: &str) -> Result<Value, Problem> {
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, http::HeaderValue::from_static("application/json; charset=utf-8"));
        json(&headers, &Content { bytes: content.as_bytes().to_vec().into(), permit: None })
    }

    #[test]
    fn the_number_of_values_in_a_body_is_limited() {
        let list = |values: usize| format!("[{}0]", "0,".repeat(values - 1));
        assert!(parsed(&list(MAX_JSON_VALUES - 1)).is_ok());
        let too_many = ProblemKind::TooLarge.because(format!("the body has more than {MAX_JSON_VALUES} values"));
        assert_eq!(parsed(&list(MAX_JSON_VALUES)), Err(too_many.clone()));
        let nested = format!("{{\"a\": [{}]}}", "{\"b\":null},".repeat(MAX_JSON_VALUES / 2) + "1");
        assert_eq!(parsed(&nested), Err(too_many));
    }

    #[test]
    fn invalid_json_is_a_bad_request() {
        let deep = "[".repeat(200) + &"]".repeat(200);
        for bad in ["", "{", "[1,]", "{\"a\" 1}", "1 2", "nul", "\u{0}", &deep] {
            let problem = parsed(bad).err().map(|problem| format!("{problem:?}")).unwrap_or_default();
            assert!(problem.contains("BadRequest"), "{bad:?}: {problem}");
        }
    }

    #[tokio::test]
    async fn bodies_share_a_budget_and_return_it_when_dropped() {
        let budget = BodyBudget::new(10);
        let first = read(Body::from("123456"), &budget).await.unwrap();
        assert!(read(Body::from("12345"), &budget).await.is_err());
        let second = read(Body::from("1234"), &budget).await.unwrap();
        assert_eq!((first.bytes.as_ref(), second.bytes.as_ref()), (&b"123456"[..], &b"1234"[..]));
        drop((first, second));
        assert!(read(Body::from("1234567890"), &budget).await.is_ok());
        let limited = Body::new(http_body_util::Limited::new(Body::from("123"), 2));
        assert_eq!(read(limited, &budget).await.err(), Some(ProblemKind::TooLarge.into()));
    }
}
