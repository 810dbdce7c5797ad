//! Contestants as processes of their own, and the files they are given.

use std::{
    fs,
    path::Path,
    process::{Child, Command, Stdio},
};

use anyhow::{Context as _, Result};
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, waitid};

use crate::usage;

/// A process that is ended when it is dropped.
pub struct Running(pub Child);

impl Running {
    /// Starts one that says nothing.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start(command: &mut Command) -> Result<Self> {
        Ok(Self(command.stdin(Stdio::null()).stdout(Stdio::null()).spawn()?))
    }

    /// Ends it with SIGTERM, and gives its processor seconds: what a process has used is known until it is waited for.
    ///
    /// # Errors
    /// When it is gone already.
    pub fn end(&mut self) -> Result<f64> {
        let id = Pid::from_child(&self.0);
        kill_process(id, Signal::TERM)?;
        waitid(WaitId::Pid(id), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT)?;
        let seconds = usage::processor_seconds(self.0.id())?;
        self.0.wait()?;
        Ok(seconds)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Only after a failure is it still there.
        let _gone = self.0.kill();
        let _gone = self.0.wait();
    }
}

/// Writes a file below a folder, and the folders on the way to it.
///
/// # Errors
/// When it cannot be written.
pub fn write(folder: &Path, path: &str, content: &str) -> Result<()> {
    let path = folder.join(path);
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    fs::write(&path, content).with_context(|| format!("cannot write {}", path.display()))
}
