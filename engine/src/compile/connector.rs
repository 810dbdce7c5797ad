//! A Connector over its preset, checked and resolved.

use crosstie_crds::{
    Connector,
    condition::Reason,
    connector::{Authentication, Operation, OperationMethod, Pagination as SpecPagination, Stream, Text},
};
use url::Url;

use super::{Findings, PlannedAuthentication, Settings};
use crate::{
    plan::{self, Allowance, Cursor, Egress, Idempotency, Identifier, LookUp, Method, Outcome, Pagination, System},
    preset,
    template::Template,
};

/// How far windows reach back when nothing is said, in seconds.
const DEFAULT_LOOKBACK_SECONDS: u32 = 300;
/// How long look-ups wait when nothing is said, in seconds.
const DEFAULT_SETTLE_SECONDS: u32 = 5;
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
    /// The stream of a name, resolved. `None` together with findings, or when there is none of that name.
    pub(crate) fn stream(&self, name: &str, findings: &mut Findings) -> Option<plan::Stream> {
        let stream = self.streams.iter().find(|stream| stream.name == name)?;
        let at = |field: &str| format!("spec.streams[{name}].{field}");
        let mut needed = |field: &str, value: &Option<String>, say: &str| {
            if value.is_none() {
                findings.invalid(at(field), say);
            }
            value.clone()
        };
        let path = needed("path", &stream.path, "say under which path the list is found");
        let key = needed("key", &stream.key, "say which field identifies a record, for example /id");
        let version =
            needed("version", &stream.version, "say which field orders a record's states, for example /updated_at");
        let path = self.bound(&at("path"), &path?, &[], findings);
        let query = self.bound_map(&at("query"), &stream.query, &[], findings);
        Some(plan::Stream {
            name: name.to_owned(),
            path: path?.to_string(),
            query: query?.into_iter().map(|(name, value)| (name, value.to_string())).collect(),
            records: stream.records.clone().unwrap_or_default(),
            key: key?,
            version: Some(version?),
            deleted: None,
            one: None,
            cursor: stream.cursor.as_ref().map(|cursor| Cursor {
                field: cursor.field.clone(),
                param: cursor.param.clone(),
                until_param: cursor.until_param.clone(),
                lookback_seconds: cursor.lookback_seconds.unwrap_or(DEFAULT_LOOKBACK_SECONDS),
            }),
            pagination: stream.pagination.as_ref().map_or(Pagination::None, pagination),
        })
    }

    /// The operation of a name, resolved. `None` together with findings, or when there is none of that name.
    pub(crate) fn operation(&self, name: &str, findings: &mut Findings) -> Option<plan::Operation> {
        let operation = self.operations.iter().find(|operation| operation.name == name)?;
        let at = |field: &str| format!("spec.operations[{name}].{field}");
        if operation.method.is_none() {
            findings.invalid(at("method"), "say which HTTP method it is: POST, PUT or PATCH");
        }
        if operation.path.is_none() {
            findings.invalid(at("path"), "say under which path it is called");
        }
        if operation.outcome.is_none() {
            let message = "say how the outcome of a call that broke off is known: idempotencyHeader, lookup, both, or {} for neither";
            findings.invalid(at("outcome"), message);
        }
        let path = self.bound(&at("path"), operation.path.as_ref()?, &["body."], findings);
        let query = self.bound_map(&at("query"), &operation.query, &["body."], findings);
        let headers = self.bound_map(&at("headers"), &operation.headers, &[], findings);
        let outcome = self.outcome(&at("outcome"), operation.outcome.as_ref()?, findings);
        Some(plan::Operation {
            name: name.to_owned(),
            method: match operation.method? {
                OperationMethod::Post => Method::Post,
                OperationMethod::Put => Method::Put,
                OperationMethod::Patch => Method::Patch,
            },
            path: path?,
            query: query?,
            headers: headers?.into_iter().map(|(name, value)| (name, value.to_string())).collect(),
            identifier: operation.identifier.as_ref().and_then(|identifier| {
                let pointer = identifier.pointer.clone().map(Identifier::Pointer);
                pointer.or_else(|| identifier.header.clone().map(Identifier::Header))
            }),
            outcome: outcome?,
            batch: None,
        })
    }

    fn outcome(
        &self,
        path: &str,
        outcome: &crosstie_crds::connector::Outcome,
        findings: &mut Findings,
    ) -> Option<Outcome> {
        let idempotency = outcome
            .idempotency_header
            .as_ref()
            .map(|header| Idempotency { header: header.name.clone(), window_seconds: header.window_seconds });
        let lookup = match &outcome.lookup {
            None => None,
            Some(lookup) => Some(LookUp {
                path: self.bound(&format!("{path}.lookup.path"), &lookup.path, &["body."], findings)?,
                query: self.bound_map(&format!("{path}.lookup.query"), &lookup.query, &["body."], findings)?,
                key: lookup.key.clone(),
                key_field: lookup.key_field.clone(),
                settle_seconds: lookup.settle_seconds.unwrap_or(DEFAULT_SETTLE_SECONDS),
            }),
        };
        Some(Outcome { idempotency, lookup })
    }

    /// Parses a template, fills in the API version and checks that every other name begins with one of `allowed`.
    fn bound(&self, path: &str, text: &str, allowed: &[&str], findings: &mut Findings) -> Option<Template> {
        let mut template = parse_template(path, text, findings)?;
        if let Some(version) = &self.system.api_version {
            template = template.bind("apiVersion", version);
        }
        let stranger =
            template.names().find(|name| !allowed.iter().any(|prefix| name.starts_with(prefix))).map(str::to_owned);
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
                let known = if allowed.is_empty() { "{apiVersion}" } else { "{apiVersion} and {body.FIELD}" };
                findings.invalid(path, format!("`{{{name}}}` is not known here; known are {known}"));
                None
            }
        }
    }

    fn bound_map(
        &self,
        path: &str,
        map: &std::collections::BTreeMap<String, Text>,
        allowed: &[&str],
        findings: &mut Findings,
    ) -> Option<std::collections::BTreeMap<String, Template>> {
        let bound = map.iter().map(|(name, value)| {
            Some((name.clone(), self.bound(&format!("{path}.{name}"), &value.0, allowed, findings)?))
        });
        // Every entry is looked at, so that every problem is found.
        bound.collect::<Vec<_>>().into_iter().collect()
    }
}

fn pagination(pagination: &SpecPagination) -> Pagination {
    if pagination.link_header.is_some() {
        return Pagination::LinkHeader;
    }
    if let Some(cursor) = &pagination.cursor {
        return Pagination::Cursor { pointer: cursor.pointer.clone(), param: cursor.param.clone() };
    }
    if let Some(offset) = &pagination.offset {
        return Pagination::Offset {
            param: offset.param.clone(),
            limit_param: offset.limit_param.clone(),
            limit: offset.limit,
        };
    }
    if let Some(next_url) = &pagination.next_url {
        return Pagination::NextUrl { pointer: next_url.pointer.clone() };
    }
    Pagination::None
}
