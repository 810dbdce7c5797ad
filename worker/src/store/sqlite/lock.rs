//! The lock that keeps every other process out of a state folder for as long as this one lives, and the check that the folder is on a file
//! system where such a lock means something.

use std::{
    fs::{self, File, TryLockError},
    io,
    path::Path,
    sync::Arc,
};

use crate::store::StoreError;

/// Name of the lock file. It stays behind; only the lock on it matters, and that ends with the process.
const LOCK_FILE: &str = "store.lock";

/// File systems, by the number Linux gives them, that live on another machine or forward to one.
const NETWORK: &[(u32, &str)] = &[
    (0x0000_6969, "NFS"),
    (0xFF53_4D42, "CIFS"),
    (0xFE53_4D42, "SMB 2"),
    (0x0000_517B, "SMB"),
    (0x0102_1997, "9P"),
    (0x6573_5546, "FUSE"),
    (0x00C3_6400, "Ceph"),
    (0x5346_414F, "AFS"),
    (0x7375_7245, "Coda"),
    (0x0BD0_0BD0, "Lustre"),
    (0x0116_1970, "GFS2"),
    (0x7461_636F, "OCFS2"),
    (0x4750_4653, "GPFS"),
    (0x786F_4256, "a shared folder of VirtualBox"),
    (0x1983_0326, "BeeGFS"),
    (0x2003_0528, "OrangeFS"),
];

/// Holds the lock until it is dropped or the process ends, however it ends.
#[derive(Debug)]
pub struct FolderLock {
    _file: File,
}

impl FolderLock {
    /// Makes the folder if it is not there, and locks it.
    ///
    /// # Errors
    /// [`StoreError`], where the folder cannot be made, is on another machine, or is another process's.
    pub fn take(folder: &Path) -> Result<Self, StoreError> {
        Self::take_on(folder, |file| rustix::fs::fstatfs(file))
    }

    /// The same on a file system that is what it is `found` to be.
    fn take_on(
        folder: &Path,
        found: impl FnOnce(&File) -> rustix::io::Result<rustix::fs::StatFs>,
    ) -> Result<Self, StoreError> {
        let unusable = |source: io::Error| StoreError::Folder { path: folder.to_owned(), source: Arc::new(source) };
        fs::create_dir_all(folder).map_err(unusable)?;
        let file =
            File::options().create(true).truncate(false).write(true).open(folder.join(LOCK_FILE)).map_err(unusable)?;
        let found = found(&file).map_err(|error| unusable(error.into()))?;
        if let Some(kind) = network_kind(&found) {
            return Err(StoreError::NetworkFileSystem { path: folder.to_owned(), kind });
        }
        match file.try_lock() {
            Ok(()) => Ok(Self { _file: file }),
            Err(TryLockError::WouldBlock) => Err(StoreError::Locked { path: folder.to_owned() }),
            Err(TryLockError::Error(source)) => Err(unusable(source)),
        }
    }
}

#[expect(clippy::cast_sign_loss, reason = "bits of a magic number, not a quantity")]
fn network_kind(found: &rustix::fs::StatFs) -> Option<&'static str> {
    // The field's type differs between platforms, and some extend the sign of a 32-bit number.
    let number = found.f_type as u64 & 0xFFFF_FFFF;
    NETWORK.iter().find(|(known, _)| u64::from(*known) == number).map(|(_, kind)| *kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_locked_once_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let first = FolderLock::take(folder.path()).unwrap();
        assert!(matches!(FolderLock::take(folder.path()), Err(StoreError::Locked { .. })));
        drop(first);
        FolderLock::take(folder.path()).unwrap();
    }

    #[test]
    fn a_folder_that_cannot_be_made_is_named() {
        let error = FolderLock::take(Path::new("/proc/nowhere")).unwrap_err();
        assert!(error.to_string().contains("/proc/nowhere"), "{error}");
    }

    #[test]
    fn a_folder_on_a_network_file_system_is_refused_and_not_locked() {
        let folder = tempfile::tempdir().unwrap();
        for (number, kind) in NETWORK {
            let there = |file: &File| {
                let mut found = rustix::fs::fstatfs(file)?;
                // As some platforms give it: with the sign of a 32-bit number.
                found.f_type = number.cast_signed().into();
                Ok(found)
            };
            let refused = FolderLock::take_on(folder.path(), there);
            let named = matches!(&refused, Err(StoreError::NetworkFileSystem { path, kind: found })
                if path == folder.path() && found == kind);
            assert!(named, "{kind}: {refused:?}");
        }
        FolderLock::take(folder.path()).unwrap();
    }

    #[test]
    fn no_file_system_of_the_test_machine_counts_as_a_network() {
        let here = rustix::fs::statfs(".").unwrap();
        assert_eq!(network_kind(&here), None);
    }
}
