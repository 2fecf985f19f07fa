//! Claims of tokens, and the rules that grant roles for them.

use super::{error::IssuerError, grant::Grant};
use crate::config::RuleSettings;
use serde_json::{Map, Value};
use std::{collections::BTreeSet, str::FromStr};

/// The claims of a token.
pub(super) type Claims = Map<String, Value>;

/// Returns a claim by its name or, if no claim has that name, by its dotted path.
pub(super) fn claim<'a>(claims: &'a Claims, name: &str) -> Option<&'a Value> {
    if let Some(value) = claims.get(name) {
        return Some(value);
    }
    let (first, rest) = name.split_once('.')?;
    rest.split('.').try_fold(claims.get(first)?, |value, part| value.as_object()?.get(part))
}

/// The required value of a claim.
#[derive(Debug)]
enum ClaimPattern {
    /// This string, or an array that contains it.
    Exactly(String),
    /// A string with this prefix.
    Prefix(String),
}

impl ClaimPattern {
    fn parse(text: &str) -> Self {
        match text.strip_suffix('*') {
            Some(prefix) => Self::Prefix(prefix.into()),
            None => Self::Exactly(text.into()),
        }
    }

    fn matches(&self, value: &Value) -> bool {
        match (self, value) {
            (Self::Exactly(wanted), Value::String(text)) => text == wanted,
            (Self::Exactly(wanted), Value::Array(items)) => items.iter().any(|item| item.as_str() == Some(wanted)),
            (Self::Prefix(wanted), Value::String(text)) => text.starts_with(wanted.as_str()),
            _ => false,
        }
    }
}

/// Grants a role to tokens with certain claims.
#[derive(Debug)]
pub(super) struct Rule {
    claims: Vec<(String, ClaimPattern)>,
    grant: Grant,
}

impl Rule {
    /// Creates the rule of a setting, such as `auth.issuers[0].rules[1]`.
    pub(super) fn new(settings: &RuleSettings, setting: &str) -> Result<Self, IssuerError> {
        let claims = settings.claims.iter().map(|(name, wanted)| (name.clone(), ClaimPattern::parse(wanted))).collect();
        let role = parse_setting(&settings.role, || format!("{setting}.role"))?;
        let on = parse_setting(&settings.streams, || format!("{setting}.streams"))?;
        Ok(Self { claims, grant: Grant { role, on } })
    }

    fn matches(&self, claims: &Claims) -> bool {
        self.claims.iter().all(|(name, wanted)| claim(claims, name).is_some_and(|value| wanted.matches(value)))
    }
}

fn parse_setting<T: FromStr<Err = super::grant::GrantError>>(
    text: &str,
    setting: impl FnOnce() -> String,
) -> Result<T, IssuerError> {
    text.parse().map_err(|problem| IssuerError::Grant { setting: setting(), problem })
}

/// Returns the grants of all rules that match these claims, without duplicates.
pub(super) fn grants(rules: &[Rule], claims: &Claims) -> Vec<Grant> {
    let matching = rules.iter().filter(|rule| rule.matches(claims)).map(|rule| rule.grant.clone());
    matching.collect::<BTreeSet<_>>().into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn has_grant(wanted: &[(&str, &str)], claims: &Value) -> bool {
        let claims_wanted = wanted.iter().map(|(name, wanted)| ((*name).into(), (*wanted).into())).collect();
        let settings = RuleSettings { claims: claims_wanted, role: "viewer".into(), streams: "*".into() };
        let rule = Rule::new(&settings, "rules[0]").unwrap();
        !grants(&[rule], claims.as_object().unwrap()).is_empty()
    }

    #[test]
    fn claim_patterns_match_strings_arrays_and_prefixes() {
        for (wanted, claimed, is_match) in [
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
            assert_eq!(has_grant(&[("ref", wanted)], &json!({"ref": claimed})), is_match, "{wanted} {claimed}");
        }
        assert!(!has_grant(&[("ref", "*")], &json!({})), "a missing claim matches nothing");
    }

    #[test]
    fn a_rule_requires_all_of_its_claims() {
        let wanted = [("repository", "example/os"), ("ref", "refs/heads/main")];
        let claims = |repository: &str, branch: &str| json!({"repository": repository, "ref": branch});
        assert!(has_grant(&wanted, &claims("example/os", "refs/heads/main")));
        assert!(!has_grant(&wanted, &claims("example/other", "refs/heads/main")));
        assert!(!has_grant(&wanted, &claims("example/os", "refs/heads/dev")));
    }

    #[test]
    fn a_claim_name_takes_precedence_over_a_path() {
        let nested = json!({"realm_access": {"roles": ["admin"]}});
        assert!(has_grant(&[("realm_access.roles", "admin")], &nested));
        let both = json!({"realm_access": {"roles": ["admin"]}, "realm_access.roles": "guest"});
        assert!(!has_grant(&[("realm_access.roles", "admin")], &both));
        assert!(has_grant(&[("https://os.example/groups", "a")], &json!({"https://os.example/groups": ["a"]})));
        for path in ["realm_access", "realm_access.", ".roles", "realm_access.roles.0", "roles", "."] {
            assert!(!has_grant(&[(path, "admin")], &nested), "{path}");
        }
    }
}
