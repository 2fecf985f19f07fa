//! The shapes of what is asked and answered. Parts of streams are those of stream documents; these are the others.

mod answers;
mod history;
mod release;
mod rollout;
mod stream;
mod token;

pub use answers::{ExplainModel, GraphModel};
pub use history::{ActModel, RevisionModel};
pub use release::{
    ArtifactModel, BlockedModel, NewBlocked, NewPromotion, NewRelease, NotesModel, PayloadModel, PromotionModel,
    ReleaseModel,
};
pub use rollout::{AccelerateModel, HoldModel, NewRollout, PresetModel, RolloutModel};
pub use stream::{ProductModel, StopModel, StreamModel, StreamSettings, StreamSummary};
pub use token::{GivenToken, NewToken, TokenModel};
