//! Who may do what: a role, on the streams that a pattern names.

use crate::domain::{
    product::ProductName,
    stream::{StreamId, StreamName},
};
use std::{fmt, str::FromStr};
use thiserror::Error;

/// What somebody may do. Each role may do what those before it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Reads.
    Viewer,
    /// Makes releases and publishes them, and stops what goes wrong: pauses, aborts, withdraws.
    Publisher,
    /// Opens rollouts, sets barriers, dead ends and blocked updates, changes what is there.
    Manager,
    /// Makes and removes streams, changes their settings, gives and takes tokens.
    Admin,
}

impl Role {
    /// Every role.
    pub const ALL: [Self; 4] = [Self::Viewer, Self::Publisher, Self::Manager, Self::Admin];

    /// Its name in tokens and settings.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Publisher => "publisher",
            Self::Manager => "manager",
            Self::Admin => "admin",
        }
    }
}

/// A role or a pattern that is none.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum GrantError {
    /// There is no such role.
    #[error("{0:?} is no role; there are viewer, publisher, manager and admin")]
    Role(String),
    /// It names no streams.
    #[error("{0:?} is no pattern such as fedora-coreos/stable, fedora-coreos/* or *")]
    Pattern(String),
}

impl FromStr for Role {
    type Err = GrantError;

    fn from_str(text: &str) -> Result<Self, GrantError> {
        Self::ALL.into_iter().find(|role| role.as_str() == text).ok_or_else(|| GrantError::Role(text.into()))
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One stream, all streams of a product, or all.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Pattern {
    product: Option<ProductName>,
    stream: Option<StreamName>,
}

impl Pattern {
    /// All streams of all products.
    pub const ALL: Self = Self { product: None, stream: None };

    /// All streams of a product.
    #[must_use]
    pub fn of_product(product: ProductName) -> Self {
        Self { product: Some(product), stream: None }
    }

    /// Is this one of the streams?
    #[must_use]
    pub fn covers(&self, id: &StreamId) -> bool {
        self.product.as_ref().is_none_or(|product| *product == id.product)
            && self.stream.as_ref().is_none_or(|stream| *stream == id.stream)
    }

    /// Is any stream of this product among them?
    #[must_use]
    pub fn touches(&self, product: &ProductName) -> bool {
        self.product.as_ref().is_none_or(|own| own == product)
    }

    /// Are all streams of the other among these?
    #[must_use]
    pub fn includes(&self, other: &Self) -> bool {
        (self.product.is_none() || self.product == other.product)
            && (self.stream.is_none() || self.stream == other.stream)
    }
}

impl FromStr for Pattern {
    type Err = GrantError;

    fn from_str(text: &str) -> Result<Self, GrantError> {
        let wrong = || GrantError::Pattern(text.into());
        if text == "*" {
            return Ok(Self::ALL);
        }
        let (product, stream) = text.split_once('/').ok_or_else(wrong)?;
        let product = match product {
            "*" => None,
            name => Some(ProductName::parse(name).map_err(|_| wrong())?),
        };
        let stream = match stream {
            "*" => None,
            name => Some(StreamName::parse(name).map_err(|_| wrong())?),
        };
        Ok(Self { product, stream })
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let part = |name: Option<String>| name.unwrap_or_else(|| "*".into());
        match (&self.product, &self.stream) {
            (None, None) => f.write_str("*"),
            (product, stream) => {
                write!(
                    f,
                    "{}/{}",
                    part(product.as_ref().map(ToString::to_string)),
                    part(stream.as_ref().map(ToString::to_string))
                )
            }
        }
    }
}

/// A role on some streams.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Grant {
    /// What may be done.
    pub role: Role,
    /// On which streams.
    pub on: Pattern,
}

/// Who acts without saying who they are.
pub(super) const ANONYMOUS: &str = "anonymous";

/// Somebody who has proved who they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// Who, for the record: `token:ci`, `https://issuer.example:somebody`.
    pub actor: String,
    /// What they may do.
    pub grants: Vec<Grant>,
}

impl Identity {
    /// May they do what takes this role on this stream?
    #[must_use]
    pub fn may(&self, role: Role, on: &StreamId) -> bool {
        self.grants.iter().any(|grant| grant.role >= role && grant.on.covers(on))
    }

    /// May they do what takes this role on some stream of a product?
    #[must_use]
    pub fn may_on_some(&self, role: Role, product: &ProductName) -> bool {
        self.grants.iter().any(|grant| grant.role >= role && grant.on.touches(product))
    }

    /// Did they say who they are?
    #[must_use]
    pub fn is_known(&self) -> bool {
        self.actor != ANONYMOUS
    }

    /// May they do what takes this role on all of these streams?
    #[must_use]
    pub fn may_on_all(&self, role: Role, on: &Pattern) -> bool {
        self.grants.iter().any(|grant| grant.role >= role && grant.on.includes(on))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(product: &str, stream: &str) -> StreamId {
        StreamId { product: ProductName::parse(product).unwrap(), stream: StreamName::parse(stream).unwrap() }
    }

    #[test]
    fn patterns_name_streams() {
        for (pattern, covered) in [
            ("*", [true, true, true]),
            ("*/*", [true, true, true]),
            ("os/*", [true, true, false]),
            ("os/stable", [true, false, false]),
            ("*/stable", [true, false, true]),
        ] {
            let parsed: Pattern = pattern.parse().unwrap();
            let streams = [id("os", "stable"), id("os", "next"), id("other", "stable")];
            assert_eq!(streams.map(|stream| parsed.covers(&stream)), covered, "{pattern}");
            assert_eq!(parsed.to_string().parse(), Ok(parsed));
        }
        for wrong in ["", "os", "os/", "/stable", "os/st*", "os/stable/x", "OS/stable", "**"] {
            assert_eq!(wrong.parse::<Pattern>(), Err(GrantError::Pattern(wrong.into())));
        }
    }

    #[test]
    fn roles_include_those_before_them_and_only_where_they_are_granted() {
        let grants = vec![
            Grant { role: Role::Publisher, on: "os/stable".parse().unwrap() },
            Grant { role: Role::Viewer, on: "os/*".parse().unwrap() },
        ];
        let somebody = Identity { actor: "token:ci".into(), grants };
        let may = |role, stream: &str| somebody.may(role, &id("os", stream));
        assert_eq!(Role::ALL.map(|role| may(role, "stable")), [true, true, false, false]);
        assert_eq!(Role::ALL.map(|role| may(role, "next")), [true, false, false, false]);
        assert!(!somebody.may(Role::Viewer, &id("other", "stable")));
        let on_all = |role, pattern: &str| somebody.may_on_all(role, &pattern.parse().unwrap());
        assert!(on_all(Role::Viewer, "os/*") && on_all(Role::Viewer, "os/next") && !on_all(Role::Viewer, "*"));
        assert!(on_all(Role::Publisher, "os/stable") && !on_all(Role::Publisher, "os/*"));
    }

    #[test]
    fn roles_have_names() {
        for role in Role::ALL {
            assert_eq!(role.to_string().parse(), Ok(role));
        }
        assert_eq!("root".parse::<Role>(), Err(GrantError::Role("root".into())));
    }
}
