//! The incumbent's own answers to questions about real metadata.

use crate::support::{fixtures, postgres::Database, program, server::Server, upstream};
use lockkeeper::domain::{hash::ContentHash, wariness::Wariness};
use serde_json::Value;
use std::path::Path;

fn cases(folder: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(folder.join("golden/cases.jsonl")).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Answers are compact with sorted keys, which is what the golden hashes were made of.
fn check(folder: &Path, case: &Value, answer: &str) {
    assert_eq!(Value::from(ContentHash::of(answer.as_bytes()).to_string()), case["sha256"], "{case}");
    if let Some(file) = case["answer"].as_str() {
        let whole: Value = serde_json::from_slice(&std::fs::read(folder.join(file)).unwrap()).unwrap();
        assert_eq!(serde_json::from_str::<Value>(answer).unwrap(), whole);
    }
}

#[test]
fn the_program_answers_every_golden_case() {
    let Some(folder) = fixtures::fcos() else { return };
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
fn every_golden_node_has_its_wariness() {
    let Some(folder) = fixtures::fcos() else { return };
    let text = std::fs::read_to_string(folder.join("golden/wariness.json")).unwrap();
    let golden: Vec<(String, f64)> = serde_json::from_str(&text).unwrap();
    assert!(!golden.is_empty());
    for (node, wariness) in golden {
        assert_eq!(Wariness::of_node(&node).get().to_bits(), wariness.to_bits(), "{node}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_service_answers_every_golden_case_after_import() {
    let Some(folder) = fixtures::fcos() else { return };
    let database = Database::new().await;
    let server = Server::start(&database).await;
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
            assert!(output.status.success(), "{}", program::text(&output.stderr));
            let revision: &mut i64 = revisions.entry(stream.clone()).or_default();
            // `updates/` is a copy of the last state of `history/`, but for white space.
            *revision += i64::from(program::text(&output.stdout).contains(&format!("{stream}: revision")));
            server.shows(&format!("fedora-coreos/{stream}"), *revision).await;
            state = Some((releases, updates));
        }
        server.at(case["now"].as_i64().unwrap());
        let mut query = form_urlencoded::Serializer::new(String::new());
        for key in ["stream", "basearch", "rollout_wariness", "node_uuid"] {
            if let Some(value) = case[key].as_str() {
                query.append_pair(key, value);
            }
        }
        query.append_pair("oci", &case["oci"].to_string());
        let (status, answer) = server.get(&format!("/v1/graph?{}", query.finish())).await;
        assert_eq!(status, 200, "{answer}");
        check(&folder, &case, &answer);
    }
    assert!(revisions.values().all(|revision| *revision >= 5), "{revisions:?}");
    server.stop().await;
}
