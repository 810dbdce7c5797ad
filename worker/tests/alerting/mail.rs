//! Alerts by mail, against aiosmtpd: with STARTTLS and with TLS from the beginning, with a login, and what comes of it when they do not fit.

use std::{
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
};

use crosstie_connect::{Authorities, Names, Resolving};
use crosstie_crds::condition::Reason;
use crosstie_engine::plan::{Alert, AlertWay};
use crosstie_worker::Worker;
use rcgen::{CertifiedKey, generate_simple_self_signed};
use serde_json::{Value, json};

use super::{alert, hand_out, refusing, settings, tell};
use crate::common::{Bench, names, until, until_report};

/// Name of the mail server, which only the tests' own resolver knows.
const HOST: &str = "mail.test";

/// A mail server's process, ended when this is dropped.
struct MailServer {
    process: Child,
    port: u16,
    certificate: Vec<u8>,
    mails: Arc<Mutex<Vec<Value>>>,
}

impl MailServer {
    fn start(bench: &Bench, mode: &str, password: &str, refusals: u32) -> Self {
        let CertifiedKey { cert, signing_key } = generate_simple_self_signed([HOST.to_owned()]).unwrap();
        let identity = bench.folder.path().join("mail.pem");
        std::fs::write(&identity, cert.pem() + &signing_key.serialize_pem()).unwrap();
        let python = cache().join("python/bin/python");
        assert!(python.exists(), "{} is not there: run `make setup`", python.display());
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/alerting/mail.py");
        let mut command = Command::new(python);
        command.arg(script).arg(mode).arg(&identity).arg(password).arg(refusals.to_string());
        let mut process = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let port = lines.next().expect("the mail server said no port: run `make setup`").unwrap().parse().unwrap();
        let mails = Arc::<Mutex<Vec<Value>>>::default();
        let taken = Arc::clone(&mails);
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                taken.lock().unwrap().push(serde_json::from_str(&line).unwrap());
            }
        });
        Self { process, port, certificate: cert.der().to_vec(), mails }
    }

    fn mails(&self) -> Vec<Value> {
        self.mails.lock().unwrap().clone()
    }

    async fn until_mailed(&self, count: usize) -> Vec<Value> {
        until(&format!("{count} mails"), || async { self.mails().len() >= count }).await;
        self.mails()
    }

    /// A channel through it.
    fn channel(&self, scheme: &str, host: &str, encrypted: bool) -> Alert {
        let spec = json!({
            "baseURL": format!("{scheme}://{host}:{}", self.port),
            "auth": {"basic": {"username": "{username}", "password": "{password}"}},
            "credentials": {"secretRef": {"name": "x"}},
        });
        let to = ["one@example.com", "two@example.com"].map(str::to_owned).to_vec();
        alert("mail", "mail", &spec, |_| AlertWay::Email { from: "crosstie@example.com".into(), to, encrypted })
    }

    /// A worker that knows its name and trusts its certificate.
    async fn worker(&self, bench: &Bench) -> Worker {
        let settings = settings(bench, |surroundings| {
            surroundings.names = Arc::new(Here);
            surroundings.authorities = Authorities::Only(vec![self.certificate.clone()]);
        });
        Worker::start(settings).await.unwrap()
    }
}

impl Drop for MailServer {
    fn drop(&mut self) {
        let _ended = self.process.kill();
        let _reaped = self.process.wait();
    }
}

/// Every name is this machine's.
struct Here;

impl Names for Here {
    fn resolve(&self, _: String) -> Resolving {
        Box::pin(async { Ok(vec![std::net::Ipv4Addr::LOCALHOST.into()]) })
    }
}

/// Where `tests/cluster/lib/paths.sh` says that it is.
fn cache() -> PathBuf {
    let named = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    named("CROSSTIE_CACHE").unwrap_or_else(|| {
        let home = || named("HOME").expect("HOME is not set").join(".cache");
        named("XDG_CACHE_HOME").unwrap_or_else(home).join("crosstie")
    })
}

fn login(bench: &Bench, version: &str, password: &str) {
    hand_out(bench, "mail", version, &json!({"username": "crosstie", "password": password}));
}

/// Why nobody is told.
async fn why(worker: &Worker) -> String {
    let report =
        until_report(worker, "it is said that nobody is told", |report| names(report, Reason::AlertsFailing)).await;
    report.problems.into_iter().find(|problem| problem.reason == Reason::AlertsFailing).unwrap().message
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dead_letters_are_mailed_through_starttls_with_a_login_although_the_server_puts_them_off_twice() {
    let mut bench = refusing(7).await;
    let server = MailServer::start(&bench, "starttls", "p-1", 2);
    login(&bench, "v1", "p-1");
    tell(&mut bench, server.channel("smtp", HOST, true));
    let worker = server.worker(&bench).await;
    let mail = server.until_mailed(1).await.remove(0);
    assert_eq!(mail["subject"], "default/orders: 7 records lie in the dead letters");
    assert_eq!(
        (&mail["from"], &mail["to"]),
        (&json!("crosstie@example.com"), &json!(["one@example.com", "two@example.com"]))
    );
    assert_eq!((&mail["login"], &mail["tls"]), (&json!("crosstie"), &json!(true)));
    let text = mail["text"].as_str().unwrap();
    for said in
        ["flow orders, DeadLetters", "7 times", "request ids op-1", "kubectl crosstie dlq list orders -n default"]
    {
        assert!(text.contains(said), "{said} is not in {text}");
    }
    assert!(!text.contains("hush-1") && mail["id"].as_str().unwrap().ends_with("@example.com>"), "{mail}");
    worker.stop().await;
    assert_eq!(server.mails().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_login_is_said_and_the_mail_goes_out_with_the_next_version_of_the_credentials() {
    let mut bench = refusing(1).await;
    let server = MailServer::start(&bench, "wrapped", "p-2", 0);
    login(&bench, "v1", "p-1");
    tell(&mut bench, server.channel("smtps", HOST, true));
    let worker = server.worker(&bench).await;
    let message = why(&worker).await;
    assert!(message.contains("logging in was refused (535)") && !message.contains("p-1"), "{message}");
    login(&bench, "v2", "p-2");
    let mail = server.until_mailed(1).await.remove(0);
    assert_eq!(mail["subject"], "default/orders: 1 record lies in the dead letters");
    let report = until_report(&worker, "it is over", |report| !names(report, Reason::AlertsFailing)).await;
    let credentials = report.credentials.iter().find(|entry| entry.connector == "mail").unwrap();
    assert_eq!((credentials.used_version_id.as_str(), credentials.accepted), ("v2", Some(true)));
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_without_tls_gets_neither_mail_nor_login_unless_the_plan_says_so() {
    let mut bench = refusing(1).await;
    let server = MailServer::start(&bench, "plain", "p-1", 0);
    login(&bench, "v1", "p-1");
    tell(&mut bench, server.channel("smtp", HOST, true));
    let worker = server.worker(&bench).await;
    assert!(why(&worker).await.contains("STARTTLS"));
    assert!(server.mails().is_empty());
    let mut open = server.channel("smtp", HOST, false);
    open.system.authentication = crosstie_engine::plan::Authentication::None;
    tell(&mut bench, open);
    let mail = server.until_mailed(1).await.remove(0);
    assert_eq!((&mail["login"], &mail["tls"]), (&Value::Null, &json!(false)));
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mail_server_at_an_address_that_is_not_allowed_is_not_connected_to() {
    let mut bench = refusing(1).await;
    let server = MailServer::start(&bench, "starttls", "p-1", 0);
    login(&bench, "v1", "p-1");
    let mut channel = server.channel("smtp", HOST, true);
    channel.system.egress.allow_cidrs.clear();
    tell(&mut bench, channel);
    let worker = server.worker(&bench).await;
    let message = why(&worker).await;
    assert!(message.contains("leads to a loopback address") && message.contains(HOST), "{message}");
    worker.stop().await;
    assert!(server.mails().is_empty());
}
