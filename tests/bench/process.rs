//! What a process took of the machine, as Linux tells it in `/proc`.

use std::fs;

use crate::env::Outcome;

/// Clock ticks per second in `/proc/<pid>/stat`: 100 on every Linux that programs see.
const TICKS_PER_SECOND: f64 = 100.0;

/// Seconds of processor time that a process has taken so far, in itself and in the kernel.
pub(crate) fn cpu_seconds(pid: u32) -> Outcome<f64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // the name before it, in parentheses, may hold anything
    let fields = stat
        .rsplit_once(')')
        .map(|(_, after)| after.split_whitespace());
    // user and system time are fields 14 and 15 of proc(5), the first one here is 3
    let ticks: Vec<f64> = fields
        .into_iter()
        .flatten()
        .skip(11)
        .take(2)
        .flat_map(str::parse)
        .collect();
    match ticks[..] {
        [user, system] => Ok((user + system) / TICKS_PER_SECOND),
        _ => Err(format!("no times in {stat:?}").into()),
    }
}

/// Memory of a process in MB (millions of bytes).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Memory {
    /// In the machine's memory now.
    pub(crate) resident: f64,
    /// The most there ever was.
    pub(crate) peak: f64,
}

/// The memory of a process.
pub(crate) fn memory(pid: u32) -> Outcome<Memory> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let megabytes = |name: &str| -> Outcome<f64> {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        let kilobytes: Option<f64> =
            line.and_then(|rest| rest.trim().strip_suffix("kB")?.trim().parse().ok());
        Ok(kilobytes.ok_or_else(|| format!("no {name} in {status}"))? * 1_024.0 / 1e6)
    };
    Ok(Memory {
        resident: megabytes("VmRSS:")?,
        peak: megabytes("VmHWM:")?,
    })
}
