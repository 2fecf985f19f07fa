//! Signals to processes: a signal that cannot be sent fails the test.

use rustix::process::{Pid, Signal, kill_process};
use std::{path::Path, process::Child};

/// Ends a process without letting it clean up.
pub(crate) fn kill(pid: Pid) {
    kill_process(pid, Signal::KILL).unwrap();
}

/// Ends a child without letting it clean up. A child that nothing has waited for yet can be signalled even if it has ended.
pub(crate) fn kill_child(child: &Child) {
    kill(Pid::from_child(child));
}

/// Asks a child to stop.
pub(crate) fn terminate(child: &Child) {
    kill_process(Pid::from_child(child), Signal::TERM).unwrap();
}

/// Returns the private PostgreSQL of a data directory while it runs. Its file may name a process that has ended, or another
/// program that has got the number since; a server works in its own folder.
pub(crate) fn postmaster(data_dir: &Path) -> Option<Pid> {
    let cluster = data_dir.join("postgres/cluster");
    let file = std::fs::read_to_string(cluster.join("postmaster.pid")).ok()?;
    let pid = Pid::from_raw(file.lines().next()?.parse().ok()?)?;
    let works_in = std::fs::read_link(format!("/proc/{}/cwd", pid.as_raw_nonzero())).ok()?;
    (works_in == cluster.canonicalize().unwrap()).then_some(pid)
}
