//! Query strings: their parameters by name, and the types of values, with errors that name the parameter and what it may be.

use crate::http::problem::{Problem, ProblemKind};
use http::Uri;
use serde::{
    Deserialize, Deserializer,
    de::{DeserializeOwned, Error},
};
use std::collections::BTreeSet;
use utoipa::{
    IntoParams,
    openapi::{Required, path::ParameterIn},
};

/// Parses the parameters of a query that `T` describes, and ignores others.
///
/// # Errors
/// A parameter is missing, repeated or invalid. The message names it.
pub(super) fn parse<T: DeserializeOwned + IntoParams>(query: &str) -> Result<T, Problem> {
    let invalid = |name: &str, what: &str| ProblemKind::BadRequest.because(format!("query parameter `{name}` {what}"));
    let given = form_urlencoded::parse(query.as_bytes());
    let mut found = BTreeSet::new();
    let parameters = T::into_params(|| Some(ParameterIn::Query));
    for (name, _) in given {
        if parameters.iter().any(|parameter| parameter.name == name) && !found.insert(name.clone()) {
            return Err(invalid(&name, "is repeated"));
        }
    }
    let required = parameters.iter().filter(|parameter| parameter.required == Required::True);
    if let Some(missing) = required.map(|parameter| &parameter.name).find(|name| !found.contains(name.as_str())) {
        return Err(invalid(missing, "is required"));
    }
    let deserializer = serde_urlencoded::Deserializer::new(given);
    serde_path_to_error::deserialize(deserializer)
        .map_err(|error| invalid(&error.path().to_string(), &error.inner().to_string()))
}

/// Returns the first parameter of a query whose name is not known.
pub(super) fn first_unknown(uri: &Uri, is_known: impl Fn(&str) -> bool) -> Option<String> {
    let mut given = form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes());
    given.find(|(name, _)| !is_known(name)).map(|(name, _)| name.into_owned())
}

/// Deserialises an optional whole number between `MIN` and `MAX`.
///
/// # Errors
/// The text is not a whole number, or is out of range. The message names the range.
pub(super) fn between<'de, const MIN: i64, const MAX: i64, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<i64>, D::Error> {
    let Some(text) = Option::<String>::deserialize(deserializer)? else { return Ok(None) };
    let number = text.parse().ok().filter(|number| (MIN..=MAX).contains(number));
    let allowed = if MAX == i64::MAX { format!("of at least {MIN}") } else { format!("from {MIN} to {MAX}") };
    number.map(Some).ok_or_else(|| D::Error::custom(format!("must be a whole number {allowed}, is {text:?}")))
}

/// Deserialises `true` or `false`.
///
/// # Errors
/// The text is neither.
pub(super) fn flag<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    match String::deserialize(deserializer)?.as_str() {
        "true" => Ok(true),
        "false" => Ok(false),
        text => Err(D::Error::custom(format!("must be true or false, is {text:?}"))),
    }
}

/// Deserialises an optional number.
///
/// # Errors
/// The text is not a number.
pub(super) fn number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<f64>, D::Error> {
    let Some(text) = Option::<String>::deserialize(deserializer)? else { return Ok(None) };
    let number = text.parse().ok().filter(|number: &f64| number.is_finite());
    number.map(Some).ok_or_else(|| D::Error::custom(format!("must be a number, is {text:?}")))
}
