//! Alerts: whom they go to, through which Connector, checked and resolved.

use std::collections::BTreeSet;

use crosstie_crds::{
    Connector,
    condition::Reason,
    integration::{Alert, EmailAlert, EmailTls, SlackAlert, WebhookAlert},
};

use super::{Findings, Settings, connector::Resolved, endpoint_of};
use crate::{
    alert::Cause,
    plan::{self, AlertWay, Authentication, System},
    template::Template,
};

/// How long something has to be wrong before it is told, in seconds, where the spec does not say.
const GROUP_SECONDS: u32 = 60;
/// How long until what is still wrong is told again, in seconds, where the spec does not say.
const REPEAT_SECONDS: u32 = 14_400;
/// Name of the operation that posts to Slack.
const POST_MESSAGE: &str = "postMessage";

/// Resolves alerts, each of which goes through one of these Connectors.
pub(super) fn resolve(
    alerts: &[Alert],
    among: &[&Connector],
    settings: &Settings,
    findings: &mut Findings,
) -> Vec<plan::Alert> {
    let mut names = BTreeSet::new();
    for alert in alerts.iter().filter(|alert| !names.insert(alert.name.as_str())) {
        findings.invalid(path(alert), "another alert has the same name: choose a different one");
    }
    alerts.iter().filter_map(|alert| resolve_one(alert, among, settings, findings)).collect()
}

/// Keys of a Connector's credentials that alerts are signed with.
pub(super) fn signing_keys(alerts: &[Alert], connector: &str) -> Vec<String> {
    let hooks = alerts.iter().filter_map(|alert| alert.webhook.as_ref());
    let through = hooks.filter(|hook| hook.connector_ref.name == connector);
    let secrets = through.filter_map(|hook| Template::parse(hook.signing_secret.as_deref()?).ok());
    secrets.flat_map(|secret| secret.names().map(str::to_owned).collect::<Vec<_>>()).collect()
}

fn path(alert: &Alert) -> String {
    format!("spec.alerts[{}]", alert.name)
}

fn resolve_one(
    alert: &Alert,
    among: &[&Connector],
    settings: &Settings,
    findings: &mut Findings,
) -> Option<plan::Alert> {
    let path = path(alert);
    let Some(name) = alert.connector() else {
        findings.invalid(path, "set exactly one of slack, email and webhook");
        return None;
    };
    let found = among.iter().find(|connector| connector.metadata.name.as_deref() == Some(name));
    let Some(connector) = found else {
        let message = format!("there is no Connector {name} in the namespace: create it, or correct the name");
        findings.add(Reason::ConnectorNotFound, path, message);
        return None;
    };
    let resolved = endpoint_of(&path, connector, settings, findings)?;
    let way = match (&alert.slack, &alert.email, &alert.webhook) {
        (Some(to), None, None) => slack(&path, to, &resolved, findings),
        (None, Some(to), None) => email(&path, to, &resolved.system, findings),
        (None, None, Some(to)) => webhook(&path, to, &resolved.system, findings),
        _ => {
            findings.invalid(&path, "set exactly one of slack, email and webhook");
            None
        }
    };
    let causes = alert.causes.as_ref();
    let causes: BTreeSet<Cause> = causes
        .map_or_else(|| Cause::ALL.into_iter().collect(), |causes| causes.iter().copied().map(Cause::from).collect());
    let group_seconds = alert.group_seconds.unwrap_or(GROUP_SECONDS).max(1);
    Some(plan::Alert {
        name: alert.name.clone(),
        way: way?,
        system: resolved.planned(),
        causes: causes.into_iter().collect(),
        group_seconds,
        repeat_seconds: alert.repeat_seconds.unwrap_or(REPEAT_SECONDS).max(group_seconds),
    })
}

fn slack(path: &str, to: &SlackAlert, resolved: &Resolved, findings: &mut Findings) -> Option<AlertWay> {
    if !speaks_http(path, &resolved.system, findings) {
        return None;
    }
    let name = &resolved.name;
    if !resolved.operations.iter().any(|operation| operation.name == POST_MESSAGE) {
        let message = format!("Connector {name} has no operation `{POST_MESSAGE}`: name one with the preset Slack");
        findings.invalid(format!("{path}.slack.connectorRef.name"), message);
        return None;
    }
    // What is wrong with it was found with the Connector.
    let operation = resolved.operation(POST_MESSAGE, findings)?;
    Some(AlertWay::Slack { operation: Box::new(operation), channel: to.channel.clone() })
}

fn email(path: &str, to: &EmailAlert, system: &System, findings: &mut Findings) -> Option<AlertWay> {
    let before = findings.list.len();
    let (name, place) = (&system.connector, format!("{path}.email"));
    if !system.is_mail() {
        let message = format!("Connector {name} is no mail server: its baseURL has to be smtp://HOST or smtps://HOST");
        findings.invalid(format!("{place}.connectorRef.name"), message);
    }
    if !matches!(system.authentication, Authentication::Basic { .. } | Authentication::None) || system.tls.is_some() {
        let message = format!(
            "mail servers are logged in to by name and password: give Connector {name} auth.basic, or auth.none, and no tls"
        );
        findings.invalid(format!("{place}.connectorRef.name"), message);
    }
    let encrypted = match to.tls.unwrap_or_default() {
        EmailTls::Required => true,
        EmailTls::None => false,
    };
    if !encrypted && system.base_url.scheme() == "smtps" {
        let message =
            format!("smtps:// is TLS from the beginning: remove tls: None, or let Connector {name} say smtp://");
        findings.invalid(format!("{place}.tls"), message);
    }
    for address in std::iter::once(&to.from).chain(&to.to) {
        if !is_address(address) {
            let message = format!("`{address}` is no address: write one such as operations@example.com");
            findings.invalid(&place, message);
        }
    }
    if to.to.is_empty() {
        findings.invalid(format!("{place}.to"), "name at least one address");
    }
    let sound = findings.list.len() == before;
    sound.then(|| AlertWay::Email { from: to.from.clone(), to: to.to.clone(), encrypted })
}

fn webhook(path: &str, to: &WebhookAlert, system: &System, findings: &mut Findings) -> Option<AlertWay> {
    if !speaks_http(path, system, findings) {
        return None;
    }
    let secret = to.signing_secret.as_deref().map(Template::parse).transpose();
    let signing_secret =
        secret.map_err(|error| findings.invalid(format!("{path}.webhook.signingSecret"), error.to_string())).ok()?;
    if signing_secret.as_ref().is_some_and(|secret| secret.names().next().is_none()) {
        let message = "name a key of the Connector's credentials between braces, such as {signing_secret}: a secret does not belong into a spec";
        findings.invalid(format!("{path}.webhook.signingSecret"), message);
        return None;
    }
    Some(AlertWay::Webhook { path: to.path.clone().unwrap_or_default(), signing_secret })
}

fn speaks_http(path: &str, system: &System, findings: &mut Findings) -> bool {
    if system.is_mail() {
        let message = format!("Connector {} is a mail server: use email", system.connector);
        findings.invalid(path, message);
    }
    !system.is_mail()
}

/// Whether a text has the form of an address, without a name before it.
fn is_address(text: &str) -> bool {
    let strange = |character: char| character.is_whitespace() || character.is_control() || ",;<>\"".contains(character);
    match text.split_once('@') {
        Some((local, domain)) => {
            !local.is_empty() && !domain.is_empty() && !domain.contains('@') && !text.contains(strange)
        }
        None => false,
    }
}
