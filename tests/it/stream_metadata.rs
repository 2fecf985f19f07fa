//! Removals from upstream's stream metadata are reported like removed barriers, also by the exit code.

use crate::support::{
    fixtures,
    postgres::Database,
    program::{import, text},
    upstream,
};
use serde_json::{Value, json};
use std::path::Path;

fn metadata() -> Value {
    let artifact = |formats: &[&str]| {
        let formats = formats.iter().map(|format| ((*format).to_owned(), json!({"disk": {"location": "https://x"}})));
        json!({"release": "44.2.0", "formats": formats.collect::<serde_json::Map<_, _>>()})
    };
    json!({"stream": "stable", "metadata": {}, "architectures": {
        "x86_64": {
            "artifacts": {"aws": artifact(&["vmdk.xz"]), "metal": artifact(&["iso", "raw.xz"])},
            "images": {"aws": {"regions": {"eu-central-1": {"release": "44.2.0", "image": "ami-1"}}},
                       "gcp": {"release": "44.2.0", "project": "p", "name": "n"}},
        },
        "aarch64": {"artifacts": {"aws": artifact(&["vmdk.xz"])}},
    }})
}

fn write(folder: &Path, metadata: &Value) {
    upstream::write(folder, "streams/stable.json", &metadata.to_string());
}

/// Imports, checks the exit code, and returns the reported drift.
fn import_drift(database: &Database, folder: &Path, code: i32) -> Vec<String> {
    let output = import(&database.url, folder);
    assert_eq!(output.status.code(), Some(code), "{}{}", text(&output.stdout), text(&output.stderr));
    let report = text(&output.stdout);
    let findings = report.lines().filter(|line| line.contains("drift: "));
    findings.map(|line| line.split_once("drift: ").unwrap().1.split(" [LK").next().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn removed_platforms_arches_and_formats_are_reported_once_by_exit_code() {
    let (database, folder) = (Database::new().await, tempfile::tempdir().unwrap());
    upstream::plain(3).write(folder.path(), "stable");
    write(folder.path(), &metadata());
    assert_eq!(import_drift(&database, folder.path(), 0), Vec::<String>::new());
    let gone = |path: &str| format!("streams/stable.json: {path} was removed");
    let mut next = metadata();
    let x86 = &mut next["architectures"]["x86_64"];
    x86["artifacts"].as_object_mut().unwrap().remove("aws");
    x86["artifacts"]["metal"]["formats"].as_object_mut().unwrap().remove("iso");
    x86["images"].as_object_mut().unwrap().remove("gcp");
    next["architectures"].as_object_mut().unwrap().remove("aarch64");
    write(folder.path(), &next);
    assert_eq!(
        import_drift(&database, folder.path(), 3),
        [
            gone("artifacts of aws on x86_64"),
            gone("format iso of metal on x86_64"),
            gone("images of gcp on x86_64"),
            gone("arch aarch64"),
        ]
    );
    assert_eq!(import_drift(&database, folder.path(), 0), Vec::<String>::new());
    // The document itself is removed.
    std::fs::remove_file(folder.path().join("streams/stable.json")).unwrap();
    assert_eq!(import_drift(&database, folder.path(), 3), [gone("the whole document")]);
    assert_eq!(import_drift(&database, folder.path(), 0), Vec::<String>::new());
}

#[tokio::test]
async fn an_unknown_release_is_reported_while_metadata_names_it() {
    let (database, folder) = (Database::new().await, tempfile::tempdir().unwrap());
    upstream::plain(3).write(folder.path(), "stable");
    let mut named = metadata();
    named["architectures"]["x86_64"]["artifacts"]["aws"]["release"] = "44.9.0".into();
    named["architectures"]["x86_64"]["images"]["aws"]["regions"]["eu-central-1"]["release"] = "44.9.0".into();
    // Unusual fields that are not read are no error.
    named["architectures"]["x86_64"]["artifacts"]["unusual"] = json!({"release": 7, "formats": ["a"]});
    named["architectures"]["s390x"] = json!(null);
    write(folder.path(), &named);
    for _ in 0..2 {
        assert_eq!(
            import_drift(&database, folder.path(), 3),
            [
                "streams/stable.json: names 44.9.0 (architectures.x86_64.artifacts.aws.release and 1 more), which the stream does not have"
            ]
        );
    }
    upstream::plain(10).write(folder.path(), "stable");
    assert_eq!(import_drift(&database, folder.path(), 0), Vec::<String>::new());
}

#[tokio::test]
#[ignore = "needs real metadata in ../shared/fixtures"]
async fn real_metadata_names_no_release_that_is_missing() {
    let fixtures = fixtures::fcos();
    let (database, folder) = (Database::new().await, tempfile::tempdir().unwrap());
    for stream in ["next", "stable", "testing"] {
        for (from, to) in [
            (format!("releases/{stream}.json"), format!("prod/streams/{stream}/releases.json")),
            (format!("updates/{stream}.json"), format!("updates/{stream}.json")),
            (format!("streams/{stream}.json"), format!("streams/{stream}.json")),
        ] {
            upstream::write(folder.path(), &to, &std::fs::read_to_string(fixtures.join(from)).unwrap());
        }
    }
    for _ in 0..2 {
        assert_eq!(import_drift(&database, folder.path(), 0), Vec::<String>::new());
    }
}
