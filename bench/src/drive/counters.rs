//! Whether this machine has hardware counters that a process could read.

use std::fs;

/// `present, not read` where the CPU's own performance monitoring unit is exposed; `n/a` where it is not, as in most
/// virtual machines.
pub fn there() -> &'static str {
    let has_unit = fs::metadata("/sys/bus/event_source/devices/cpu").is_ok();
    if has_unit { "present, not read" } else { "n/a" }
}
