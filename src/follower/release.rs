//! Makes a release of a new tag, or says why it waits or cannot become one.

use super::{
    looker::{LookError, Looker, followed, shortened, shown},
    new_tags::NewTag,
    schedule::next_publication,
};
use crate::{
    auth::{Grant, Identity, Role},
    domain::{
        actor::Actor,
        finding::{Code, Finding},
        follow::{Follow, FollowMode},
        ids::Version,
        image::Image,
        origin::Origin,
        release::Release,
        rollout::preset::Preset,
        stream::Stream,
    },
    manage::{
        CommandError, Refusal, Report, Request, StreamAtRevision,
        commands::{
            images::{AddImage, version_of},
            rollouts::{NamedPreset, RolloutPlan},
        },
    },
    registry::{RegistryError, RepositoryReference},
    store::{
        followed_tags::{ACTOR, FollowedTag, TagOutcome},
        follows::{DueFollow, FollowState},
    },
};
use jiff::Timestamp;

/// Makes releases of the tags of one stream during a look.
pub(super) struct TagHandler<'a> {
    looker: &'a Looker,
    due: &'a DueFollow,
    /// When the look began.
    pub(super) now: Timestamp,
    caller: Identity,
    /// The stream as decisions are based on it.
    pub(super) snapshot: StreamAtRevision,
    /// When a release was last published by a follower.
    pub(super) published_at: Option<Timestamp>,
}

/// What became of a tag.
pub(super) enum TagResult {
    /// It is handled, until it stands for another image: it has a release, or its image cannot become one.
    Handled(FollowedTag),
    /// Its time has not come.
    Waits(String),
    /// The release is refused, by the state of the stream, its rules or its settings, or until a person decides.
    Refused(String),
    /// The image was not read.
    Unread(RegistryError),
}

/// The warnings with which a release is published although no person reviews them: that several rollouts run at a time is what following
/// leads to, and arches without a build wait for a later image. `docs/how-to/follow-a-registry.md` lists them.
const ACCEPTED_WARNINGS: &[Code] = &[Code::MissingPayload, Code::OverlappingRollouts, Code::ArchNotServed];
/// How often a release is made again, because its stream was changed meanwhile.
const MAX_CONFLICTS: usize = 3;
/// The largest number of findings that are shown with a tag.
const MAX_FINDINGS: usize = 5;

impl<'a> TagHandler<'a> {
    /// Reads the stream of a look.
    pub(super) async fn new(looker: &'a Looker, due: &'a DueFollow, state: &FollowState) -> Result<Self, LookError> {
        // The role that starts rollouts, on this stream only.
        let on = due.id.to_string().parse().ok();
        let grants = on.map(|on| Grant { role: Role::Manager, on }).into_iter().collect();
        let caller = Identity { actor: Actor::from_id(ACTOR), grants, expires_at: None };
        let snapshot = looker.manage.stream_reader(&caller, due.id.clone())?.present().await?;
        // A look that broke off may have published without saving it.
        let mut transaction = looker.store.begin_read("last_change_by_follower").await?;
        let unseen = transaction.last_change_by_follower(due.key, state.seen_revision).await?;
        let published_at = state.published_at.max(unseen);
        Ok(Self { looker, due, now: looker.manage.timestamp(), caller, snapshot, published_at })
    }

    /// Makes a release of a tag. What comes before a handled tag is not published, so that nodes do not go back.
    pub(super) async fn handle(&mut self, new: &NewTag, is_older: bool) -> Result<TagResult, LookError> {
        for _ in 0..MAX_CONFLICTS {
            let stream = self.snapshot.stream.clone();
            let Some(follow) = followed(&stream, self.due) else {
                return Ok(TagResult::Waits("the stream follows something else now".into()));
            };
            let is_published = follow.mode == FollowMode::Publish && !is_older;
            if is_published && let Some(because) = self.hold(&stream) {
                return Ok(TagResult::Waits(because));
            }
            let image = match self.read(follow, new).await {
                Ok(image) => image,
                // The same digest stands for the same content at any time.
                Err(error @ (RegistryError::Unusable(_) | RegistryError::Content { .. })) => {
                    return Ok(self.unusable(new, shown(&error)));
                }
                Err(error) => return Ok(TagResult::Unread(error)),
            };
            let command = match command(&stream, follow, new, image, is_published) {
                Ok(command) => command,
                Err(refusal) => return Ok(self.unusable(new, shortened(&refusal.to_string()))),
            };
            let reason = format!("tag {} of {}", new.tag, follow.image);
            let request = Request {
                subject: "releases",
                // What was decided is valid for this revision.
                expected: Some(self.snapshot.revision),
                // A person decides about a draft.
                acknowledge: !is_published,
                accepted_warnings: is_published.then_some(ACCEPTED_WARNINGS),
                ..Request::new(&self.caller, &reason)
            };
            match self.looker.manage.run(&command, &request).await {
                Ok(report) => return self.made(new, is_published, report).await,
                Err(CommandError::RevisionMismatch { .. }) => self.snapshot = self.read_stream().await?,
                Err(CommandError::Store(error)) => return Err(error.into()),
                // A stop or a freeze window began meanwhile.
                Err(CommandError::Admission(error)) => return Ok(TagResult::Waits(error.to_string())),
                Err(CommandError::Refused(refusal)) => return Ok(TagResult::Refused(explain(&refusal))),
                Err(error @ CommandError::Invalid(_)) => {
                    return Ok(TagResult::Refused(shortened(&error.to_string())));
                }
            }
        }
        Ok(TagResult::Waits("the stream is being changed".into()))
    }

    async fn read_stream(&self) -> Result<StreamAtRevision, LookError> {
        Ok(self.looker.manage.stream_reader(&self.caller, self.due.id.clone())?.present().await?)
    }

    /// Returns why nothing may be published now.
    fn hold(&self, stream: &Stream) -> Option<String> {
        let (now, interval) = (self.looker.manage.timestamp(), self.looker.interval);
        stream.publication_hold(now.into()).or_else(|| {
            let next = next_publication(self.published_at, interval, now)?;
            Some(format!("one release is published in {interval:#}, the next one after {next:.0}"))
        })
    }

    async fn read(&self, follow: &Follow, new: &NewTag) -> Result<Image, RegistryError> {
        // The repository was parsed before.
        let repository = RepositoryReference::try_from(&follow.image);
        let repository = repository.map_err(|error| RegistryError::Unusable(error.to_string()))?;
        self.looker.registries.read(&repository.with_digest(new.digest)).await
    }

    /// Returns what became of a tag whose release was made, or was there.
    async fn made(&mut self, new: &NewTag, is_published: bool, report: Report) -> Result<TagResult, LookError> {
        let outcome = match (&report.existing, is_published) {
            (Some(_), _) => TagOutcome::Existing,
            (None, true) => TagOutcome::Published,
            (None, false) => TagOutcome::Drafted,
        };
        let warnings = listed(&report.findings.unwrap_or_default());
        if report.existing.is_none() {
            self.looker.manage.metrics().release_followed(outcome.as_str());
            let (stream, tag, image) = (&self.due.id, &new.tag, &self.due.image);
            let release = report.created.as_deref().unwrap_or_default();
            let found = warnings.join("; ");
            tracing::info!(%stream, tag, image, release, outcome = outcome.as_str(), warnings = found, "tag became a release");
            if outcome == TagOutcome::Published {
                self.published_at = Some(self.looker.manage.timestamp());
            }
            self.snapshot = self.read_stream().await?;
        }
        let release = report.existing.or(report.created);
        Ok(TagResult::Handled(FollowedTag { release, warnings, ..self.handled(new, outcome) }))
    }

    fn unusable(&self, new: &NewTag, error: String) -> TagResult {
        TagResult::Handled(FollowedTag { error: Some(error), ..self.handled(new, TagOutcome::Refused) })
    }

    fn handled(&self, new: &NewTag, outcome: TagOutcome) -> FollowedTag {
        FollowedTag {
            tag: new.tag.clone(),
            digest: Some(new.digest),
            handled_at: self.now,
            outcome,
            release: None,
            error: None,
            warnings: Vec::new(),
            missing_since: None,
        }
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
    match refusal {
        Refusal::Dangerous(findings) => {
            shortened(&format!("the release would have errors: {}", listed(findings).join("; ")))
        }
        Refusal::Unacknowledged(findings) => {
            shortened(&format!("a person has to acknowledge and publish it: {}", listed(findings).join("; ")))
        }
        refusal => shortened(&refusal.to_string()),
    }
}

fn listed(findings: &[Finding]) -> Vec<String> {
    findings.iter().take(MAX_FINDINGS).map(|finding| shortened(&finding.to_string())).collect()
}
