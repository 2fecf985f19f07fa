//! `lockkeeper serve` as a process of its own.

use super::{eventually, postgres::Database, program::lockkeeper, signals};
use std::{
    io::{BufRead, BufReader},
    process::{Child, Stdio},
    sync::{Arc, Mutex},
    thread::JoinHandle,
};

/// A running service. It is killed when this is dropped.
pub(crate) struct Serving {
    /// The address that it listens on.
    pub(crate) address: String,
    child: Child,
    log: Arc<Mutex<String>>,
    reader: Option<JoinHandle<()>>,
}

impl Serving {
    /// Starts a service on a free port, and waits until it listens.
    pub(crate) fn start(database: &Database, settings: &[(&str, &str)]) -> Self {
        let mut command = lockkeeper();
        command.args(["serve", "--listen", "127.0.0.1:0"]).env("DATABASE_URL", &database.url);
        command.env("LOCKKEEPER_CATALOG__KEEP_SNAPSHOT", "false").envs(settings.iter().copied());
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap());
        let mut seen = String::new();
        let address = loop {
            let start = seen.len();
            assert_ne!(lines.read_line(&mut seen).unwrap(), 0, "{seen}");
            // As text, or as JSON.
            let marks = ["listening address=", r#""listening","address":""#];
            if let Some((_, address)) = marks.iter().find_map(|mark| seen[start..].split_once(mark)) {
                break address.trim().split('"').next().unwrap_or_default().to_owned();
            }
        };
        let log = Arc::new(Mutex::new(seen));
        let shared = log.clone();
        // Keeps reading: with a full pipe, the service would block.
        let reader = std::thread::spawn(move || {
            for line in lines.lines() {
                *shared.lock().unwrap() += &format!("{}\n", line.unwrap());
            }
        });
        Self { address, child, log, reader: Some(reader) }
    }

    /// Starts a service, and waits until polls are answered.
    pub(crate) async fn ready(database: &Database, settings: &[(&str, &str)]) -> Self {
        let serving = Self::start(database, settings);
        eventually("the service is ready", async || serving.log().contains("serve: ready")).await;
        serving
    }

    /// Returns the log so far.
    pub(crate) fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    /// Sends the signal to stop.
    pub(crate) fn terminate(&self) {
        signals::terminate(&self.child);
    }

    /// Stops the service, and returns its complete log.
    pub(crate) fn ended(mut self) -> String {
        self.terminate();
        assert!(self.child.wait().unwrap().success(), "{}", self.log());
        self.reader.take().unwrap().join().unwrap();
        self.log()
    }

    /// Stops the service. Returns true if it exits successfully.
    pub(crate) fn stop(mut self) -> bool {
        self.terminate();
        self.child.wait().unwrap().success()
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        // Both succeed for a process that has ended.
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}
