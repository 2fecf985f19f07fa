//! Settings of streams that upstream does not know, which imports keep.

use crate::domain::stream::Stream;

/// Returns upstream's stream with the settings of the present one, which upstream does not know.
pub(super) fn with_settings(present: &Stream, incoming: &Stream) -> Stream {
    // Every field is named, so that a new one is not forgotten here.
    let Stream {
        id: _,
        description,
        arches,
        mirrors,
        rules,
        protection,
        default_rollout,
        base,
        follow,
        stop,
        product_stop: _,
        releases: _,
        blocked_updates,
        sources: _,
    } = present;
    Stream {
        description: description.clone(),
        arches: incoming.arches.union(arches).cloned().collect(),
        mirrors: mirrors.clone(),
        rules: *rules,
        protection: protection.clone(),
        default_rollout: *default_rollout,
        base: base.clone(),
        follow: follow.clone(),
        stop: stop.clone(),
        blocked_updates: blocked_updates.clone(),
        ..incoming.clone()
    }
}
