//! What this program takes of the machine, as Linux tells it in proc(5). Elsewhere nothing is shown.

use super::instruments::Instruments;
use std::time::Instant;

/// Ticks of a clock that stat(5) counts in, a second: the kernel's `USER_HZ`, which has been 100 on every arch that we serve.
const TICKS: f64 = 100.0;

pub(super) fn watch(instruments: &Instruments) {
    instruments.total(
        "process.cpu.time",
        "s",
        "Time that processors worked for this process",
        || values(cpu_seconds()),
    );
    instruments.gauge("process.memory.usage", "By", "Memory that is resident", || values(resident_bytes()));
    instruments.gauge("process.open_file_descriptor.count", "", "Open files and connections", || {
        let open = std::fs::read_dir("/proc/self/fd").ok().and_then(|files| u32::try_from(files.count()).ok());
        values(open.map(f64::from))
    });
    let started = Instant::now();
    instruments.gauge("process.uptime", "s", "Since this process began to count", move || {
        values(Some(started.elapsed().as_secs_f64()))
    });
}

fn values(value: Option<f64>) -> Vec<super::Reading> {
    value.map(|value| (value, Vec::new())).into_iter().collect()
}

/// Fields 14 and 15 of `proc_pid_stat(5)`, counted behind the name, which may hold anything.
fn cpu_seconds() -> Option<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    let mut ticks = || fields.next()?.parse::<f64>().ok();
    Some((ticks()? + ticks()?) / TICKS)
}

/// The line of `proc_pid_status(5)` is in kibibytes.
fn resident_bytes() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<f64>().ok()? * 1024.0)
}
