//! Parsing of graph rules and predecessors.

use super::{
    read::Reader,
    shape::{PredecessorsDocument, StreamDocument, TargetsDocument},
};
use crate::domain::{
    policy::{
        graph_rules::{EdgeRule, GraphRules, Identity, NewestTargets, TargetLimit},
        predecessors::Predecessors,
    },
    release::Release,
    shared::Shared,
    stream::positions,
};

impl Reader {
    pub(super) fn graph_rules(&mut self, document: &StreamDocument) -> GraphRules {
        let edge_rule = document.edge_rule.as_ref().and_then(|name| self.edge_rule(name)).unwrap_or_default();
        let identity = document.identity.as_ref().and_then(|name| self.identity(name)).unwrap_or_default();
        let targets = document.targets.as_ref().and_then(|targets| self.targets(targets)).unwrap_or_default();
        GraphRules { edge_rule, identity, targets }
    }

    pub(super) fn edge_rule(&mut self, name: &str) -> Option<EdgeRule> {
        let rule = EdgeRule::from_name(name).ok_or_else(|| format!("is {name:?}, expected derived, open or explicit"));
        self.check("edge_rule", rule)
    }

    pub(super) fn identity(&mut self, name: &str) -> Option<Identity> {
        let identity = Identity::from_name(name).ok_or_else(|| format!("is {name:?}, expected payload or version"));
        self.check("identity", identity)
    }

    pub(super) fn targets(&mut self, document: &TargetsDocument) -> Option<TargetLimit> {
        match document {
            TargetsDocument::Named(name) if name == "all" => Some(TargetLimit::All),
            TargetsDocument::Named(name) => {
                self.problem("targets", format!("is {name:?}, expected \"all\" or a table such as {{ newest = 2 }}"));
                None
            }
            TargetsDocument::Newest(document) => {
                let newest = u16::try_from(document.newest).ok().and_then(NewestTargets::new);
                let newest = newest.ok_or_else(|| format!("is {}, expected 1 to 1000", document.newest));
                self.check("targets.newest", newest).map(TargetLimit::Newest)
            }
        }
    }

    pub(super) fn predecessors(&mut self, path: &str, document: &PredecessorsDocument) -> Option<Predecessors> {
        let origin = self.origin(&format!("{path}.origin"), document.origin.as_ref());
        let path = format!("{path}.versions");
        if document.versions.is_empty() {
            self.problem(path, "must not be empty");
            return None;
        }
        let versions = self.set(&path, &document.versions);
        (!versions.is_empty()).then_some(Predecessors { versions, origin })
    }

    /// Checks that predecessors are older releases of the stream.
    pub(super) fn check_predecessors(&mut self, releases: &[Shared<Release>]) {
        if releases.iter().all(|release| release.predecessors.is_none()) {
            return;
        }
        let positions = positions(releases);
        for (index, release) in releases.iter().enumerate() {
            let versions = release.predecessors.iter().flat_map(|predecessors| &predecessors.versions);
            for version in versions {
                let message = match positions.get(version) {
                    Some(position) if *position < index => continue,
                    Some(_) => format!("{version} is not older than the release"),
                    None => format!("{version} is not a release of this stream"),
                };
                self.problem(format!("releases[{index}].predecessors.versions"), message);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::domain::{
        document::{Strictness, shape::StreamDocument},
        policy::graph_rules::{EdgeRule, GraphRules, Identity, NewestTargets, TargetLimit},
        stream::Stream,
    };

    fn read(text: &str, strictness: Strictness) -> Result<Stream, Vec<String>> {
        let text = format!("format = 1\nproduct = \"os\"\nstream = \"stable\"\n{text}");
        let document: StreamDocument = toml::from_str(&text).unwrap();
        let stream = Stream::from_document(&document, strictness);
        stream.map_err(|problems| problems.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn rules_are_derived_edges_and_payloads_unless_they_are_written() {
        let stream = read("", Strictness::Strict).unwrap();
        assert_eq!((stream.rules.edge_rule, stream.rules.identity), (EdgeRule::Derived, Identity::Payload));
        let document = stream.to_document();
        assert_eq!((document.edge_rule, document.identity), (None, None));
        let stream = read("edge_rule = \"open\"\nidentity = \"version\"", Strictness::Strict).unwrap();
        assert_eq!((stream.rules.edge_rule, stream.rules.identity), (EdgeRule::Open, Identity::Version));
    }

    #[test]
    fn all_targets_are_shown_unless_a_number_is_written() {
        for (text, targets, written) in [
            ("", TargetLimit::All, false),
            ("targets = \"all\"", TargetLimit::All, false),
            ("targets = { newest = 2 }", NewestTargets::new(2).into(), true),
            ("targets = { newest = 1000 }", NewestTargets::new(1000).into(), true),
        ] {
            for strictness in [Strictness::Strict, Strictness::Recorded] {
                let stream = read(text, strictness).unwrap();
                assert_eq!(stream.rules, GraphRules { targets, ..GraphRules::default() });
                assert_eq!(stream.to_document().targets.is_some(), written);
            }
        }
    }

    #[test]
    fn unknown_rules_and_predecessors_that_are_not_older_are_reported() {
        let releases = |predecessors: &str| {
            format!(
                "releases = [{{ version = \"1\" }}, {{ version = \"2\", predecessors = {predecessors} }}, {{ version = \"3\" }}]"
            )
        };
        for strictness in [Strictness::Strict, Strictness::Recorded] {
            for (text, message) in [
                ("edge_rule = \"closed\"".into(), "edge_rule: is \"closed\", expected derived, open or explicit"),
                ("identity = \"name\"".into(), "identity: is \"name\", expected payload or version"),
                (
                    "targets = \"some\"".into(),
                    "targets: is \"some\", expected \"all\" or a table such as { newest = 2 }",
                ),
                ("targets = { newest = 0 }".into(), "targets.newest: is 0, expected 1 to 1000"),
                ("targets = { newest = -2 }".into(), "targets.newest: is -2, expected 1 to 1000"),
                ("targets = { newest = 1001 }".into(), "targets.newest: is 1001, expected 1 to 1000"),
                (releases("{ versions = [] }"), "releases[1].predecessors.versions: must not be empty"),
                (
                    releases("{ versions = [\"1\", \"1\"] }"),
                    "releases[1].predecessors.versions[1]: \"1\" is listed twice",
                ),
                (
                    releases("{ versions = [\"2\"] }"),
                    "releases[1].predecessors.versions: 2 is not older than the release",
                ),
                (
                    releases("{ versions = [\"3\"] }"),
                    "releases[1].predecessors.versions: 3 is not older than the release",
                ),
                (
                    releases("{ versions = [\"9\"] }"),
                    "releases[1].predecessors.versions: 9 is not a release of this stream",
                ),
                (
                    releases("{ versions = [\"1\"], origin = \"me\" }"),
                    "releases[1].predecessors.origin: is \"me\", expected upstream, git or local",
                ),
            ] {
                assert_eq!(read(&text, strictness), Err(vec![message.into()]));
            }
            assert!(read(&releases("{ versions = [\"1\"] }"), strictness).is_ok());
        }
    }
}
