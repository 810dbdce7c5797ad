//! The worker's real process, and random numbers that can be had again.

use std::{
    ffi::OsString,
    fs::File,
    process::{Child, Command, Stdio},
};

use rand::{RngExt, SeedableRng, rngs::StdRng};
use rustix::process::{Pid, Signal, WaitOptions, kill_process, waitpid};

use super::Bench;

/// A worker's process on a bench's files and state. It is killed when it is dropped.
pub struct Process(Child);

impl Process {
    pub fn start(bench: &Bench) -> Self {
        Self::start_with(bench, &[])
    }

    /// One that receives webhooks at a port of this machine.
    pub fn receiving(bench: &Bench, port: u16, environment: &[(&str, OsString)]) -> Self {
        let listen = ("CROSSTIE_WEBHOOKS_LISTEN", OsString::from(format!("127.0.0.1:{port}")));
        Self::start_with(bench, &[environment, &[listen]].concat())
    }

    /// With environment variables beside this program's own. What it logs is appended to [`Bench::log`].
    pub fn start_with(bench: &Bench, environment: &[(&str, OsString)]) -> Self {
        let log = File::options().create(true).append(true).open(bench.log()).unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_crosstie-worker"))
            .arg("--no-report")
            .args(["--letters-listen", "127.0.0.1:0", "--log-format", "text"])
            .arg("--files")
            .arg(bench.files())
            .arg("--state")
            .arg(bench.state())
            // What a test may want otherwise.
            .envs([("CROSSTIE_LISTEN", "127.0.0.1:0"), ("CROSSTIE_LOG_FILTER", "error")])
            .envs(environment.iter().map(|(name, value)| (name, value)))
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        Self(child)
    }

    /// The most memory it has held so far, in MiB; nothing when it has ended.
    pub fn peak_memory(&self) -> Option<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.0.id())).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
        line.split_whitespace().next()?.parse::<u64>().ok().map(|kibibytes| kibibytes / 1024)
    }

    /// Whether it still runs.
    pub fn runs(&mut self) -> bool {
        self.0.try_wait().unwrap().is_none()
    }

    /// SIGKILL: nothing of the process runs any more.
    pub fn kill(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }

    /// It stands still until it is resumed. Its threads stop one by one; when this returns, all have.
    pub fn pause(&self) {
        self.signal(Signal::STOP);
        let (_, status) = waitpid(Some(Pid::from_child(&self.0)), WaitOptions::UNTRACED).unwrap().unwrap();
        assert!(status.stopped(), "it ended instead: {status:?}");
    }

    /// It goes on.
    pub fn resume(&self) {
        self.signal(Signal::CONT);
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.0), signal).unwrap();
    }

    /// SIGTERM, and waits for the end, which has to be a good one.
    pub async fn stop(mut self) {
        self.signal(Signal::TERM);
        let ended = tokio::task::spawn_blocking(move || self.0.wait().unwrap());
        let ended = tokio::time::timeout(super::PATIENCE, ended).await.expect("it does not end").unwrap();
        assert!(ended.success(), "{ended}");
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _gone = self.0.kill();
        let _gone = self.0.wait();
    }
}

/// A port of this machine that nobody uses now. It is below those that Linux gives to outgoing connections (32768 and up, unless it is told otherwise), so that a
/// process that is killed and started again finds it free.
pub fn free_port() -> u16 {
    loop {
        let port = rand::rng().random_range(20_000..32_000);
        if std::net::TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

/// Random numbers from `CROSSTIE_SEED`, or from a seed that is printed.
pub fn random() -> (u64, StdRng) {
    let seed =
        std::env::var("CROSSTIE_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or_else(rand::random::<u64>);
    println!("CROSSTIE_SEED={seed} makes the same choices again");
    (seed, StdRng::seed_from_u64(seed))
}
