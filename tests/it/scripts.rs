//! The Makefile and the scripts work with any target folder of cargo.

use crate::support::program::text;
use std::{
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
};

fn project() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn script(path: &Path, content: &str) {
    std::fs::write(path, format!("#!/bin/sh\n{content}\n")).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
}

/// Creates a folder with a `cargo` that builds nothing, and reports a program next to itself, which prints its arguments.
fn stub() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("the program");
    script(&program, "echo \"ran with $*\"");
    let messages = [
        r#"{"reason":"compiler-artifact","target":{"name":"build-script-build"},"executable":null}"#.to_owned(),
        format!(
            r#"{{"reason":"compiler-artifact","target":{{"name":"lockkeeper"}},"executable":"{}","fresh":true}}"#,
            program.display()
        ),
        r#"{"reason":"build-finished","success":true}"#.to_owned(),
    ];
    script(&folder.path().join("cargo"), &format!("cat <<'END'\n{}\nEND", messages.join("\n")));
    folder
}

/// Builds a command that finds this `cargo` first.
fn with(stub: &Path, program: impl AsRef<std::ffi::OsStr>) -> Command {
    let mut command = Command::new(program);
    // Under another make, it would print its directory.
    for variable in ["MAKEFLAGS", "MAKELEVEL", "MFLAGS"] {
        command.env_remove(variable);
    }
    command.current_dir(project()).env("PATH", format!("{}:{}", stub.display(), std::env::var("PATH").unwrap()));
    command
}

#[test]
fn make_run_starts_the_program_where_cargo_put_it() {
    let stub = stub();
    // The target that looks for PostgreSQL counts as up to date.
    let output = with(stub.path(), "make").args(["--old-file=postgres", "run"]).output().unwrap();
    assert_eq!(text(&output.stdout).trim(), "ran with serve --hints", "{}", text(&output.stderr));
}

#[test]
fn scripts_find_the_program_and_the_target_directory() {
    let stub = stub();
    let path = project().join("scripts/cargo-path.sh");
    let output = with(stub.path(), &path).arg("program").output().unwrap();
    assert_eq!(text(&output.stdout).trim_end(), stub.path().join("the program").display().to_string());
    for variable in ["CARGO_TARGET_DIR", "CARGO_BUILD_TARGET_DIR"] {
        let mut command = Command::new(&path);
        command.arg("target-dir").env_remove("CARGO_TARGET_DIR").env(variable, "/elsewhere/build");
        let output = command.output().unwrap();
        assert_eq!(text(&output.stdout).trim(), "/elsewhere/build", "{variable}: {}", text(&output.stderr));
    }
}

#[test]
fn scripts_do_not_guess_where_cargo_builds() {
    let mut files: Vec<PathBuf> = vec![project().join("Makefile")];
    for folder in ["scripts", "scripts/docs_check", "load", "attack", "drill"] {
        let entries = std::fs::read_dir(project().join(folder)).unwrap().map(|entry| entry.unwrap().path());
        files.extend(entries.filter(|path| path.extension().is_some_and(|kind| kind == "sh" || kind == "py")));
    }
    assert!(files.len() > 20, "the scripts were not found");
    for file in files {
        let content = std::fs::read_to_string(&file).unwrap();
        for (number, line) in (1..).zip(content.lines()) {
            // Help texts may name the usual path of a program.
            let guesses = ["debug", "release", "tmp"].iter().any(|name| {
                line.split(&format!("target/{name}")).skip(1).any(|rest| !rest.is_empty())
                    && !line.contains("$target/")
                    && !line.contains("such as")
                    && !line.contains("##")
                    && !line.contains("startswith(")
            });
            assert!(!guesses, "{}:{number}: {line}", file.display());
        }
    }
}

/// What `scripts/check-skipped.sh` says of the output of a test run, next to a folder with real metadata or without.
fn check_skipped(output: &str, has_real_metadata: bool) -> (bool, String) {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("output"), output).unwrap();
    if has_real_metadata {
        std::fs::create_dir(folder.path().join("fcos")).unwrap();
    }
    let mut command = Command::new(project().join("scripts/check-skipped.sh"));
    let done = command.arg(folder.path().join("output")).arg(folder.path()).output().unwrap();
    (done.status.success(), text(&done.stdout) + &text(&done.stderr))
}

#[test]
fn ci_fails_if_tests_were_skipped_although_real_metadata_is_there() {
    let nextest = |rest: &str| format!("PASS it a\n     Summary [  95.3s] 9 tests run: 9 passed (1 slow){rest}\n");
    let libtest = |ignored: u32| {
        let result =
            |ignored| format!("test result: ok. 9 passed; 0 failed; {ignored} ignored; 0 measured; 0 filtered out\n");
        format!("test a ... ok\n{}{}", result(0), result(ignored))
    };
    for all_ran in [nextest(", 0 skipped"), libtest(0)] {
        assert_eq!(check_skipped(&all_ran, true), (true, String::new()), "{all_ran}");
    }
    let colours = nextest(", \u{1b}[1m7\u{1b}[0m \u{1b}[33;1mskipped\u{1b}[0m").replace("     S", "\u{1b}[32;1m     S");
    for skipped in [nextest(", 7 skipped"), libtest(7), colours] {
        let (success, said) = check_skipped(&skipped, true);
        assert!(!success && said.contains("7 tests were skipped"), "{skipped}: {said}");
        assert_eq!(check_skipped(&skipped, false), (true, String::new()), "{skipped}");
    }
    let without_registry = "skipped: 9 tests that need a container registry, since docker-registry is not installed\n";
    for has_real_metadata in [true, false] {
        let (success, said) = check_skipped(&format!("{without_registry}{}", libtest(0)), has_real_metadata);
        assert!(!success && said.contains("install docker-registry"), "{said}");
    }
    let (success, said) = check_skipped("error: could not compile\n", true);
    assert!(!success && said.contains("no summary"), "{said}");
}

/// A `cargo` that prints its arguments, with or without nextest.
fn cargo_that_prints(has_nextest: bool) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    script(&folder.path().join("docker-registry"), "exit 1");
    let version = if has_nextest { "exit 0" } else { "exit 1" };
    script(
        &folder.path().join("cargo"),
        &format!("case \"$*\" in 'nextest --version') {version} ;; *) echo \"cargo $*\" ;; esac"),
    );
    folder
}

#[test]
fn tests_that_need_real_metadata_run_where_it_is_and_are_reported_where_it_is_not() {
    let (there, missing) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    std::fs::create_dir(there.path().join("fcos")).unwrap();
    let run = |has_nextest: bool, fixtures: &Path| {
        let cargo = cargo_that_prints(has_nextest);
        let mut command = with(cargo.path(), project().join("scripts/run-tests.sh"));
        command.env("DATABASE_URL", "postgres://none").env("LOCKKEEPER_FIXTURES", fixtures);
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", text(&output.stderr));
        (text(&output.stdout), text(&output.stderr))
    };
    for (has_nextest, option) in [(true, "--run-ignored all"), (false, "--include-ignored")] {
        let (ran, said) = run(has_nextest, there.path());
        assert!(ran.contains(option) && said.is_empty(), "{ran}{said}");
        let (ran, said) = run(has_nextest, missing.path());
        let reported =
            said.starts_with("skipped: ") && said.contains("tests that need real metadata, since there is no");
        assert!(!ran.contains("ignored") && reported && said.lines().count() == 1, "{ran}{said}");
    }
}

#[test]
fn tests_that_need_a_registry_are_reported_where_it_is_missing() {
    let cargo = cargo_that_prints(false);
    let mut command = with(cargo.path(), project().join("scripts/run-tests.sh"));
    command.env("DATABASE_URL", "postgres://none").env("DOCKER_REGISTRY", "/nonexistent/docker-registry");
    let said = text(&command.output().unwrap().stderr);
    let line = said.lines().find(|line| line.contains("container registry")).unwrap_or_default();
    let count: usize = line.split(' ').nth(1).unwrap_or_default().parse().unwrap_or(0);
    assert!(line.starts_with("skipped: ") && count > 5, "{said}");
}

#[test]
fn every_program_in_python_finds_what_it_imports() {
    for program in ["attack/run.py", "drill/upgrade.py", "load/run.py", "scripts/docs-check.py"] {
        let output = Command::new("python3").args(["-B", program, "--help"]).current_dir(project()).output().unwrap();
        assert!(output.status.success(), "{program}: {}", text(&output.stderr));
        assert!(text(&output.stdout).starts_with("usage: "), "{program}");
    }
}
