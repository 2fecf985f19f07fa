//! The program as users run it.

use std::{
    path::Path,
    process::{Command, Output},
};

/// Returns a command that runs the program in an environment without settings.
pub(crate) fn lockkeeper() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lockkeeper"));
    for (name, _) in std::env::vars() {
        if name.starts_with("LOCKKEEPER_") || name == "DATABASE_URL" {
            command.env_remove(name);
        }
    }
    command
}

/// Runs `lockkeeper import fcos` into a database.
pub(crate) fn import(url: &str, from: &Path) -> Output {
    lockkeeper().env("DATABASE_URL", url).args(["import", "fcos", "--from"]).arg(from).output().unwrap()
}

/// Runs `lockkeeper import fcos` with more arguments.
pub(crate) fn import_with(url: &str, from: &Path, arguments: &[&str]) -> Output {
    let mut command = lockkeeper();
    command.env("DATABASE_URL", url).args(["import", "fcos", "--from"]).arg(from).args(arguments);
    command.output().unwrap()
}

/// Returns the document of a stream, as `lockkeeper document show` prints it.
pub(crate) fn show_document(url: &str, stream: &str) -> String {
    let output = lockkeeper().env("DATABASE_URL", url).args(["document", "show", "--stream", stream]).output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    text(&output.stdout)
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Creates a token with the role `manager` on all streams, signed with a key in this folder.
pub(crate) fn token(url: &str, folder: &Path) -> String {
    let mut command = lockkeeper();
    command
        .args([
            "token",
            "create",
            "--name",
            "ci",
            "--role",
            "manager",
            "--streams",
            "*",
            "--expires-in",
            "90d",
            "--data-dir",
        ])
        .arg(folder);
    let output = command.env("DATABASE_URL", url).output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    text(&output.stdout).trim().to_owned()
}
