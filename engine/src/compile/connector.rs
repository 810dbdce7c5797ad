//! A Connector over its preset, checked and resolved.

use std::collections::BTreeMap;

use crosstie_crds::{
    Connector,
    condition::Reason,
    connector::{Authentication, Operation, Stream, Text},
};
use url::Url;

use super::{Findings, PlannedAuthentication, Settings};
use crate::{
    plan::{Allowance, Egress, IDENTIFIER, KEY, System},
    preset,
    template::Template,
};

/// Allowance when neither spec nor preset says one: what hardly any vendor minds.
const DEFAULT_ALLOWANCE: Allowance = Allowance { requests: 10, per_seconds: 1, concurrency: 4 };

/// A Connector resolved, with everything it offers.
pub(crate) struct Resolved {
    pub(crate) name: String,
    pub(crate) system: System,
    pub(crate) streams: Vec<Stream>,
    pub(crate) operations: Vec<Operation>,
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
    let authentication = match &merged.auth {
        Some(auth) => authentication(auth, findings),
        None => {
            findings.invalid(
                "spec.auth",
                "neither the Connector nor its preset says how to authenticate: set one of header, bearer and basic",
            );
            None
        }
    };
    let rate = &merged.rate_limit;
    let system = System {
        connector: connector.metadata.name.clone().unwrap_or_default(),
        base_url: base_url?,
        api_version: merged.api_version,
        authentication: authentication?,
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
        credential_rejection_statuses: merged.credential_rejection_statuses,
    };
    let resolved =
        Resolved { name: system.connector.clone(), system, streams: merged.streams, operations: merged.operations };
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
            if matches!(url.scheme(), "http" | "https")
                && url.has_host()
                && url.query().is_none()
                && url.fragment().is_none() =>
        {
            Some(url)
        }
        Ok(_) | Err(_) => {
            findings.invalid(
                "spec.baseURL",
                "write an absolute http or https URL without query or fragment, for example https://acme.myshopify.com",
            );
            None
        }
    }
}

fn authentication(auth: &Authentication, findings: &mut Findings) -> Option<PlannedAuthentication> {
    let mut template = |path: &str, text: &str| parse_template(path, text, findings);
    if let Some(header) = &auth.header {
        return Some(PlannedAuthentication::Header {
            name: header.name.clone(),
            value: template("spec.auth.header.value", &header.value)?,
        });
    }
    if let Some(bearer) = &auth.bearer {
        return Some(PlannedAuthentication::Bearer { token: template("spec.auth.bearer.token", &bearer.token)? });
    }
    if let Some(basic) = &auth.basic {
        let username = template("spec.auth.basic.username", &basic.username);
        let password = template("spec.auth.basic.password", &basic.password);
        return Some(PlannedAuthentication::Basic { username: username?, password: password? });
    }
    findings.invalid("spec.auth", "set one of header, bearer and basic");
    None
}

fn parse_template(path: &str, text: &str, findings: &mut Findings) -> Option<Template> {
    Template::parse(text).map_err(|error| findings.invalid(path, error.to_string())).ok()
}

impl Resolved {
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
    /// Fields of a mapped body.
    Body,
    /// Those, and what the vendor called the record.
    BodyAndIdentifier,
}

impl Names {
    fn hold(self, name: &str) -> bool {
        match self {
            Self::Version => false,
            Self::Key => name == KEY,
            Self::Body => name.starts_with("body."),
            Self::BodyAndIdentifier => name.starts_with("body.") || name == IDENTIFIER,
        }
    }

    fn listed(self) -> &'static str {
        match self {
            Self::Version => "{apiVersion}",
            Self::Key => "{apiVersion} and {key}",
            Self::Body => "{apiVersion} and {body.FIELD}",
            Self::BodyAndIdentifier => "{apiVersion}, {body.FIELD} and {identifier}",
        }
    }
}
