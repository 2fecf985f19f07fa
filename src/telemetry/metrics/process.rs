//! Resource usage of this process, from Linux's proc(5). On other systems these metrics are absent.

use super::instruments::Instruments;
use crate::files;
use std::{path::Path, time::Instant};

/// The largest size of a file in `/proc` that is read, in bytes.
const MAX_BYTES: u64 = 64 << 10;

/// Clock ticks per second in stat(5): the kernel's `USER_HZ`, which is 100 on all supported architectures.
const TICKS: f64 = 100.0;

pub(super) fn watch(instruments: &Instruments) {
    instruments.total("process.cpu.time", "s", "CPU time of this process", || values(cpu_seconds()));
    instruments.gauge("process.memory.usage", "By", "Resident memory", || values(resident_bytes()));
    instruments.gauge("process.open_file_descriptor.count", "", "Open file descriptors, including connections", || {
        let open = std::fs::read_dir("/proc/self/fd").ok().and_then(|files| u32::try_from(files.count()).ok());
        values(open.map(f64::from))
    });
    let started = Instant::now();
    instruments.gauge("process.uptime", "s", "Time since this process started", move || {
        values(Some(started.elapsed().as_secs_f64()))
    });
}

fn values(value: Option<f64>) -> Vec<super::GaugeSample> {
    value.map(|value| (value, Vec::new())).into_iter().collect()
}

/// Returns fields 14 and 15 of `proc_pid_stat(5)`. They are counted from the end of the name, which may contain anything.
fn cpu_seconds() -> Option<f64> {
    let stat = files::read_text(Path::new("/proc/self/stat"), MAX_BYTES).ok()?;
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    let mut ticks = || fields.next()?.parse::<f64>().ok();
    Some((ticks()? + ticks()?) / TICKS)
}

/// Returns the resident memory; the line in `proc_pid_status(5)` is in kibibytes.
fn resident_bytes() -> Option<f64> {
    let status = files::read_text(Path::new("/proc/self/status"), MAX_BYTES).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<f64>().ok()? * 1024.0)
}
