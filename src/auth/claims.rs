//! What a token claims, and the roles that rules give for it.

use super::{error::IssuerError, grant::Grant};
use crate::config::RuleSettings;
use serde_json::{Map, Value};
use std::{collections::BTreeSet, str::FromStr};

/// What a token claims.
pub(super) type Claims = Map<String, Value>;

/// A claim by its name or, where there is none of that name, by the dotted path to it.
pub(super) fn claim<'a>(claims: &'a Claims, name: &str) -> Option<&'a Value> {
    if let Some(value) = claims.get(name) {
        return Some(value);
    }
    let (first, rest) = name.split_once('.')?;
    rest.split('.').try_fold(claims.get(first)?, |value, part| value.as_object()?.get(part))
}

/// What a claim has to be.
#[derive(Debug)]
enum Wanted {
    /// This string, or an array that contains it.
    Exactly(String),
    /// A string that begins so.
    Beginning(String),
}

impl Wanted {
    fn of(text: &str) -> Self {
        match text.strip_suffix('*') {
            Some(beginning) => Self::Beginning(beginning.into()),
            None => Self::Exactly(text.into()),
        }
    }

    fn fits(&self, value: &Value) -> bool {
        match (self, value) {
            (Self::Exactly(wanted), Value::String(text)) => text == wanted,
            (Self::Exactly(wanted), Value::Array(items)) => items.iter().any(|item| item.as_str() == Some(wanted)),
            (Self::Beginning(wanted), Value::String(text)) => text.starts_with(wanted.as_str()),
            _ => false,
        }
    }
}

/// Gives a role for claims.
#[derive(Debug)]
pub(super) struct Rule {
    claims: Vec<(String, Wanted)>,
    grant: Grant,
}

impl Rule {
    /// The rule of a setting, such as `auth.issuers[0].rules[1]`.
    pub(super) fn of(settings: &RuleSettings, setting: &str) -> Result<Self, IssuerError> {
        let claims = settings.claims.iter().map(|(name, wanted)| (name.clone(), Wanted::of(wanted))).collect();
        let role = parsed(&settings.role, || format!("{setting}.role"))?;
        let on = parsed(&settings.on, || format!("{setting}.on"))?;
        Ok(Self { claims, grant: Grant { role, on } })
    }

    fn fits(&self, claims: &Claims) -> bool {
        self.claims.iter().all(|(name, wanted)| claim(claims, name).is_some_and(|value| wanted.fits(value)))
    }
}

fn parsed<T: FromStr<Err = super::grant::GrantError>>(
    text: &str,
    setting: impl FnOnce() -> String,
) -> Result<T, IssuerError> {
    text.parse().map_err(|problem| IssuerError::Grant { setting: setting(), problem })
}

/// What all rules together give for these claims, each grant once.
pub(super) fn grants(rules: &[Rule], claims: &Claims) -> Vec<Grant> {
    let fitting = rules.iter().filter(|rule| rule.fits(claims)).map(|rule| rule.grant.clone());
    fitting.collect::<BTreeSet<_>>().into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn fits(wanted: &[(&str, &str)], claims: &Value) -> bool {
        let claims_wanted = wanted.iter().map(|(name, wanted)| ((*name).into(), (*wanted).into())).collect();
        let settings = RuleSettings { claims: claims_wanted, role: "viewer".into(), on: "*".into() };
        let rule = Rule::of(&settings, "rules[0]").unwrap();
        !grants(&[rule], claims.as_object().unwrap()).is_empty()
    }

    #[test]
    fn a_wanted_value_fits_strings_arrays_and_beginnings() {
        for (wanted, claimed, is_fit) in [
            ("main", json!("main"), true),
            ("main", json!("mainly"), false),
            ("main", json!("Main"), false),
            ("main", json!(["dev", "main"]), true),
            ("main", json!(["dev"]), false),
            ("main", json!([["main"]]), false),
            ("main", json!({"main": true}), false),
            ("true", json!(true), false),
            ("1", json!(1), false),
            ("main", Value::Null, false),
            ("refs/heads/*", json!("refs/heads/main"), true),
            ("refs/heads/*", json!("refs/heads/"), true),
            ("refs/heads/*", json!("refs/tags/1"), false),
            ("refs/heads/*", json!(["refs/heads/main"]), false),
            ("refs/*/main", json!("refs/heads/main"), false),
            ("*", json!("anything"), true),
            ("*", json!(["anything"]), false),
            ("*", json!(1), false),
        ] {
            assert_eq!(fits(&[("ref", wanted)], &json!({"ref": claimed})), is_fit, "{wanted} {claimed}");
        }
        assert!(!fits(&[("ref", "*")], &json!({})), "what is not claimed fits nothing");
    }

    #[test]
    fn a_rule_wants_all_of_its_claims() {
        let wanted = [("repository", "example/os"), ("ref", "refs/heads/main")];
        let claims = |repository: &str, branch: &str| json!({"repository": repository, "ref": branch});
        assert!(fits(&wanted, &claims("example/os", "refs/heads/main")));
        assert!(!fits(&wanted, &claims("example/other", "refs/heads/main")));
        assert!(!fits(&wanted, &claims("example/os", "refs/heads/dev")));
    }

    #[test]
    fn a_name_comes_before_a_path() {
        let nested = json!({"realm_access": {"roles": ["admin"]}});
        assert!(fits(&[("realm_access.roles", "admin")], &nested));
        let both = json!({"realm_access": {"roles": ["admin"]}, "realm_access.roles": "nobody"});
        assert!(!fits(&[("realm_access.roles", "admin")], &both));
        assert!(fits(&[("https://os.example/groups", "a")], &json!({"https://os.example/groups": ["a"]})));
        for path in ["realm_access", "realm_access.", ".roles", "realm_access.roles.0", "roles", "."] {
            assert!(!fits(&[(path, "admin")], &nested), "{path}");
        }
    }
}
