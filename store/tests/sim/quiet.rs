//! Whether any other thread of this process runs.
//!
//! Linux tells the state of each thread and how often it was switched; where `/proc` is missing, a pause has to do, and a
//! seed may not repeat exactly.

use std::time::Duration;

/// How long to wait where threads cannot be looked at.
const PAUSE: Duration = Duration::from_millis(3);

/// What the other threads were doing at one look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Look {
    /// None of them ran or was about to.
    pub(crate) all_sleep: bool,
    /// Grows when any of them runs: two equal looks mean that none did in between.
    switches: u64,
}

/// Looks at all threads but the calling one.
pub(crate) fn look() -> Look {
    look_at_tasks().unwrap_or_else(|_| {
        std::thread::sleep(PAUSE);
        Look { all_sleep: true, switches: 0 }
    })
}

fn look_at_tasks() -> std::io::Result<Look> {
    let own = std::fs::read_link("/proc/thread-self")?;
    let mut look = Look { all_sleep: true, switches: 0 };
    for task in std::fs::read_dir("/proc/self/task")? {
        let task = task?;
        if own.file_name() == Some(&task.file_name()) {
            continue;
        }
        // A thread that ended in between changes the sum.
        let Ok(status) = std::fs::read_to_string(task.path().join("status")) else { continue };
        for line in status.lines() {
            if let Some(state) = line.strip_prefix("State:") {
                look.all_sleep &= state.trim_start().starts_with('S');
            } else if let Some((_, count)) = line.split_once("ctxt_switches:") {
                look.switches += count.trim().parse::<u64>().unwrap_or_default();
            }
        }
    }
    Ok(look)
}
