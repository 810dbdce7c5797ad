//! The program: its first line, health, and stopping.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crosstie_vendors::control::Client;
use crosstie_vendors::wire::{Fault, FaultRule};

struct Program {
    child: Child,
    url: String,
}

fn start() -> Program {
    let mut child = Command::new(env!("CARGO_BIN_EXE_crosstie-vendors"))
        .args(["--listen", "127.0.0.1:0"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
    let url = line.trim_end().strip_prefix("listening on ").unwrap().to_owned();
    Program { child, url }
}

impl Program {
    /// Sends SIGTERM and returns the exit code.
    fn terminate(mut self) -> Option<i32> {
        let sent = Command::new("kill").arg(self.child.id().to_string()).status().unwrap();
        assert!(sent.success());
        self.child.wait().unwrap().code()
    }
}

#[tokio::test]
async fn it_says_where_it_listens_is_healthy_and_stops_on_sigterm() {
    let program = start();
    let healthy = reqwest::get(format!("{}/healthz", program.url)).await.unwrap();
    assert_eq!(healthy.text().await.unwrap(), "ok\n");
    assert_eq!(tokio::task::spawn_blocking(|| program.terminate()).await.unwrap(), Some(0));
}

#[tokio::test]
async fn a_request_that_a_fault_keeps_waiting_does_not_keep_it_from_stopping() {
    let program = start();
    let control = Client::new(&program.url, "shopify", "main").unwrap();
    control.set_tokens(&["t"]).await.unwrap();
    control.add_fault(&FaultRule::new(Fault::TimeoutAfterCommit {})).await.unwrap();
    let url = format!("{}/admin/api/2026-07/shop.json", control.base_url());
    let waiting = tokio::spawn(reqwest::Client::new().get(url).header("X-Shopify-Access-Token", "t").send());
    while control.stats().await.unwrap().total_requests == 0 {
        tokio::task::yield_now().await;
    }
    let stopped = tokio::task::spawn_blocking(|| program.terminate());
    assert_eq!(tokio::time::timeout(Duration::from_secs(20), stopped).await.unwrap().unwrap(), Some(0));
    assert!(waiting.await.unwrap().is_err());
}
