//! Asks registries for many images.

use crate::{
    domain::{
        image_check::{ImageAnswer, ImageState},
        image_targets::ImageArches,
        payload::PayloadId,
    },
    registry::{ImageReference, Presence, Registries, RegistryError, WantedImage},
};
use std::{collections::BTreeMap, sync::Arc, time::Duration};
use tokio::{
    sync::Semaphore,
    task::JoinSet,
    time::{Instant, timeout_at},
};

/// The number of repositories that are asked at a time.
const MAX_REPOSITORIES: usize = 4;
/// The number of images that are asked for in one session with a registry.
const MAX_IMAGES: usize = 100;
/// The longest text of a problem, in characters.
const MAX_PROBLEM: usize = 500;

/// How long registries are asked.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// The longest time for an image.
    pub image: Duration,
    /// The longest time for all.
    pub all: Duration,
}

/// Asks registries for images. Every image gets an answer.
pub async fn ask(registries: &Registries, images: &ImageArches, limits: Limits) -> BTreeMap<PayloadId, ImageAnswer> {
    let deadline = Instant::now() + limits.all;
    let (mut answers, mut repositories) = (BTreeMap::new(), BTreeMap::<_, Vec<_>>::new());
    for (image, arches) in images {
        match image.as_str().parse::<ImageReference>() {
            Ok(reference) => {
                let repository = reference.repository().name().clone();
                let wanted = WantedImage { reference, arches: arches.clone() };
                repositories.entry(repository).or_default().push((image.clone(), wanted));
                answers.insert(image.clone(), unknown("the registry was not asked in time"));
            }
            Err(error) => drop(answers.insert(image.clone(), unknown(format!("the name of the image {error}")))),
        }
    }
    let (slots, mut asking) = (Arc::new(Semaphore::new(MAX_REPOSITORIES)), JoinSet::new());
    for images in repositories.into_values() {
        for part in images.chunks(MAX_IMAGES) {
            let (slots, registries) = (slots.clone(), registries.clone());
            let (names, wanted): (Vec<PayloadId>, Vec<WantedImage>) = part.iter().cloned().unzip();
            asking.spawn(async move {
                // The semaphore is never closed.
                let _slot = slots.acquire().await;
                let found = registries.presence(&wanted, limits.image).await;
                names.into_iter().zip(found.into_iter().map(answer)).collect::<Vec<_>>()
            });
        }
    }
    // A task that panics leaves its images unknown. Those that are not done in time are cancelled.
    while let Ok(Some(asked)) = timeout_at(deadline, asking.join_next()).await {
        answers.extend(asked.into_iter().flatten());
    }
    answers
}

/// Asks again for the images that are gone. Registries have short failures in which they deny what they have.
pub async fn confirm_gone(
    registries: &Registries,
    images: &ImageArches,
    answers: &mut BTreeMap<PayloadId, ImageAnswer>,
    limits: Limits,
    delay: Duration,
) {
    let mut gone = images.clone();
    gone.retain(|image, _| answers.get(image).is_some_and(|answer| answer.state == ImageState::Gone));
    if gone.is_empty() {
        return;
    }
    tokio::time::sleep(delay).await;
    answers.extend(ask(registries, &gone, limits).await);
}

fn answer(result: Result<Presence, RegistryError>) -> ImageAnswer {
    match result {
        Ok(Presence::Present) => ImageAnswer { state: ImageState::Present, problem: None },
        Ok(Presence::Gone(missing)) => ImageAnswer { state: ImageState::Gone, problem: Some(missing.to_string()) },
        Err(error @ (RegistryError::NoneAllowed | RegistryError::NotAllowed(_))) => {
            ImageAnswer { state: ImageState::NotAllowed, problem: Some(text(&error.to_string())) }
        }
        Err(error) => unknown(error.without_paths()),
    }
}

fn unknown(problem: impl AsRef<str>) -> ImageAnswer {
    ImageAnswer { state: ImageState::Unknown, problem: Some(text(problem.as_ref())) }
}

/// Returns the beginning of a text, without control characters, since a registry may have sent a part of it.
fn text(problem: &str) -> String {
    problem.chars().filter(|c| !c.is_control()).take(MAX_PROBLEM).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::RegistrySettings;
    use std::collections::BTreeSet;

    fn limits() -> Limits {
        Limits { image: Duration::from_secs(30), all: Duration::from_secs(30) }
    }

    #[tokio::test]
    async fn what_must_not_or_cannot_be_asked_is_not_gone() {
        let settings = RegistrySettings {
            allow: vec![String::from("*.example").try_into().unwrap()],
            ..RegistrySettings::default()
        };
        let registries = Registries::allowed(&settings, Duration::from_secs(30));
        let digest = "0".repeat(64);
        let [refused, nameless] = [format!("ghcr.io/acme/os@sha256:{digest}"), "os".to_owned()]
            .map(|image| PayloadId::parse(&image).unwrap());
        let images = [&refused, &nameless].map(|image| (image.clone(), BTreeSet::new())).into();
        let answers = ask(&registries, &images, limits()).await;
        assert_eq!(answers[&refused].state, ImageState::NotAllowed);
        let problem = answers[&refused].problem.as_deref().unwrap();
        assert_eq!(problem, "ghcr.io is not in the setting registries.allow");
        assert_eq!(answers[&nameless].state, ImageState::Unknown);
        let problem = answers[&nameless].problem.as_deref().unwrap();
        assert!(problem.starts_with("the name of the image must begin with a registry"), "{problem}");
    }

    #[test]
    fn problems_are_short_lines() {
        let problem = unknown(format!("a\n\u{1b}[0m{}", "b".repeat(1000))).problem.unwrap();
        assert!(problem.starts_with("a[0mbb") && problem.chars().count() == MAX_PROBLEM);
    }
}
