//! Parts of a document as the API accepts them. They are checked as strictly as a complete document; paths are relative to the part.

use super::{
    base_shape::{BasePolicyDocument, BuiltOnDocument},
    follow_shape::FollowDocument,
    preset_shape::PresetDocument,
    read::{Problem, Reader, Strictness},
    shape::{
        AliasDocument, ArtifactDocument, BlockedUpdateDocument, PayloadDocument, PolicyDocument, PredecessorsDocument,
        ProtectionDocument, ReleaseDocument, RolloutDocument, StopDocument, StreamDocument, TargetsDocument,
    },
};
use crate::domain::{
    admission::{emergency_stop::EmergencyStop, protection::Protection},
    artifact::{Artifact, ArtifactKey},
    base::{BasePolicy, BuiltOn},
    duration::Minutes,
    follow::Follow,
    ids::{Arch, StreamId},
    origin::Origin,
    payload::{Payload, PayloadId, Repository},
    policy::{
        blocked_update::BlockedUpdate,
        graph_rules::{EdgeRule, Identity, TargetLimit},
        predecessors::Predecessors,
    },
    product_preset::ProductPreset,
    reason::Reason,
    release::{PayloadKey, Release},
    rollout::{Rollout, preset::Preset},
    stream::Stream,
};
use std::collections::BTreeSet;

/// A parsed part, or the problems in it.
pub type Part<T> = Result<T, Vec<Problem>>;

fn part<T>(read: impl FnOnce(&mut Reader) -> Option<T>) -> Part<T> {
    part_of(Strictness::Strict, read)
}

/// Parses a part that was stored, and may contain values of upstream.
fn recorded_part<T>(read: impl FnOnce(&mut Reader) -> Option<T>) -> Part<T> {
    part_of(Strictness::Recorded, read)
}

fn part_of<T>(strictness: Strictness, read: impl FnOnce(&mut Reader) -> Option<T>) -> Part<T> {
    let mut reader = Reader::new(strictness, Origin::Local);
    let value = read(&mut reader);
    match value {
        Some(value) if reader.problems().is_empty() => Ok(value),
        _ => Err(reader.into_problems().into_iter().map(relative_to_part).collect()),
    }
}

fn relative_to_part(problem: Problem) -> Problem {
    Problem { path: problem.path.trim_start_matches('.').into(), ..problem }
}

/// Parses a release.
///
/// # Errors
/// Returns a problem for each invalid field.
pub fn release(document: &ReleaseDocument) -> Part<Release> {
    part(|reader| reader.release("", document))
}

/// Parses a rollout.
///
/// # Errors
/// Returns a problem for each invalid field.
pub fn rollout(document: &RolloutDocument) -> Part<Rollout> {
    part(|reader| reader.rollout("", document))
}

/// Parses the reason and the arches of a barrier or a dead end.
///
/// # Errors
/// Returns a problem for each invalid field.
pub fn policy(document: &PolicyDocument) -> Part<(Reason, Option<BTreeSet<Arch>>)> {
    part(|reader| reader.policy("", document)).map(|(reason, arches, _)| (reason, arches))
}

/// Parses the predecessors of a release. That they are older releases of its stream is checked with the stream.
///
/// # Errors
/// Returns a problem for each invalid field.
pub fn predecessors(document: &PredecessorsDocument) -> Part<Predecessors> {
    part(|reader| reader.predecessors("", document))
}

/// Parses the name of an edge rule.
///
/// # Errors
/// Returns a problem if there is no such rule.
pub fn edge_rule(name: &str) -> Part<EdgeRule> {
    part(|reader| reader.edge_rule(name))
}

/// Parses the name of an identity.
///
/// # Errors
/// Returns a problem if there is no such identity.
pub fn identity(name: &str) -> Part<Identity> {
    part(|reader| reader.identity(name))
}

/// Parses a limit on shown targets.
///
/// # Errors
/// Returns a problem if it is neither `all` nor a number in range.
pub fn targets(document: &TargetsDocument) -> Part<TargetLimit> {
    part(|reader| reader.targets(document))
}

/// Parses the name of a preset that a stream has as its default rollout.
///
/// # Errors
/// Returns a problem if there is no such preset.
pub fn default_rollout(name: &str) -> Part<Preset> {
    part(|reader| reader.preset("default_rollout", name))
}

/// Parses the name of a stream that is to be a base.
///
/// # Errors
/// Returns a problem if it does not name a product and a stream.
pub fn base_stream(name: &str) -> Part<StreamId> {
    part(|reader| reader.base_stream(name))
}

/// Parses how much newer a base may be.
///
/// # Errors
/// Returns a problem if it is not a duration.
pub fn base_lag(text: &str) -> Part<Minutes> {
    part(|reader| reader.base_lag(text))
}

/// Parses recorded policies of a base.
///
/// # Errors
/// Returns a problem for each invalid field.
pub fn base_policies(documents: &[BasePolicyDocument]) -> Part<Vec<BasePolicy>> {
    recorded_part(|reader| Some(reader.base_policies(documents)))
}

/// Parses what a release is built on.
///
/// # Errors
/// Returns a problem for each invalid field.
pub fn built_on(documents: &[BuiltOnDocument]) -> Part<Option<Box<BuiltOn>>> {
    part(|reader| Some(reader.built_on("", documents)))
}

/// Parses what a stream follows.
///
/// # Errors
/// Returns a problem for each invalid field.
pub fn follow(document: &FollowDocument) -> Part<Follow> {
    part(|reader| reader.follow("follow", document))
}

/// Parses a preset of a product.
///
/// # Errors
/// Returns a problem for each invalid field.
pub fn product_preset(document: &PresetDocument) -> Part<ProductPreset> {
    part(|reader| reader.product_preset(document))
}

/// Parses a payload with its arch and scheme.
///
/// # Errors
/// Returns a problem for each invalid field.
pub fn payload(document: &PayloadDocument) -> Part<(PayloadKey, Payload)> {
    let names = part(|reader| {
        let (key, id) = reader.payload_names("", &document.arch, &document.scheme, &document.id)?;
        if !document.synthetic {
            reader.check_form("", &key, &id);
        }
        Some((key, id))
    });
    names.map(|(key, id)| (key, Payload { id, synthetic: document.synthetic }))
}

/// Parses the arch and scheme of a payload.
///
/// # Errors
/// Returns a problem for each invalid field.
pub fn payload_key(arch: &str, scheme: &str) -> Part<PayloadKey> {
    // The id is not used; any valid one will do.
    part(|reader| reader.payload_names("", arch, scheme, "-")).map(|(key, _)| key)
}

/// Parses a new alias with its arch and scheme.
///
/// # Errors
/// Returns a problem for each invalid field.
pub fn alias(document: &AliasDocument) -> Part<(PayloadKey, PayloadId)> {
    part(|reader| {
        let (key, id) = reader.payload_names("", &document.arch, &document.scheme, &document.id)?;
        reader.check_form("", &key, &id);
        Some((key, id))
    })
}

/// Parses an existing alias, which may have any form, with its arch and scheme.
///
/// # Errors
/// Returns a problem for each invalid field.
pub fn known_alias(document: &AliasDocument) -> Part<(PayloadKey, PayloadId)> {
    part(|reader| reader.payload_names("", &document.arch, &document.scheme, &document.id))
}

/// Parses an artifact of a release.
///
/// # Errors
/// Returns a problem for each invalid field.
pub fn artifact(document: &ArtifactDocument) -> Part<(ArtifactKey, Artifact)> {
    part(|reader| reader.artifact("", document))
}

/// Parses the protection of a stream.
///
/// # Errors
/// Returns a problem for each invalid field.
pub fn protection(document: &ProtectionDocument) -> Part<Protection> {
    part(|reader| Some(reader.protection("protection", document)))
}

/// Parses an emergency stop.
///
/// # Errors
/// Returns a problem for each invalid field.
pub fn stop(document: &StopDocument) -> Part<EmergencyStop> {
    part(|reader| reader.stop("", document))
}

/// Parses a blocked update of a stream.
///
/// # Errors
/// Returns a problem for each invalid field.
pub fn blocked(document: &BlockedUpdateDocument, stream: &Stream) -> Part<BlockedUpdate> {
    part(|reader| reader.blocked("", document, &stream.positions()))
}

/// Parses the arches and mirrors of a stream.
///
/// # Errors
/// Returns a problem for each invalid field.
pub fn settings(
    arches: Vec<String>,
    mirrors: Vec<String>,
    id: &StreamId,
) -> Part<(BTreeSet<Arch>, BTreeSet<Repository>)> {
    let empty = Stream::empty(id.clone()).to_document();
    let read = Stream::from_document(&StreamDocument { arches, mirrors, ..empty }, Strictness::Strict)?;
    Ok((read.arches, read.mirrors))
}

/// Returns a problem for each version, and for each payload or alias on one arch and scheme, that occurs in two releases.
#[must_use]
pub fn find_duplicates(stream: &Stream) -> Vec<Problem> {
    let mut reader = Reader::without_problem_limit(Strictness::Strict, Origin::Local);
    reader.check_across(&stream.releases);
    reader.into_problems()
}
