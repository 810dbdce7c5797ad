//! From what people wrote to a plan. Compiling cannot fail: every problem becomes a finding with its place and what to do, and a plan
//! exists only when there is none.

mod alerts;
mod authentication;
mod connector;
mod cursor;
mod dependencies;
mod environment;
mod errors;
mod flow;
mod mode;
mod oauth2;
mod operation;
mod ownership;
mod pagination;
mod pair;
mod rate;
mod receiver;
mod request;
mod stream;
mod write;

use crosstie_crds::{
    Connector, Integration,
    condition::Reason,
    integration::{Backoff, DeletionPolicy},
};

use crate::plan::{self, FORMAT_VERSION, LARGEST_PLAN_BYTES, ObjectName, Plan, RetryPolicy, System};

/// What of the operator's configuration goes into plans.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// Private address ranges, in CIDR notation, that requests may go to.
    pub allow_cidrs: Vec<String>,
}

/// A problem that keeps a plan from being made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The reason that conditions will show.
    pub reason: Reason,
    /// Where it is, for example `spec.flows[orders].map.entity`.
    pub path: String,
    /// What is wrong and what to do. One sentence, without the path.
    pub message: String,
}

impl std::fmt::Display for Finding {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}: {}", self.path, self.message)
    }
}

/// What was compiled. The value is there exactly when there is no finding.
#[derive(Clone, Debug, PartialEq)]
pub struct Compiled<T> {
    /// The result.
    pub value: Option<T>,
    /// Every problem.
    pub findings: Vec<Finding>,
}

impl<T> Compiled<T> {
    fn new(value: Option<T>, findings: Vec<Finding>) -> Self {
        Self { value: value.filter(|_| findings.is_empty()), findings }
    }
}

/// Findings under one path.
pub(crate) struct Findings {
    list: Vec<Finding>,
}

impl Findings {
    fn new() -> Self {
        Self { list: Vec::new() }
    }

    /// Notes a problem of the spec.
    fn invalid(&mut self, path: impl Into<String>, message: impl Into<String>) {
        self.add(Reason::PlanInvalid, path, message);
    }

    fn add(&mut self, reason: Reason, path: impl Into<String>, message: impl Into<String>) {
        self.list.push(Finding { reason, path: path.into(), message: message.into() });
    }
}

/// Compiles a Connector on its own: everything that does not depend on who uses it.
pub fn connector(connector: &Connector, settings: &Settings) -> Compiled<System> {
    let mut findings = Findings::new();
    let resolved = connector::resolve(connector, settings, &mut findings);
    Compiled::new(resolved.map(|resolved| resolved.system), findings.list)
}

/// A Connector with all it offers, for whoever calls it without an Integration.
#[derive(Clone, Debug, PartialEq)]
pub struct Offered {
    /// The system.
    pub system: System,
    /// What can be read.
    pub streams: Vec<plan::Stream>,
    /// What can be written.
    pub operations: Vec<plan::Operation>,
}

/// Compiles a Connector with all it offers.
pub fn offered(connector: &Connector, settings: &Settings) -> Compiled<Offered> {
    let mut findings = Findings::new();
    let resolved = connector::resolve(connector, settings, &mut findings);
    let offered = resolved.map(|resolved| {
        // Every problem was found already.
        let mut known = Findings::new();
        let streams = resolved.streams.iter().filter_map(|stream| resolved.stream(&stream.name, &mut known)).collect();
        let operations = resolved.operations.iter();
        let operations = operations.filter_map(|operation| resolved.operation(&operation.name, &mut known)).collect();
        Offered { system: resolved.system.clone(), streams, operations }
    });
    Compiled::new(offered, findings.list)
}

/// Compiles an Integration with the two Connectors it names. Problems of a Connector itself are reported as `ConnectorNotReady`, once
/// each: the Connector's own status has the details.
pub fn integration(
    integration: &Integration,
    source: &Connector,
    destination: &Connector,
    settings: &Settings,
) -> Compiled<Plan> {
    integration_among(integration, source, destination, &[], settings)
}

/// The same with others of the namespace's Connectors, which alerts may go through.
pub fn integration_among(
    integration: &Integration,
    source: &Connector,
    destination: &Connector,
    others: &[&Connector],
    settings: &Settings,
) -> Compiled<Plan> {
    let mut findings = Findings::new();
    let among: Vec<&Connector> = [source, destination].into_iter().chain(others.iter().copied()).collect();
    let source = endpoint("spec.source.connectorRef.name", source, settings, &mut findings);
    let destination = endpoint("spec.destination.connectorRef.name", destination, settings, &mut findings);
    let (Some(source), Some(destination)) = (source, destination) else {
        return Compiled::new(None, findings.list);
    };
    let flows = integration
        .spec
        .flows
        .iter()
        .filter_map(|flow| flow::resolve(flow, &integration.spec.flows, &source, &destination, &mut findings))
        .collect();
    dependencies::check(&integration.spec.flows, &mut findings);
    let receiver = receiver::resolve(integration, &source, &mut findings);
    let alerts = alerts::resolve(&integration.spec.alerts, &among, settings, &mut findings);
    let environment = environment::of_both(&source, &destination, &mut findings);
    let mut plan = Plan {
        format_version: FORMAT_VERSION,
        integration: ObjectName {
            namespace: integration.metadata.namespace.clone().unwrap_or_default(),
            name: integration.metadata.name.clone().unwrap_or_default(),
        },
        environment,
        source: source.planned(),
        destination: destination.planned(),
        flows,
        retry: retry_policy(integration),
        receiver,
        alerts,
        call_log_days: integration.spec.call_log_days.unwrap_or(plan::CALL_LOG_DAYS),
    };
    plan.format_version = plan.format();
    let size = plan.to_json().len();
    if size > LARGEST_PLAN_BYTES {
        let message = format!(
            "the compiled plan has {size} bytes, at most {LARGEST_PLAN_BYTES} fit: split the flows into several Integrations"
        );
        findings.add(Reason::PlanTooLarge, "spec.flows", message);
    }
    Compiled::new(Some(plan), findings.list)
}

fn endpoint(
    path: &str,
    object: &Connector,
    settings: &Settings,
    findings: &mut Findings,
) -> Option<connector::Resolved> {
    let resolved = endpoint_of(path, object, settings, findings)?;
    if resolved.system.is_mail() {
        let name = &resolved.name;
        findings
            .invalid(path, format!("Connector {name} is a mail server, which alerts go through and records do not"));
        return None;
    }
    Some(resolved)
}

/// A Connector that is used; problems of its own are one finding.
fn endpoint_of(
    path: &str,
    object: &Connector,
    settings: &Settings,
    findings: &mut Findings,
) -> Option<connector::Resolved> {
    let mut own = Findings::new();
    let resolved = connector::resolve(object, settings, &mut own);
    if let Some(first) = own.list.first() {
        let name = object.metadata.name.as_deref().unwrap_or_default();
        let message = format!("Connector {name} cannot be used: {first}");
        findings.add(Reason::ConnectorNotReady, path, message);
        return None;
    }
    resolved
}

fn retry_policy(integration: &Integration) -> RetryPolicy {
    let policy = integration.spec.error_policy.clone().unwrap_or_default();
    let Backoff { initial_seconds, factor, max_seconds } = policy.backoff.unwrap_or_default();
    let initial_seconds = initial_seconds.unwrap_or(120);
    RetryPolicy {
        retries: policy.retries.unwrap_or(3),
        initial_seconds,
        factor: factor.unwrap_or(2),
        max_seconds: max_seconds.unwrap_or(3600).max(initial_seconds),
    }
}

/// Where an Integration keeps its state, defaults filled in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResolvedState {
    /// Size of the volume, as a Kubernetes quantity.
    pub storage: String,
    /// Storage class; the cluster's default without one.
    pub storage_class_name: Option<String>,
    /// What happens to the volume with the Integration.
    pub deletion_policy: DeletionPolicy,
}

/// Fills in the defaults of `spec.state`.
pub fn state(integration: &Integration) -> ResolvedState {
    let embedded = integration.spec.state.clone().and_then(|state| state.embedded).unwrap_or_default();
    ResolvedState {
        storage: embedded.storage.unwrap_or_else(|| "1Gi".into()),
        storage_class_name: embedded.storage_class_name,
        deletion_policy: embedded.deletion_policy.unwrap_or_default(),
    }
}

/// Keys of a Connector's credentials that an Integration's alerts are signed with.
pub fn signing_keys(integration: &Integration, connector: &str) -> Vec<String> {
    alerts::signing_keys(&integration.spec.alerts, connector)
}

/// The rate group a Connector's allowance belongs to: the named one, or one of its own.
pub fn rate_group(connector: &Connector) -> String {
    let named = connector.spec.rate_limit.as_ref().and_then(|rate| rate.group.clone());
    named.map_or_else(
        || format!("connector/{}", connector.metadata.name.as_deref().unwrap_or_default()),
        |group| format!("group/{group}"),
    )
}

#[cfg(test)]
mod tests;
