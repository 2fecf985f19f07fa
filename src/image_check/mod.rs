//! Checks that registries still have the images that nodes may be sent to: their clean-up rules know nothing about nodes.
//!
//! `needed`: the images of streams; `ask`: asks registries for them; `checker`: does so periodically, in one process for all; `publication`:
//! asks before a release is published. How a registry is asked does not belong here, nor does what follows from its answers.

mod ask;
mod checker;
mod needed;
mod publication;

pub use ask::{Limits, ask, confirm_gone};
pub use checker::ImageChecker;
pub use needed::{ImageUse, NeededImages, needed_images};
pub use publication::PublicationCheck;
