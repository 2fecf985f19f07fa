//! Resource usage of this process, from Linux's proc(5). On other systems these metrics are absent.

use super::instruments::Instruments;
use std::time::Instant;

pub(super) fn watch(instruments: &Instruments) {
    #[cfg(target_os = "linux")]
    linux::watch(instruments);
    let started = Instant::now();
    instruments.gauge("process.uptime", "s", "Time since this process started", move || {
        vec![(started.elapsed().as_secs_f64(), Vec::new())]
    });
}

#[cfg(target_os = "linux")]
mod linux {
    use super::super::{GaugeSample, instruments::Instruments};
    use procfs::{ProcResult, process::Process};

    #[expect(clippy::cast_precision_loss, reason = "the numbers are far below 2^53")]
    pub(super) fn watch(instruments: &Instruments) {
        instruments.total("process.cpu.time", "s", "CPU time of this process", || {
            sample(cpu_ticks().map(|ticks| ticks as f64 / procfs::ticks_per_second() as f64))
        });
        instruments.gauge("process.memory.usage", "By", "Resident memory", || {
            sample(resident_pages().map(|pages| pages as f64 * procfs::page_size() as f64))
        });
        let description = "Open file descriptors, including connections";
        instruments.gauge("process.open_file_descriptor.count", "", description, || {
            sample(open_files().map(|count| count as f64))
        });
    }

    /// Returns the value as the only sample, or none if it cannot be read.
    fn sample(value: ProcResult<f64>) -> Vec<GaugeSample> {
        value.map(|value| (value, Vec::new())).into_iter().collect()
    }

    /// Returns the processor time in user and kernel mode.
    fn cpu_ticks() -> ProcResult<u64> {
        let stat = Process::myself()?.stat()?;
        Ok(stat.utime + stat.stime)
    }

    fn resident_pages() -> ProcResult<u64> {
        Ok(Process::myself()?.statm()?.resident)
    }

    fn open_files() -> ProcResult<usize> {
        Process::myself()?.fd_count()
    }
}
