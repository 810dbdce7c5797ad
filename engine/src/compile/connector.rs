//! A Connector over its preset, checked and resolved.

use std::collections::BTreeMap;

use crosstie_crds::{
    Connector,
    condition::Reason,
    connector::{Operation, Stream, Text, Webhooks},
};
use url::Url;

use super::{Findings, Settings, authentication, environment, errors, oauth2, receiver};
use crate::{
    plan::{Allowance, Egress, Environment, IDENTIFIER, KEY, RateRules, SINCE, SINCE_EPOCH, System},
    preset,
    template::Template,
};

/// Allowance when neither spec nor preset says one: what hardly any vendor minds.
const DEFAULT_ALLOWANCE: Allowance = Allowance { requests: 10, per_seconds: 1, concurrency: 4 };

/// A Connector resolved, with everything it offers.
pub(crate) struct Resolved {
    pub(crate) name: String,
    pub(crate) environment: Environment,
    pub(crate) system: System,
    pub(crate) streams: Vec<Stream>,
    pub(crate) operations: Vec<Operation>,
    pub(crate) webhooks: Option<Webhooks>,
}

/// Resolves a Connector. `None` only together with findings.
pub(crate) fn resolve(connector: &Connector, settings: &Settings, findings: &mut Findings) -> Option<Resolved> {
    let spec = &connector.spec;
    let preset = match &spec.preset {
        None => None,
        Some(name) => match preset::find(name) {
            Some(preset) => Some(preset),
            None => {
                let message = format!("there is no preset `{name}`; this version knows {}", preset::names().join(", "));
                findings.add(Reason::PresetUnknown, "spec.preset", message);
                return None;
            }
        },
    };
    let merged = preset::merge(spec, preset);
    let base_url = base_url(&spec.base_url, findings);
    let environment = environment::resolve(spec, preset, base_url.as_ref(), findings);
    let authentication = match &merged.auth {
        Some(auth) => authentication::resolve(auth, merged.api_version.as_deref(), findings),
        None => {
            let message =
                format!("neither the Connector nor its preset says how to authenticate: {}", authentication::CHOICES);
            findings.invalid("spec.auth", message);
            None
        }
    };
    let operations: Vec<&str> = merged.operations.iter().map(|operation| operation.name.as_str()).collect();
    let streams: Vec<&str> = merged.streams.iter().map(|stream| stream.name.as_str()).collect();
    let rules = errors::resolve(&merged.errors, &operations, &streams, findings);
    let tls = spec.tls.as_ref().map(|tls| authentication::certificate(tls, findings));
    let rate = &merged.rate_limit;
    let system = System {
        connector: connector.metadata.name.clone().unwrap_or_default(),
        base_url: base_url?,
        api_version: merged.api_version,
        authentication: authentication?,
        tls: match tls {
            None => None,
            Some(tls) => Some(tls?),
        },
        egress: Egress {
            allow_hosts: spec
                .egress
                .iter()
                .flat_map(|egress| &egress.allow_hosts)
                .map(|host| host.to_ascii_lowercase())
                .collect(),
            allow_cidrs: settings.allow_cidrs.clone(),
        },
        allowance: Allowance {
            requests: rate.requests.unwrap_or(DEFAULT_ALLOWANCE.requests),
            per_seconds: rate.per_seconds.unwrap_or(DEFAULT_ALLOWANCE.per_seconds),
            concurrency: rate.concurrency.unwrap_or(DEFAULT_ALLOWANCE.concurrency),
        },
        served_version_header: merged.served_version_header,
        deprecated_reason_header: merged.deprecated_reason_header,
        request_id_header: merged.request_id_header,
        errors: rules,
        csrf: None,
        webhook_keys: Vec::new(),
        grant: None,
        rate: RateRules::default(),
        cache: None,
    };
    let mut resolved = Resolved {
        name: system.connector.clone(),
        environment,
        system,
        streams: merged.streams,
        operations: merged.operations,
        webhooks: merged.webhooks,
    };
    resolved.system.rate = resolved.rate_rules(&merged.rate_limit, findings);
    resolved.system.cache = merged.cache.map(|cache| resolved.cache(&cache, findings));
    resolved.system.csrf = merged.csrf.and_then(|csrf| resolved.csrf(&csrf, findings));
    if let Some(oauth2) = &merged.oauth2 {
        let System { base_url, egress, .. } = &resolved.system;
        resolved.system.grant = oauth2::resolve(oauth2, &spec.credentials, base_url, egress, findings);
    }
    if let Some(webhooks) = &resolved.webhooks {
        resolved.system.webhook_keys = receiver::check(webhooks, &resolved, findings);
    }
    for stream in &resolved.streams {
        resolved.stream(&stream.name, findings);
    }
    for operation in &resolved.operations {
        resolved.operation(&operation.name, findings);
    }
    Some(resolved)
}

fn base_url(text: &str, findings: &mut Findings) -> Option<Url> {
    match Url::parse(text.trim_end_matches('/')) {
        Ok(url)
            if (matches!(url.scheme(), "http" | "https") || is_mail_server(&url))
                && url.has_host()
                && url.query().is_none()
                && url.fragment().is_none() =>
        {
            Some(url)
        }
        Ok(_) | Err(_) => {
            findings.invalid(
                "spec.baseURL",
                "write an absolute http or https URL without query or fragment, for example https://acme.myshopify.com; or of a mail server smtp://HOST or smtps://HOST",
            );
            None
        }
    }
}

/// Whether a URL names a mail server and nothing below it.
fn is_mail_server(url: &Url) -> bool {
    matches!(url.scheme(), "smtp" | "smtps")
        && matches!(url.path(), "" | "/")
        && url.username().is_empty()
        && url.password().is_none()
}

fn parse_template(path: &str, text: &str, findings: &mut Findings) -> Option<Template> {
    Template::parse(text).map_err(|error| findings.invalid(path, error.to_string())).ok()
}

impl Resolved {
    /// The system as plans have it: which keys are handed out, and how tokens are got, is decided with each Connector, and a plan says what it verifies
    /// with in `receiver`.
    pub(super) fn planned(self) -> System {
        System { webhook_keys: Vec::new(), grant: None, ..self.system }
    }

    /// Parses a template, fills in the API version and checks that every other name is one that is known there.
    pub(super) fn bound(&self, path: &str, text: &str, known: Names, findings: &mut Findings) -> Option<Template> {
        let mut template = parse_template(path, text, findings)?;
        if let Some(version) = &self.system.api_version {
            template = template.bind("apiVersion", version);
        }
        let stranger = template.names().find(|name| !known.hold(name)).map(str::to_owned);
        match stranger.as_deref() {
            None => Some(template),
            Some("apiVersion") => {
                findings.invalid(
                    "spec.apiVersion",
                    format!("`{text}` needs a version and the preset has no default: set spec.apiVersion"),
                );
                None
            }
            Some(name) => {
                findings.invalid(path, format!("`{{{name}}}` is not known here; known are {}", known.listed()));
                None
            }
        }
    }

    pub(super) fn bound_map(
        &self,
        path: &str,
        map: &BTreeMap<String, Text>,
        known: Names,
        findings: &mut Findings,
    ) -> Option<BTreeMap<String, Template>> {
        let bound = map.iter().map(|(name, value)| {
            Some((name.clone(), self.bound(&format!("{path}.{name}"), &value.0, known, findings)?))
        });
        // Every entry is looked at, so that every problem is found.
        bound.collect::<Vec<_>>().into_iter().collect()
    }

    /// The same of texts that nothing but the API version can be put into.
    pub(super) fn bound_texts(
        &self,
        path: &str,
        map: &BTreeMap<String, Text>,
        findings: &mut Findings,
    ) -> Option<BTreeMap<String, String>> {
        let bound = self.bound_map(path, map, Names::Version, findings)?;
        Some(bound.into_iter().map(|(name, value)| (name, value.to_string())).collect())
    }
}

/// What templates can be filled with, beside the API version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Names {
    /// Nothing.
    Version,
    /// A record's key.
    Key,
    /// Fields of a mapped body, and what the vendor called the record.
    BodyAndIdentifier,
    /// Fields of a mapped body, and a time before the write was decided.
    BodyAndSince,
}

impl Names {
    fn hold(self, name: &str) -> bool {
        match self {
            Self::Version => false,
            Self::Key => name == KEY,
            Self::BodyAndIdentifier => name.starts_with("body.") || name == IDENTIFIER,
            Self::BodyAndSince => name.starts_with("body.") || [SINCE, SINCE_EPOCH].contains(&name),
        }
    }

    fn listed(self) -> &'static str {
        match self {
            Self::Version => "{apiVersion}",
            Self::Key => "{apiVersion} and {key}",
            Self::BodyAndIdentifier => "{apiVersion}, {body.FIELD} and {identifier}",
            Self::BodyAndSince => "{apiVersion}, {body.FIELD}, {since} and {sinceEpoch}",
        }
    }
}
