//! The command line of `crosstie-worker`. Every flag can also be set by an environment variable, which is how the operator sets them.

use std::{
    io::IsTerminal,
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
};

use anyhow::{Context, bail};
use clap::{Parser, ValueEnum};
use crosstie_connect::Surroundings;
use crosstie_crds::{letters, names};
use crosstie_engine::proxy::Proxy;

use crate::{report::ReportTarget, worker::Settings};

/// Moves the records of one Integration from its source to its destination.
///
/// The worker reads a plan, shares of rate allowances and credentials from mounted files, which may come late and change at any time, and keeps
/// cursors, queue and ledger in a state folder of its own. It can be killed at any moment without losing or repeating a record.
#[derive(Debug, Parser)]
#[command(name = "crosstie-worker", version)]
pub struct Options {
    /// Folder with plan/, shares/ and credentials/
    #[arg(long, env = names::ENV_FILES, value_name = "FOLDER", default_value = names::FILES_FOLDER)]
    pub files: PathBuf,

    /// Folder for cursors, queue and ledger, on a local disk; one worker at a time
    #[arg(long, env = "CROSSTIE_STATE", value_name = "FOLDER", default_value = names::STATE_FOLDER)]
    pub state: PathBuf,

    /// Name of this pod in reports
    #[arg(long, env = "CROSSTIE_POD", value_name = "NAME", default_value = "local")]
    pub pod: String,

    /// Namespace of the Integration
    #[arg(long, env = "CROSSTIE_NAMESPACE", value_name = "NAME")]
    pub namespace: Option<String>,

    /// Name of the Integration whose report is written
    #[arg(long, env = "CROSSTIE_INTEGRATION", value_name = "NAME")]
    pub integration: Option<String>,

    /// Write no report: for running without Kubernetes
    #[arg(long)]
    pub no_report: bool,

    /// Address for /livez, /readyz and /metrics
    #[arg(long, env = "CROSSTIE_LISTEN", value_name = "ADDRESS", default_value = "0.0.0.0:8080")]
    pub listen: SocketAddr,

    /// Loopback address at which `kubectl crosstie dlq`, `events` and `resync` reach the worker
    #[arg(long, env = "CROSSTIE_LETTERS_LISTEN", value_name = "ADDRESS", default_value_t = letters_listen())]
    pub letters_listen: SocketAddr,

    /// Address at which webhooks are received, for example 0.0.0.0:8082; none are when it is left out
    #[arg(long, env = names::ENV_WEBHOOKS_LISTEN, value_name = "ADDRESS")]
    pub webhooks_listen: Option<SocketAddr>,

    /// Proxy that requests by https leave through, for example http://proxy.example.com:3128; none when it is left out. Names are looked up and
    /// checked here all the same
    #[arg(long, env = names::ENV_PROXY, value_name = "URL", default_value = "", hide_default_value = true)]
    pub proxy: String,

    /// Hosts and address ranges that are called past the proxy, separated by commas; a host stands for all beneath it too
    #[arg(long, env = names::ENV_NO_PROXY, value_name = "HOSTS", default_value = "", hide_default_value = true)]
    pub no_proxy: String,

    /// Form of the log lines
    #[arg(long, env = "CROSSTIE_LOG_FORMAT", value_enum, default_value_t = LogFormat::Json)]
    pub log_format: LogFormat,

    /// What is logged, such as `info` or `crosstie_connect=debug,info`
    #[arg(long, env = "CROSSTIE_LOG_FILTER", value_name = "FILTER", default_value = "info")]
    pub log_filter: String,
}

fn letters_listen() -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, letters::PORT))
}

/// Form of log lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// One JSON object a line, for machines
    Json,
    /// Text, for people
    Text,
}

impl Options {
    /// The settings these options ask for.
    ///
    /// # Errors
    /// When reports are to be written and it is not said for which Integration, or the proxy cannot be understood.
    pub fn settings(self) -> anyhow::Result<Settings> {
        let report = match (self.no_report, self.namespace, self.integration) {
            (true, ..) => None,
            (false, Some(namespace), Some(integration)) => Some(ReportTarget { namespace, integration }),
            (false, ..) => bail!(
                "name the Integration with --namespace and --integration, or pass --no-report to run without Kubernetes"
            ),
        };
        if !self.letters_listen.ip().is_loopback() {
            bail!(
                "--letters-listen {} is no loopback address: whoever reaches the dead letters may read and drop them; choose one such as \
                 127.0.0.1:{}",
                self.letters_listen,
                letters::PORT
            );
        }
        let proxy = Proxy::parse(&self.proxy, &self.no_proxy)?;
        Ok(Settings {
            files: self.files,
            state: self.state,
            pod: self.pod,
            listen: Some(self.listen),
            letters_listen: Some(self.letters_listen),
            webhooks_listen: self.webhooks_listen,
            report,
            surroundings: Surroundings { proxy, ..Surroundings::default() },
        })
    }

    /// Starts logging to the standard error.
    ///
    /// # Errors
    /// When the filter is none.
    pub fn start_logging(&self) -> anyhow::Result<()> {
        let filter = tracing_subscriber::EnvFilter::try_new(&self.log_filter)
            .with_context(|| format!("`{}` is no log filter; write one such as `info`", self.log_filter))?;
        let colours = std::io::stderr().is_terminal();
        let lines = tracing_subscriber::fmt().with_env_filter(filter).with_ansi(colours).with_writer(std::io::stderr);
        let started = match self.log_format {
            LogFormat::Json => lines.json().flatten_event(true).try_init(),
            LogFormat::Text => lines.try_init(),
        };
        started.map_err(|error| anyhow::anyhow!("logging cannot be started: {error}"))
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    fn parse(arguments: &[&str]) -> anyhow::Result<Settings> {
        let arguments = std::iter::once("crosstie-worker").chain(arguments.iter().copied());
        Options::try_parse_from(arguments)?.settings()
    }

    #[test]
    fn the_command_line_is_sound() {
        Options::command().debug_assert();
    }

    #[test]
    fn a_proxy_is_used_as_it_is_written_and_refused_when_it_cannot_be_understood() {
        let proxy = "http://proxy.example.com:3128";
        let settings = parse(&["--no-report", "--proxy", proxy, "--no-proxy", ".svc,10.0.0.0/8"]).unwrap();
        assert_eq!(settings.surroundings.proxy, Proxy::parse(proxy, ".svc,10.0.0.0/8").unwrap());
        assert_eq!(parse(&["--no-report", "--proxy", ""]).unwrap().surroundings.proxy, None);
        let error = parse(&["--no-report", "--proxy", "http://user:hush@proxy.example.com"]).err().expect("refused");
        assert!(!error.to_string().contains("hush"), "{error}");
    }

    #[test]
    fn reports_need_an_integration_or_are_switched_off() {
        let error = parse(&[]).err().expect("refused");
        assert!(error.to_string().contains("--no-report"), "{error}");
        assert_eq!(parse(&["--no-report"]).unwrap().report, None);
        let error = parse(&["--no-report", "--letters-listen", "0.0.0.0:8081"]).err().expect("refused");
        assert!(error.to_string().contains("loopback"), "{error}");
        let target = ReportTarget { namespace: "shop".into(), integration: "orders".into() };
        assert_eq!(parse(&["--namespace", "shop", "--integration", "orders"]).unwrap().report, Some(target));
    }
}
