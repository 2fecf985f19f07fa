//! Parts of a document on their own, as the API takes them: as strict as a whole one, with paths that begin at the part.

use super::{
    read::{Problem, Reader, Strictness},
    shape::{
        AliasDocument, ArtifactDocument, BlockedUpdateDocument, PayloadDocument, PolicyDocument, ProtectionDocument,
        ReleaseDocument, RolloutDocument, StreamDocument,
    },
};
use crate::domain::{
    arch::Arch,
    artifact::{Artifact, ArtifactKey},
    blocked::BlockedUpdate,
    origin::Origin,
    payload::{Payload, PayloadId},
    protection::Protection,
    reason::Reason,
    release::{PayloadKey, Release},
    rollout::Rollout,
    stream::Stream,
};
use std::collections::BTreeSet;

/// What a part says, or what is wrong with it.
pub type Part<T> = Result<T, Vec<Problem>>;

fn part<T>(read: impl FnOnce(&mut Reader) -> Option<T>) -> Part<T> {
    let mut reader = Reader::of(Strictness::Ours, Origin::Local);
    let value = read(&mut reader);
    match value {
        Some(value) if reader.problems().is_empty() => Ok(value),
        _ => Err(reader.into_problems().into_iter().map(at_the_part).collect()),
    }
}

fn at_the_part(problem: Problem) -> Problem {
    Problem { path: problem.path.trim_start_matches('.').into(), ..problem }
}

/// A release.
///
/// # Errors
/// Each field that is wrong.
pub fn release(document: &ReleaseDocument) -> Part<Release> {
    part(|reader| reader.release("", document))
}

/// A rollout.
///
/// # Errors
/// Each field that is wrong.
pub fn rollout(document: &RolloutDocument) -> Part<Rollout> {
    part(|reader| reader.rollout("", document))
}

/// A barrier or a dead end: why, and on which arches.
///
/// # Errors
/// Each field that is wrong.
pub fn policy(document: &PolicyDocument) -> Part<(Reason, Option<BTreeSet<Arch>>)> {
    part(|reader| reader.policy("", document)).map(|(reason, arches, _)| (reason, arches))
}

/// A payload, and where it belongs.
///
/// # Errors
/// Each field that is wrong.
pub fn payload(document: &PayloadDocument) -> Part<(PayloadKey, Payload)> {
    let names = part(|reader| reader.payload_names("", &document.arch, &document.scheme, &document.id));
    names.map(|(key, id)| (key, Payload { id, synthetic: document.synthetic }))
}

/// An alias, and where it belongs.
///
/// # Errors
/// Each field that is wrong.
pub fn alias(document: &AliasDocument) -> Part<(PayloadKey, PayloadId)> {
    part(|reader| reader.payload_names("", &document.arch, &document.scheme, &document.id))
}

/// A file of a release.
///
/// # Errors
/// Each field that is wrong.
pub fn artifact(document: &ArtifactDocument) -> Part<(ArtifactKey, Artifact)> {
    part(|reader| reader.artifact("", document))
}

/// What keeps a stream from being opened in haste.
///
/// # Errors
/// Each field that is wrong.
pub fn protection(document: &ProtectionDocument) -> Part<Protection> {
    part(|reader| Some(reader.protection("protection", document)))
}

/// A blocked update of a stream.
///
/// # Errors
/// Each field that is wrong.
pub fn blocked(document: &BlockedUpdateDocument, stream: &Stream) -> Part<BlockedUpdate> {
    part(|reader| reader.blocked("", document, &stream.releases))
}

/// The arches and mirrors of a stream.
///
/// # Errors
/// Each field that is wrong.
pub fn settings(arches: Vec<String>, mirrors: Vec<String>, stream: &Stream) -> Part<Stream> {
    let empty = Stream::empty(stream.id.clone()).to_document();
    let read = Stream::from_document(&StreamDocument { arches, mirrors, ..empty }, Strictness::Ours)?;
    Ok(Stream { arches: read.arches, mirrors: read.mirrors, ..stream.clone() })
}

/// What cannot stand side by side in a stream of ours: a version, or a payload on one arch and scheme, in two releases.
#[must_use]
pub fn clashes(stream: &Stream) -> Vec<Problem> {
    let mut reader = Reader::of(Strictness::Ours, Origin::Local);
    reader.across(&stream.releases);
    reader.into_problems()
}
