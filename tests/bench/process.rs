//! What a process took of the machine, as Linux tells it in `/proc`.

use std::fs;

/// Clock ticks per second in `/proc/<pid>/stat`: 100 on every Linux that programs see.
const TICKS_PER_SECOND: f64 = 100.0;

/// Seconds of processor time that a process has taken so far, in itself and in the kernel.
pub(crate) fn cpu_seconds(pid: u32) -> f64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).expect("the process runs");
    // the name before it, in parentheses, may hold anything
    let (_, after) = stat.rsplit_once(')').expect("a name");
    let fields: Vec<&str> = after.split_whitespace().collect();
    // utime and stime are fields 14 and 15 of proc(5), state being 3
    let ticks = |field: usize| fields[field - 3].parse::<u64>().expect("a number");
    (ticks(14) + ticks(15)) as f64 / TICKS_PER_SECOND
}

/// Memory of a process in bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Memory {
    /// In the machine's memory now.
    pub(crate) resident: u64,
    /// The most there ever was.
    pub(crate) peak: u64,
}

/// The memory of a process.
pub(crate) fn memory(pid: u32) -> Memory {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("the process runs");
    let bytes = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        let kilobytes = line.and_then(|rest| rest.trim().strip_suffix("kB")?.trim().parse().ok());
        kilobytes.map_or_else(|| panic!("no {name} in {status}"), |kilobytes: u64| kilobytes * 1024)
    };
    Memory {
        resident: bytes("VmRSS:"),
        peak: bytes("VmHWM:"),
    }
}
