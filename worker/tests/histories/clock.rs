//! The clock of world and process: it runs faster than the machine's, and can be set forward. `clock.c` makes the process see it.

use std::{
    ffi::OsString,
    fs::File,
    os::unix::fs::FileExt,
    path::Path,
    process::Command,
    sync::atomic::{AtomicI64, Ordering},
    time::Duration,
};

use jiff::Timestamp;
use tempfile::TempDir;

/// How many times as fast as the machine's clock it runs.
pub const SPEED: u32 = 25;
/// The world's second 0.
const EPOCH: i64 = 1_800_000_000;
/// What `clock.c` becomes.
const LIBRARY: &str = "clock.so";
/// What time that passes is not leapt over, so that the process does what it does meanwhile.
const LIVED_THROUGH: i64 = 2;

/// The clock.
pub struct Clock {
    began: i64,
    leap: AtomicI64,
    folder: TempDir,
    file: File,
}

fn monotonic() -> i64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    now.tv_sec * 1_000_000_000 + now.tv_nsec
}

/// A world's second as a time.
pub fn at(second: i64) -> Timestamp {
    Timestamp::from_second(EPOCH + second).unwrap()
}

/// A time as a world's second.
pub fn second(time: Timestamp) -> i64 {
    time.as_second() - EPOCH
}

fn lived(seconds: u16) -> i64 {
    i64::from(seconds).min(LIVED_THROUGH)
}

/// Waits for the last of the time that passes.
pub fn live_through(seconds: u16) {
    std::thread::sleep(Duration::from_secs(lived(seconds).unsigned_abs()) / SPEED);
}

impl Clock {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = File::create_new(folder.path().join("leap")).unwrap();
        file.write_all_at(&0_i64.to_ne_bytes(), 0).unwrap();
        let compiled = Command::new("cc")
            .args(["-shared", "-fPIC", "-O1", "-o"])
            .arg(folder.path().join(LIBRARY))
            .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/histories/clock.c"))
            .arg("-ldl")
            .status();
        assert!(compiled.expect("a C compiler named cc").success(), "clock.c does not compile");
        Self { began: monotonic(), leap: AtomicI64::new(0), folder, file }
    }

    /// The present, in the world's seconds.
    pub fn now(&self) -> i64 {
        let run = (monotonic() - self.began) * i64::from(SPEED) + self.leap.load(Ordering::SeqCst);
        run.div_euclid(1_000_000_000)
    }

    /// Lets time pass, but for the last of it: see [`live_through`].
    pub fn leap(&self, seconds: u16) {
        let leap = (i64::from(seconds) - lived(seconds)) * 1_000_000_000;
        let sum = self.leap.fetch_add(leap, Ordering::SeqCst) + leap;
        self.file.write_all_at(&sum.to_ne_bytes(), 0).unwrap();
    }

    /// What makes a process see it.
    pub fn environment(&self) -> [(&'static str, OsString); 5] {
        [
            ("LD_PRELOAD", self.folder.path().join(LIBRARY).into()),
            ("CLOCK_LEAP", self.folder.path().join("leap").into()),
            ("CLOCK_BEGAN", self.began.to_string().into()),
            ("CLOCK_EPOCH", format!("{EPOCH}000000000").into()),
            ("CLOCK_SPEED", SPEED.to_string().into()),
        ]
    }
}
