//! A disk for the worker's process that loses what was not synced when it is cut off, and that can be full: `lossy/disk.c`, loaded in front of
//! libc. The debug build of the worker is dynamic, so that it can be. It needs a C compiler, like the build of SQLite itself.

use std::{
    collections::BTreeSet,
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use rand::{RngExt, rngs::StdRng};
use tempfile::TempDir;

/// What a disk writes whole or not at all.
const SECTOR: usize = 512;

/// A disk that keeps, of what was not synced before a kill, what chance lets it keep.
pub struct LossyDisk {
    folder: TempDir,
    state: PathBuf,
}

impl LossyDisk {
    pub fn new(state: PathBuf) -> Self {
        let disk = Self { folder: tempfile::tempdir().unwrap(), state };
        fs::create_dir(disk.shadow()).unwrap();
        let compiled = Command::new("cc")
            .args(["-shared", "-fPIC", "-O1", "-o"])
            .arg(disk.library())
            .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/lossy/disk.c"))
            .arg("-ldl")
            .status();
        assert!(compiled.expect("a C compiler named cc").success(), "disk.c does not compile");
        disk
    }

    fn library(&self) -> PathBuf {
        self.folder.path().join("disk.so")
    }

    fn shadow(&self) -> PathBuf {
        self.folder.path().join("synced")
    }

    /// What makes a process use this disk, which may lie about its syncs.
    pub fn environment(&self, lies: bool) -> Vec<(&'static str, OsString)> {
        let mut all = vec![
            ("LD_PRELOAD", self.library().into_os_string()),
            ("LOSSY_FOLDER", self.state.clone().into_os_string()),
            ("LOSSY_SHADOW", self.shadow().into_os_string()),
            ("LOSSY_FULL", self.full_sign().into_os_string()),
        ];
        all.extend(lies.then(|| ("LOSSY_LIES", "1".into())));
        all
    }

    fn full_sign(&self) -> PathBuf {
        self.folder.path().join("full")
    }

    /// From now on no file can grow, or all can again.
    pub fn set_full(&self, full: bool) {
        if full { fs::write(self.full_sign(), "") } else { fs::remove_file(self.full_sign()) }.unwrap();
    }

    /// What a power cut leaves: all that was synced, and of the rest each sector with this chance.
    pub fn cut(&self, chance: f64, random: &mut StdRng) {
        for name in self.names() {
            let (live, synced) = (self.state.join(&name), self.shadow().join(&name));
            // SQLite's index of the log is made anew after a crash, and the lock file holds nothing.
            if name.ends_with("-shm") {
                fs::remove_file(&live).unwrap();
                continue;
            }
            let written = fs::read(&live).unwrap_or_default();
            let mut left = fs::read(&synced).unwrap_or_default();
            let longer = random.random_bool(chance);
            if longer {
                left.resize(written.len(), 0);
            }
            for (place, sector) in (0..).step_by(SECTOR).zip(written.chunks(SECTOR)) {
                let room = left.len().saturating_sub(place).min(sector.len());
                if room > 0 && random.random_bool(chance) {
                    left[place..place + room].copy_from_slice(&sector[..room]);
                }
            }
            if left.is_empty() && !synced.exists() {
                fs::remove_file(&live).unwrap();
            } else {
                fs::write(&live, &left).unwrap();
                fs::write(&synced, &left).unwrap();
            }
        }
    }

    fn names(&self) -> BTreeSet<String> {
        let both = [self.shadow(), self.state.clone()];
        let entries = both.iter().filter_map(|folder| fs::read_dir(folder).ok()).flatten();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.filter(|name| name != "store.lock").collect()
    }
}
