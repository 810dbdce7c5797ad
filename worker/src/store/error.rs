//! What can be wrong with a store, in words for the person who runs it.

use std::{io, path::PathBuf, sync::Arc};

/// What is wrong with a store. Cheap to clone, because one failed transaction is the answer to everything in it.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StoreError {
    /// Folder or lock file cannot be used.
    #[error("the state folder {} cannot be used: check that the volume is mounted and writable", path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// Why.
        #[source]
        source: Arc<io::Error>,
    },
    /// Another process holds the lock.
    #[error("another worker uses the state in {}: two would deliver twice; stop the other one", path.display())]
    Locked {
        /// The folder.
        path: PathBuf,
    },
    /// On a file system whose locks and syncs cannot be trusted.
    #[error("the state folder {} is on a network file system ({kind}), where a lock does not keep others out: use a volume with block storage", path.display())]
    NetworkFileSystem {
        /// The folder.
        path: PathBuf,
        /// Name of the file system.
        kind: &'static str,
    },
    /// Written by a version that is too new.
    #[error(
        "the state was written by a newer version (schema {found}, this worker knows {known}): run that version again"
    )]
    NewerSchema {
        /// Version found.
        found: i64,
        /// Newest version known.
        known: i64,
    },
    /// No database, or a damaged one.
    #[error(
        "the state is damaged: restore the volume from a backup, or remove it and accept that cursors and ledger start anew"
    )]
    Corrupt(#[source] Arc<rusqlite::Error>),
    /// Something in it cannot be read back.
    #[error(
        "the state holds a {what} that cannot be read: it was changed by hand or by another version; restore the volume from a backup"
    )]
    Unreadable {
        /// What.
        what: &'static str,
    },
    /// No space.
    #[error("the state's volume is full: enlarge it; nothing is lost, work goes on once there is space")]
    Full(#[source] Arc<rusqlite::Error>),
    /// Anything else the database says.
    #[error("the state cannot be read or written: check the volume; it is tried again")]
    Database(#[source] Arc<rusqlite::Error>),
    /// Another change of the same transaction failed in a way that undid all of it.
    #[error("the change was undone together with another one that failed; it is tried again")]
    Undone,
    /// It was closed, or its thread ended.
    #[error("the state is closed")]
    Closed,
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        use rusqlite::ErrorCode;
        match error.sqlite_error_code() {
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => Self::Corrupt(Arc::new(error)),
            Some(ErrorCode::DiskFull) => Self::Full(Arc::new(error)),
            _ => Self::Database(Arc::new(error)),
        }
    }
}
