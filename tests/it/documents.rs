//! Stream documents: written by hand, parsed strictly, with problems reported by file, line and field.

use crate::support::{postgres::Database, program, server::Server, upstream};
use lockkeeper::{domain::stream::Stream, exchange::documents};
use std::path::Path;

const GOOD: &str = r#"format = 1
product = "os"
stream = "stable"
arches = ["s390x", "x86_64"]
[[releases]]
version = "1"
payloads = [
  { arch = "x86_64", scheme = "checksum", id = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" },
]

[[releases]]
version = "2"
barrier = { reason = "keys" }
payloads = [
  { arch = "x86_64", scheme = "checksum", id = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb" },
]
rollouts = [
  { selector = { groups = ["canary"] }, start_share = 1.0 },
  { start = "2026-07-22T14:00:00Z", start_share = 0.1, duration = "PT48H" },
]

[[blocked_updates]]
first = "1"
last = "1"
target = "2"
reason = "it does not boot"
arches = ["s390x"]
"#;

#[test]
fn a_handwritten_document_survives_reading_and_writing() {
    let stream = documents::read(GOOD).unwrap();
    assert_eq!(documents::read(&documents::write(&stream)).unwrap(), stream);
    insta::assert_snapshot!(documents::write(&stream), @r#"
    format = 1
    product = "os"
    stream = "stable"
    origin = "git"
    arches = ["s390x", "x86_64"]

    [[releases]]
    version = "1"
    payloads = [
      { arch = "x86_64", scheme = "checksum", id = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" },
    ]

    [[releases]]
    version = "2"
    barrier = { reason = "keys" }
    rollouts = [
      { selector = { groups = ["canary"] }, start_share = 1.0 },
      { start = "2026-07-22T14:00:00Z", start_share = 0.1, duration = "PT48H" },
    ]
    payloads = [
      { arch = "x86_64", scheme = "checksum", id = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb" },
    ]

    [[blocked_updates]]
    first = "1"
    last = "1"
    target = "2"
    reason = "it does not boot"
    arches = ["s390x"]
    "#);
}

#[test]
fn problems_are_reported_by_line_and_field() {
    let wrong = |what: &str, from: &str, to: &str| {
        let text = GOOD.replacen(from, to, 1);
        assert_ne!(text, GOOD, "{what}");
        let problems = documents::read(&text).unwrap_err();
        let lines: Vec<_> = problems.iter().map(|p| format!("{}: {}: {}", p.line, p.field, p.message)).collect();
        format!("{what}\n  {}", lines.join("\n  "))
    };
    let report = [
        wrong(
            "truncated",
            "payloads = [\n  { arch = \"x86_64\", scheme = \"checksum\", id = \"bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb\" },\n]",
            "payloads = [\n  { arch",
        ),
        wrong("a version twice", "version = \"2\"", "version = \"1\""),
        wrong(
            "a payload twice",
            "\"bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb\"",
            "\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\"",
        ),
        wrong(
            "two payloads in one scope",
            "id = \"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\" },",
            "id = \"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\" },\n  { arch = \"x86_64\", scheme = \"checksum\", id = \"abababababababababababababababababababababababababababababababab\" },",
        ),
        wrong("a barrier without a reason", "{ reason = \"keys\" }", "{}"),
        wrong("a barrier with an empty reason", "\"keys\"", "\" \""),
        wrong("a share of 1.2", "0.1", "1.2"),
        wrong("a share of NaN", "0.1", "nan"),
        wrong("an unknown key", "start_share = 1.0", "start_sahre = 1.0"),
        wrong("an unknown key at the top", "stream = \"stable\"", "stream = \"stable\"\nstreem = 1"),
        wrong("an invalid time", "2026-07-22T14:00:00Z", "tomorrow"),
        wrong("an invalid duration", "PT48H", "48h"),
        wrong("an invalid name", "product = \"os\"", "product = \"../os\""),
        wrong("a future format", "format = 1", "format = 2"),
        wrong(
            "an invalid arch",
            "arch = \"x86_64\", scheme = \"checksum\", id = \"bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb\"",
            "arch = \"X86\", scheme = \"checksum\", id = \"bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb\"",
        ),
        wrong("a blocked update of nothing", "last = \"1\"", "last = \"3\""),
        wrong("a blocked update backwards", "target = \"2\"", "target = \"1\""),
        wrong("an empty selector", "[\"canary\"]", "[]"),
        wrong("a wrong type", "version = \"2\"", "version = 2"),
        wrong("a draft in between", "version = \"1\"\n", "version = \"1\"\nstate = \"draft\"\n"),
        wrong(
            "two problems at once",
            "\"keys\" }\npayloads = [\n  { arch = \"x86_64\", scheme",
            "\"\" }\npayloads = [\n  { arch = \"\", scheme",
        ),
    ];
    insta::assert_snapshot!(report.join("\n"), @r#"
    truncated
      16: document: missing assignment between key-value pairs, expected `=`
    a version twice
      12: releases[1].version: 1 is already the version of releases[0]
      25: blocked_updates[0].target: 2 is not a release of this stream
    a payload twice
      14: releases[1].payloads: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa already identifies releases[0] on x86_64 checksum
    two payloads in one scope
      9: releases[0].payloads[1]: is the second payload for x86_64 checksum
    a barrier without a reason
      13: releases[1].barrier: missing field `reason`
    a barrier with an empty reason
      13: releases[1].barrier.reason: must not be empty
    a share of 1.2
      19: releases[1].rollouts[1].start_share: is 1.2, expected a share between 0 and 1
    a share of NaN
      19: releases[1].rollouts[1].start_share: is NaN, expected a share between 0 and 1
    an unknown key
      18: releases[1].rollouts[0].start_sahre: unknown field `start_sahre`, expected one of `id`, `selector`, `start`, `start_share`, `duration`, `end_share`, `steps`, `state`, `paused_at`, `stood_still_seconds`, `first_opened`, `origin`
    an unknown key at the top
      4: streem: unknown field `streem`, expected one of `format`, `product`, `stream`, `revision`, `origin`, `description`, `arches`, `mirrors`, `edge_rule`, `identity`, `targets`, `protection`, `default_rollout`, `base`, `base_lag`, `base_policies`, `follow`, `emergency_stop`, `sources`, `releases`, `blocked_updates`
    an invalid time
      19: releases[1].rollouts[1].start: is "tomorrow", expected a time in whole seconds such as 2026-07-22T14:00:00Z
    an invalid duration
      19: releases[1].rollouts[1].duration: "48h" is not an ISO 8601 duration of days, hours and minutes such as PT48H
    an invalid name
      2: product: contains '.', expected 1 to 64 of a-z, 0-9, '-', '_' and '.', starting with a letter or digit
    a future format
      1: format: is 2, expected 1
    an invalid arch
      15: releases[1].payloads[0].arch: contains 'X', expected 1 to 32 of a-z, 0-9 and '_'
    a blocked update of nothing
      24: blocked_updates[0].last: 3 is not a release of this stream
    a blocked update backwards
      25: blocked_updates[0].target: must be newer than the first release of the range
    an empty selector
      18: releases[1].rollouts[0].selector.groups: is empty; leave it out to mean all
    a wrong type
      12: releases[1].version: invalid type: integer `2`, expected a string
    a draft in between
      12: releases[1].state: must be draft, because the release follows a draft and drafts come last
    two problems at once
      13: releases[1].barrier.reason: must not be empty
      15: releases[1].payloads[0].arch: must not be empty
    "#);
}

#[test]
fn deep_nesting_is_rejected() {
    let problems = documents::read(&format!("format = {}", "[".repeat(10 * 1024 * 1024))).unwrap_err();
    assert_eq!(problems.len(), 1);
    let problems = documents::read(&format!("format = {}", "{a=".repeat(100_000))).unwrap_err();
    assert_eq!(problems[0].line, 1);
}

fn samples() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("streams")
}

#[test]
fn the_sample_streams_are_sorted_and_formatted_as_written_by_the_program() {
    let files = documents::check_folder(&samples()).unwrap();
    let streams: Vec<Stream> = files.iter().map(|file| file.read().unwrap()).collect();
    let names: Vec<String> = streams.iter().map(|stream| stream.id.to_string()).collect();
    assert_eq!(names, ["fedora-coreos/next", "fedora-coreos/stable", "fedora-coreos/testing"]);
    for stream in &streams {
        let path = samples().join(format!("{}/{}.toml", stream.id.product, stream.id.stream));
        let text = std::fs::read_to_string(path).unwrap();
        let without_heading: String = text
            .lines()
            .skip_while(|l| l.starts_with('#') || l.is_empty())
            .fold(String::new(), |text, line| text + line + "\n");
        assert_eq!(documents::write(stream), without_heading);
        assert!(stream.is_synthetic() && stream.releases.len() > 100);
    }
}

#[test]
fn the_example_of_the_format_is_a_document() {
    let page = std::fs::read_to_string("docs/reference/stream-document.md").unwrap();
    let example = page.split("```toml\n").nth(1).unwrap().split("```").next().unwrap();
    assert_eq!(documents::read(example).map(|stream| stream.releases.len()), Ok(2));
}

#[test]
fn the_path_of_a_document_must_match_its_stream() {
    let folder = tempfile::tempdir().unwrap();
    crate::support::upstream::write(folder.path(), "os/next.toml", GOOD);
    let error = documents::check_folder(folder.path()).unwrap_err().to_string();
    assert!(
        error.ends_with("os/next.toml:3:10: stream: is \"stable\", but the path of the file says \"next\""),
        "{error}"
    );
}

#[test]
fn an_invalid_document_prevents_the_start() {
    let folder = tempfile::tempdir().unwrap();
    crate::support::upstream::write(folder.path(), "os/stable.toml", &GOOD.replace("\"keys\"", "\"\""));
    let output = program::lockkeeper()
        .args(["serve", "--listen", "127.0.0.1:0", "--streams-dir"])
        .arg(folder.path())
        .env("DATABASE_URL", "postgres://127.0.0.1:1/none")
        .output()
        .unwrap();
    assert!(!output.status.success());
    let message = program::text(&output.stderr);
    assert!(message.contains("os/stable.toml:13:22: releases[1].barrier.reason: must not be empty"), "{message}");
}

#[tokio::test(flavor = "multi_thread")]
async fn documents_are_loaded_into_an_empty_store_only() {
    let database = Database::new().await;
    let folder = tempfile::tempdir().unwrap();
    crate::support::upstream::write(folder.path(), "os/stable.toml", GOOD);
    for _ in 0..2 {
        let server = Server::start_with(&database, |settings| {
            settings.streams_dir = Some(folder.path().into());
            settings.protocols.insert("fcos".into(), toml::toml! { default_product = "os" });
        })
        .await;
        assert_eq!((server.revision("os/stable").await, server.revision("os/edge").await), (Some(1), None));
        server.at(1_784_728_800);
        let (_, silent) =
            server.get("/v1/graph?stream=stable&basearch=x86_64&os_checksum=aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa&rollout_wariness=0.5").await;
        let (_, canary) = server
            .get("/v1/graph?stream=stable&basearch=x86_64&os_checksum=aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa&rollout_wariness=0.5&group=canary")
            .await;
        assert!(silent.starts_with(r#"{"edges":[],"#), "{silent}");
        assert!(canary.starts_with(r#"{"edges":[[0,1]],"#), "{canary}");
        server.stop().await;
        // Later changes in the folder have no effect.
        crate::support::upstream::write(folder.path(), "os/stable.toml", &GOOD.replace("\"keys\"", "\"other\""));
        crate::support::upstream::write(folder.path(), "os/edge.toml", &GOOD.replace("\"stable\"", "\"edge\""));
    }
}

#[tokio::test]
async fn local_changes_survive_an_import_that_reports_drift_by_its_exit_code() {
    let database = Database::new().await;
    let folder = tempfile::tempdir().unwrap();
    let mut upstreams = upstream::plain(3);
    upstreams.updates["releases"][1]["metadata"]["barrier"] = serde_json::json!({"reason": "theirs"});
    upstreams.write(folder.path(), "stable");
    assert!(program::import(&database.url, folder.path()).status.success());
    let run = |arguments: &[&str]| {
        let output = program::lockkeeper().env("DATABASE_URL", &database.url).args(arguments).output().unwrap();
        assert!(output.status.success(), "{}", program::text(&output.stderr));
        program::text(&output.stdout)
    };
    let shown = run(&["document", "show", "--stream", "stable"]);
    assert!(shown.contains("stream = \"stable\"\nrevision = 1\n"), "{shown}");
    let edited = shown
        .replace("arches =", "mirrors = [\"mirror.example/os\"]\narches =")
        .replace("barrier = { reason = \"theirs\" }\n", "")
        .replace("version = \"44.0.0\"\n", "version = \"44.0.0\"\ndead_end = { reason = \"broken\" }\n")
        .replace("version = \"44.2.0\"\n", "version = \"44.2.0\"\nstate = \"withdrawn\"\n");
    let file = folder.path().join("edited.toml");
    std::fs::write(&file, edited).unwrap();
    let path = file.to_str().unwrap();
    let dry_run = run(&["document", "put", path, "--reason", "it burns", "--dry-run"]);
    assert_eq!(run(&["document", "show", "--stream", "stable"]), shown, "a dry run changes nothing");
    // As over the API, warnings must be acknowledged.
    let unread = program::lockkeeper()
        .env("DATABASE_URL", &database.url)
        .args(["document", "put", path, "--reason", "it burns"])
        .output()
        .unwrap();
    assert!(!unread.status.success() && program::text(&unread.stderr).contains("use --acknowledge"), "{unread:?}");
    let done = run(&["document", "put", path, "--reason", "it burns", "--acknowledge"]);
    assert_eq!(done.split_once('\n').unwrap().1, dry_run.split_once('\n').unwrap().1);
    insta::assert_snapshot!(done, @"
    fedora-coreos/stable: revision 2
    + mirror mirror.example/os: recognised
    + release 44.0.0, dead end: broken (local)
    - release 44.1.0, barrier: theirs (upstream)
    + release 44.1.0, upstream barrier: suppressed here
    ~ release 44.2.0: published, age index 2 (upstream) -> withdrawn, age index 2 (local)
    fedora-coreos/stable: warning: release 44.1.0: is the newest release, but no node can reach it on x86_64 checksum [LK1011]
    fedora-coreos/stable: warning: release 44.1.0: is no longer a barrier: nodes may skip it [LK1103]
    ");

    let again = program::import(&database.url, folder.path());
    assert_eq!(again.status.code(), Some(3), "{}", program::text(&again.stderr));
    insta::assert_snapshot!(program::text(&again.stdout), @"
    fedora-coreos/stable: no changes, still revision 2
    fedora-coreos/stable: drift: release 44.0.0: local dead end kept, upstream has a different value [LK2016]
    fedora-coreos/stable: drift: release 44.1.0: upstream marks it as a barrier (theirs), which was removed here and stays removed [LK2017]
    fedora-coreos/stable: drift: release 44.2.0: local state kept, upstream has a different value [LK2016]
    ");
    let put = |text: &str, more: &[&str]| {
        std::fs::write(&file, text).unwrap();
        let arguments = [&["document", "put", path, "--reason", "r"], more].concat();
        let output = program::lockkeeper().env("DATABASE_URL", &database.url).args(arguments).output().unwrap();
        let message = [output.stdout, output.stderr].map(|text| program::text(&text)).concat();
        (output.status.success(), message)
    };
    // A document of an older revision is refused, also in a dry run.
    let bare = shown.replace("revision = 1\n", "");
    for more in [&[][..], &["--dry-run"]] {
        let (done, message) = put(&shown, more);
        assert!(!done && message.contains("is at revision 2, expected revision 1"), "{message}");
        let (done, message) = put(&bare, more);
        assert!(!done && message.contains("exists already, at revision 2"), "{message}");
    }
    let (done, message) = put(&shown, &["--force", "--dry-run"]);
    assert!(done && message.contains("- release 44.0.0, dead end"), "{message}");

    // A published release keeps its age and its payloads.
    let shown = run(&["document", "show", "--stream", "stable"]);
    let (first, second) = (shown.find("[[releases]]").unwrap(), shown.match_indices("[[releases]]").nth(1).unwrap().0);
    let left_out = [&shown[..first], &shown[second..]].concat();
    for (changed, refusal) in [
        (left_out, "release 44.0.0 was published and cannot be removed or moved"),
        (
            shown.replace("\nstate = \"withdrawn\"", "\nstate = \"draft\""),
            "release 44.2.0 was published and cannot become a draft",
        ),
        (shown.replacen("id = \"", "id = \"f", 1), "release 44.0.0 was published with its payload on x86_64 checksum"),
        (
            shown.replacen(
                "payloads = [\n",
                "payloads = [\n  { arch = \"riscv64\", scheme = \"checksum\", id = \"ff\" },\n",
                1,
            ),
            "release 44.0.0 comes from upstream, where it has no payload on riscv64 checksum",
        ),
    ] {
        let (done, message) = put(&changed, &["--force"]);
        assert!(!done && message.contains(refusal), "{refusal}: {message}\n{changed}");
    }

    // The printed document can be put back unchanged.
    let shown = run(&["document", "show", "--stream", "stable"]);
    std::fs::write(&file, &shown).unwrap();
    assert!(run(&["document", "put", path, "--reason", "the same"]).contains("no changes, still revision 2"));
    let unknown =
        program::lockkeeper().env("DATABASE_URL", &database.url).args(["document", "show", "--stream", "x"]).output();
    assert!(program::text(&unknown.unwrap().stderr).contains("there is no stream fedora-coreos/x"));
}
