//! The request and response bodies of the API, except for parts of streams, whose shapes are those of stream documents.

mod answers;
mod caller;
mod history;
mod overview;
mod release;
mod rollout;
mod stream;
mod token;

pub use answers::{ExplainModel, GraphModel};
pub use caller::CallerModel;
pub use history::{AuditEntryModel, RevisionModel};
pub use overview::OverviewModel;
pub use release::{
    ArtifactModel, BlockedModel, NewBlocked, NewPromotion, NewRelease, NotesModel, PayloadModel, PromotionModel,
    ReleaseModel,
};
pub use rollout::{AccelerateModel, AdvanceModel, HoldModel, NewRollout, PresetModel, RolloutModel};
pub use stream::{
    ProductModel, ProductSettings, ProductStopModel, StopModel, StreamModel, StreamSettings, StreamSummary,
};
pub use token::{IssuedTokenModel, NewToken, RevokedTokenModel, TokenModel};
