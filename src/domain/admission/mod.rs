//! Whether a change may happen: emergency stops, freeze windows, the shortest rollout, exposure, lint and impact. Decides about states of
//! streams, before and after; changes none.

pub mod bounds;
pub mod check;
pub mod emergency_stop;
pub mod exposure;
pub mod freeze_conflicts;
pub mod freeze_window;
pub mod impact;
pub mod lint;
pub mod manager_only;
pub mod pace;
pub mod protection;
mod publication_hold;
mod sources;
