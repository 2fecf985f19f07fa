//! Grants: a role on the streams that a pattern covers.

use crate::domain::{
    actor::Actor,
    ids::{ProductName, StreamId, StreamName},
};
use jiff::Timestamp;
use std::{fmt, str::FromStr};
use strum::{Display, EnumString, IntoStaticStr, VariantArray};
use thiserror::Error;

/// A set of permissions. Each role includes those before it.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Display, EnumString, IntoStaticStr, VariantArray,
)]
#[strum(serialize_all = "snake_case", parse_err_ty = GrantError, parse_err_fn = unknown_role)]
pub enum Role {
    /// Reads.
    Viewer,
    /// Creates and publishes releases, and stops updates: pauses, aborts, withdraws.
    Publisher,
    /// Starts rollouts, sets barriers, dead ends and blocked updates, edits existing releases.
    Manager,
    /// Creates streams, changes their settings, issues and revokes tokens.
    Admin,
}

impl Role {
    /// Every role.
    pub const ALL: &'static [Self] = Self::VARIANTS;

    /// Returns its name in tokens and settings.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

/// An invalid role or pattern.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum GrantError {
    /// There is no such role.
    #[error("{0:?} is not a role: expected viewer, publisher, manager or admin")]
    Role(String),
    /// The pattern is malformed.
    #[error(
        "{0:?} is not a stream pattern: expected a form such as fedora-coreos/stable, fedora-coreos/*, */stable or *"
    )]
    Pattern(String),
}

fn unknown_role(text: &str) -> GrantError {
    GrantError::Role(text.into())
}

/// A pattern that covers one stream, all streams of a product, the streams of one name in all products, or all streams.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Pattern {
    product: Option<ProductName>,
    stream: Option<StreamName>,
}

impl Pattern {
    /// Covers all streams of all products.
    pub const ALL: Self = Self { product: None, stream: None };

    /// Returns the pattern of all streams of a product.
    #[must_use]
    pub fn for_product(product: ProductName) -> Self {
        Self { product: Some(product), stream: None }
    }

    /// Returns true if the pattern covers a stream.
    #[must_use]
    pub fn covers(&self, id: &StreamId) -> bool {
        self.product.as_ref().is_none_or(|product| *product == id.product)
            && self.stream.as_ref().is_none_or(|stream| *stream == id.stream)
    }

    /// Returns true if the pattern can cover a stream of the product.
    #[must_use]
    pub fn covers_some_of(&self, product: &ProductName) -> bool {
        self.product.as_ref().is_none_or(|own| own == product)
    }

    /// Returns true if this pattern covers all streams that `other` covers.
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
    /// The role.
    pub role: Role,
    /// The streams.
    pub on: Pattern,
}

/// The actor id of clients without a token.
pub(super) const ANONYMOUS: &str = "anonymous";

/// An authenticated actor and its grants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The actor, as it is recorded.
    pub actor: Actor,
    /// Its grants.
    pub grants: Vec<Grant>,
    /// When its token expires; `None` without a token.
    pub expires_at: Option<Timestamp>,
}

impl Identity {
    /// Returns the identity of a local command's user, who has every role: direct access to the database allows everything anyway.
    #[must_use]
    pub fn local(user: &str) -> Self {
        let grants = vec![Grant { role: Role::Admin, on: Pattern::ALL }];
        Self { actor: Actor { id: format!("local:{user}"), name: user.into() }, grants, expires_at: None }
    }

    /// Returns true if this identity has the role, or a higher one, on a stream.
    #[must_use]
    pub fn may(&self, role: Role, on: &StreamId) -> bool {
        self.grants.iter().any(|grant| grant.role >= role && grant.on.covers(on))
    }

    /// Returns true if this identity has the role, or a higher one, on some stream of a product.
    #[must_use]
    pub fn may_on_some(&self, role: Role, product: &ProductName) -> bool {
        self.grants.iter().any(|grant| grant.role >= role && grant.on.covers_some_of(product))
    }

    /// Returns true if this identity has the role, or a higher one, on any stream.
    #[must_use]
    pub fn has_anywhere(&self, role: Role) -> bool {
        self.grants.iter().any(|grant| grant.role >= role)
    }

    /// Returns true for the user of a local command, created by [`Identity::local`].
    #[must_use]
    pub fn is_local(&self) -> bool {
        // Other ids begin with `token:` or with the URL of an issuer, or are `anonymous`.
        self.actor.id.starts_with("local:")
    }

    /// Returns true if the client presented a token.
    #[must_use]
    pub fn is_known(&self) -> bool {
        self.actor.id != ANONYMOUS
    }

    /// Returns true if this identity has the role, or a higher one, on all streams of a pattern.
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
    fn patterns_cover_streams() {
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
    fn roles_include_lower_roles_on_granted_streams_only() {
        let grants = vec![
            Grant { role: Role::Publisher, on: "os/stable".parse().unwrap() },
            Grant { role: Role::Viewer, on: "os/*".parse().unwrap() },
        ];
        let identity = Identity { actor: Actor::from_id("token:ci"), grants, expires_at: None };
        let may = |role, stream: &str| identity.may(role, &id("os", stream));
        let all = |stream| Role::ALL.iter().map(|role| may(*role, stream)).collect::<Vec<_>>();
        assert_eq!(all("stable"), [true, true, false, false]);
        assert_eq!(all("next"), [true, false, false, false]);
        assert!(!identity.may(Role::Viewer, &id("other", "stable")));
        let on_all = |role, pattern: &str| identity.may_on_all(role, &pattern.parse().unwrap());
        assert!(on_all(Role::Viewer, "os/*") && on_all(Role::Viewer, "os/next") && !on_all(Role::Viewer, "*"));
        assert!(on_all(Role::Publisher, "os/stable") && !on_all(Role::Publisher, "os/*"));
    }

    #[test]
    fn roles_have_names() {
        for role in Role::ALL {
            assert_eq!(role.to_string().parse(), Ok(*role));
        }
        assert_eq!("root".parse::<Role>(), Err(GrantError::Role("root".into())));
    }
}
