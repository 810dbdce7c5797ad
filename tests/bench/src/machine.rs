//! What a benchmark ran on. Read from `/proc`; figures of different machines are not comparable.

use std::{fs, path::Path, thread};

use serde::Serialize;

/// The machine's note, printed before the figures.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Note<'a> {
    bench: &'a str,
    machine: Machine,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Machine {
    cpu: String,
    cores: usize,
    memory_mib: u64,
    kernel: String,
    /// Type of the file system that holds the state, such as `ext4`.
    file_system: String,
}

impl Note<'_> {
    /// Type of the file system that holds the state.
    pub fn file_system(&self) -> &str {
        &self.machine.file_system
    }
}

/// Notes the machine and the file system that holds `state`, which has to exist.
pub fn note<'a>(bench: &'a str, state: &Path) -> Note<'a> {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let machine = Machine {
        cpu: field(&read("/proc/cpuinfo"), "model name").unwrap_or("unknown").to_owned(),
        cores: thread::available_parallelism().map_or(1, std::num::NonZero::get),
        memory_mib: field(&read("/proc/meminfo"), "MemTotal").and_then(kibibytes).unwrap_or(0) / 1024,
        kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
        file_system: file_system(&read("/proc/self/mounts"), state).unwrap_or("unknown").to_owned(),
    };
    Note { bench, machine }
}

/// The value of the first `name: value` line.
pub(crate) fn field<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.lines().find_map(|line| Some(line.strip_prefix(name)?.trim_start().strip_prefix(':')?.trim()))
}

/// Reads `123 kB`.
pub(crate) fn kibibytes(text: &str) -> Option<u64> {
    text.strip_suffix(" kB")?.trim().parse().ok()
}

/// The type of what is mounted nearest above a path.
fn file_system<'a>(mounts: &'a str, path: &Path) -> Option<&'a str> {
    let path = path.canonicalize().ok()?;
    let mounts = mounts.lines().filter_map(|line| {
        let mut words = line.split(' ').skip(1);
        Some((words.next()?, words.next()?))
    });
    // Of several mounts on one folder the last one is what is seen.
    let above = mounts.filter(|(folder, _)| path.starts_with(folder));
    above.max_by_key(|(folder, _)| folder.len()).map(|(_, kind)| kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_found_by_their_whole_name() {
        let text = "MemTotalled: 1 kB\nMemTotal:       2048 kB\n";
        assert_eq!(field(text, "MemTotal").and_then(kibibytes), Some(2048));
    }

    #[test]
    fn the_nearest_mount_holds_a_folder() {
        let mounts = "/dev/a / ext4 rw 0 0\nproc /proc proc rw 0 0\ntmpfs /proc/self tmpfs rw 0 0\n";
        assert_eq!(file_system(mounts, Path::new("/")), Some("ext4"));
        assert_eq!(file_system(mounts, Path::new("/proc/sys")), Some("proc"));
    }
}
