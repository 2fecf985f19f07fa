//! Parsing of what a stream inherits from its base.

use super::{
    base_shape::{BasePolicyDocument, BuiltOnDocument},
    read::Reader,
    shape::StreamDocument,
};
use crate::domain::{
    base::{Base, BasePolicy, BasePolicyKind, BaseRelease, BuiltOn, PolicyStatus},
    duration::Minutes,
    ids::StreamId,
    reason::Reason,
};
use std::collections::BTreeMap;

impl Reader {
    pub(super) fn base(&mut self, document: &StreamDocument) -> Option<Box<Base>> {
        let lag = document.base_lag.as_ref().and_then(|text| self.base_lag(text));
        let Some(name) = &document.base else {
            if document.base_lag.is_some() {
                self.problem("base_lag", "requires `base`");
            }
            return None;
        };
        let policies = self.base_policies(&document.base_policies);
        Some(Box::new(Base { stream: self.base_stream(name)?, lag, policies }))
    }

    pub(super) fn base_stream(&mut self, name: &str) -> Option<StreamId> {
        self.check("base", StreamId::parse(name))
    }

    pub(super) fn base_lag(&mut self, text: &str) -> Option<Minutes> {
        self.minutes("base_lag", text)
    }

    pub(super) fn base_policies(&mut self, documents: &[BasePolicyDocument]) -> Vec<BasePolicy> {
        let read = |(index, document)| self.base_policy(&format!("base_policies[{index}]"), document);
        documents.iter().enumerate().filter_map(read).collect()
    }

    fn base_policy(&mut self, path: &str, document: &BasePolicyDocument) -> Option<BasePolicy> {
        let version = self.parse(&format!("{path}.version"), &document.version);
        let kind = BasePolicyKind::from_name(&document.kind)
            .ok_or_else(|| format!("is {:?}, expected barrier or dead_end", document.kind));
        let kind = self.check(&format!("{path}.kind"), kind);
        // Upstream's may be empty.
        let reason = self.check(&format!("{path}.reason"), Reason::from_record(&document.reason));
        let mut arches = BTreeMap::new();
        for (arch, status) in &document.arches {
            let path = format!("{path}.arches.{arch}");
            let arch = self.parse(&path, arch);
            let known = PolicyStatus::from_name(status);
            let status = known.ok_or_else(|| format!("is {status:?}, expected in_force, removed or overridden"));
            arches.extend(arch.zip(self.check(&path, status)));
        }
        let release = BaseRelease { version: version?, age: document.age };
        Some(BasePolicy { release, kind: kind?, reason: reason?, arches })
    }

    pub(super) fn built_on(&mut self, path: &str, documents: &[BuiltOnDocument]) -> Option<Box<BuiltOn>> {
        let mut built_on = BuiltOn::new_vec();
        for (index, document) in documents.iter().enumerate() {
            let path = format!("{path}.built_on[{index}]");
            let arch = self.parse(&format!("{path}.arch"), &document.arch);
            let version = self.parse(&format!("{path}.version"), &document.version);
            let Some((arch, version)) = arch.zip(version) else { continue };
            if built_on.insert(arch, BaseRelease { version, age: document.age }).is_some() {
                self.problem(path, format!("is the second for {}", document.arch));
            }
        }
        (!built_on.is_empty()).then(|| Box::new(built_on))
    }
}
