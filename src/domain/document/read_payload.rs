//! Parsing of payloads and mirrors.

use super::{
    read::{Reader, Strictness},
    shape::PayloadDocument,
};
use crate::domain::{
    origin::Origin,
    payload::{Payload, PayloadId, Repository},
    release::PayloadKey,
};
use litemap::LiteMap;
use std::collections::{BTreeMap, BTreeSet};

impl Reader {
    pub(super) fn payload_names(
        &mut self,
        path: &str,
        arch: &str,
        scheme: &str,
        id: &str,
    ) -> Option<(PayloadKey, PayloadId)> {
        let arch = self.parse(&format!("{path}.arch"), arch);
        let scheme = self.parse(&format!("{path}.scheme"), scheme);
        let id = self.parse(&format!("{path}.id"), id);
        Some((PayloadKey { arch: arch?, scheme: scheme? }, id?))
    }

    /// Parses payloads. Those of upstream releases may have any form here; the command that adds one checks it.
    pub(super) fn payloads(
        &mut self,
        path: &str,
        documents: &[PayloadDocument],
        origin: Origin,
    ) -> LiteMap<PayloadKey, Payload> {
        let mut payloads = BTreeMap::new();
        for (index, document) in documents.iter().enumerate() {
            let path = format!("{path}.payloads[{index}]");
            let names = self.payload_names(&path, &document.arch, &document.scheme, &document.id);
            let Some((key, id)) = names else { continue };
            if origin != Origin::Upstream && !document.synthetic {
                self.check_form(&path, &key, &id);
            }
            let duplicate = format!("is the second payload for {} {}", key.arch, key.scheme);
            if payloads.insert(key, Payload { id, synthetic: document.synthetic }).is_some() {
                self.problem(path, duplicate);
            }
        }
        payloads.into_iter().collect()
    }

    /// Checks that a payload id has the form of its scheme.
    pub(super) fn check_form(&mut self, path: &str, key: &PayloadKey, id: &PayloadId) {
        if self.strictness == Strictness::Strict {
            self.check(&format!("{path}.id"), key.scheme.check(id));
        }
    }

    pub(super) fn mirrors(&mut self, texts: &[String]) -> BTreeSet<Repository> {
        if self.strictness == Strictness::Recorded {
            return self.set("mirrors", texts);
        }
        let mut mirrors = BTreeSet::new();
        for (index, text) in texts.iter().enumerate() {
            let path = format!("mirrors[{index}]");
            let Some(mirror) = self.check(&path, Repository::from_input(text)) else { continue };
            if !mirrors.insert(mirror) {
                self.problem(path, format!("{text:?} is listed twice"));
            }
        }
        mirrors
    }
}
