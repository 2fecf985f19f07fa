//! After a kill at any point the service recovers automatically, with every acknowledged revision and no partial one.
//!
//! `CRASH_ROUNDS` sets the number of rounds; `make crash` runs twenty.

use crate::support::{
    client, eventually,
    postgres::Database,
    program::{lockkeeper, text, token},
    signals::{kill, kill_child, postmaster, terminate},
    upstream,
};
use proptest::prelude::Rng;
use proptest::test_runner::{RngAlgorithm, TestRng};
use rustix::process::Pid;
use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Output, Stdio},
    time::Duration,
};

#[tokio::test(flavor = "multi_thread")]
async fn acknowledged_revisions_survive_any_crash() {
    let rounds: u32 = std::env::var("CRASH_ROUNDS").map_or(3, |rounds| rounds.parse().unwrap());
    let mut random = random();
    let folder = tempfile::Builder::new().permissions(open_to_all()).tempdir().unwrap();
    let (data_dir, from) = (folder.path().join("data"), folder.path().join("upstream"));
    let mut acknowledged = 0;
    for round in 0..rounds {
        let (mut service, mut log) = serve(&data_dir);
        until_ready(&mut log);
        let victim = random.next_u32() % 3;
        let mut killed_import = false;
        let mut service_lives = true;
        // Imports run until a process was killed.
        let mut count = 3 + round as usize * 40;
        let after = Duration::from_micros(u64::from(random.next_u32() % 400_000));
        let mut kill_time = tokio::time::Instant::now() + after;
        loop {
            count += 1;
            upstream::plain(count).write(&from, "stable");
            let mut importing = tokio::process::Command::from(import(&data_dir, &from)).spawn().unwrap();
            tokio::select! {
                biased;
                () = tokio::time::sleep_until(kill_time), if !killed_import => {
                    killed_import = true;
                    match victim {
                        0 => kill(Pid::from_raw(i32::try_from(importing.id().unwrap()).unwrap()).unwrap()),
                        1 => { kill_child(&service); service_lives = false; }
                        // A service that starts from its snapshot is ready before its database.
                        _ => if let Some(pid) = postmaster(&data_dir) {
                            kill(pid);
                        } else {
                            killed_import = false;
                            kill_time += Duration::from_millis(10);
                        },
                    }
                }
                _ = importing.wait() => {}
            }
            let output = importing.wait_with_output().await.unwrap();
            if output.status.success() {
                acknowledged = acknowledged.max(revision(&output));
            }
            if killed_import {
                break;
            }
        }
        if service_lives {
            terminate(&service);
        }
        service.wait().unwrap();
        let check = lockkeeper().args(["database", "check", "--data-dir"]).arg(&data_dir).output().unwrap();
        let report = text(&check.stdout);
        assert!(check.status.success(), "round {round}, victim {victim}: {report}{}", text(&check.stderr));
        let stored: i64 = report
            .lines()
            .find_map(|line| line.strip_prefix("fedora-coreos/stable: ok, ")?.split(' ').next()?.parse().ok())
            .unwrap_or(0);
        assert!(stored >= acknowledged, "round {round}, victim {victim}: {acknowledged} acknowledged, {stored} stored");
    }
    assert!(acknowledged > 0);
}

fn random() -> TestRng {
    let seed = std::env::var("CRASH_SEED").map_or_else(|_| u64::from(std::process::id()), |seed| seed.parse().unwrap());
    eprintln!("CRASH_SEED={seed}");
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    TestRng::from_seed(RngAlgorithm::ChaCha, &bytes)
}

/// A caller that got no answer repeats its request with the same key, whichever process has died.
#[tokio::test(flavor = "multi_thread")]
async fn a_repeated_key_gets_the_first_answer_after_a_kill() {
    const REQUESTS: usize = 24;
    let database = Database::new().await;
    let folder = tempfile::tempdir().unwrap();
    let client = Client {
        http: client(),
        token: token(&database.url, folder.path()),
        path: "/api/v1/products/fedora-coreos/streams/stable/releases/44.20260707.3.1/rollouts/1",
    };
    let mut random = random();
    let mut answers: BTreeMap<usize, String> = BTreeMap::new();
    for round in 1..=4 {
        let (mut service, mut log) = serve_from(&database.url, folder.path());
        let address = address(&mut log);
        // Events begin with what is changed after the first process has noted which revisions there were.
        eventually("events have begun", async || !cursor_revisions(&database).await.is_empty()).await;
        // The kill comes at any point of this request; the last round has none.
        let killed = (round < 4).then(|| random.next_u32() as usize % REQUESTS);
        for number in 0..REQUESTS {
            let ask = client.ask(&address, number);
            let answer = match killed {
                Some(killed) if killed == number => kill_after(&service, random.next_u32() % 20_000, ask).await,
                _ => ask.await,
            };
            let Some(answer) = answer else { break };
            let known = answers.entry(number).or_insert_with(|| answer.clone());
            assert_eq!(*known, answer, "request {number} in round {round}");
        }
        if killed.is_none() {
            let newest = i64::try_from(REQUESTS).unwrap() + 1;
            eventually("events are written", async || event_revisions(&database).await.last() == Some(&newest)).await;
            terminate(&service);
        }
        service.wait().unwrap();
    }
    assert_eq!(answers.len(), REQUESTS);
    for (number, answer) in &answers {
        let report: serde_json::Value = serde_json::from_str(answer).unwrap();
        assert_eq!((&report["changed"], &report["revision"]), (&true.into(), &(number + 2).into()), "carried out once");
        assert_eq!(report["findings"].is_null(), number % 2 == 0, "only a pause does not wait for findings: {answer}");
    }
    let revisions = event_revisions(&database).await;
    assert!(revisions.windows(2).all(|pair| pair[1] == pair[0] + 1), "each revision is one event: {revisions:?}");
    assert!(revisions.len() >= REQUESTS, "{revisions:?}");
}

/// Returns the revisions of which there are events, in the order of the events.
async fn event_revisions(database: &Database) -> Vec<i64> {
    let query = "select (details ->> 'revision')::bigint from events
        where product = 'fedora-coreos' and stream = 'stable' and kind = 'revision' order by id";
    sqlx::query_scalar(query).fetch_all(&mut database.connection().await).await.unwrap()
}

/// Returns the revisions of streams up to which events were written.
async fn cursor_revisions(database: &Database) -> Vec<i64> {
    let query = "select revision from event_cursor_streams";
    sqlx::query_scalar(query).fetch_all(&mut database.connection().await).await.unwrap()
}

/// Kills a service this many microseconds after a request began, and returns the answer if there was one before.
async fn kill_after(service: &Child, microseconds: u32, ask: impl Future<Output = Option<String>>) -> Option<String> {
    let killing = async {
        tokio::time::sleep(Duration::from_micros(microseconds.into())).await;
        kill_child(service);
    };
    tokio::join!(ask, killing).0
}

struct Client {
    http: reqwest::Client,
    token: String,
    path: &'static str,
}

impl Client {
    /// Pauses or resumes a rollout, with a key of its own for each number. Returns `None` if the service died.
    async fn ask(&self, address: &str, number: usize) -> Option<String> {
        let verb = if number.is_multiple_of(2) { "pause" } else { "resume" };
        let url = format!("http://{address}{}/{verb}?reason=a+test&acknowledge=true", self.path);
        let request = self.http.post(url).bearer_auth(&self.token).header("if-match", "*");
        let response = request.header("idempotency-key", format!("key-{number}")).send().await.ok()?;
        let status = response.status();
        let text = response.text().await.ok()?;
        assert!(status.is_success(), "{status} {text}");
        Some(text)
    }
}

fn serve_from(url: &str, data_dir: &Path) -> (Child, BufReader<std::process::ChildStderr>) {
    let mut command = lockkeeper();
    command.env("DATABASE_URL", url).args([
        "serve",
        "--listen",
        "127.0.0.1:0",
        "--streams-dir",
        "streams",
        "--data-dir",
    ]);
    let mut child = command.arg(data_dir).stderr(Stdio::piped()).spawn().unwrap();
    let log = BufReader::new(child.stderr.take().unwrap());
    (child, log)
}

/// Returns the address on which a service listens, once it is ready. Its log is read until it ends, so that it never waits for a reader.
fn address(log: &mut BufReader<std::process::ChildStderr>) -> String {
    let (mut line, mut address) = (String::new(), None);
    while !line.contains("serve: ready") {
        line.clear();
        assert_ne!(log.read_line(&mut line).unwrap(), 0, "the service ended");
        let found = line.split("address=").nth(1).and_then(|rest| rest.split_whitespace().next());
        address = address.or(found.map(ToOwned::to_owned));
    }
    address.unwrap()
}

fn open_to_all() -> std::fs::Permissions {
    std::os::unix::fs::PermissionsExt::from_mode(0o755)
}

fn serve(data_dir: &Path) -> (Child, BufReader<std::process::ChildStderr>) {
    let mut child = lockkeeper()
        .args(["serve", "--listen", "127.0.0.1:0", "--data-dir"])
        .arg(data_dir)
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let log = BufReader::new(child.stderr.take().unwrap());
    (child, log)
}

fn until_ready(log: &mut impl BufRead) {
    let mut line = String::new();
    while !line.contains("serve: ready") {
        line.clear();
        assert_ne!(log.read_line(&mut line).unwrap(), 0, "the service ended");
    }
}

fn import(data_dir: &Path, from: &Path) -> std::process::Command {
    let mut command = lockkeeper();
    command.args(["import", "fcos", "--stream", "stable", "--from"]).arg(from).arg("--data-dir").arg(data_dir);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Returns the revision that an import acknowledged, new or old.
fn revision(output: &Output) -> i64 {
    let report = text(&output.stdout);
    let line = report.lines().next().unwrap();
    line.split("revision ").nth(1).unwrap().split(' ').next().unwrap().parse().unwrap()
}
