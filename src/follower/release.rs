//! Makes a release of a new tag, or says why it waits or cannot become one.

use super::{
    looker::{LookError, Looker, describe, shortened},
    new_tags::NewTag,
    schedule::next_publication,
};
use crate::{
    auth::{Grant, Identity, Role},
    domain::{
        actor::Actor,
        follow::{Follow, FollowMode},
        ids::Version,
        image::Image,
        origin::Origin,
        release::Release,
        rollout::preset::Preset,
        stream::Stream,
    },
    manage::{
        CommandError, Refusal, Request, StreamAtRevision,
        commands::{
            images::{AddImage, version_of},
            rollouts::{NamedPreset, RolloutPlan},
        },
    },
    registry::{RegistryError, RepositoryReference},
    store::{
        followed_tags::{ACTOR, TagOutcome},
        follows::DueFollow,
    },
};

/// Makes releases of one stream.
pub(super) struct Maker<'a> {
    looker: &'a Looker,
    pub(super) due: &'a DueFollow,
    caller: Identity,
}

/// What became of a tag.
pub(super) struct Made {
    pub(super) outcome: TagOutcome,
    pub(super) release: Option<String>,
    pub(super) error: Option<String>,
}

/// Why nothing became of a tag yet.
pub(super) enum Unmade {
    /// It is not its time.
    Waits(String),
    /// The registry failed.
    Failed(RegistryError),
    /// The whole look failed.
    Look(LookError),
}

/// How often a release is made again, because its stream was changed meanwhile.
const MAX_CONFLICTS: usize = 3;
/// The largest number of findings that an error repeats.
const MAX_FINDINGS: usize = 5;

impl<'a> Maker<'a> {
    pub(super) fn new(looker: &'a Looker, due: &'a DueFollow) -> Self {
        // The role that starts rollouts, on this stream only.
        let on = due.id.to_string().parse().ok();
        let grants = on.map(|on| Grant { role: Role::Manager, on }).into_iter().collect();
        Self { looker, due, caller: Identity { actor: Actor::from_id(ACTOR), grants, expires_at: None } }
    }

    /// Reads the stream.
    pub(super) async fn stream(&self) -> Result<StreamAtRevision, LookError> {
        Ok(self.looker.manage.stream_reader(&self.caller, self.due.id.clone())?.present().await?)
    }

    /// Makes a release of a tag. What comes before a handled tag is not published, so that nodes do not go back.
    pub(super) async fn make(
        &self,
        snapshot: &mut StreamAtRevision,
        new: &NewTag,
        is_older: bool,
    ) -> Result<Made, Unmade> {
        for _ in 0..MAX_CONFLICTS {
            let (follow, stream) = match snapshot.stream.follow.as_deref() {
                Some(follow) => (follow.clone(), snapshot.stream.clone()),
                None => return Err(Unmade::Waits("the stream follows nothing now".into())),
            };
            let is_published = follow.mode == FollowMode::Publish && !is_older;
            if is_published && let Some(because) = self.hold(&stream).await? {
                return Err(Unmade::Waits(because));
            }
            let image = match self.read(&follow, new).await {
                Ok(image) => image,
                // The same digest stands for the same content at any time.
                Err(error @ (RegistryError::Unusable(_) | RegistryError::Content { .. })) => {
                    return Ok(Made::refused(describe(&error)));
                }
                Err(error) => return Err(Unmade::Failed(error)),
            };
            let command = match command(&stream, &follow, new, image, is_published) {
                Ok(command) => command,
                Err(refusal) => return Ok(Made::refused(shortened(&refusal.to_string()))),
            };
            let reason = format!("tag {} of {}", new.tag, follow.image);
            let request = Request {
                subject: "releases",
                // What was decided is valid for this revision.
                expected: Some(snapshot.revision),
                // A person who sets what is followed accepts that rollouts overlap, and that arches wait for a later image.
                acknowledge: true,
                ..Request::new(&self.caller, &reason)
            };
            match self.looker.manage.run(&command, &request).await {
                Ok(report) => {
                    let outcome = match (&report.existing, is_published) {
                        (Some(_), _) => TagOutcome::Existing,
                        (None, true) => TagOutcome::Published,
                        (None, false) => TagOutcome::Drafted,
                    };
                    if report.existing.is_none() {
                        self.looker.manage.metrics().release_followed(outcome.as_str());
                        let (stream, tag, image) = (&self.due.id, &new.tag, &self.due.image);
                        let release = report.created.as_deref().unwrap_or_default();
                        tracing::info!(%stream, tag, image, release, outcome = outcome.as_str(), "tag became a release");
                        *snapshot = self.stream().await.map_err(Unmade::Look)?;
                    }
                    return Ok(Made { outcome, release: report.existing.or(report.created), error: None });
                }
                Err(CommandError::RevisionMismatch { .. }) => {
                    *snapshot = self.stream().await.map_err(Unmade::Look)?;
                }
                Err(CommandError::Store(error)) => return Err(Unmade::Look(error.into())),
                // A stop or a freeze window began meanwhile.
                Err(CommandError::Admission(error)) => return Err(Unmade::Waits(error.to_string())),
                Err(CommandError::Refused(refusal)) => return Ok(Made::refused(explain(&refusal))),
                Err(error @ CommandError::Invalid(_)) => return Ok(Made::refused(describe(&error))),
            }
        }
        Err(Unmade::Waits("the stream is being changed".into()))
    }

    /// Returns why nothing may be published now.
    async fn hold(&self, stream: &Stream) -> Result<Option<String>, Unmade> {
        let Looker { manage, store, interval, .. } = self.looker;
        let now = manage.timestamp();
        if let Some(because) = stream.publication_hold(now.into()) {
            return Ok(Some(because));
        }
        let last =
            async { store.begin_read("last_change_by_follower").await?.last_change_by_follower(self.due.key).await };
        let last = last.await.map_err(|error| Unmade::Look(error.into()))?;
        let next = next_publication(last, *interval, now);
        Ok(next.map(|next| format!("one release is published in {interval:#}, the next one after {next:.0}")))
    }

    async fn read(&self, follow: &Follow, new: &NewTag) -> Result<Image, RegistryError> {
        // The repository was parsed before.
        let repository = RepositoryReference::try_from(&follow.image);
        let repository = repository.map_err(|error| RegistryError::Unusable(error.to_string()))?;
        self.looker.registries.read(&repository.with_digest(new.digest)).await
    }
}

impl Made {
    fn refused(error: String) -> Self {
        Self { outcome: TagOutcome::Refused, release: None, error: Some(error) }
    }
}

/// Returns the command that makes a release of an image. An image without a label for its version has its tag as the version.
fn command(
    stream: &Stream,
    follow: &Follow,
    new: &NewTag,
    image: Image,
    is_published: bool,
) -> Result<AddImage, Refusal> {
    let given = if image.versions.is_empty() { Some(&new.tag) } else { None };
    let given = given.map(|tag| Version::parse(tag)).transpose().map_err(|error| Refusal::field("version", error))?;
    let version = version_of(&image, given.as_ref())?;
    let notes = image.notes(None).map_err(|error| Refusal::field("notes", error))?;
    let rollout = match follow.rollout {
        // A draft gets the default rollout when it is published.
        None if !is_published => None,
        None => Some(stream.default_rollout.unwrap_or(Preset::Linear48h)),
        given => given,
    };
    let plan = |preset| RolloutPlan { waits_for_windows: true, ..RolloutPlan::from_preset(NamedPreset::Ramp(preset)) };
    Ok(AddImage {
        stream: stream.id.clone(),
        draft: Release { notes, ..Release::published(version, Origin::Local) },
        image,
        // A tag that moved has another image under the same name.
        is_labelled: true,
        rollouts: rollout.map(plan).into_iter().collect(),
        is_published,
        fallback: None,
        built_on: None,
    })
}

/// Returns why a release was refused, with its findings.
fn explain(refusal: &Refusal) -> String {
    let Refusal::Dangerous(findings) = refusal else { return shortened(&refusal.to_string()) };
    let findings: Vec<String> = findings.iter().take(MAX_FINDINGS).map(ToString::to_string).collect();
    shortened(&format!("the release would have errors: {}", findings.join("; ")))
}
