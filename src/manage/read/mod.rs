//! Reads for managers: authorised and typed. The API, the console and the command line render these models.
//!
//! Belongs here: who may read what, and one typed model per resource, from the database and never from a replica's catalog. Does not
//! belong here: JSON, HTTP, or a change. A reader ([`StreamReader`], [`ProductReader`], [`AuditReader`]) exists only for callers who have
//! the permission, so a caller is checked before anything else of a request.

mod access;
mod audit;
mod explanation;
mod follows;
mod hold_reason;
mod image_checks;
mod live_rollouts;
mod overview;
mod pauses;
mod products;
mod promotion_drift;
mod release_search;
mod releases;
mod revisions;
mod rollout_history;
mod rollouts;
mod streams;
mod tokens;

pub use access::ReadError;
pub use audit::{AuditReader, AuditScope};
pub use explanation::{
    Explanation, ExplanationEnd, GraphView, HeldBack, Position, Question, Running, TargetOffer, Update,
};
pub use follows::FollowStatus;
pub use hold_reason::HoldReason;
pub use image_checks::NeededImage;
pub use live_rollouts::RolloutFilter;
pub use overview::{Excerpt, LiveRollout, StreamOverview};
pub use pauses::{Cause, Pause, PauseKind};
pub use products::{Product, ProductReader};
pub use promotion_drift::{DriftedRelease, PromotionDrift};
pub use release_search::{FoundRelease, ReleaseFilter};
pub use releases::ReleaseAtRevision;
pub use revisions::RevisionRecord;
pub use rollout_history::RolloutHistory;
pub use rollouts::{NextStep, RolloutAtRevision, RolloutPhase, RolloutStatus};
pub use streams::{StreamAtRevision, StreamReader};
pub(super) use tokens::is_visible;
