//! The codes of findings, which stay the same when a message changes. `docs/reference/findings.md` explains each.

use std::fmt;

macro_rules! codes {
    ($($(#[doc = $doc:literal])+ $variant:ident = $number:literal, $name:literal;)*) => {
        /// What a finding is about.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Code {
            $($(#[doc = $doc])+ $variant,)*
        }

        impl Code {
            /// Every code, by number.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// Returns the number.
            #[must_use]
            pub fn number(self) -> u16 {
                match self {
                    $(Self::$variant => $number,)*
                }
            }

            /// Returns the name, which says in words what the number stands for.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }
        }
    };
}

codes! {
    /// A release has a lower version than the release before it.
    VersionOrder = 1001, "version-order";
    /// Versions identify nodes, and two releases have the same one.
    AmbiguousVersion = 1002, "ambiguous-version";
    /// A release has predecessors, which the edge rule of its stream ignores.
    IgnoredPredecessors = 1003, "ignored-predecessors";
    /// The newest release has no payload on an arch that older releases have.
    MissingPayload = 1004, "missing-payload";
    /// A barrier has no payload on an arch that older releases have.
    BarrierWithoutPayload = 1005, "barrier-without-payload";
    /// A dead end has no reason.
    DeadEndWithoutReason = 1006, "dead-end-without-reason";
    /// Rollouts of consecutive releases run at the same time.
    OverlappingRollouts = 1007, "overlapping-rollouts";
    /// A rollout starts before that of the barrier before it.
    RolloutBeforeBarrier = 1008, "rollout-before-barrier";
    /// A barrier is withdrawn, and nodes wait for it.
    WithdrawnBarrier = 1009, "withdrawn-barrier";
    /// The rollouts of a barrier never open.
    ClosedBarrier = 1010, "closed-barrier";
    /// No node can reach the newest release.
    UnreachableNewest = 1011, "unreachable-newest";
    /// No release can update to a release with explicit edges.
    NoPredecessor = 1012, "no-predecessor";
    /// No agent of the product's protocol asks for payloads of a scheme.
    UnaskedScheme = 1013, "unasked-scheme";
    /// Agents of the product's protocol cannot be identified by version.
    UnsupportedIdentity = 1014, "unsupported-identity";
    /// No release is built on a barrier of the base, or none after it: nodes wait.
    BaseBarrierSkipped = 1015, "base-barrier-skipped";
    /// The base no longer has a barrier or dead end that still counts here.
    BasePolicyRemoved = 1016, "base-policy-removed";
    /// A release is built on a release of the base to which the base blocks updates.
    BaseUpdateBlocked = 1017, "base-update-blocked";
    /// The base is stopped.
    BaseStopped = 1018, "base-stopped";
    /// The base has had a newer release for longer than the stream allows.
    BaseLag = 1019, "base-lag";
    /// An image is built on a dead end of the base.
    BuiltOnDeadEnd = 1020, "built-on-dead-end";
    /// A rollout opens sooner than the protection of the stream allows.
    TooFast = 1101, "too-fast";
    /// A rollout had ended, or come to a gate, before it was created.
    ExpiredSchedule = 1102, "expired-schedule";
    /// A published release is no longer a barrier.
    BarrierRemoved = 1103, "barrier-removed";
    /// A published release is no longer a dead end.
    DeadEndRemoved = 1104, "dead-end-removed";
    /// Predecessors of a promoted release are not in the target stream.
    UnknownPredecessors = 1105, "unknown-predecessors";
    /// A name refers to nothing, or cannot be used.
    UnusableName = 1106, "unusable-name";
    /// A list is longer than the service allows.
    TooMany = 1107, "too-many";
    /// The largest full graph exceeds `limits.graph_bytes`.
    GraphTooLarge = 1108, "graph-too-large";
    /// An image has a build for an arch that the stream does not serve.
    ArchNotServed = 1109, "arch-not-served";
    /// The nodes that run an image poll another stream than the one that gets it.
    OtherStreamPolled = 1110, "other-stream-polled";
    /// A document of upstream's format cannot express a value.
    NotExpressible = 1201, "not-expressible";
    /// A version is listed twice, with different policies.
    DifferentPolicies = 1202, "different-policies";
    /// A registry does not have an image that nodes are sent to.
    ImageGone = 1301, "image-gone";
    /// A registry could not be asked for an image.
    ImageNotChecked = 1302, "image-not-checked";
    /// Upstream's policies name a version that has no release.
    PoliciesWithoutRelease = 2001, "policies-without-release";
    /// Upstream's document has several entries for one version.
    RepeatedEntry = 2002, "repeated-entry";
    /// A payload of upstream cannot be used.
    IgnoredPayload = 2003, "ignored-payload";
    /// A release of upstream has several payloads for one arch and scheme.
    RepeatedPayload = 2004, "repeated-payload";
    /// A value of upstream's policies is unusual: an empty reason, a share above 1, a time far away.
    UnusualValue = 2005, "unusual-value";
    /// Upstream lists a version more than once.
    RepeatedRelease = 2006, "repeated-release";
    /// Two releases of upstream have the same payload.
    SharedPayload = 2007, "shared-payload";
    /// Upstream moved a release out of the range of a blocked update.
    BlockedRangeMoved = 2008, "blocked-range-moved";
    /// Predecessors are no longer older releases.
    PredecessorsRemoved = 2009, "predecessors-removed";
    /// Upstream changed the payload of a published release.
    PayloadChanged = 2010, "payload-changed";
    /// An alias has become the payload.
    AliasObsolete = 2011, "alias-obsolete";
    /// Upstream moved a payload to another release.
    PayloadMoved = 2012, "payload-moved";
    /// A local alias is the payload of another release upstream.
    AliasConflict = 2013, "alias-conflict";
    /// Upstream inserted a release before a local published one.
    OrderConflict = 2014, "order-conflict";
    /// Upstream published a release that is a draft here.
    DraftPublished = 2015, "draft-published";
    /// A local value was kept, and upstream has another one.
    LocalValueKept = 2016, "local-value-kept";
    /// Upstream sets a policy that was removed here.
    RemovedHere = 2017, "removed-here";
    /// Something that was published is missing upstream, and the import was refused.
    RemovalRefused = 2018, "removal-refused";
    /// A published release is missing upstream.
    ReleaseRemoved = 2019, "release-removed";
    /// A published release is missing upstream on an arch.
    ArchRemoved = 2020, "arch-removed";
    /// A payload of a published release is missing upstream.
    PayloadRemoved = 2021, "payload-removed";
    /// Upstream lists again what it had removed.
    ListedAgain = 2022, "listed-again";
    /// A rollout of upstream breaks a protection of the stream and was paused.
    RolloutPaused = 2023, "rollout-paused";
    /// A part of upstream's stream metadata is missing.
    MetadataRemoved = 2024, "metadata-removed";
    /// Upstream's stream metadata names a release that the stream does not have.
    MetadataUnknownRelease = 2025, "metadata-unknown-release";
}

/// Writes the number and the name, such as `LK1001 version-order`.
impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LK{} {}", self.number(), self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn codes_differ_and_are_in_order() {
        assert!(Code::ALL.is_sorted_by(|one, next| one.number() < next.number()));
        let names: BTreeSet<&str> = Code::ALL.iter().map(|code| code.name()).collect();
        assert_eq!(names.len(), Code::ALL.len());
        assert_eq!(Code::VersionOrder.to_string(), "LK1001 version-order");
    }
}
