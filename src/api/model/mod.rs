//! The request and response bodies of the API, except for parts of streams, whose shapes are those of stream documents.

mod answers;
mod base;
mod batch;
mod caller;
mod event;
mod follow;
mod history;
mod image_check;
mod overview;
mod pause;
mod preset;
mod release;
mod rollout;
mod search;
mod stream;
mod token;

pub use answers::{ExplainModel, GraphModel};
pub use base::{BaseModel, NewBuiltOn};
pub use batch::{BatchModel, BatchedCommand, BatchedRollout};
pub use caller::CallerModel;
pub use event::{EventKindModel, EventModel, MissedEventsModel};
pub use follow::{FollowModel, FollowedTagModel, WaitingTagsModel};
pub use history::{AuditEntryModel, RevisionModel};
pub use image_check::{ImageCheckModel, ImageReleaseModel};
pub use overview::{OverviewModel, StreamRolloutModel};
pub use pause::PauseModel;
pub use preset::{PresetModel, ProductPresetModel};
pub use release::{
    ArtifactModel, BlockedModel, NewBlocked, NewPromotion, NewRelease, NotesModel, PayloadModel, PromotionModel,
    ReleaseModel,
};
pub use rollout::{AccelerateModel, AdvanceModel, GateModel, HoldModel, NewRollout, RolloutModel, RolloutOrderModel};
pub use search::{FoundReleaseModel, PromotionDriftModel};
pub use stream::{
    ProductModel, ProductSettings, ProductStopModel, StopModel, StreamModel, StreamSettings, StreamSummary,
};
pub use token::{IssuedTokenModel, NewToken, RevokedTokenModel, TokenModel};
