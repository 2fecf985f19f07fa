//! The query string of a poll (`/v1/graph`).

use super::refusal::Refusal;
use crate::domain::{graph::visibility::NodeContext, rollout::wariness::Wariness};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;

/// The graph that a node gets if its poll names the payload that it runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum View {
    /// The node view: its own release and the releases that it may update to now.
    Node,
    /// The full graph.
    Full,
}

/// The parameters of a poll. Unknown parameters are ignored; known ones must not be repeated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query<'a> {
    /// The architecture.
    pub basearch: Cow<'a, str>,
    /// The stream.
    pub stream: Cow<'a, str>,
    /// The node was booted from a container image.
    pub oci: bool,
    /// The group that the operator assigned to the node.
    pub group: Option<Cow<'a, str>>,
    /// The platform that the node runs on.
    pub platform: Option<Cow<'a, str>>,
    /// The payload that the node runs: a commit, or a pull spec by digest.
    pub os_checksum: Option<Cow<'a, str>>,
    /// The node's id; never stored or logged.
    pub node_uuid: Option<Cow<'a, str>>,
    /// The node's wariness, if the operator set one.
    pub rollout_wariness: Option<Cow<'a, str>>,
    /// The requested graph. An extension of Lockkeeper for people and tools; agents do not send it.
    pub view: Option<View>,
}

const KNOWN: [&str; 10] = [
    "basearch",
    "stream",
    "oci",
    "group",
    "platform",
    "os_checksum",
    "node_uuid",
    "rollout_wariness",
    "view",
    "os_version",
];

impl<'a> Query<'a> {
    /// Parses a query string.
    ///
    /// # Errors
    /// Returns an error if a parameter is missing, repeated or invalid.
    pub fn parse(query: &'a str) -> Result<Self, Refusal> {
        let mut values: [Option<Cow<'a, str>>; KNOWN.len()] = Default::default();
        for (key, value) in form_urlencoded::parse(query.as_bytes()) {
            let slot = KNOWN.iter().zip(&mut values).find(|(known, _)| **known == key);
            if let Some((known, slot)) = slot
                && slot.replace(value).is_some()
            {
                return Err(Refusal::Repeated(known));
            }
        }
        let [basearch, stream, oci, group, platform, os_checksum, node_uuid, rollout_wariness, view, _os_version] =
            values;
        let not_empty = |value: Option<Cow<'a, str>>| value.filter(|text| !text.is_empty());
        Ok(Self {
            basearch: not_empty(basearch).ok_or(Refusal::Missing("basearch"))?,
            stream: not_empty(stream).ok_or(Refusal::Missing("stream"))?,
            oci: match oci.as_deref() {
                None | Some("false") => false,
                Some("true") => true,
                Some(other) => return Err(Refusal::Oci(other.into())),
            },
            group: not_empty(group),
            platform: not_empty(platform),
            os_checksum: not_empty(os_checksum),
            node_uuid,
            rollout_wariness,
            view: match view.as_deref() {
                None => None,
                Some("node") => Some(View::Node),
                Some("full") => Some(View::Full),
                Some(other) => return Err(Refusal::View(other.into())),
            },
        })
    }

    /// Returns the scheme of the payloads that the node can install.
    #[must_use]
    pub fn scheme(&self) -> &'static str {
        if self.oci { "oci" } else { "checksum" }
    }

    /// Returns the node context (rule 8 of the wire contract). `is_stopped` is true if the stream has an emergency stop.
    #[must_use]
    pub fn node_context(&self, is_stopped: bool) -> NodeContext<'_> {
        let given = self.rollout_wariness.as_ref().and_then(|text| text.parse().ok());
        let wariness = match given {
            Some(given) => Wariness::new(given),
            None => Wariness::from_node_id(self.node_uuid.as_deref().unwrap_or_default()),
        };
        NodeContext { group: self.group.as_deref(), platform: self.platform.as_deref(), wariness, is_stopped }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_the_query_of_a_real_agent() {
        let text = "basearch=x86_64&stream=stable&group=default&platform=aws&os_version=44.20260707.3.1&\
                    os_checksum=quay.io%2Ffedora%2Ffedora-coreos%40sha256%3A00&node_uuid=46d354cf6750611965bb70cbc6c2d868&\
                    rollout_wariness=0.250000&oci=true";
        let query = Query::parse(text).unwrap();
        assert_eq!(query.os_checksum.as_deref(), Some("quay.io/fedora/fedora-coreos@sha256:00"));
        assert_eq!((query.scheme(), query.node_context(false).group), ("oci", Some("default")));
        assert!((query.node_context(false).wariness.get() - 0.25).abs() < f64::EPSILON);
    }

    #[test]
    fn invalid_queries_are_rejected() {
        for (text, refusal) in [
            ("stream=stable", Refusal::Missing("basearch")),
            ("stream=stable&basearch=", Refusal::Missing("basearch")),
            ("basearch=x86_64", Refusal::Missing("stream")),
            ("basearch=x86_64&stream=a&stream=a", Refusal::Repeated("stream")),
            ("basearch=x86_64&stream=a&oci=yes", Refusal::Oci("yes".into())),
            ("basearch=x86_64&stream=a&oci=", Refusal::Oci(String::new())),
            ("basearch=x86_64&stream=a&view=all", Refusal::View("all".into())),
        ] {
            assert_eq!(Query::parse(text), Err(refusal), "{text}");
        }
        assert!(Query::parse("basearch=x86_64&stream=a&x=1&x=2").is_ok());
    }
}
