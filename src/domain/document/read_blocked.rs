//! Parsing of blocked updates.

use super::{
    read::{Reader, Strictness},
    shape::BlockedUpdateDocument,
};
use crate::domain::{
    ids::Version, policy::blocked_update::BlockedUpdate, release::Release, shared::Shared, stream::positions,
};
use std::collections::HashMap;

impl Reader {
    pub(super) fn blocked_updates(
        &mut self,
        documents: &[BlockedUpdateDocument],
        releases: &[Shared<Release>],
    ) -> Vec<BlockedUpdate> {
        let mut all: Vec<BlockedUpdate> = Vec::new();
        let positions = positions(if documents.is_empty() { &[] } else { releases });
        for (index, document) in documents.iter().enumerate() {
            let path = format!("blocked_updates[{index}]");
            let Some(blocked) = self.blocked(&path, document, &positions) else { continue };
            let first = all.iter().position(|known| known.blocks_same(&blocked));
            if let Some(first) = first.filter(|_| self.strictness == Strictness::Strict) {
                self.problem(path, format!("blocks the same updates as blocked_updates[{first}]"));
            }
            all.push(blocked);
        }
        all
    }

    pub(super) fn blocked(
        &mut self,
        path: &str,
        document: &BlockedUpdateDocument,
        positions: &HashMap<&Version, usize>,
    ) -> Option<BlockedUpdate> {
        let mut known = |field: &str, text: &str| -> Option<(usize, Version)> {
            let path = format!("{path}.{field}");
            let version: Version = self.parse(&path, text)?;
            let age = positions.get(&version).copied().ok_or_else(|| format!("{text} is not a release of this stream"));
            Some((self.check(&path, age)?, version))
        };
        let (first, last, target) =
            (known("first", &document.first), known("last", &document.last), known("target", &document.target));
        let reason = self.reason(&format!("{path}.reason"), &document.reason);
        let arches = self.optional_set(&format!("{path}.arches"), document.arches.as_ref());
        let origin = self.origin(&format!("{path}.origin"), document.origin.as_ref());
        let ((first_age, first), (last_age, last), (target_age, target)) = (first?, last?, target?);
        if first_age > last_age {
            self.problem(format!("{path}.last"), "must not be older than the first release of the range");
        }
        if target_age <= first_age {
            self.problem(format!("{path}.target"), "must be newer than the first release of the range");
        }
        Some(BlockedUpdate { first, last, target, reason: reason?, arches, origin })
    }
}
