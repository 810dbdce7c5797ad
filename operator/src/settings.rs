//! The operator's command line and environment. Parsing and checking of settings only: what they do is decided elsewhere.

use std::net::SocketAddr;

use clap::{Parser, ValueEnum};
use crosstie_crds::names;
use crosstie_engine::proxy::{Proxy, ProxyProblem};
use ipnet::IpNet;

use crate::{plan::objects::WorkerTemplate, vault::policy::SecretNamePolicy};

/// Turns Connectors and Integrations into running sync workers, injects credentials from AWS Secrets Manager and follows
/// their rotation.
///
/// AWS is reached with the SDK's default chain: a web identity (IRSA), EKS Pod Identity, or keys in the environment;
/// AWS_REGION and AWS_ENDPOINT_URL are honoured.
#[derive(Clone, Debug, Parser)]
#[command(name = "crosstie-operator", version, about, max_term_width = 100)]
pub struct Settings {
    /// Image that sync workers run, for example registry.example.com/crosstie-worker:0.1.0
    #[arg(long, env = "CROSSTIE_WORKER_IMAGE", help_heading = "Workers")]
    pub worker_image: String,

    /// When the kubelet pulls that image
    #[arg(
        long,
        env = "CROSSTIE_WORKER_IMAGE_PULL_POLICY",
        value_enum,
        default_value = "if-not-present",
        ignore_case = true,
        help_heading = "Workers"
    )]
    pub worker_image_pull_policy: PullPolicy,

    /// Names of pull secrets that workers use, in each worker's own namespace; separated by commas
    #[arg(long, env = "CROSSTIE_WORKER_IMAGE_PULL_SECRETS", value_delimiter = ',', help_heading = "Workers")]
    pub worker_image_pull_secrets: Vec<String>,

    /// Make a NetworkPolicy for each worker: ingress to its health port only, egress anywhere but to the cloud's metadata address
    #[arg(
        long,
        env = "CROSSTIE_WORKER_NETWORK_POLICIES",
        default_value_t = true,
        action = clap::ArgAction::Set,
        value_name = "true|false",
        help_heading = "Workers"
    )]
    pub worker_network_policies: bool,

    /// Private address ranges, in CIDR notation, that vendors may have; separated by commas. All private ranges are refused
    /// otherwise
    #[arg(
        long,
        env = "CROSSTIE_EGRESS_ALLOW_CIDRS",
        value_delimiter = ',',
        value_parser = parse_range,
        value_name = "CIDR",
        help_heading = "Workers"
    )]
    pub egress_allow_cidrs: Vec<Range>,

    /// Proxy that AWS is reached through, and that workers reach vendors through by https, for example http://proxy.example.com:3128; none when it
    /// is left out
    #[arg(
        long,
        env = names::ENV_PROXY,
        value_name = "URL",
        default_value = "",
        hide_default_value = true,
        help_heading = "Workers"
    )]
    pub proxy: String,

    /// Hosts and address ranges that are reached past the proxy, separated by commas; a host stands for all beneath it too
    #[arg(
        long,
        env = names::ENV_NO_PROXY,
        value_name = "HOSTS",
        default_value = "",
        hide_default_value = true,
        help_heading = "Workers"
    )]
    pub no_proxy: String,

    /// Namespaces to work in, separated by commas; Roles there are enough. All namespaces when left out
    #[arg(long, env = "CROSSTIE_NAMESPACES", value_delimiter = ',', help_heading = "Kubernetes")]
    pub namespaces: Vec<String>,

    /// Namespace the operator runs in, where its Lease lives
    #[arg(long, env = "CROSSTIE_OPERATOR_NAMESPACE", default_value = "crosstie-system", help_heading = "Kubernetes")]
    pub operator_namespace: String,

    /// Name of the Lease by which one of several replicas is elected
    #[arg(long, env = "CROSSTIE_LEASE_NAME", default_value = "crosstie-operator", help_heading = "Kubernetes")]
    pub lease_name: String,

    /// Name of this replica in the Lease and in Events; its pod's name. The host's name when left out
    #[arg(long, env = "POD_NAME", help_heading = "Kubernetes")]
    pub identity: Option<String>,

    /// Objects of a kind that are worked on at the same moment
    #[arg(
        long,
        env = "CROSSTIE_CONCURRENCY",
        default_value_t = 32,
        value_parser = clap::value_parser!(u16).range(1..=256),
        help_heading = "Kubernetes"
    )]
    pub concurrency: u16,

    /// How often each secret is looked at for a new version at least, in seconds; looks are spread evenly. 1 to 86400
    #[arg(
        long,
        env = "CROSSTIE_SWEEP_INTERVAL_SECONDS",
        default_value_t = 300,
        value_parser = clap::value_parser!(u32).range(1..=86_400),
        help_heading = "Credentials"
    )]
    pub sweep_interval_seconds: u32,

    /// URL of an SQS queue that says which secrets changed, so that they are read at once; docs/rotation.md says how it is filled. Without one
    /// changes are found by looking
    #[arg(long, env = "CROSSTIE_QUEUE_URL", value_name = "URL", help_heading = "Credentials")]
    pub queue_url: Option<String>,

    /// Names of secrets a Connector may use, separated by commas: `*` stands for anything, `{namespace}` for the
    /// Connector's namespace
    #[arg(
        long,
        env = "CROSSTIE_SECRET_NAME_POLICY",
        value_delimiter = ',',
        default_value = "{namespace}/*",
        help_heading = "Credentials"
    )]
    pub secret_name_policy: Vec<String>,

    /// How logs are written, the workers' as well
    #[arg(
        long,
        env = "CROSSTIE_LOG_FORMAT",
        value_enum,
        default_value = "json",
        ignore_case = true,
        help_heading = "Telemetry"
    )]
    pub log_format: LogFormat,

    /// What is logged: a level, or directives such as info,crosstie_operator=debug
    #[arg(long, env = "CROSSTIE_LOG_FILTER", default_value = "info", help_heading = "Telemetry")]
    pub log_filter: String,

    /// Where /healthz, /readyz and /metrics are served
    #[arg(long, env = "CROSSTIE_LISTEN", default_value = "0.0.0.0:8080", help_heading = "Telemetry")]
    pub listen: SocketAddr,
}

/// An address range; nothing where an empty text stands for an empty list, as environment variables have it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range(Option<IpNet>);

fn parse_range(text: &str) -> Result<Range, ipnet::AddrParseError> {
    if text.is_empty() { Ok(Range(None)) } else { text.parse().map(|range| Range(Some(range))) }
}

/// When the kubelet pulls an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum PullPolicy {
    /// At every start.
    #[value(alias = "Always")]
    Always,
    /// When the node does not have it.
    #[value(alias = "IfNotPresent")]
    IfNotPresent,
    /// Never: the node has it.
    #[value(alias = "Never")]
    Never,
}

impl PullPolicy {
    /// The word Kubernetes uses.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Always => "Always",
            Self::IfNotPresent => "IfNotPresent",
            Self::Never => "Never",
        }
    }
}

/// How logs are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// One JSON object a line.
    Json,
    /// For people's eyes.
    Text,
}

impl LogFormat {
    /// The word that workers are given.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Text => "text",
        }
    }
}

impl Settings {
    /// Name of this replica.
    pub fn replica(&self) -> String {
        let given = self.identity.clone().filter(|name| !name.is_empty());
        given.or_else(|| std::env::var("HOSTNAME").ok()).unwrap_or_else(|| format!("process-{}", std::process::id()))
    }

    /// What goes into every worker's pod.
    pub fn worker_template(&self) -> WorkerTemplate {
        WorkerTemplate {
            image: self.worker_image.clone(),
            pull_policy: self.worker_image_pull_policy.as_str(),
            pull_secrets: self.worker_image_pull_secrets.iter().filter(|name| !name.is_empty()).cloned().collect(),
            log_format: self.log_format.as_str(),
            network_policy: self.worker_network_policies,
            proxy: Some((self.proxy.clone(), self.no_proxy.clone())).filter(|(url, _)| !url.trim().is_empty()),
        }
    }

    /// The proxy, if there is one.
    ///
    /// # Errors
    /// When it is one that workers could not use.
    pub fn checked_proxy(&self) -> Result<Option<Proxy>, ProxyProblem> {
        Proxy::parse(&self.proxy, &self.no_proxy)
    }

    /// What goes into every plan.
    pub fn compile_settings(&self) -> crosstie_engine::compile::Settings {
        crosstie_engine::compile::Settings {
            allow_cidrs: self
                .egress_allow_cidrs
                .iter()
                .filter_map(|range| range.0)
                .map(|range| range.to_string())
                .collect(),
        }
    }

    /// The queue of changes, if there is one: an empty text stands for none, as environment variables have it.
    pub fn queue(&self) -> Option<&str> {
        self.queue_url.as_deref().filter(|url| !url.is_empty())
    }

    /// Which secrets which namespace may use.
    pub fn secret_names(&self) -> SecretNamePolicy {
        SecretNamePolicy::new(self.secret_name_policy.iter().cloned())
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Settings::command().debug_assert();
    }

    #[test]
    fn a_policy_is_written_as_kubernetes_writes_it() {
        let arguments = ["crosstie-operator", "--worker-image", "w", "--worker-image-pull-policy", "Never"];
        let settings = Settings::try_parse_from(arguments).unwrap();
        assert_eq!(settings.worker_image_pull_policy, PullPolicy::Never);
        let arguments = ["crosstie-operator", "--worker-image", "w", "--worker-image-pull-policy", "IfNotPresent"];
        let settings = Settings::try_parse_from(arguments).unwrap();
        assert_eq!(settings.worker_image_pull_policy.as_str(), "IfNotPresent");
    }

    #[test]
    fn an_empty_text_is_an_empty_list() {
        let arguments = ["crosstie-operator", "--worker-image", "w", "--egress-allow-cidrs", "", "--namespaces", ""];
        let settings = Settings::try_parse_from(arguments).unwrap();
        assert_eq!(settings.compile_settings().allow_cidrs, Vec::<String>::new());
    }

    #[test]
    fn a_proxy_is_handed_to_workers_as_it_is_and_refused_where_they_could_not_use_it() {
        let settings = |url: &str| {
            let arguments = ["crosstie-operator", "--worker-image", "w", "--proxy", url, "--no-proxy", ".svc"];
            Settings::try_parse_from(arguments).unwrap()
        };
        let some = settings("http://proxy.example.com:3128");
        assert!(some.checked_proxy().unwrap().is_some());
        assert_eq!(some.worker_template().proxy, Some(("http://proxy.example.com:3128".into(), ".svc".into())));
        assert_eq!(settings("").worker_template().proxy, None);
        assert!(settings("https://proxy.example.com").checked_proxy().is_err());
    }

    #[test]
    fn a_range_that_is_no_range_is_refused() {
        let arguments = ["crosstie-operator", "--worker-image", "w", "--egress-allow-cidrs", "10.0.0.0/8,ten"];
        assert!(Settings::try_parse_from(arguments).is_err());
    }
}
