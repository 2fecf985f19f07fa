//! `lockkeeper serve` as a process of its own.

use super::{eventually, postgres::Database, program::lockkeeper};
use std::{
    io::{BufRead, BufReader},
    process::{Child, Stdio},
    sync::{Arc, Mutex},
    thread::JoinHandle,
};

/// A running service. It is killed when this is dropped.
pub(crate) struct Serving {
    /// Where it listens for everybody.
    pub(crate) address: String,
    child: Child,
    log: Arc<Mutex<String>>,
    reader: Option<JoinHandle<()>>,
}

impl Serving {
    /// Starts one over a database, on a port of its own, and waits until it listens.
    pub(crate) fn start(database: &Database, settings: &[(&str, &str)]) -> Self {
        let mut command = lockkeeper();
        command.args(["serve", "--listen", "127.0.0.1:0"]).env("DATABASE_URL", &database.url);
        command.env("LOCKKEEPER_CATALOG__KEEP_COPY", "false").envs(settings.iter().copied());
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap());
        let mut seen = String::new();
        let address = loop {
            let start = seen.len();
            assert_ne!(lines.read_line(&mut seen).unwrap(), 0, "{seen}");
            if let Some((_, address)) = seen[start..].split_once("listening address=") {
                break address.trim().to_owned();
            }
        };
        let log = Arc::new(Mutex::new(seen));
        let kept = log.clone();
        // Somebody has to read on, or the service would wait for a reader.
        let reader = std::thread::spawn(move || {
            for line in lines.lines() {
                *kept.lock().unwrap() += &format!("{}\n", line.unwrap());
            }
        });
        Self { address, child, log, reader: Some(reader) }
    }

    /// The same, once polls are answered.
    pub(crate) async fn ready(database: &Database, settings: &[(&str, &str)]) -> Self {
        let serving = Self::start(database, settings);
        eventually("it is ready", async || serving.log().contains("serve: ready")).await;
        serving
    }

    /// All that it has logged so far.
    pub(crate) fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    /// Asks it to stop.
    pub(crate) fn terminate(&self) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    }

    /// Stops it, and returns all that it has logged to its end.
    pub(crate) fn ended(mut self) -> String {
        self.terminate();
        assert!(self.child.wait().unwrap().success(), "{}", self.log());
        self.reader.take().unwrap().join().unwrap();
        self.log()
    }

    /// Stops it, and tells whether it ended well.
    pub(crate) fn stop(mut self) -> bool {
        self.terminate();
        self.child.wait().unwrap().success()
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
