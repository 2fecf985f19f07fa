//! Small inputs that expand: each is refused within 512 MiB of memory, with an error that names the input and the limit.

use crate::support::{
    program::{lockkeeper, text},
    upstream,
    wire::unless_closed,
};
use std::{
    io::{Read, Write},
    net::TcpListener,
    os::unix::fs::{PermissionsExt, symlink},
    path::{Path, PathBuf},
    process::{Command, Output},
};

/// The address space of a command, in KiB: 512 MiB.
const MEMORY: &str = "524288";

/// Builds a command with these arguments, in bounded memory and without settings.
fn bounded(arguments: &[&str]) -> Command {
    let program = lockkeeper();
    let mut command = Command::new("sh");
    for (name, value) in program.get_envs() {
        assert!(value.is_none());
        command.env_remove(name);
    }
    command.args(["-c", &format!("ulimit -v {MEMORY} && exec \"$@\""), "sh"]);
    command.arg(program.get_program()).args(arguments);
    command
}

/// Asserts that a command failed with status 1 and named the input and the limit.
fn refused(output: &Output, named: &[&str]) {
    let message = text(&output.stderr) + &text(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{:?} {message}", output.status);
    for name in named {
        assert!(message.contains(name), "{name:?} is not in {message}");
    }
}

fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// Creates a sparse file of 8 GiB.
fn sparse(folder: &Path, name: &str, mode: u32) -> PathBuf {
    let path = folder.join(name);
    let file = std::fs::File::create(&path).unwrap();
    file.set_len(8 << 30).unwrap();
    file.set_permissions(std::fs::Permissions::from_mode(mode)).unwrap();
    path
}

const HEADER: &str = r#"{"format":"lockkeeper backup 1","program":"0.1.0","made_at":"2026-07-22T12:00:00Z","installation":"","migrations":[]}"#;
const TABLE: &str = r#"{"table":"products","columns":["name"]}"#;

/// Writes a backup that begins with `start` and repeats `again`.
fn backup(folder: &Path, start: &str, again: &[u8], times: usize) -> PathBuf {
    let path = folder.join("bomb.backup");
    let mut file = std::fs::File::create(&path).unwrap();
    file.write_all(&zstd::encode_all(start.as_bytes(), 3).unwrap()).unwrap();
    // A decoder reads one frame after the other.
    let frame = zstd::encode_all(again, 3).unwrap();
    for _ in 0..times {
        file.write_all(&frame).unwrap();
    }
    path
}

#[test]
fn a_backup_whose_lines_never_end_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let start = format!("{HEADER}\n{TABLE}\n");
    let bomb = backup(folder.path(), &start, &vec![b'x'; 16 << 20], 190);
    assert!(std::fs::metadata(&bomb).unwrap().len() < 120_000);
    let output = bounded(&["restore", "--check", "--from", path(&bomb)]).output().unwrap();
    refused(&output, &[path(&bomb), "a line has more than 268435456 bytes"]);
    let bomb = backup(folder.path(), "", &vec![b'{'; 16 << 20], 190);
    let output = bounded(&["restore", "--check", "--from", path(&bomb)]).output().unwrap();
    refused(&output, &[path(&bomb), "a line has more than 1048576 bytes"]);
}

#[test]
fn a_compression_bomb_in_a_backup_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let mut lines = vec![b'x'; 16 << 20];
    lines.iter_mut().step_by(1 << 20).for_each(|byte| *byte = b'\n');
    let bomb = backup(folder.path(), &format!("{HEADER}\n{TABLE}\n"), &lines, 20);
    assert!(std::fs::metadata(&bomb).unwrap().len() < 20_000);
    let output = bounded(&["restore", "--check", "--from", path(&bomb)]).output().unwrap();
    refused(&output, &[path(&bomb), "it unpacks to more than 268435456 bytes"]);
}

#[test]
fn a_backup_with_a_large_compression_window_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let bomb = folder.path().join("window.backup");
    let mut encoder = zstd::Encoder::new(std::fs::File::create(&bomb).unwrap(), 3).unwrap();
    encoder.window_log(27).unwrap();
    encoder.write_all(HEADER.as_bytes()).unwrap();
    encoder.finish().unwrap();
    let output = bounded(&["restore", "--check", "--from", path(&bomb)]).output().unwrap();
    refused(&output, &[path(&bomb), "too much memory"]);
}

#[test]
fn documents_that_never_end_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["releases", "updates"] {
        let below = folder.path().join(name);
        upstream::plain(1).write(&below, "stable");
        let document = if name == "updates" { "updates/stable.json" } else { "prod/streams/stable/releases.json" };
        std::fs::remove_file(below.join(document)).unwrap();
        symlink("/dev/zero", below.join(document)).unwrap();
        let output = bounded(&["import", "fcos", "--stream", "stable", "--from", path(&below)]).output().unwrap();
        refused(&output, &[document, "more than 67108864 bytes"]);
        let graph = ["graph", "fcos", "--stream", "stable", "--arch", "x86_64", "--from", path(&below)];
        refused(&bounded(&graph).output().unwrap(), &[document, "more than 67108864 bytes"]);
    }
    let output = bounded(&["document", "put", "/dev/zero", "--reason", "test", "--dry-run"]).output().unwrap();
    refused(&output, &["/dev/zero", "more than 67108864 bytes"]);
    let output = bounded(&["graph", "fcos", "--from", "/nowhere", "--cases", "/dev/zero"]).output().unwrap();
    refused(&output, &["/dev/zero", "more than 1048576 bytes"]);
    let streams = folder.path().join("streams/fedora-coreos");
    std::fs::create_dir_all(&streams).unwrap();
    sparse(&streams, "stable.toml", 0o644);
    let mut serve = bounded(&["serve", "--listen", "127.0.0.1:0", "--streams-dir", path(streams.parent().unwrap())]);
    refused(
        &serve.env("DATABASE_URL", "postgres://127.0.0.1:1/none").output().unwrap(),
        &["stable.toml", "more than 67108864 bytes"],
    );
}

#[test]
fn settings_keys_and_certificates_that_never_end_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let data_dir = path(folder.path());
    refused(
        &bounded(&["health", "--config", "/dev/zero"]).output().unwrap(),
        &["/dev/zero", "more than 1048576 bytes"],
    );
    let key = sparse(folder.path(), "signing-key.pem", 0o600);
    let create = [
        "token",
        "create",
        "--name",
        "x",
        "--role",
        "viewer",
        "--streams",
        "*",
        "--expires-in",
        "1h",
        "--data-dir",
        data_dir,
    ];
    refused(&bounded(&create).output().unwrap(), &[path(&key), "more than 65536 bytes"]);
    let serve = |certificate: &str, key: &str| {
        let mut serve = bounded(&["serve", "--listen", "127.0.0.1:0", "--data-dir", data_dir]);
        serve.env("DATABASE_URL", "postgres://127.0.0.1:1/none");
        serve.env("LOCKKEEPER_TLS__CERTIFICATE", certificate).env("LOCKKEEPER_TLS__KEY", key).output().unwrap()
    };
    refused(&serve("/dev/zero", path(&key)), &["/dev/zero", "more than 4194304 bytes"]);
    let certificate = folder.path().join("certificate.pem");
    std::fs::write(&certificate, rcgen::generate_simple_self_signed(["a".to_owned()]).unwrap().cert.pem()).unwrap();
    refused(&serve(path(&certificate), path(&key)), &[path(&key), "more than 4194304 bytes"]);
}

#[test]
fn doctor_finds_a_snapshot_that_never_ends() {
    let folder = tempfile::tempdir().unwrap();
    let catalog = folder.path().join("catalog");
    std::fs::create_dir(&catalog).unwrap();
    let doctor = || {
        let mut doctor = bounded(&["doctor", "--data-dir", path(folder.path())]);
        doctor.env("LOCKKEEPER_LISTEN", "127.0.0.1:1").env("DATABASE_URL", "postgres://127.0.0.1:1/none");
        doctor.env("LOCKKEEPER_DATABASE__CONNECT_TIMEOUT", "100ms");
        doctor.output().unwrap()
    };
    symlink("/dev/zero", catalog.join("catalog")).unwrap();
    refused(&doctor(), &["it has another format"]);
    std::fs::remove_file(catalog.join("catalog")).unwrap();
    sparse(&catalog, "catalog", 0o600);
    let mut file = std::fs::OpenOptions::new().write(true).open(catalog.join("catalog")).unwrap();
    file.write_all(b"lockkeeper catalog 1\n").unwrap();
    refused(&doctor(), &[path(&catalog.join("catalog")), "more than 1073741824 bytes"]);
}

/// Starts a server that answers every request with zeros without end.
fn endless() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for mut connection in listener.incoming().flatten() {
            std::thread::spawn(move || {
                unless_closed(connection.read(&mut [0; 4096]));
                let zeros = vec![0; 1 << 20];
                unless_closed(connection.write_all(b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n"));
                while unless_closed(connection.write_all(&zeros)).is_some() {}
            });
        }
    });
    address.to_string()
}

#[test]
fn answers_that_never_end_are_refused() {
    let address = endless();
    let url = format!("http://{address}");
    let run = |arguments: &[&str]| bounded(arguments).env("LOCKKEEPER_LISTEN", &address).output().unwrap();
    refused(&run(&["import", "fcos", "--from", &url, "--stream", "stable"]), &[&url, "more than 67108864 bytes"]);
    refused(&run(&["fleet", "unknown", "--url", &url]), &[&url, "more than 16777216 bytes"]);
    refused(&run(&["health"]), &[&url, "more than 4194304 bytes"]);
    let shadow =
        ["shadow", "--upstream", &url, "--local", &url, "--stream", "stable", "--arch", "x86_64", "--ids", "0"];
    let message = text(&run(&shadow).stdout);
    assert!(message.contains("more than 67108864 bytes"), "{message}");
}
