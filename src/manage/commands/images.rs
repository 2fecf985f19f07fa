//! Makes a release of an image.

use super::{
    releases::CreateRelease,
    rollouts::{NamedPreset, RolloutPlan},
};
use crate::{
    domain::{
        base::{BuiltOn, find_build_base},
        finding::{Code, Finding},
        hash::ContentHash,
        ids::{Arch, StreamId, Version},
        image::{Image, ImageBase, Presence, find_builds, free_version},
        payload::{Payload, Scheme},
        release::{PayloadKey, Release},
        rollout::preset::Preset,
        stream::Stream,
    },
    manage::{
        command::{Command, Need, Next, Present},
        refusal::Refusal,
        report::Report,
        request::Action,
    },
};
use litemap::LiteMap;
use std::collections::BTreeMap;

/// Creates a release whose payloads are the builds of an image, for the arches of the stream, and publishes it if asked to. If a release of the
/// stream has these builds already, nothing changes.
#[derive(Debug, Clone)]
pub struct AddImage {
    /// The stream.
    pub stream: StreamId,
    /// The image.
    pub image: Image,
    /// The release without its payloads. It becomes a draft whatever its state.
    pub draft: Release,
    /// True if the version is the image's own: if the stream has it already, it gets a suffix.
    pub is_labelled: bool,
    /// Its rollouts, in their order.
    pub rollouts: Vec<RolloutPlan>,
    /// True to publish it at once.
    pub is_published: bool,
    /// The rollout of a published release that gets none otherwise.
    pub fallback: Option<Preset>,
    /// The release of the base on which builds are that do not say it themselves.
    pub built_on: Option<Version>,
}

/// Returns the version for the release of an image: the given one, or that of its label.
///
/// # Errors
/// There is neither, the builds have different labels, or the label is not a version.
pub fn version_of(image: &Image, given: Option<&Version>) -> Result<Version, Refusal> {
    let invalid = |message: String| Refusal::field("version", message);
    if let Some(given) = given {
        return Ok(given.clone());
    }
    let mut versions = image.versions.iter();
    match (versions.next(), versions.next()) {
        (None, _) => {
            Err(invalid("is required, because the image has no label org.opencontainers.image.version".into()))
        }
        (Some(label), None) => Version::parse(label)
            .map_err(|error| invalid(format!("is required, because the image is labelled {label:?}, which {error}"))),
        (Some(_), Some(_)) => {
            let labels: Vec<&str> = image.versions.iter().map(String::as_str).collect();
            Err(invalid(format!("is required, because the builds are labelled differently: {}", labels.join(", "))))
        }
    }
}

impl AddImage {
    /// Adds what the registry has to the report of a dry run.
    ///
    /// # Errors
    /// The name of the repository is too long for a payload.
    pub fn with_builds(&self, report: Report) -> Result<Report, Refusal> {
        if !report.dry_run {
            return Ok(report);
        }
        let found = self.image.payload_ids().map_err(|error| Refusal::field("image", error))?;
        let builds = found.into_iter().map(|(arch, id)| (arch.to_string(), id.to_string())).collect();
        Ok(Report { builds: Some(builds), ..report })
    }

    /// Returns the builds for arches of the stream, and the arches of the others. A stream without any arch takes all builds.
    fn served_builds(&self, stream: &Stream) -> Result<(BTreeMap<Arch, ContentHash>, Vec<Arch>), Refusal> {
        let served = stream.known_arches();
        let is_served = |arch: &Arch| served.is_empty() || served.contains(arch);
        let builds = self.image.builds.iter().map(|(arch, digest)| (arch.clone(), *digest));
        let (builds, others): (BTreeMap<_, _>, BTreeMap<_, _>) = builds.partition(|(arch, _)| is_served(arch));
        if builds.is_empty() {
            let names = |arches: Vec<&Arch>| arches.into_iter().map(Arch::as_str).collect::<Vec<_>>().join(", ");
            let (built, wanted) = (names(self.image.builds.keys().collect()), names(served.into_iter().collect()));
            return Err(Refusal::field("image", format!("is built for {built}, and the stream serves {wanted}")));
        }
        Ok((builds, others.into_keys().collect()))
    }

    /// Returns on which release of the base each build is; `None` if the stream has no base.
    fn bases(
        &self,
        builds: &BTreeMap<Arch, ContentHash>,
        base: Option<&Stream>,
    ) -> Result<Option<Box<BuiltOn>>, Refusal> {
        let Some(base) = base else { return Ok(None) };
        let unlabelled = ImageBase::default();
        let base_of = |arch: &Arch| {
            let build = self.image.bases.get(arch).unwrap_or(&unlabelled);
            let found = find_build_base(base, arch, build, self.built_on.as_ref());
            Ok((arch.clone(), found.map_err(|error| Refusal::field("built_on", error))?))
        };
        let built_on: BuiltOn = builds.keys().map(base_of).collect::<Result<_, Refusal>>()?;
        Ok(Some(Box::new(built_on)))
    }

    /// Returns a warning if nodes that run the image poll another stream.
    fn find_other_stream(&self, place: &str) -> Option<Finding> {
        let polled = self.image.polled_stream.as_deref().filter(|polled| *polled != self.stream.stream.as_str())?;
        let message = format!(
            "its image is labelled com.coreos.stream={}, which is the stream that its nodes poll, not {}",
            polled.escape_debug(),
            self.stream.stream
        );
        Some(Finding::warning(Code::OtherStreamPolled, place, message))
    }

    /// Returns the command that creates the release.
    fn creation(
        &self,
        stream: &Stream,
        builds: &BTreeMap<Arch, ContentHash>,
        base: Option<&Stream>,
    ) -> Result<CreateRelease, Refusal> {
        let payload = |(arch, digest): (&Arch, &ContentHash)| {
            let id = self.image.payload_id(*digest).map_err(|error| Refusal::field("image", error))?;
            let key = PayloadKey { arch: arch.clone(), scheme: Scheme::oci() };
            Ok((key, Payload { id, synthetic: false }))
        };
        let payloads: LiteMap<_, _> = builds.iter().map(payload).collect::<Result<_, Refusal>>()?;
        let labelled = &self.draft.version;
        let version = if self.is_labelled {
            free_version(stream, labelled).map_err(|error| Refusal::field("version", error))?
        } else {
            labelled.clone()
        };
        Ok(CreateRelease {
            stream: self.stream.clone(),
            draft: Release { version, payloads, built_on: self.bases(builds, base)?, ..self.draft.clone() },
            rollouts: self.rollouts_for(stream),
            is_published: self.is_published,
        })
    }

    fn rollouts_for(&self, stream: &Stream) -> Vec<RolloutPlan> {
        let needs_rollout = self.is_published && self.rollouts.is_empty() && stream.default_rollout.is_none();
        match self.fallback.filter(|_| needs_rollout) {
            Some(preset) => vec![RolloutPlan::from_preset(NamedPreset::Ramp(preset))],
            None => self.rollouts.clone(),
        }
    }
}

impl Command for AddImage {
    fn action(&self) -> Action {
        Action::CREATE_RELEASE
    }

    fn target(&self) -> &StreamId {
        &self.stream
    }

    fn needs(&self, present: &Present<'_>) -> Option<Need> {
        let rollouts = present.stream.map_or_else(|| self.rollouts.clone(), |stream| self.rollouts_for(stream));
        let (stream, draft) = (self.stream.clone(), self.draft.clone());
        CreateRelease { stream, draft, rollouts, is_published: self.is_published }.needs(present)
    }

    fn uses_presets(&self) -> bool {
        self.rollouts.iter().any(RolloutPlan::uses_presets)
    }

    fn apply(&self, present: &Present<'_>) -> Result<Next, Refusal> {
        let stream = present.existing()?;
        let (builds, others) = self.served_builds(stream)?;
        match find_builds(stream, &builds) {
            Presence::Absent => {}
            Presence::In(version) => {
                return Ok(Next { existing: Some(version.to_string()), ..stream.clone().into() });
            }
            Presence::Partial(found) => {
                let found: Vec<String> = found.iter().map(|(arch, version)| format!("{version} for {arch}")).collect();
                let detail = "releases have some builds of the image already, but none has all of them";
                return Err(Refusal::State(format!("{detail}: {}", found.join(", "))));
            }
        }
        let base = present.read.base.as_deref().filter(|_| stream.base.is_some());
        let creation = self.creation(stream, &builds, base)?;
        let place = format!("release {}", creation.draft.version);
        let not_served = |arch: Arch| {
            let message = format!("its image is built for {arch}, too, which {} does not serve", self.stream);
            Finding::warning(Code::ArchNotServed, &place, message)
        };
        let next = creation.apply(present)?;
        let findings = others.into_iter().map(not_served).chain(self.find_other_stream(&place));
        let findings = findings.chain(next.findings).collect();
        Ok(Next { findings, ..next })
    }
}

#[cfg(test)]
#[path = "images_tests.rs"]
mod tests;
