//! What an agent asks: the query of `/v1/graph`.

use super::refusal::Refusal;
use crate::domain::{standing::Asker, wariness::Wariness};
use std::borrow::Cow;

/// Which graph a node gets that says what it runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum View {
    /// Its own: itself and the releases to which it may go now.
    Node,
    /// The whole graph.
    Full,
}

/// The parameters of a poll. Unknown ones are ignored; known ones may stand there once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query<'a> {
    /// The architecture.
    pub basearch: Cow<'a, str>,
    /// The stream.
    pub stream: Cow<'a, str>,
    /// The node was booted from a container image.
    pub oci: bool,
    /// The group that the operator put it into.
    pub group: Option<Cow<'a, str>>,
    /// The platform that it runs on.
    pub platform: Option<Cow<'a, str>>,
    /// What it runs: a commit, or a pull spec by digest.
    pub os_checksum: Option<Cow<'a, str>>,
    /// Its id, never stored or logged.
    pub node_uuid: Option<Cow<'a, str>>,
    /// Its wariness, where the operator gave one.
    pub rollout_wariness: Option<Cow<'a, str>>,
    /// Which graph it wants: ours, for people and tools; agents do not know it.
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
    /// Reads a query string.
    ///
    /// # Errors
    /// A parameter is missing, given twice or wrong.
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
        let told = |value: Option<Cow<'a, str>>| value.filter(|text| !text.is_empty());
        Ok(Self {
            basearch: told(basearch).ok_or(Refusal::Missing("basearch"))?,
            stream: told(stream).ok_or(Refusal::Missing("stream"))?,
            oci: match oci.as_deref() {
                None | Some("false") => false,
                Some("true") => true,
                Some(other) => return Err(Refusal::Oci(other.into())),
            },
            group: told(group),
            platform: told(platform),
            os_checksum: told(os_checksum),
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

    /// The scheme of the payloads that it can take.
    #[must_use]
    pub fn scheme(&self) -> &'static str {
        if self.oci { "oci" } else { "checksum" }
    }

    /// Who asks, in the rules' words (rule 8 of the wire contract).
    #[must_use]
    pub fn asker(&self) -> Asker<'_> {
        let given = self.rollout_wariness.as_ref().and_then(|text| text.parse().ok());
        let wariness = match given {
            Some(given) => Wariness::given(given),
            None => Wariness::of_node(self.node_uuid.as_deref().unwrap_or_default()),
        };
        Asker { group: self.group.as_deref(), platform: self.platform.as_deref(), wariness }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_real_agents_query() {
        let text = "basearch=x86_64&stream=stable&group=default&platform=aws&os_version=44.20260707.3.1&\
                    os_checksum=quay.io%2Ffedora%2Ffedora-coreos%40sha256%3A00&node_uuid=46d354cf6750611965bb70cbc6c2d868&\
                    rollout_wariness=0.250000&oci=true";
        let query = Query::parse(text).unwrap();
        assert_eq!(query.os_checksum.as_deref(), Some("quay.io/fedora/fedora-coreos@sha256:00"));
        assert_eq!((query.scheme(), query.asker().group), ("oci", Some("default")));
        assert!((query.asker().wariness.get() - 0.25).abs() < f64::EPSILON);
    }

    #[test]
    fn refusals() {
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
