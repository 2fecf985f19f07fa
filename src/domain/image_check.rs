//! What registries said about images, and the findings that follow from it.

use super::{
    finding::{Code, Finding},
    ids::{Arch, Version},
    image_targets::ImageTargets,
    payload::PayloadId,
    text::named_values,
};
use jiff::Timestamp;
use std::collections::BTreeSet;
use strum::{EnumString, IntoStaticStr, VariantArray};

/// What a registry said about an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, EnumString, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "snake_case")]
pub enum ImageState {
    /// It has the image.
    Present,
    /// It does not have the image, or a part of it.
    Gone,
    /// It could not be asked, or did not say.
    Unknown,
    /// It was not asked, because the settings do not allow it.
    NotAllowed,
}

named_values!(ImageState, "state of an image");

/// The answer of a registry about an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageAnswer {
    /// What it said.
    pub state: ImageState,
    /// What is missing, or why it is not known.
    pub problem: Option<String>,
}

/// The last check of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageCheck {
    /// The image.
    pub image: PayloadId,
    /// What the registry said.
    pub answer: ImageAnswer,
    /// When it was asked.
    pub checked_at: Timestamp,
    /// When it was first found to be gone, if it was not found since.
    pub missing_since: Option<Timestamp>,
}

/// Returns a finding for each release on which nodes cannot pull an image that they are sent to.
#[must_use]
pub fn findings(targets: &ImageTargets, checks: &[ImageCheck]) -> Vec<Finding> {
    let missing = checks.iter().filter_map(|check| Some((check, check.missing_since?)));
    let found = missing.flat_map(|(check, since)| {
        let releases = targets.get(&check.image).into_iter().flatten();
        releases.map(move |(arch, version)| {
            let message =
                format!("{arch}: {} is gone since {since:.0}: push it again, or withdraw the release", check.image);
            Finding::error(Code::ImageGone, release_name(version), message)
        })
    });
    found.collect()
}

/// Returns the findings of a change that publishes an image. What is gone refuses the change, and what is not known has to be acknowledged.
#[must_use]
pub fn publication_findings(
    image: &PayloadId,
    releases: &BTreeSet<(Arch, Version)>,
    answer: &ImageAnswer,
) -> Vec<Finding> {
    let problem = answer.problem.as_deref().unwrap_or_default();
    let finding = |(arch, version): &(Arch, Version)| match answer.state {
        ImageState::Present => None,
        ImageState::Gone => {
            let message = format!("{arch}: {image} is gone: {problem}; push it again");
            Some(Finding::error(Code::ImageGone, release_name(version), message))
        }
        ImageState::Unknown | ImageState::NotAllowed => {
            let message = format!("{arch}: it is not known whether {image} can be pulled: {problem}");
            Some(Finding::warning(Code::ImageNotChecked, release_name(version), message))
        }
    };
    releases.iter().filter_map(finding).collect()
}

fn release_name(version: &Version) -> String {
    format!("release {version}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(image: &str, state: ImageState, missing_since: Option<i64>) -> ImageCheck {
        ImageCheck {
            image: PayloadId::parse(image).unwrap(),
            answer: ImageAnswer { state, problem: Some("why".into()) },
            checked_at: Timestamp::from_second(1000).unwrap(),
            missing_since: missing_since.map(|at| Timestamp::from_second(at).unwrap()),
        }
    }

    fn use_of(arch: &str, version: &str) -> (Arch, Version) {
        (Arch::parse(arch).unwrap(), Version::parse(version).unwrap())
    }

    #[test]
    fn what_is_missing_is_reported_for_each_release_that_needs_it() {
        let uses = [use_of("aarch64", "1"), use_of("x86_64", "2")];
        let targets: ImageTargets =
            ["a@1", "b@1", "c@1"].map(|image| (PayloadId::parse(image).unwrap(), uses.clone().into())).into();
        let checks = [
            check("a@1", ImageState::Gone, Some(0)),
            check("b@1", ImageState::Present, None),
            // The registry cannot be asked since.
            check("c@1", ImageState::Unknown, Some(60)),
            check("unused@1", ImageState::Gone, Some(0)),
        ];
        let lines: Vec<String> = findings(&targets, &checks).iter().map(ToString::to_string).collect();
        let advice = "push it again, or withdraw the release [LK1301]";
        assert_eq!(
            lines,
            [
                format!("error: release 1: aarch64: a@1 is gone since 1970-01-01T00:00:00Z: {advice}"),
                format!("error: release 2: x86_64: a@1 is gone since 1970-01-01T00:00:00Z: {advice}"),
                format!("error: release 1: aarch64: c@1 is gone since 1970-01-01T00:01:00Z: {advice}"),
                format!("error: release 2: x86_64: c@1 is gone since 1970-01-01T00:01:00Z: {advice}"),
            ]
        );
    }

    #[test]
    fn a_publication_is_refused_for_what_is_gone_only() {
        let image = PayloadId::parse("a@1").unwrap();
        let severity = |state: ImageState| {
            let answer = ImageAnswer { state, problem: Some("why".into()) };
            let found = publication_findings(&image, &[use_of("x86_64", "1")].into(), &answer);
            found.first().map(|finding| finding.severity.as_str())
        };
        assert_eq!(
            ImageState::ALL.iter().copied().map(severity).collect::<Vec<_>>(),
            [None, Some("error"), Some("warning"), Some("warning")]
        );
    }
}
