//! What a process has used, as the kernel counts it. A process that has ended and was not yet waited for still has its processor time.

use std::{fs, io};

use anyhow::{Context as _, Result};

use crate::machine::{field, kibibytes};

/// Ticks a second in `/proc/PID/stat`: `USER_HZ`, which is 100 on every architecture that Linux runs servers on.
const TICKS_PER_SECOND: f64 = 100.0;
/// Places of user and system time in `/proc/PID/stat`, counted behind the name in brackets (proc(5): fields 14 and 15).
const USER_TIME: usize = 11;
const SYSTEM_TIME: usize = 12;

/// Processor seconds, user and system, of all threads of a process.
///
/// # Errors
/// When there is no such process.
pub fn processor_seconds(process: u32) -> Result<f64> {
    let stat = read(process, "stat")?;
    let (_, fields) = stat.rsplit_once(") ").context("/proc/PID/stat has no name in brackets")?;
    let fields: Vec<&str> = fields.split(' ').collect();
    let ticks = |place: usize| -> Result<u32> { Ok(fields.get(place).context("a field is missing")?.parse()?) };
    Ok((f64::from(ticks(USER_TIME)?) + f64::from(ticks(SYSTEM_TIME)?)) / TICKS_PER_SECOND)
}

/// The most memory a process that still runs had resident so far, in MiB.
///
/// # Errors
/// When the process does not run.
pub fn peak_memory_mib(process: u32) -> Result<f64> {
    let status = read(process, "status")?;
    let peak =
        field(&status, "VmHWM").and_then(kibibytes).context("the process has ended: it has no memory any more")?;
    Ok(f64::from(u32::try_from(peak)?) / 1024.0)
}

fn read(process: u32, file: &str) -> io::Result<String> {
    fs::read_to_string(format!("/proc/{process}/{file}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_uses_memory_and_its_processor_time_grows() {
        let process = std::process::id();
        assert!(peak_memory_mib(process).unwrap() > 0.5);
        let before = processor_seconds(process).unwrap();
        let mut sum = 0_u64;
        while processor_seconds(process).unwrap() <= before {
            sum = std::hint::black_box(sum.wrapping_add(1));
        }
        assert!(processor_seconds(process).unwrap() > before);
    }
}
