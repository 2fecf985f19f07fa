//! Random streams, and random changes to their documents.

use crate::support::ids;
use fastrand::Rng;
use jiff::Timestamp;
use serde_json::{Value, json};

/// The start of stops. Plans start some days before and after.
pub(super) const BASE: i64 = 1_790_000_000;
pub(super) const HOUR: i64 = 3600;

/// Arches and schemes on which releases have payloads.
pub(super) const SCOPES: [(&str, &str); 3] = [("x86_64", "checksum"), ("x86_64", "oci"), ("aarch64", "oci")];
pub(super) const REPOSITORY: &str = "registry.example/os";
pub(super) const MIRRORS: [&str; 3] = ["mirror.example/os", "mirror.example:5000/os", "cache.example/a/os"];

pub(super) const EDGE_RULES: [&str; 3] = ["derived", "open", "explicit"];

/// Two revisions of a stream, as documents. They differ by one change.
#[derive(Debug, Clone)]
pub(super) struct Sample {
    pub(super) first: Value,
    pub(super) document: Value,
}

pub(super) fn time(epoch: i64) -> String {
    Timestamp::from_second(epoch).unwrap().to_string()
}

pub(super) fn pick<T: Clone>(rng: &mut Rng, list: &[T]) -> T {
    list[rng.usize(..list.len())].clone()
}

fn chance(rng: &mut Rng, percent: u8) -> bool {
    rng.u8(..100) < percent
}

/// Returns a valid payload with this name.
pub(super) fn payload((arch, scheme): (&str, &str), name: &str) -> Value {
    let name = format!("{arch} {name}");
    let id = if scheme == "oci" { ids::image(REPOSITORY, name) } else { ids::commit(name) };
    json!({"arch": arch, "scheme": scheme, "id": id})
}

pub(super) fn policy(rng: &mut Rng) -> Value {
    let mut policy = json!({"reason": pick(rng, &["keys", "a boot loader", "https://tracker.example/1"])});
    if chance(rng, 30) {
        policy["arches"] = json!([pick(rng, &["x86_64", "aarch64"])]);
    }
    policy
}

/// Draws the plan of a rollout, without its state.
pub(super) fn plan(rng: &mut Rng) -> Value {
    let share = |rng: &mut Rng| pick(rng, &[0.0, 0.05, 0.25, 0.5, 0.75, 1.0]);
    let hours = pick(rng, &[-100, -40, -12, -6, -1, 1, 4, 30, 100]);
    let mut plan = match rng.u8(..10) {
        0..=3 => json!({"start_share": share(rng)}),
        4..=7 => {
            json!({"start": time(BASE + hours * HOUR), "start_share": share(rng), "duration": pick(rng, &["PT3H", "PT48H", "PT200H"])})
        }
        _ => {
            let steps = [
                json!([{"after": "PT24H", "share": 0.05}, {"after": "PT48H", "share": 0.4}, {"after": "PT72H", "share": 1.0}]),
                json!([{"after": "PT24H", "share": 0.05, "over": "PT12H"}, {"after": "PT36H", "share": 1.0, "over": "PT48H"}]),
                json!([{"after": "PT2H", "share": 0.05, "gate": true}, {"after": "PT2H", "share": 1.0, "over": "PT48H"}]),
            ];
            json!({"start": time(BASE + hours * HOUR), "start_share": 0.01, "steps": pick(rng, &steps)})
        }
    };
    if plan["duration"].is_string() && chance(rng, 25) {
        plan["end_share"] = json!(pick(rng, &[0.5, 0.9]));
        plan["start_share"] = json!(0.05);
    }
    if chance(rng, 40) {
        plan["selector"] = pick(
            rng,
            &[
                json!({"groups": ["canary"]}),
                json!({"arches": ["x86_64"]}),
                json!({"schemes": ["oci"]}),
                json!({"platforms": ["aws"]}),
            ],
        );
    }
    plan
}

fn rollout(rng: &mut Rng) -> Value {
    let mut rollout = plan(rng);
    match rng.u8(..20) {
        0..=9 => {}
        10..=14 => {
            rollout["state"] = "paused".into();
            rollout["paused_at"] = time(BASE - rng.i64(1..60) * HOUR).into();
        }
        15..=16 => rollout["state"] = "completed".into(),
        _ => rollout["state"] = "aborted".into(),
    }
    rollout
}

fn rollouts(rng: &mut Rng) -> Value {
    let count = pick(rng, &[0, 0, 0, 1, 1, 1, 1, 2, 2]);
    (0..count).map(|_| rollout(rng)).collect()
}

fn release(rng: &mut Rng, number: usize, is_draft: bool) -> Value {
    let payloads: Vec<Value> = SCOPES
        .into_iter()
        .filter(|scope| scope.0 == "x86_64" && scope.1 == "oci" || chance(rng, 85))
        .map(|scope| payload(scope, &number.to_string()))
        .collect();
    let mut release = json!({"version": format!("1.{number}"), "payloads": payloads, "rollouts": rollouts(rng)});
    if is_draft {
        release["state"] = "draft".into();
    } else if chance(rng, 15) {
        release["state"] = "withdrawn".into();
        release["origin"] = "local".into();
    }
    for (key, percent) in [("barrier", 25), ("dead_end", 20)] {
        if chance(rng, percent) {
            release[key] = policy(rng);
        }
    }
    if chance(rng, 40) {
        let scope = pick(rng, &SCOPES);
        release["aliases"] = json!([payload(scope, &format!("{number} by another name"))]);
    }
    if chance(rng, 40) {
        release["artifacts"] =
            json!([{"arch": "x86_64", "name": "metal.raw", "url": "https://builds.example/metal.raw"}]);
    }
    release
}

/// Sets a local origin on everything that upstream's format cannot express.
fn tag_local_origin(document: &mut Value) {
    for release in document["releases"].as_array_mut().unwrap() {
        let count = release["rollouts"].as_array().map_or(0, Vec::len);
        for rollout in release["rollouts"].as_array_mut().into_iter().flatten() {
            let is_active = rollout["state"].is_null() || rollout["state"] == "paused";
            let is_plain = ["selector", "steps", "end_share"].iter().all(|key| rollout[*key].is_null());
            if !(count == 1 && is_active && is_plain) {
                rollout["origin"] = "local".into();
            }
        }
        for key in ["barrier", "dead_end"] {
            if release[key]["arches"].is_array() {
                release[key]["origin"] = "local".into();
            }
        }
    }
}

impl Sample {
    /// Draws a sample with drafts, published and withdrawn releases, and most kinds of policies.
    pub(super) fn new(rng: &mut Rng) -> Self {
        let (aged, drafts) = (rng.usize(3..=5), rng.usize(1..=2));
        let releases: Vec<Value> = (0..aged + drafts).map(|number| release(rng, number, number >= aged)).collect();
        let mut document = json!({
            "format": 1, "product": "", "stream": "", "origin": pick(rng, &["upstream", "local"]),
            "arches": ["aarch64", "x86_64"], "releases": releases, "blocked_updates": [],
        });
        let mirrors: Vec<&str> = MIRRORS.into_iter().filter(|_| chance(rng, 35)).collect();
        document["mirrors"] = json!(mirrors);
        for _ in 0..rng.usize(0..=2) {
            block(&mut document, rng);
        }
        document["edge_rule"] = pick(rng, &["derived", "derived", "open", "explicit"]).into();
        document["identity"] = pick(rng, &["payload", "payload", "payload", "version"]).into();
        if chance(rng, 40) {
            document["targets"] = targets(rng);
        }
        for number in 1..aged + drafts {
            if chance(rng, 50) {
                set_predecessors(&mut document, number, rng);
            }
        }
        let mut first = document.clone();
        change(&mut first, rng);
        tag_local_origin(&mut document);
        tag_local_origin(&mut first);
        Self { first, document }
    }
}

/// Returns the numbers of the releases that are drafts, or of the others.
fn numbers(document: &Value, are_drafts: bool) -> Vec<usize> {
    let releases = document["releases"].as_array().unwrap().iter().enumerate();
    releases.filter(|(_, release)| (release["state"] == "draft") == are_drafts).map(|(number, _)| number).collect()
}

/// Adds a blocked update.
fn block(document: &mut Value, rng: &mut Rng) {
    let blocked = blocked(document, rng);
    let list = document["blocked_updates"].as_array_mut().unwrap();
    if !list.iter().any(|known| ["first", "last", "target"].iter().all(|key| known[*key] == blocked[*key])) {
        list.push(blocked);
    }
}

/// Draws how many targets nodes are shown.
pub(super) fn targets(rng: &mut Rng) -> Value {
    if rng.bool() { json!("all") } else { json!({"newest": rng.u8(1..=2)}) }
}

/// Draws predecessors among older releases.
pub(super) fn predecessors(older: &[Value], rng: &mut Rng) -> Value {
    let mut versions: Vec<Value> = older.iter().map(|release| release["version"].clone()).collect();
    rng.shuffle(&mut versions);
    versions.truncate(rng.usize(1..=versions.len()));
    json!({"versions": versions})
}

fn set_predecessors(document: &mut Value, number: usize, rng: &mut Rng) {
    let drawn = predecessors(&document["releases"].as_array().unwrap()[..number], rng);
    document["releases"][number]["predecessors"] = drawn;
}

/// Draws a blocked update.
pub(super) fn blocked(document: &Value, rng: &mut Rng) -> Value {
    let aged = numbers(document, false);
    let target = pick(rng, &aged[1..]);
    let first = rng.usize(0..target);
    let last = rng.usize(first..target);
    let version = |number: usize| document["releases"][number]["version"].clone();
    json!({"first": version(first), "last": version(last), "target": version(target), "reason": "too far"})
}

/// Changes one thing in a document.
pub(super) fn change(document: &mut Value, rng: &mut Rng) {
    let any = rng.usize(..document["releases"].as_array().unwrap().len());
    if chance(rng, 15) {
        match rng.u8(..5) {
            4 => document["targets"] = targets(rng),
            0 => document["edge_rule"] = pick(rng, &EDGE_RULES).into(),
            1 => document["identity"] = pick(rng, &["payload", "version"]).into(),
            2 => drop(document["releases"][any].as_object_mut().unwrap().shift_remove("predecessors")),
            _ => set_predecessors(document, any.max(1), rng),
        }
        return;
    }
    let release = &mut document["releases"][any];
    match rng.u8(..13) {
        0 => release["barrier"] = if release["barrier"].is_null() { policy(rng) } else { Value::Null },
        1 => release["dead_end"] = if release["dead_end"].is_null() { policy(rng) } else { Value::Null },
        2 => release["rollouts"] = rollouts(rng),
        3..=5 => match release["rollouts"].as_array_mut().unwrap().first_mut() {
            Some(first) => change_rollout(first, rng),
            None => release["rollouts"] = json!([rollout(rng)]),
        },
        6 => release["rollouts"].as_array_mut().unwrap().reverse(),
        7 => {
            if release["state"] != "draft" {
                let is_withdrawn = release["state"] == "withdrawn";
                release["state"] = if is_withdrawn { "published" } else { "withdrawn" }.into();
                release["origin"] = "local".into();
            }
        }
        8 => {
            release["aliases"] = if release["aliases"].is_null() {
                json!([payload(SCOPES[1], &format!("{any} again"))])
            } else {
                json!([])
            }
        }
        9 => {
            let mirror = Value::from(pick(rng, &MIRRORS));
            let mirrors = document["mirrors"].as_array_mut().unwrap();
            if mirrors.contains(&mirror) {
                mirrors.retain(|known| *known != mirror);
            } else {
                mirrors.push(mirror);
            }
        }
        10 => block(document, rng),
        11 => drop(document["blocked_updates"].as_array_mut().unwrap().pop()),
        _ => release["notes"] = format!("notes {}", rng.u32(..)).into(),
    }
    for release in document["releases"].as_array_mut().unwrap() {
        release.as_object_mut().unwrap().retain(|_, value| !value.is_null());
    }
}

fn change_rollout(rollout: &mut Value, rng: &mut Rng) {
    let fields = rollout.as_object_mut().unwrap();
    // Another share at the start could be above a step or the end.
    let is_plain = ["steps", "end_share"].iter().all(|key| !fields.contains_key(*key));
    match rng.u8(..4) {
        0 if is_plain => {
            fields.insert("start_share".into(), pick(rng, &[0.0, 0.05, 0.25, 0.5]).into());
        }
        1 => {
            fields.insert("start".into(), time(BASE + rng.i64(-50..100) * HOUR).into());
        }
        _ => {
            let state = pick(rng, &["active", "paused", "completed", "aborted"]);
            fields.insert("state".into(), state.into());
            fields.shift_remove("paused_at");
            if state == "paused" {
                fields.insert("paused_at".into(), time(BASE - rng.i64(1..60) * HOUR).into());
            }
        }
    }
}
