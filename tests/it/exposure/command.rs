//! Random commands that change a stream, of every kind.

use super::sample::{self, BASE, HOUR, MIRRORS, SCOPES, pick, time};
use crate::support::upstream::Documents;
use fastrand::Rng;
use reqwest::Method;
use serde_json::{Value, json};

/// A rule that forbids increasing the exposure of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Restriction {
    Stop,
    FreezeWindow,
}

/// The expected result of a command under a restriction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Expectation {
    /// It is accepted if it does not increase the exposure.
    Accepted,
    /// It increases the exposure, and is refused because of the stop or the window.
    Refused,
    /// It is not drawn, for this reason.
    NotDrawn(&'static str),
}

/// The kind of a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    PutStream,
    CreateRelease,
    RemoveRelease,
    ChangeRelease,
    Publish,
    Withdraw,
    PutPayload,
    RemovePayload,
    CreateAlias,
    RemoveAlias,
    PutArtifact,
    RemoveArtifact,
    PutBarrier,
    RemoveBarrier,
    PutDeadEnd,
    RemoveDeadEnd,
    PutPredecessors,
    RemovePredecessors,
    CreateBlockedUpdate,
    RemoveBlockedUpdate,
    CreateRollout,
    PutRollout,
    RemoveRollout,
    Start,
    Pause,
    Resume,
    Accelerate,
    Advance,
    Hold,
    Complete,
    Abort,
    Restart,
    Order,
    PauseAll,
    ResumeAll,
    PauseProduct,
    ResumeProduct,
    Promote,
    StopStream,
    LiftStop,
    StopProduct,
    LiftProductStop,
    Revert,
    Undo,
    Batch,
    PutDocument,
    DeleteStream,
    PutBaseBarrier,
    RemoveBaseBarrier,
    PutBaseDeadEnd,
    RemoveBaseDeadEnd,
    PutBuiltOn,
    Import,
}

pub(super) const KINDS: [Kind; 53] = [
    Kind::PutStream,
    Kind::CreateRelease,
    Kind::RemoveRelease,
    Kind::ChangeRelease,
    Kind::Publish,
    Kind::Withdraw,
    Kind::PutPayload,
    Kind::RemovePayload,
    Kind::CreateAlias,
    Kind::RemoveAlias,
    Kind::PutArtifact,
    Kind::RemoveArtifact,
    Kind::PutBarrier,
    Kind::RemoveBarrier,
    Kind::PutDeadEnd,
    Kind::RemoveDeadEnd,
    Kind::PutPredecessors,
    Kind::RemovePredecessors,
    Kind::CreateBlockedUpdate,
    Kind::RemoveBlockedUpdate,
    Kind::CreateRollout,
    Kind::PutRollout,
    Kind::RemoveRollout,
    Kind::Start,
    Kind::Pause,
    Kind::Resume,
    Kind::Accelerate,
    Kind::Advance,
    Kind::Hold,
    Kind::Complete,
    Kind::Abort,
    Kind::Restart,
    Kind::Order,
    Kind::PauseAll,
    Kind::ResumeAll,
    Kind::PauseProduct,
    Kind::ResumeProduct,
    Kind::Promote,
    Kind::StopStream,
    Kind::LiftStop,
    Kind::StopProduct,
    Kind::LiftProductStop,
    Kind::Revert,
    Kind::Undo,
    Kind::Batch,
    Kind::PutDocument,
    Kind::DeleteStream,
    Kind::PutBaseBarrier,
    Kind::RemoveBaseBarrier,
    Kind::PutBaseDeadEnd,
    Kind::RemoveBaseDeadEnd,
    Kind::PutBuiltOn,
    Kind::Import,
];

/// A change of a stream.
#[derive(Debug, Clone)]
pub(super) enum Command {
    /// A request, with its path below `/api/v1/products/PRODUCT` and its body.
    Request(Method, String, Option<Value>),
    /// An import of upstream's documents.
    Import(Documents),
}

impl Kind {
    /// Returns the operation of the API, or `None` for an import.
    pub(super) fn operation(self) -> Option<&'static str> {
        Some(match self {
            Self::PutStream => "set_stream",
            Self::CreateRelease => "create_release",
            Self::RemoveRelease => "delete_release",
            Self::ChangeRelease => "update_release",
            Self::Publish => "publish_release",
            Self::Withdraw => "withdraw_release",
            Self::PutPayload => "set_payload",
            Self::RemovePayload => "delete_payload",
            Self::CreateAlias => "create_alias",
            Self::RemoveAlias => "delete_alias",
            Self::PutArtifact => "set_artifact",
            Self::RemoveArtifact => "delete_artifact",
            Self::PutBarrier => "set_barrier",
            Self::RemoveBarrier => "delete_barrier",
            Self::PutDeadEnd => "set_dead_end",
            Self::RemoveDeadEnd => "delete_dead_end",
            Self::PutPredecessors => "set_predecessors",
            Self::RemovePredecessors => "delete_predecessors",
            Self::CreateBlockedUpdate => "create_blocked_update",
            Self::RemoveBlockedUpdate => "delete_blocked_update",
            Self::CreateRollout => "create_rollout",
            Self::PutRollout => "replace_rollout",
            Self::RemoveRollout => "delete_rollout",
            Self::Start => "start_rollout",
            Self::Pause => "pause_rollout",
            Self::Resume => "resume_rollout",
            Self::Accelerate => "accelerate_rollout",
            Self::Advance => "advance_rollout",
            Self::Hold => "hold_rollout",
            Self::Complete => "complete_rollout",
            Self::Abort => "abort_rollout",
            Self::Restart => "restart_rollout",
            Self::Order => "order_rollouts",
            Self::PauseAll => "pause_rollouts",
            Self::ResumeAll => "resume_rollouts",
            Self::PauseProduct => "pause_product_rollouts",
            Self::ResumeProduct => "resume_product_rollouts",
            Self::Promote => "create_promotion",
            Self::StopStream => "stop_stream",
            Self::LiftStop => "lift_emergency_stop",
            Self::StopProduct => "stop_product",
            Self::LiftProductStop => "lift_product_emergency_stop",
            Self::Revert => "revert_stream",
            Self::Undo => "undo_revision",
            Self::Batch => "run_batch",
            Self::PutDocument => "replace_document",
            Self::DeleteStream => "delete_stream",
            Self::PutBaseBarrier => "set_base_barrier",
            Self::RemoveBaseBarrier => "delete_base_barrier",
            Self::PutBaseDeadEnd => "set_base_dead_end",
            Self::RemoveBaseDeadEnd => "delete_base_dead_end",
            Self::PutBuiltOn => "set_built_on",
            Self::Import => return None,
        })
    }

    /// Returns the expected result.
    pub(super) fn expectation(self, restriction: Restriction) -> Expectation {
        use Expectation::{Accepted, NotDrawn, Refused};
        let is_stop = restriction == Restriction::Stop;
        match self {
            // The release that it publishes was not offered to any node before.
            Self::Publish => Refused,
            // These increase the exposure by design, and a stop refuses them for any rollout. A window accepts them for drafts, and if they
            // change nothing.
            Self::Start
            | Self::Resume
            | Self::Accelerate
            | Self::Advance
            | Self::Complete
            | Self::Restart
            | Self::ResumeAll
                if is_stop =>
            {
                Refused
            }
            Self::Undo => NotDrawn("only the newest revision of the same actor is undone"),
            Self::DeleteStream => NotDrawn("only a stream that never published is deleted"),
            Self::PutBaseBarrier
            | Self::RemoveBaseBarrier
            | Self::PutBaseDeadEnd
            | Self::RemoveBaseDeadEnd
            | Self::PutBuiltOn => NotDrawn("the streams have no base; bases.rs has a test"),
            Self::PauseProduct | Self::ResumeProduct => {
                NotDrawn("it would change the streams that others are compared with")
            }
            Self::LiftProductStop => NotDrawn("every round ends with it, for all streams of the product"),
            Self::LiftStop if !is_stop => NotDrawn("nothing is stopped"),
            Self::StopProduct if !is_stop => NotDrawn("it would stop the streams that others are compared with"),
            Self::Start
            | Self::Resume
            | Self::Accelerate
            | Self::Advance
            | Self::Complete
            | Self::Restart
            | Self::ResumeAll
            | Self::PauseAll
            | Self::Order
            | Self::Batch
            | Self::PutStream
            | Self::CreateRelease
            | Self::RemoveRelease
            | Self::ChangeRelease
            | Self::Withdraw
            | Self::PutPayload
            | Self::RemovePayload
            | Self::CreateAlias
            | Self::RemoveAlias
            | Self::PutArtifact
            | Self::RemoveArtifact
            | Self::PutBarrier
            | Self::RemoveBarrier
            | Self::PutDeadEnd
            | Self::RemoveDeadEnd
            | Self::PutPredecessors
            | Self::RemovePredecessors
            | Self::CreateBlockedUpdate
            | Self::RemoveBlockedUpdate
            | Self::CreateRollout
            | Self::PutRollout
            | Self::RemoveRollout
            | Self::Pause
            | Self::Hold
            | Self::Abort
            | Self::Promote
            | Self::StopStream
            | Self::LiftStop
            | Self::StopProduct
            | Self::Revert
            | Self::PutDocument
            | Self::Import => Accepted,
        }
    }
}

/// The stream for which a command is drawn, its document, and an equal stream to promote from.
pub(super) struct Target<'a> {
    pub(super) stream: &'a str,
    pub(super) twin: &'a str,
    pub(super) document: &'a Value,
    pub(super) is_product_stopped: bool,
}

impl Target<'_> {
    fn releases(&self) -> &Vec<Value> {
        self.document["releases"].as_array().unwrap()
    }

    /// Returns a request to the stream.
    fn command(&self, method: Method, below: &str, body: Option<Value>) -> Command {
        let path = format!("/streams/{}/{below}", self.stream);
        Command::Request(method, path.trim_end_matches('/').to_owned(), body)
    }

    /// Draws one of the releases that match a condition.
    fn release(&self, rng: &mut Rng, fits: impl Fn(&Value) -> bool) -> Option<&Value> {
        let fitting: Vec<&Value> = self.releases().iter().filter(|release| fits(release)).collect();
        (!fitting.is_empty()).then(|| pick(rng, &fitting))
    }

    /// Draws one of the rollouts that match a condition, and returns its path.
    fn rollout(&self, rng: &mut Rng, fits: impl Fn(&Value, &Value) -> bool) -> Option<String> {
        let rollouts = self.releases().iter().flat_map(|release| {
            release["rollouts"].as_array().into_iter().flatten().map(move |rollout| (release, rollout))
        });
        let fitting: Vec<(&Value, &Value)> = rollouts.filter(|(release, rollout)| fits(release, rollout)).collect();
        if fitting.is_empty() {
            return None;
        }
        let (release, rollout) = pick(rng, &fitting);
        Some(format!("{}/rollouts/{}", path(release), rollout["id"]))
    }
}

fn has_gate(rollout: &Value) -> bool {
    rollout["steps"].as_array().into_iter().flatten().any(|step| step["gate"] == true)
}

fn path(release: &Value) -> String {
    format!("releases/{}", release["version"].as_str().unwrap())
}

fn is_draft(release: &Value) -> bool {
    release["state"] == "draft"
}

fn is_active(rollout: &Value) -> bool {
    rollout["state"].is_null() || rollout["state"] == "active"
}

impl Kind {
    /// Draws a command of this kind that is accepted or refused only because of its exposure. Returns `None` if the stream allows no such
    /// command.
    #[expect(clippy::too_many_lines, reason = "a few lines for each kind")]
    pub(super) fn draw(self, rng: &mut Rng, on: &Target<'_>) -> Option<Command> {
        if let Self::Import = self {
            return import(rng, on).map(Command::Import);
        }
        let document = on.document;
        let (method, below, body): (Method, String, Option<Value>) = match self {
            Self::PutStream => (Method::PUT, String::new(), Some(settings(rng, document))),
            Self::DeleteStream => (Method::DELETE, String::new(), None),
            Self::CreateRelease => {
                let scope = pick(rng, &SCOPES);
                let mut draft = json!({"version": "9.0", "payloads": [sample::payload(scope, "a draft")]});
                if rng.bool() {
                    draft["aliases"] = json!([sample::payload(scope, "a draft by another name")]);
                }
                (Method::POST, "releases".into(), Some(draft))
            }
            Self::RemoveRelease => (Method::DELETE, path(on.release(rng, is_draft)?), None),
            Self::ChangeRelease => {
                (Method::PATCH, path(on.release(rng, |_| true)?), Some(json!({"notes": format!("{}", rng.u32(..))})))
            }
            Self::Publish => {
                let release = on.release(rng, |release| is_draft(release) || release["state"] == "withdrawn")?;
                (Method::POST, format!("{}/publish", path(release)), None)
            }
            Self::Withdraw => {
                let release =
                    on.release(rng, |release| release["state"].is_null() || release["state"] == "published")?;
                (Method::POST, format!("{}/withdraw", path(release)), None)
            }
            Self::PutPayload => {
                let (arch, scheme) = pick(rng, &[SCOPES[0], SCOPES[1], SCOPES[2], ("aarch64", "checksum")]);
                let has = |release: &Value| {
                    let mut payloads = release["payloads"].as_array().unwrap().iter();
                    payloads.any(|payload| payload["arch"] == arch && payload["scheme"] == scheme)
                };
                let release = on.release(rng, |release| is_draft(release) || !has(release))?;
                let id = sample::payload((arch, scheme), "put")["id"].clone();
                (Method::PUT, format!("{}/payloads/{arch}/{scheme}", path(release)), Some(json!({"id": id})))
            }
            Self::RemovePayload => {
                let release = on.release(rng, is_draft)?;
                let payload = pick(rng, release["payloads"].as_array().unwrap());
                let (arch, scheme) = (payload["arch"].as_str().unwrap(), payload["scheme"].as_str().unwrap());
                (Method::DELETE, format!("{}/payloads/{arch}/{scheme}", path(release)), None)
            }
            Self::CreateAlias => {
                let alias = sample::payload(pick(rng, &SCOPES), "an alias");
                (Method::POST, format!("{}/aliases", path(on.release(rng, |_| true)?)), Some(alias))
            }
            Self::RemoveAlias => {
                let release =
                    on.release(rng, |release| release["aliases"].as_array().is_some_and(|list| !list.is_empty()))?;
                let alias = &release["aliases"][0];
                let [arch, scheme, id] = ["arch", "scheme", "id"].map(|key| alias[key].as_str().unwrap());
                (Method::DELETE, format!("{}/aliases/{arch}/{scheme}?id={id}", path(release)), None)
            }
            Self::PutArtifact => {
                let artifact = json!({"url": format!("https://builds.example/{}", rng.u32(..))});
                (Method::PUT, format!("{}/artifacts/x86_64/live.iso", path(on.release(rng, |_| true)?)), Some(artifact))
            }
            Self::RemoveArtifact => {
                let release = on.release(rng, |release| release["artifacts"].is_array())?;
                (Method::DELETE, format!("{}/artifacts/x86_64/metal.raw", path(release)), None)
            }
            Self::PutBarrier => {
                (Method::PUT, format!("{}/barrier", path(on.release(rng, |_| true)?)), Some(sample::policy(rng)))
            }
            Self::RemoveBarrier => (
                Method::DELETE,
                format!("{}/barrier", path(on.release(rng, |release| release["barrier"].is_object())?)),
                None,
            ),
            Self::PutDeadEnd => {
                (Method::PUT, format!("{}/dead-end", path(on.release(rng, |_| true)?)), Some(sample::policy(rng)))
            }
            Self::RemoveDeadEnd => (
                Method::DELETE,
                format!("{}/dead-end", path(on.release(rng, |release| release["dead_end"].is_object())?)),
                None,
            ),
            Self::PutPredecessors => {
                let releases = on.releases();
                let number = rng.usize(1..releases.len());
                let predecessors = sample::predecessors(&releases[..number], rng);
                (Method::PUT, format!("{}/predecessors", path(&releases[number])), Some(predecessors))
            }
            Self::RemovePredecessors => (
                Method::DELETE,
                format!("{}/predecessors", path(on.release(rng, |release| release["predecessors"].is_object())?)),
                None,
            ),
            Self::CreateBlockedUpdate => {
                let mut blocked = sample::blocked(document, rng);
                let target = blocked.as_object_mut().unwrap().shift_remove("target").unwrap();
                (Method::POST, format!("releases/{}/blocked-updates", target.as_str().unwrap()), Some(blocked))
            }
            Self::RemoveBlockedUpdate => {
                let list = document["blocked_updates"].as_array().unwrap();
                let target = list.first()?["target"].as_str().unwrap();
                (Method::DELETE, format!("releases/{target}/blocked-updates/1"), None)
            }
            Self::CreateRollout => {
                (Method::POST, format!("{}/rollouts", path(on.release(rng, |_| true)?)), Some(new_rollout(rng)))
            }
            Self::PutRollout => {
                let is_ahead =
                    |rollout: &Value| rollout["start"].as_str().is_some_and(|start| *start > *time(BASE + 3 * HOUR));
                let path = on.rollout(rng, |release, rollout| is_draft(release) || is_ahead(rollout))?;
                (Method::PUT, path, Some(new_rollout(rng)))
            }
            Self::RemoveRollout => (Method::DELETE, on.rollout(rng, |release, _| is_draft(release))?, None),
            Self::Start => {
                let is_ahead =
                    |rollout: &Value| rollout["start"].as_str().is_some_and(|start| *start > *time(BASE + 3 * HOUR));
                (Method::POST, on.rollout(rng, |_, rollout| is_active(rollout) && is_ahead(rollout))? + "/start", None)
            }
            Self::Pause => (Method::POST, on.rollout(rng, |_, rollout| is_active(rollout))? + "/pause", None),
            Self::Resume => {
                (Method::POST, on.rollout(rng, |_, rollout| rollout["state"] == "paused")? + "/resume", None)
            }
            Self::Accelerate => {
                let is_ramp = |rollout: &Value| rollout["start"].is_string() && is_active(rollout);
                let body = json!({"within": pick(rng, &["PT1H", "PT3H"])});
                (Method::POST, on.rollout(rng, |_, rollout| is_ramp(rollout))? + "/accelerate", Some(body))
            }
            Self::Advance => {
                if rng.bool()
                    && let Some(path) = on.rollout(rng, |_, rollout| is_active(rollout) && has_gate(rollout))
                {
                    return Some(on.command(Method::POST, &format!("{path}/advance"), Some(json!({}))));
                }
                let is_open = |rollout: &Value| rollout["start"].is_string() && is_active(rollout);
                let body = pick(rng, &[json!({"share": 0.9}), json!({"share": 1, "over": "PT3H"})]);
                (Method::POST, on.rollout(rng, |_, rollout| is_open(rollout))? + "/advance", Some(body))
            }
            Self::Hold => {
                let is_ramp = |rollout: &Value| rollout["start"].is_string() && is_active(rollout);
                let body = json!({"share": pick(rng, &[0.3, 0.6, 0.8])});
                (Method::POST, on.rollout(rng, |_, rollout| is_ramp(rollout))? + "/hold", Some(body))
            }
            Self::Complete => {
                let is_open = |rollout: &Value| is_active(rollout) || rollout["state"] == "paused";
                (Method::POST, on.rollout(rng, |_, rollout| is_open(rollout))? + "/complete", None)
            }
            Self::Abort => {
                (Method::POST, on.rollout(rng, |_, rollout| rollout["state"] != "aborted")? + "/abort", None)
            }
            Self::Restart => {
                (Method::POST, on.rollout(rng, |_, rollout| rollout["state"] == "aborted")? + "/restart", None)
            }
            Self::Order => {
                let release =
                    on.release(rng, |release| release["rollouts"].as_array().is_some_and(|list| !list.is_empty()))?;
                let rollouts = release["rollouts"].as_array().unwrap();
                let mut ids: Vec<Value> = rollouts.iter().map(|rollout| rollout["id"].clone()).collect();
                rng.shuffle(&mut ids);
                (Method::PUT, format!("{}/rollouts/order", path(release)), Some(json!({"ids": ids})))
            }
            Self::Batch => {
                let path = on.rollout(rng, |_, rollout| is_active(rollout))?;
                let (release, id) = path.strip_prefix("releases/").unwrap().split_once("/rollouts/").unwrap();
                let pause =
                    json!({"operation": "pause_rollout", "release": release, "rollout": id.parse::<u32>().unwrap()});
                let resume =
                    json!({"operation": "resume_rollout", "release": release, "rollout": id.parse::<u32>().unwrap()});
                let commands = if rng.bool() { json!([pause]) } else { json!([pause, resume, pause]) };
                (Method::POST, "batch".into(), Some(json!({"commands": commands})))
            }
            Self::PauseAll => (Method::POST, "rollouts/pause".into(), None),
            Self::ResumeAll => (Method::POST, "rollouts/resume".into(), None),
            Self::Promote => {
                let from = on.release(rng, |release| release["state"] != "withdrawn")?["version"].clone();
                let promotion = json!({"from": {"stream": on.twin, "version": from}, "version": "8.0", "payloads": [sample::payload(SCOPES[1], "promoted")]});
                (Method::POST, "promotions".into(), Some(promotion))
            }
            Self::StopStream => (Method::POST, "emergency-stop".into(), None),
            Self::LiftStop => {
                if !document["emergency_stop"].is_object() {
                    return None;
                }
                (Method::DELETE, "emergency-stop".into(), None)
            }
            Self::StopProduct if on.is_product_stopped => {
                return Some(Command::Request(Method::POST, "/emergency-stop".into(), None));
            }
            Self::StopProduct
            | Self::LiftProductStop
            | Self::PauseProduct
            | Self::ResumeProduct
            | Self::Undo
            | Self::PutBaseBarrier
            | Self::RemoveBaseBarrier
            | Self::PutBaseDeadEnd
            | Self::RemoveBaseDeadEnd
            | Self::PutBuiltOn
            | Self::Import => {
                return None;
            }
            Self::Revert => (Method::POST, "revisions/1/revert".into(), None),
            Self::PutDocument => {
                let mut written = document.clone();
                for _ in 0..rng.usize(1..=2) {
                    sample::change(&mut written, rng);
                }
                // A document does not lift a stop.
                if rng.bool() {
                    written.as_object_mut().unwrap().shift_remove("emergency_stop");
                }
                (Method::PUT, "document".into(), Some(written))
            }
        };
        Some(on.command(method, &below, body))
    }
}

/// Draws settings of a stream, mostly unchanged ones.
fn settings(rng: &mut Rng, document: &Value) -> Value {
    let mut settings = json!({"arches": document["arches"], "mirrors": document["mirrors"]});
    if document["protection"].is_object() && rng.u8(..4) > 0 {
        settings["protection"] = document["protection"].clone();
    }
    match rng.u8(..7) {
        6 => settings["targets"] = sample::targets(rng),
        4 => settings["edge_rule"] = pick(rng, &sample::EDGE_RULES).into(),
        5 => settings["identity"] = pick(rng, &["payload", "version"]).into(),
        0 => settings["arches"].as_array_mut().unwrap().push("s390x".into()),
        1 => settings["mirrors"] = json!([]),
        2 => settings["mirrors"] = json!([pick(rng, &MIRRORS)]),
        _ => settings["protection"]["shortest_rollout"] = "PT1H".into(),
    }
    settings
}

/// Draws a new rollout: a preset or a plan.
fn new_rollout(rng: &mut Rng) -> Value {
    if rng.bool() {
        let preset = pick(rng, &["linear-48h", "week", "emergency-3h"]);
        return json!({"preset": preset, "start": time(BASE + rng.i64(3..200) * HOUR)});
    }
    sample::plan(rng)
}

/// Draws documents of upstream for a stream that was imported, mostly with few changes.
fn import(rng: &mut Rng, on: &Target<'_>) -> Option<Documents> {
    if on.document["origin"] != "upstream" {
        return None;
    }
    let mut source = on.document.clone();
    if rng.u8(..4) > 0 {
        sample::change(&mut source, rng);
    }
    let aged = source["releases"].as_array().unwrap().iter().filter(|release| !is_draft(release));
    let (mut releases, mut updates) = (Vec::new(), Vec::new());
    for release in aged {
        let payloads = |scheme: &str, key: &str| -> Vec<Value> {
            let own = release["payloads"].as_array().unwrap().iter().filter(|payload| payload["scheme"] == scheme);
            own.map(|payload| json!({"architecture": payload["arch"], "image": "x", key: payload["id"]})).collect()
        };
        releases.push(json!({
            "version": release["version"], "commits": payloads("checksum", "checksum"), "oci-images": payloads("oci", "digest-ref"),
        }));
        let mut metadata = json!({});
        for (key, name) in [("barrier", "barrier"), ("dead_end", "deadend")] {
            if release[key].is_object() {
                metadata[name] = json!({"reason": release[key]["reason"]});
            }
        }
        if let Some(rollout) = release["rollouts"].as_array().and_then(|list| list.first()) {
            metadata["rollout"] = upstream_rollout(rollout);
        }
        updates.push(json!({"version": release["version"], "metadata": metadata}));
    }
    match rng.u8(..8) {
        // A changed payload.
        0 => releases.last_mut()?["oci-images"][0]["digest-ref"] = sample::payload(SCOPES[1], "changed")["id"].clone(),
        1 => {
            let image = &sample::payload(SCOPES[1], "newest")["id"];
            releases.push(json!({"version": "2.0", "oci-images": [{"architecture": "x86_64", "image": "x", "digest-ref": image}]}));
            updates.push(json!({"version": "2.0", "metadata": {"rollout": {"start_percentage": 1.0}}}));
        }
        _ => {}
    }
    let head = json!({"last-modified": "2026-07-21T14:07:12Z"});
    Some(Documents {
        releases: json!({"metadata": head, "releases": releases}),
        updates: json!({"metadata": head, "releases": updates}),
    })
}

/// Returns a rollout in upstream's format, as far as the format can express it.
fn upstream_rollout(rollout: &Value) -> Value {
    let mut converted = json!({});
    if let Some(start) = rollout["start"].as_str() {
        converted["start_epoch"] = start.parse::<jiff::Timestamp>().unwrap().as_second().into();
    }
    if rollout["start_share"].is_number() {
        converted["start_percentage"] = rollout["start_share"].clone();
    }
    let minutes = [("PT3H", 180), ("PT48H", 2880), ("PT200H", 12_000)];
    if let Some((_, minutes)) = minutes.into_iter().find(|(text, _)| rollout["duration"] == *text) {
        converted["duration_minutes"] = minutes.into();
    }
    converted
}
