//! Stream documents: readable and writable by hand, strict, and wrong ones are told by file, line and field.

use crate::support::{postgres::Database, program, server::Server, upstream};
use lockkeeper::exchange::documents;
use std::path::Path;

const GOOD: &str = r#"format = 1
product = "os"
stream = "stable"

[[releases]]
version = "1"
payloads = [
  { arch = "x86_64", scheme = "checksum", id = "aa" },
]

[[releases]]
version = "2"
barrier = { reason = "keys" }
payloads = [
  { arch = "x86_64", scheme = "checksum", id = "bb" },
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
fn a_document_by_hand_is_read_and_written_as_it_was() {
    let stream = documents::read(GOOD).unwrap();
    assert_eq!(documents::read(&documents::write(&stream)).unwrap(), stream);
    insta::assert_snapshot!(documents::write(&stream), @r#"
    format = 1
    product = "os"
    stream = "stable"
    origin = "git"

    [[releases]]
    version = "1"
    payloads = [
      { arch = "x86_64", scheme = "checksum", id = "aa" },
    ]

    [[releases]]
    version = "2"
    barrier = { reason = "keys" }
    rollouts = [
      { selector = { groups = ["canary"] }, start_share = 1.0 },
      { start = "2026-07-22T14:00:00Z", start_share = 0.1, duration = "PT48H" },
    ]
    payloads = [
      { arch = "x86_64", scheme = "checksum", id = "bb" },
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
fn what_is_wrong_is_named_by_line_and_field() {
    let wrong = |what: &str, from: &str, to: &str| {
        let text = GOOD.replacen(from, to, 1);
        assert_ne!(text, GOOD, "{what}");
        let problems = documents::read(&text).unwrap_err();
        let told: Vec<_> = problems.iter().map(|p| format!("{}: {}: {}", p.line, p.field, p.message)).collect();
        format!("{what}\n  {}", told.join("\n  "))
    };
    let told = [
        wrong(
            "truncated",
            "payloads = [\n  { arch = \"x86_64\", scheme = \"checksum\", id = \"bb\" },\n]",
            "payloads = [\n  { arch",
        ),
        wrong("a version twice", "version = \"2\"", "version = \"1\""),
        wrong("a payload twice", "\"bb\"", "\"aa\""),
        wrong(
            "two payloads in one scope",
            "id = \"aa\" },",
            "id = \"aa\" },\n  { arch = \"x86_64\", scheme = \"checksum\", id = \"ab\" },",
        ),
        wrong("a barrier without a reason", "{ reason = \"keys\" }", "{}"),
        wrong("a barrier with an empty reason", "\"keys\"", "\" \""),
        wrong("a share of 1.2", "0.1", "1.2"),
        wrong("a share that is none", "0.1", "nan"),
        wrong("an unknown key", "start_share = 1.0", "start_sahre = 1.0"),
        wrong("an unknown key at the top", "stream = \"stable\"", "stream = \"stable\"\nstreem = 1"),
        wrong("a time that is none", "2026-07-22T14:00:00Z", "tomorrow"),
        wrong("a duration that is none", "PT48H", "48h"),
        wrong("a name that is none", "product = \"os\"", "product = \"../os\""),
        wrong("a format to come", "format = 1", "format = 2"),
        wrong(
            "an arch that is none",
            "arch = \"x86_64\", scheme = \"checksum\", id = \"bb\"",
            "arch = \"X86\", scheme = \"checksum\", id = \"bb\"",
        ),
        wrong("a blocked update of nothing", "last = \"1\"", "last = \"3\""),
        wrong("a blocked update backwards", "target = \"2\"", "target = \"1\""),
        wrong("an empty selector", "[\"canary\"]", "[]"),
        wrong("a wrong type", "version = \"2\"", "version = 2"),
        wrong("a draft in between", "version = \"1\"\n", "version = \"1\"\nstate = \"draft\"\n"),
        wrong(
            "many things at once",
            "\"keys\" }\npayloads = [\n  { arch = \"x86_64\", scheme",
            "\"\" }\npayloads = [\n  { arch = \"\", scheme",
        ),
    ];
    insta::assert_snapshot!(told.join("\n"), @r#"
    truncated
      16: .: missing assignment between key-value pairs, expected `=`
    a version twice
      12: releases[1].version: 1 stands in releases[0] already
      25: blocked_updates[0].target: 2 is no release of this stream
    a payload twice
      14: releases[1].payloads: aa names releases[0] on x86_64 checksum already
    two payloads in one scope
      9: releases[0].payloads[1]: is the second payload for x86_64 checksum
    a barrier without a reason
      13: releases[1].barrier: missing field `reason`
    a barrier with an empty reason
      13: releases[1].barrier.reason: must not be empty
    a share of 1.2
      19: releases[1].rollouts[1].start_share: is 1.2, a share lies between 0 and 1
    a share that is none
      19: releases[1].rollouts[1].start_share: is NaN, a share lies between 0 and 1
    an unknown key
      18: releases[1].rollouts[0].start_sahre: unknown field `start_sahre`, expected one of `selector`, `start`, `start_share`, `duration`, `end_share`, `steps`, `state`, `paused_at`, `origin`
    an unknown key at the top
      4: streem: unknown field `streem`, expected one of `format`, `product`, `stream`, `revision`, `origin`, `arches`, `mirrors`, `protection`, `emergency_stop`, `sources`, `releases`, `blocked_updates`
    a time that is none
      19: releases[1].rollouts[1].start: is "tomorrow", not a time in whole seconds such as 2026-07-22T14:00:00Z
    a duration that is none
      19: releases[1].rollouts[1].duration: "48h" is not an ISO 8601 duration of days, hours and minutes such as PT48H
    a name that is none
      2: product: holds '.', which is not allowed: 1 to 64 of a-z, 0-9, '-', '_' and '.', starting with a letter or digit
    a format to come
      1: format: is 2, this program reads 1
    an arch that is none
      15: releases[1].payloads[0].arch: holds 'X', which is not allowed: 1 to 32 of a-z, 0-9 and '_'
    a blocked update of nothing
      24: blocked_updates[0].last: 3 is no release of this stream
    a blocked update backwards
      25: blocked_updates[0].target: is not newer than the first release of the range
    an empty selector
      18: releases[1].rollouts[0].selector.groups: is empty; leave it out to mean all
    a wrong type
      12: releases[1].version: invalid type: integer `2`, expected a string
    a draft in between
      12: releases[1].state: drafts come last, and this release stands behind one
    many things at once
      13: releases[1].barrier.reason: must not be empty
      15: releases[1].payloads[0].arch: must not be empty
    "#);
}

#[test]
fn deep_nesting_does_no_harm() {
    let problems = documents::read(&format!("format = {}", "[".repeat(10 * 1024 * 1024))).unwrap_err();
    assert_eq!(problems.len(), 1);
    let problems = documents::read(&format!("format = {}", "{a=".repeat(100_000))).unwrap_err();
    assert_eq!(problems[0].line, 1);
}

fn samples() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("streams")
}

#[test]
fn the_sample_streams_are_in_order_and_in_our_own_style() {
    let streams = documents::read_folder(&samples()).unwrap();
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
    let readme = std::fs::read_to_string("streams/README.md").unwrap();
    let example = readme.split("```toml\n").nth(1).unwrap().split("```").next().unwrap();
    assert_eq!(documents::read(example).map(|stream| stream.releases.len()), Ok(2));
}

#[test]
fn a_document_has_to_lie_where_it_belongs() {
    let folder = tempfile::tempdir().unwrap();
    crate::support::upstream::write(folder.path(), "os/next.toml", GOOD);
    let error = documents::read_folder(folder.path()).unwrap_err().to_string();
    assert!(
        error.ends_with("os/next.toml:3: stream: is \"stable\", but the file lies where \"next\" belongs"),
        "{error}"
    );
}

#[test]
fn a_wrong_document_keeps_the_service_from_starting() {
    let folder = tempfile::tempdir().unwrap();
    crate::support::upstream::write(folder.path(), "os/stable.toml", &GOOD.replace("\"keys\"", "\"\""));
    let output = program::lockkeeper()
        .args(["serve", "--listen", "127.0.0.1:0", "--streams-dir"])
        .arg(folder.path())
        .env("DATABASE_URL", "postgres://127.0.0.1:1/none")
        .output()
        .unwrap();
    assert!(!output.status.success());
    let told = program::text(&output.stderr);
    assert!(told.contains("os/stable.toml:13: releases[1].barrier.reason: must not be empty"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_store_starts_from_documents_once() {
    let database = Database::new().await;
    let folder = tempfile::tempdir().unwrap();
    crate::support::upstream::write(folder.path(), "os/stable.toml", GOOD);
    for _ in 0..2 {
        let server = Server::start_with(&database, |settings| {
            settings.streams_dir = Some(folder.path().into());
            settings.fcos.default_product = "os".into();
        })
        .await;
        assert_eq!((server.revision("os/stable").await, server.revision("os/edge").await), (Some(1), None));
        server.at(1_784_728_800);
        let (_, silent) =
            server.get("/v1/graph?stream=stable&basearch=x86_64&os_checksum=aa&rollout_wariness=0.5").await;
        let (_, canary) = server
            .get("/v1/graph?stream=stable&basearch=x86_64&os_checksum=aa&rollout_wariness=0.5&group=canary")
            .await;
        assert!(silent.starts_with(r#"{"edges":[],"#), "{silent}");
        assert!(canary.starts_with(r#"{"edges":[[0,1]],"#), "{canary}");
        server.stop().await;
        // What stands in the folder later matters no more.
        crate::support::upstream::write(folder.path(), "os/stable.toml", &GOOD.replace("\"keys\"", "\"other\""));
        crate::support::upstream::write(folder.path(), "os/edge.toml", &GOOD.replace("\"stable\"", "\"edge\""));
    }
}

#[tokio::test]
async fn what_is_changed_by_hand_stays_and_the_import_tells_of_it_by_its_exit_code() {
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
    let told = run(&["document", "put", path, "--reason", "it burns", "--dry-run"]);
    assert_eq!(run(&["document", "show", "--stream", "stable"]), shown, "a dry run changes nothing");
    let done = run(&["document", "put", path, "--reason", "it burns"]);
    assert_eq!(done.split_once('\n').unwrap().1, told.split_once('\n').unwrap().1);
    insta::assert_snapshot!(done, @"
    fedora-coreos/stable: revision 2
    + mirror mirror.example/os: recognised
    + release 44.0.0, dead end: broken (local)
    - release 44.1.0, barrier: theirs (upstream)
    + release 44.1.0, barrier of upstream: taken away here
    ~ release 44.2.0: published at age 2 (upstream) -> withdrawn at age 2 (local)
    ");

    let again = program::import(&database.url, folder.path());
    assert_eq!(again.status.code(), Some(3), "{}", program::text(&again.stderr));
    insta::assert_snapshot!(program::text(&again.stdout), @"
    fedora-coreos/stable: nothing new, revision 2 stays
    fedora-coreos/stable: drift: release 44.0.0: its dead end as set here is not upstream's; ours stays
    fedora-coreos/stable: drift: release 44.1.0: its barrier as set here is not upstream's; ours stays
    fedora-coreos/stable: drift: release 44.2.0: its state as set here is not upstream's; ours stays
    ");
    let put = |text: &str, more: &[&str]| {
        std::fs::write(&file, text).unwrap();
        let arguments = [&["document", "put", path, "--reason", "r"], more].concat();
        let output = program::lockkeeper().env("DATABASE_URL", &database.url).args(arguments).output().unwrap();
        let told = [output.stdout, output.stderr].map(|text| program::text(&text)).concat();
        (output.status.success(), told)
    };
    // What was shown before is not put back over what was done since, tried or in earnest.
    let bare = shown.replace("revision = 1\n", "");
    for more in [&[][..], &["--dry-run"]] {
        let (done, told) = put(&shown, more);
        assert!(!done && told.contains("at revision 2, and the change was made from revision 1"), "{told}");
        let (done, told) = put(&bare, more);
        assert!(!done && told.contains("at revision 2, and the change was made from none"), "{told}");
    }
    let (done, told) = put(&shown, &["--force", "--dry-run"]);
    assert!(done && told.contains("- release 44.0.0, dead end"), "{told}");

    // What nodes run keeps its place and its payload.
    let shown = run(&["document", "show", "--stream", "stable"]);
    let (first, second) = (shown.find("[[releases]]").unwrap(), shown.match_indices("[[releases]]").nth(1).unwrap().0);
    let left_out = [&shown[..first], &shown[second..]].concat();
    for (changed, refusal) in [
        (left_out, "release 44.0.0 was published and keeps its place"),
        (
            shown.replace("\nstate = \"withdrawn\"", "\nstate = \"draft\""),
            "release 44.2.0 was published and can be no draft",
        ),
        (shown.replacen("id = \"", "id = \"f", 1), "release 44.0.0 was published with its payload on x86_64 checksum"),
        (
            shown.replacen(
                "payloads = [\n",
                "payloads = [\n  { arch = \"riscv64\", scheme = \"checksum\", id = \"ff\" },\n",
                1,
            ),
            "release 44.0.0 is upstream's and has no payload on riscv64 checksum there",
        ),
    ] {
        let (done, told) = put(&changed, &["--force"]);
        assert!(!done && told.contains(refusal), "{refusal}: {told}\n{changed}");
    }

    // What is printed is what may be put back.
    let shown = run(&["document", "show", "--stream", "stable"]);
    std::fs::write(&file, &shown).unwrap();
    assert!(run(&["document", "put", path, "--reason", "the same"]).contains("nothing new, revision 2 stays"));
    let unknown =
        program::lockkeeper().env("DATABASE_URL", &database.url).args(["document", "show", "--stream", "x"]).output();
    assert!(program::text(&unknown.unwrap().stderr).contains("there is no stream fedora-coreos/x"));
}
