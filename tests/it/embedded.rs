//! The private PostgreSQL is shared by processes, stopped by the last one, and restarted after a kill.

use crate::support::{
    program::{lockkeeper, text},
    signals::{kill, kill_child, postmaster, terminate},
};
use rustix::process::Pid;
use std::{
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
};

/// Starts a process that uses the private database until its input is closed.
fn user(data_dir: &Path) -> (Child, String) {
    let mut child = lockkeeper()
        .args(["database", "exec", "--data-dir"])
        .arg(data_dir)
        .args(["--", "sh", "-c", "echo \"$DATABASE_URL\"; exec cat >/dev/null"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut url = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut url).unwrap();
    (child, url.trim().to_owned())
}

fn leave(mut child: Child) {
    drop(child.stdin.take());
    assert!(child.wait().unwrap().success());
}

fn folder() -> tempfile::TempDir {
    let open_to_all = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    tempfile::Builder::new().permissions(open_to_all).tempdir().unwrap()
}

#[test]
fn the_last_user_stops_it() {
    let folder = folder();
    let (first, url) = user(folder.path());
    let (second, same) = user(folder.path());
    assert_eq!(url, same);
    let pid = postmaster(folder.path()).unwrap();
    leave(first);
    assert_eq!(postmaster(folder.path()), Some(pid));
    leave(second);
    assert_eq!(postmaster(folder.path()), None);
    // It starts again on the same files.
    let (third, _) = user(folder.path());
    leave(third);
    assert_eq!(postmaster(folder.path()), None);
}

#[test]
fn users_that_were_killed_do_not_count() {
    let folder = folder();
    let (mut killed, _) = user(folder.path());
    let (last, _) = user(folder.path());
    kill_child(&killed);
    killed.wait().unwrap();
    leave(last);
    assert_eq!(postmaster(folder.path()), None);
}

#[test]
fn a_killed_postgres_is_started_again() {
    let folder = folder();
    let (first, _) = user(folder.path());
    let pid = postmaster(folder.path()).unwrap();
    kill(pid);
    let (second, _) = user(folder.path());
    assert!(postmaster(folder.path()).is_some_and(|new| new != pid));
    leave(first);
    leave(second);
    assert_eq!(postmaster(folder.path()), None);
}

#[test]
fn a_stale_pid_file_does_not_prevent_a_start() {
    let folder = folder();
    let (first, _) = user(folder.path());
    let file = folder.path().join("postgres/cluster/postmaster.pid");
    let content = std::fs::read_to_string(&file).unwrap();
    leave(first);
    // As after a kill and a restart of the machine, when another process has the pid: here, this test.
    let (_, rest) = content.split_once('\n').unwrap();
    std::fs::write(&file, format!("{}\n{rest}", std::process::id())).unwrap();
    let (second, _) = user(folder.path());
    assert!(postmaster(folder.path()).is_some_and(|pid| pid != rustix::process::getpid()));
    leave(second);
}

#[test]
fn it_listens_on_no_network_and_its_socket_is_closed_to_others() {
    let folder = folder();
    let (first, url) = user(folder.path());
    let socket = url.split("host=").nth(1).unwrap().split('&').next().unwrap();
    let mode = std::os::unix::fs::MetadataExt::mode(&std::fs::metadata(socket).unwrap());
    assert_eq!(mode & 0o077, 0);
    assert!(Path::new(socket).join(".s.PGSQL.5432").exists());
    let command = std::fs::read_to_string(folder.path().join("postgres/cluster/postmaster.opts")).unwrap();
    assert!(command.contains("listen_addresses=") && command.contains("fsync=on"), "{command}");
    leave(first);
}

#[test]
fn missing_programs_are_reported_in_one_line() {
    let folder = folder();
    let output = lockkeeper()
        .args(["database", "check", "--data-dir"])
        .arg(folder.path())
        .env("LOCKKEEPER_DATABASE__POSTGRES_BIN", folder.path())
        .output()
        .unwrap();
    let error = text(&output.stderr);
    assert!(!output.status.success());
    assert!(error.lines().count() == 1 && error.contains("apt-get install postgresql"), "{error}");
}

#[test]
fn the_exit_code_of_a_command_is_passed_on() {
    let folder = folder();
    let run = |script: &str| {
        let mut command: Command = lockkeeper();
        command.args(["database", "exec", "--data-dir"]).arg(folder.path()).args(["--", "sh", "-c", script]);
        command.status().unwrap().code()
    };
    assert_eq!(run("exit 7"), Some(7));
    assert_eq!(run("kill -9 $$"), Some(137));
}

#[test]
fn a_missing_or_terminated_command_leaves_nothing_running() {
    let folder = folder();
    let mut missing = lockkeeper();
    missing.args(["database", "exec", "--data-dir"]).arg(folder.path()).args(["--", "/nowhere"]);
    assert!(!missing.status().unwrap().success());
    assert_eq!(postmaster(folder.path()), None);
    let (mut terminated, _) = user(folder.path());
    // `wait` would close the input, and the command would end on its own.
    let _open = terminated.stdin.take();
    assert!(postmaster(folder.path()).is_some());
    terminate(&terminated);
    assert_eq!(terminated.wait().unwrap().code(), Some(143));
    assert_eq!(postmaster(folder.path()), None);
}

#[test]
fn environment_variables_of_other_databases_are_ignored() {
    let folder = folder();
    let output = lockkeeper()
        .args(["database", "check", "--data-dir"])
        .arg(folder.path())
        .envs([
            ("PGPORT", "5433"),
            ("PGSSLMODE", "require"),
            ("PGHOST", "nowhere"),
            ("PGUSER", "x"),
            ("PGDATABASE", "y"),
        ])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
}

#[test]
fn sessions_of_one_account_share_it() {
    let folder = folder();
    let (first, url) = user(folder.path());
    let output = lockkeeper()
        .args(["database", "exec", "--data-dir"])
        .arg(folder.path())
        .args(["--", "sh", "-c", "echo \"$DATABASE_URL\""])
        .env("XDG_RUNTIME_DIR", folder.path())
        .output()
        .unwrap();
    assert_eq!(text(&output.stdout).trim(), url);
    leave(first);
}

#[test]
fn files_of_an_unreachable_server_are_not_used() {
    let folder = folder();
    let (first, url) = user(folder.path());
    // As seen from another container: the socket does not exist, and pids differ.
    let socket = Path::new(url.split("host=").nth(1).unwrap().split('&').next().unwrap()).join(".s.PGSQL.5432");
    let hidden = socket.with_extension("hidden");
    std::fs::rename(&socket, &hidden).unwrap();
    let check = || {
        let output = lockkeeper().args(["database", "check", "--data-dir"]).arg(folder.path()).output().unwrap();
        assert!(
            text(&output.stderr).contains("is in use by a server that cannot be reached"),
            "{}",
            text(&output.stderr)
        );
    };
    check();
    // Also after its users have ended, while the server still runs.
    let mut first = first;
    kill_child(&first);
    first.wait().unwrap();
    check();
    std::fs::rename(&hidden, &socket).unwrap();
    let (last, _) = user(folder.path());
    leave(last);
    assert_eq!(postmaster(folder.path()), None);
}

/// Creates programs that answer `--version`, and otherwise block, as initdb and a long recovery do.
fn slow_programs(folder: &Path) -> std::path::PathBuf {
    let slow = folder.join("slow");
    std::fs::create_dir(&slow).unwrap();
    let version = "[ \"$1\" = --version ] && { echo 'initdb (PostgreSQL) 15.1'; exit; }";
    for program in ["initdb", "pg_ctl", "postgres"] {
        let script = format!("#!/bin/sh\n{version}\necho $$ > {}/started\nexec sleep 600\n", folder.display());
        std::fs::write(slow.join(program), script).unwrap();
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(slow.join(program), mode).unwrap();
    }
    slow
}

#[tokio::test]
async fn a_stop_signal_during_the_start_ends_the_process() {
    let folder = folder();
    std::fs::set_permissions(folder.path(), std::os::unix::fs::PermissionsExt::from_mode(0o777)).unwrap();
    let mut service = lockkeeper()
        .args(["serve", "--listen", "127.0.0.1:0", "--data-dir"])
        .arg(folder.path())
        .env("LOCKKEEPER_DATABASE__POSTGRES_BIN", slow_programs(folder.path()))
        .env("LOCKKEEPER_SHUTDOWN_GRACE", "1s")
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let pid = || Pid::from_raw(std::fs::read_to_string(folder.path().join("started")).ok()?.trim().parse().ok()?);
    crate::support::eventually("it starts", async || pid().is_some()).await;
    terminate(&service);
    assert!(service.wait().unwrap().success());
    kill(pid().unwrap());
}
