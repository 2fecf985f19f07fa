//! Compares answers to polls with the incumbent's for real metadata, and with the contract's for the fixtures, which contain every
//! special case that the contract names.

use crate::support::{
    contract, fixtures,
    postgres::Database,
    program,
    server::Pair,
    upstream::{self, Poll},
};
use futures_util::{StreamExt, TryStreamExt, stream};
use lockkeeper::domain::{hash::ContentHash, rollout::wariness::Wariness};
use serde_json::{Value, json};
use std::{
    collections::BTreeSet,
    io::Write,
    path::Path,
    process::{Output, Stdio},
};

fn cases(folder: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(folder.join("golden/cases.jsonl")).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Compares an answer with its golden hash, which was computed from compact JSON with sorted keys.
fn check(folder: &Path, case: &Value, answer: &str) {
    assert_eq!(Value::from(ContentHash::from_content(answer.as_bytes()).to_string()), case["sha256"], "{case}");
    if let Some(file) = case["answer"].as_str() {
        let expected: Value = serde_json::from_slice(&std::fs::read(folder.join(file)).unwrap()).unwrap();
        assert_eq!(serde_json::from_str::<Value>(answer).unwrap(), expected);
    }
}

#[test]
#[ignore = "needs real metadata in ../shared/fixtures"]
fn the_program_answers_every_golden_case() {
    let folder = fixtures::fcos();
    let output = program::lockkeeper()
        .args(["graph", "fcos", "--from"])
        .arg(&folder)
        .arg("--cases")
        .arg(folder.join("golden/cases.jsonl"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", program::text(&output.stderr));
    let answers = program::text(&output.stdout);
    let cases = cases(&folder);
    assert_eq!(answers.lines().count(), cases.len());
    for (case, answer) in cases.iter().zip(answers.lines()) {
        check(&folder, case, answer);
    }
}

#[test]
#[ignore = "needs real metadata in ../shared/fixtures"]
fn every_golden_node_has_its_wariness() {
    let folder = fixtures::fcos();
    let text = std::fs::read_to_string(folder.join("golden/wariness.json")).unwrap();
    let golden: Vec<(String, f64)> = serde_json::from_str(&text).unwrap();
    assert!(!golden.is_empty());
    for (node, wariness) in golden {
        assert_eq!(Wariness::from_node_id(&node).get().to_bits(), wariness.to_bits(), "{node}");
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs real metadata in ../shared/fixtures"]
async fn the_service_answers_every_golden_case_after_import() {
    let folder = fixtures::fcos();
    let database = Database::new().await;
    let servers = Pair::start(&database).await;
    let upstream_folder = tempfile::tempdir().unwrap();
    let mut revisions = std::collections::BTreeMap::new();
    let mut state = None;
    for case in cases(&folder) {
        let [releases, updates, stream] =
            ["releases", "updates", "stream"].map(|key| case[key].as_str().unwrap().to_owned());
        if state.as_ref() != Some(&(releases.clone(), updates.clone())) {
            let copy = |from: &str, to: String| {
                upstream::write(upstream_folder.path(), &to, &std::fs::read_to_string(folder.join(from)).unwrap());
            };
            copy(&releases, format!("prod/streams/{stream}/releases.json"));
            copy(&updates, format!("updates/{stream}.json"));
            copy(&format!("streams/{stream}.json"), format!("streams/{stream}.json"));
            copy(&format!("release-notes/{stream}.yml"), format!("release-notes/{stream}.yml"));
            let output = program::import(&database.url, upstream_folder.path());
            // 3: upstream has removed a barrier, which an import reports.
            assert!(matches!(output.status.code(), Some(0 | 3)), "{}", program::text(&output.stderr));
            let revision: &mut i64 = revisions.entry(stream.clone()).or_default();
            // `updates/` is a copy of the last state of `history/`, except for white space.
            *revision += i64::from(program::text(&output.stdout).contains(&format!("{stream}: revision")));
            servers.shows(&format!("fedora-coreos/{stream}"), *revision).await;
            state = Some((releases, updates));
        }
        servers.at(case["now"].as_i64().unwrap());
        let mut query = form_urlencoded::Serializer::new(String::new());
        for key in ["stream", "basearch", "rollout_wariness", "node_uuid"] {
            if let Some(value) = case[key].as_str() {
                query.append_pair(key, value);
            }
        }
        query.append_pair("oci", &case["oci"].to_string());
        let (status, answer) = servers.get(&format!("/v1/graph?{}", query.finish())).await;
        assert_eq!(status, 200, "{answer}");
        check(&folder, &case, &answer);
    }
    assert!(revisions.values().all(|revision| *revision >= 5), "{revisions:?}");
    servers.stop().await;
}

/// The arches of the polls: upstream's, and one that only the fixtures have.
const ARCHES: [&str; 5] = ["aarch64", "ppc64le", "riscv64", "s390x", "x86_64"];

/// Wariness values that nodes send: numbers in every accepted form, and values that do not count as numbers.
const WARINESS: [&str; 15] =
    ["0", "1", "0.5", ".5", "+0.5", "1e-3", "-1", "2", "nan", "inf", "-infinity", "0x1", "1_0", " 0.5", ""];

/// Ids of nodes that send no wariness; one has no id.
const NODES: [Option<&str>; 4] =
    [None, Some(""), Some("46d354cf6750611965bb70cbc6c2d868"), Some("an id that is no number, \u{e9}")];

/// The time of the last possible poll: 9999-12-31.
const LAST_SECOND: i64 = 253_402_207_200;

/// Returns the times at which a rollout of a stream begins, ends or is running, and those just before and after.
fn times(documents: &upstream::Documents) -> BTreeSet<i64> {
    let rollouts = contract::rollout_times(documents).into_iter();
    let around = rollouts.flat_map(|(start, end)| {
        let middle = start / 2 + end / 2;
        [start, middle, end].into_iter().flat_map(|time| [time.saturating_sub(1), time, time.saturating_add(1)])
    });
    around.chain([1_790_000_000]).filter(|time| (0..=LAST_SECOND).contains(time)).collect()
}

/// Returns polls about a stream: each arch and scheme, around each change in time, around each share, for nodes that send their payload
/// and nodes that do not.
fn polls(documents: &upstream::Documents) -> Vec<Poll> {
    let mut polls = Vec::new();
    for (arch, oci) in ARCHES.iter().flat_map(|arch| [(arch, false), (arch, true)]) {
        for now in times(documents) {
            let any = Poll { arch: (*arch).into(), oci, wariness: None, node: None, payload: None, now };
            let borders = contract::shares(documents, &any).into_iter();
            let borders = borders.flat_map(|share| [share, share.next_up(), share.next_down()].map(|w| w.to_string()));
            let wariness: BTreeSet<String> = borders.chain(WARINESS.map(Into::into)).collect();
            let given = wariness.into_iter().map(|wariness| Poll { wariness: Some(wariness), ..any.clone() });
            let hashed = NODES.map(|node| Poll { node: node.map(Into::into), ..any.clone() });
            let without_payload: Vec<Poll> = given.chain(hashed).collect();
            let nodes = contract::answer(documents, &any)["nodes"].as_array().unwrap().clone();
            let payloads = nodes.iter().map(|node| node["payload"].as_str().unwrap());
            // Payloads take turns, so that each poll is sent with one of them.
            let payloads: Vec<&str> = payloads.chain(["unknown"]).collect();
            let of_nodes = without_payload
                .iter()
                .zip(payloads.iter().cycle())
                .chain(without_payload.iter().take(1).cycle().zip(&payloads));
            polls.extend(of_nodes.map(|(poll, payload)| Poll { payload: Some((*payload).into()), ..poll.clone() }));
            polls.extend(without_payload);
        }
    }
    polls
}

/// Returns what `lockkeeper graph` answers to polls about a stream in one state of the fixtures, one per line.
fn program_answers(state: &str, stream: &str, polls: &[Poll]) -> Vec<String> {
    let mut child = program::lockkeeper()
        .args(["graph", "fcos", "--from"])
        .arg(fixtures::own().join(state))
        .args(["--cases", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    let cases: Vec<String> = polls
        .iter()
        .map(|poll| {
            let case = json!({
                "releases": format!("prod/streams/{stream}/releases.json"), "updates": format!("updates/{stream}.json"),
                "stream": stream, "basearch": poll.arch, "oci": poll.oci, "rollout_wariness": poll.wariness,
                "node_uuid": poll.node, "os_checksum": poll.payload, "now": poll.now,
            });
            format!("{case}\n")
        })
        .collect();
    let writing = std::thread::spawn(move || input.write_all(cases.concat().as_bytes()).unwrap());
    let Output { status, stdout, stderr } = child.wait_with_output().unwrap();
    writing.join().unwrap();
    assert!(status.success(), "{}", program::text(&stderr));
    program::text(&stdout).lines().map(Into::into).collect()
}

/// Escapes the characters that the program escapes to protect terminals; the JSON means the same.
fn escape_controls(answer: &str) -> String {
    ["\u{2028}", "\u{200d}"].into_iter().fold(answer.into(), |text: String, character| {
        text.replace(character, &character.escape_unicode().to_string().replace(['{', '}'], ""))
    })
}

#[test]
fn the_program_answers_polls_of_the_fixtures_like_the_contract() {
    let mut count = 0;
    for (state, stream) in fixtures::STATES.iter().flat_map(|state| fixtures::STREAMS.map(|stream| (*state, stream))) {
        let documents = fixtures::documents(state, stream);
        // Without the metadata of the stream, the program knows an arch by its releases, or because agents run on it.
        let mut polls = polls(&documents);
        polls.retain(|poll| poll.arch != "riscv64" || stream == "stable" && state != "first");
        let answers = program_answers(state, stream, &polls);
        assert_eq!(answers.len(), polls.len());
        for (poll, answer) in polls.iter().zip(answers) {
            let expected = escape_controls(&contract::compact(&contract::answer(&documents, poll)));
            assert_eq!(answer, expected, "{state} {stream} {poll:?}");
        }
        count += polls.len();
    }
    assert!(count > 10_000, "only {count} polls");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_service_answers_polls_of_the_fixtures_like_the_contract() {
    let database = Database::new().await;
    let servers = Pair::start(&database).await;
    for (number, state) in (1..).zip(fixtures::STATES) {
        let output = program::import(&database.url, &fixtures::own().join(state));
        // 3: each state's stream metadata names a release that the stream does not have, and the second state lacks a barrier.
        assert_eq!(output.status.code(), Some(3), "{state}: {}", program::text(&output.stderr));
        let report = program::text(&output.stdout);
        assert!(report.contains("names 99.9.9"), "{state}: {report}");
        assert_eq!(report.contains("is no longer a barrier"), state == "second", "{state}: {report}");
        for name in fixtures::STREAMS {
            let documents = fixtures::documents(state, name);
            // The fixtures of this stream do not change.
            let revision = if name == "dormant" { 1 } else { number };
            servers.shows(&format!("fedora-coreos/{name}"), revision).await;
            let mut polls = polls(&documents);
            polls.retain(|poll| poll.arch != "riscv64" || has_riscv64(state, name));
            polls.sort_by_key(|poll| poll.now);
            for polls in polls.chunk_by(|one, other| one.now == other.now) {
                servers.at(polls[0].now);
                let checks = polls.iter().map(|poll| check_poll(&servers, &documents, name, poll));
                stream::iter(checks).buffer_unordered(16).map(Ok::<(), ()>).try_collect::<()>().await.unwrap();
            }
        }
    }
    servers.stop().await;
}

/// Returns true if the service knows the arch: by releases, or by the metadata of the stream.
fn has_riscv64(state: &str, stream: &str) -> bool {
    stream == "dormant" || stream == "stable" && state != "first"
}

async fn check_poll(servers: &Pair, documents: &upstream::Documents, name: &str, poll: &Poll) {
    let (status, answer) = servers.get(&format!("/v1/graph?{}", poll.query(name))).await;
    assert_eq!(status, 200, "{answer}");
    let expected = contract::compact(&contract::answer(documents, poll));
    assert_eq!(answer, expected, "{name} {poll:?}");
}

#[test]
fn the_reference_matches_answers_worked_out_by_hand() {
    let mut checked = 0;
    for entry in std::fs::read_dir(fixtures::own().join("answers")).unwrap() {
        let path = entry.unwrap().path();
        let written = fixtures::json(&path);
        let documents = fixtures::documents(written["state"].as_str().unwrap(), written["stream"].as_str().unwrap());
        let text = |key: &str| written["poll"][key].as_str().map(ToOwned::to_owned);
        let poll = Poll {
            arch: text("arch").unwrap(),
            oci: written["poll"]["oci"].as_bool().unwrap(),
            wariness: text("wariness"),
            node: text("node"),
            payload: text("payload"),
            now: written["poll"]["now"].as_i64().unwrap(),
        };
        assert_eq!(contract::answer(&documents, &poll), written["answer"], "{}", path.display());
        checked += 1;
    }
    assert!(checked >= 9, "only {checked} answers");
}

/// In the last state, upstream has changed the commit of a release.
#[tokio::test(flavor = "multi_thread")]
async fn nodes_on_a_changed_commit_get_the_answers_of_their_release() {
    let database = Database::new().await;
    let servers = Pair::start(&database).await;
    for state in fixtures::STATES {
        let output = program::import(&database.url, &fixtures::own().join(state));
        assert!(matches!(output.status.code(), Some(0 | 3)), "{}", program::text(&output.stderr));
    }
    servers.shows("fedora-coreos/stable", 3).await;
    let [before, after] = ["second", "third"].map(|state| fixtures::documents(state, "stable"));
    let commit = |documents: &upstream::Documents| {
        let release = &documents.releases["releases"][2];
        release["commits"][0]["checksum"].as_str().unwrap().to_owned()
    };
    let (old, new) = (commit(&before), commit(&after));
    assert_ne!(old, new);
    let poll = |payload: &str| Poll {
        arch: "x86_64".into(),
        oci: false,
        wariness: Some("1".into()),
        node: None,
        payload: Some(payload.into()),
        now: 1_790_000_000,
    };
    let (_, answer) = servers.get(&format!("/v1/graph?{}", poll(&old).query("stable"))).await;
    let mut expected = contract::answer(&after, &poll(&new));
    assert_ne!(expected["edges"], json!([]), "the release has no updates, so the comparison shows nothing");
    expected["nodes"][0]["payload"] = old.into();
    assert_eq!(answer, contract::compact(&expected));
    servers.stop().await;
}
