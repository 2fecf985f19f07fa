//! Changes that require the role `manager`: a publisher must not send nodes to content that no manager has approved.

use crate::domain::{
    changes::Changes,
    policy::graph_rules::EdgeRule,
    release::{Release, ReleaseState},
    stream::Stream,
};

/// Describes the first part of a change that requires the role `manager`, or returns `None` if a publisher may make the change.
///
/// A manager approves a release by giving it a rollout or a barrier; its payloads are fixed from then on. A manager is required to
/// add payloads to a published release, to change payloads of a draft that has rollouts or a barrier, to add aliases and predecessors,
/// and to publish what no rollout holds back: a barrier, or any release that the edge rule of its stream opens without rollouts.
#[must_use]
pub fn find_manager_only_change(before: &Stream, after: &Stream) -> Option<String> {
    let changes = Changes::between(before, after);
    let edge_rule = after.rules.edge_rule;
    changes.added_or_changed().find_map(|(after, before)| describe_manager_only(before, after.release, edge_rule))
}

fn describe_manager_only(before: Option<&Release>, after: &Release, edge_rule: EdgeRule) -> Option<String> {
    let version = &after.version;
    let is_draft = before.is_none_or(|before| before.state == ReleaseState::Draft);
    let is_approved = before.is_some_and(|before| !before.rollouts.is_empty() || before.barrier.is_some());
    let payloads_differ = before.is_some_and(|before| before.payloads != after.payloads);
    let is_built_on_another = before.is_some_and(|before| is_built_on_another(before, after));
    let has_new_alias = after.aliases.iter().any(|(key, ids)| {
        let known = before.and_then(|before| before.aliases.get(key));
        ids.keys().any(|id| known.is_none_or(|known| !known.contains_key(id)))
    });
    let is_published =
        after.state == ReleaseState::Published && before.is_none_or(|before| before.state != ReleaseState::Published);
    if payloads_differ && !is_draft {
        return Some(format!("the change alters payloads of release {version}, which was published"));
    }
    if payloads_differ && is_approved {
        return Some(format!("the change alters payloads of release {version}, which has rollouts or a barrier"));
    }
    if is_built_on_another && (!is_draft || is_approved) {
        return Some(format!("the change alters on what release {version} is built"));
    }
    if has_new_alias {
        return Some(format!("the change adds an alias to release {version}"));
    }
    if has_new_predecessors(before, after) {
        return Some(format!("the change adds predecessors to release {version}"));
    }
    if is_published && after.barrier.is_some() && after.rollouts.is_empty() {
        return Some(format!("the change publishes release {version} as a barrier without rollouts"));
    }
    if is_published && after.rollouts.is_empty() && is_open_without_rollouts(after, edge_rule) {
        let rule = edge_rule.as_str();
        return Some(format!(
            "the change publishes release {version}, which the edge rule {rule} opens without rollouts"
        ));
    }
    None
}

/// Returns true if a release is built on another release of the base than before, on an arch for which that was known.
fn is_built_on_another(before: &Release, after: &Release) -> bool {
    let known = before.built_on.iter().flat_map(|built_on| built_on.iter());
    let now = |arch| after.built_on.as_ref().and_then(|built_on| built_on.get(arch));
    known.into_iter().any(|(arch, on)| now(arch).is_none_or(|now| now.version != on.version))
}

fn has_new_predecessors(before: Option<&Release>, after: &Release) -> bool {
    let known = before.and_then(|before| before.predecessors.as_ref()).map(|known| &known.versions);
    let is_new = |version| known.is_none_or(|known| !known.contains(version));
    after.predecessors.iter().flat_map(|predecessors| &predecessors.versions).any(is_new)
}

/// Returns true if nodes are offered a published release without rollouts that is not a barrier.
fn is_open_without_rollouts(release: &Release, edge_rule: EdgeRule) -> bool {
    match edge_rule {
        EdgeRule::Derived => false,
        EdgeRule::Open => true,
        EdgeRule::Explicit => release.predecessors.is_some(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{
        ids::Version,
        origin::Origin,
        policy::{graph_rules::GraphRules, predecessors::Predecessors},
        rollout::preset::Preset,
        samples,
    };

    fn stream(edge_rule: EdgeRule, state: ReleaseState, change: impl FnOnce(&mut Release)) -> Stream {
        let release = |version: &str| Release::published(Version::parse(version).unwrap(), Origin::Local);
        let mut newest = Release { state, ..release("2") };
        change(&mut newest);
        let rules = GraphRules { edge_rule, ..GraphRules::default() };
        Stream { rules, releases: vec![release("1").into(), newest.into()], ..Stream::empty(samples::id()) }
    }

    fn list(release: &mut Release) {
        let versions = [Version::parse("1").unwrap()].into();
        release.predecessors = Some(Box::new(Predecessors { versions, origin: Origin::Local }));
    }

    #[test]
    fn publishing_what_the_edge_rule_opens_needs_a_manager() {
        let published = |edge_rule: EdgeRule, change: fn(&mut Release)| {
            let [draft, published] =
                [ReleaseState::Draft, ReleaseState::Published].map(|state| stream(edge_rule, state, change));
            find_manager_only_change(&draft, &published)
        };
        let opens = |rule: &str| {
            Some(format!("the change publishes release 2, which the edge rule {rule} opens without rollouts"))
        };
        assert_eq!(published(EdgeRule::Derived, |_| {}), None);
        assert_eq!(published(EdgeRule::Derived, list), None);
        assert_eq!(published(EdgeRule::Open, |_| {}), opens("open"));
        assert_eq!(published(EdgeRule::Explicit, |_| {}), None);
        assert_eq!(published(EdgeRule::Explicit, list), opens("explicit"));
        let with_rollout = |release: &mut Release| {
            list(release);
            release.rollouts = vec![Preset::Linear48h.rollout(crate::domain::epoch::Epoch(0))];
        };
        assert_eq!(published(EdgeRule::Open, with_rollout), None);
        assert_eq!(published(EdgeRule::Explicit, with_rollout), None);
    }

    #[test]
    fn adding_predecessors_needs_a_manager() {
        let draft = |change: fn(&mut Release)| stream(EdgeRule::Derived, ReleaseState::Draft, change);
        let added = Some("the change adds predecessors to release 2".to_owned());
        assert_eq!(find_manager_only_change(&draft(|_| {}), &draft(list)), added);
        assert_eq!(find_manager_only_change(&Stream::empty(samples::id()), &draft(list)), added);
        assert_eq!(find_manager_only_change(&draft(list), &draft(list)), None);
        assert_eq!(find_manager_only_change(&draft(list), &draft(|_| {})), None);
    }
}
