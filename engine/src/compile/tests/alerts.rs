//! Alerts: what they are compiled to, and what is said of those that would tell nobody.

use super::*;
use crate::{
    alert::Cause,
    compile::{integration_among, signing_keys},
    plan::{Alert, AlertWay},
};

fn connector(name: &str, spec: &Value) -> Connector {
    let mut spec = spec.clone();
    spec["credentials"] = json!({"secretRef": {"name": "x"}});
    let document = json!({
        "apiVersion": "crosstie.dev/v1alpha1", "kind": "Connector",
        "metadata": {"name": name, "namespace": "shop"}, "spec": spec,
    });
    serde_json::from_value(document).unwrap()
}

fn basic() -> Value {
    json!({"basic": {"username": "{username}", "password": "{password}"}})
}

/// The orders with these alerts, among Connectors of every kind.
fn alerted(alerts: &Value) -> Compiled<Plan> {
    let others = [
        connector("chat", &json!({"preset": "Slack", "baseURL": "https://slack.com/api"})),
        connector("mail", &json!({"baseURL": "smtp://mail.example.com", "auth": basic()})),
        connector("mails", &json!({"baseURL": "smtps://mail.example.com:4650/", "auth": basic()})),
        connector("bearer", &json!({"baseURL": "smtp://mail.example.com", "auth": {"bearer": {"token": "{token}"}}})),
        connector("pager", &json!({"baseURL": "https://pager.example.com/v2", "auth": {"none": {}}})),
    ];
    let others: Vec<&Connector> = others.iter().collect();
    let [source, destination] = [shopify(), netsuite()].map(|spec| serde_json::from_value::<Connector>(spec).unwrap());
    let orders: Integration = serde_json::from_value(with(orders(), "/spec/alerts", alerts.clone())).unwrap();
    integration_among(&orders, &source, &destination, &others, &Settings::default())
}

fn one(alert: &Value) -> Alert {
    let plan = alerted(&json!([alert])).value.unwrap();
    assert_eq!(plan.format_version, 4, "an older worker would tell nobody");
    assert_eq!(Plan::parse(plan.to_json().as_bytes()).unwrap(), plan);
    plan.alerts.into_iter().next().unwrap()
}

fn email(connector: &str) -> Value {
    json!({"connectorRef": {"name": connector}, "from": "crosstie@example.com", "to": ["ops@example.com"]})
}

#[test]
fn a_channel_of_slack_is_told_of_everything_by_the_presets_operation() {
    let alert = one(&json!({"name": "ops", "slack": {"connectorRef": {"name": "chat"}, "channel": "C0OPS"}}));
    let AlertWay::Slack { operation, channel } = &alert.way else { panic!("{alert:?}") };
    assert_eq!((operation.name.as_str(), operation.path.to_string().as_str()), ("postMessage", "/chat.postMessage"));
    assert_eq!((channel.as_str(), alert.causes.as_slice()), ("C0OPS", &Cause::ALL[..]));
    assert_eq!((alert.group_seconds, alert.repeat_seconds), (60, 14_400));
    assert_eq!(alert.credential_keys(), ["token"]);
}

#[test]
fn mails_go_through_tls_unless_the_spec_says_otherwise() {
    for (connector, url) in [("mail", "smtp://mail.example.com"), ("mails", "smtps://mail.example.com:4650")] {
        let alert = one(&json!({"name": "ops", "email": email(connector), "causes": ["DeadLetters"]}));
        assert!(matches!(alert.way, AlertWay::Email { encrypted: true, .. }), "{alert:?}");
        assert_eq!((alert.system.base_url.as_str(), alert.causes.as_slice()), (url, &[Cause::DeadLetters][..]));
    }
    let open = with(email("mail"), "/tls", json!("None"));
    assert!(matches!(one(&json!({"name": "ops", "email": open})).way, AlertWay::Email { encrypted: false, .. }));
}

#[test]
fn a_request_goes_to_a_path_below_the_connectors_and_names_what_it_is_signed_with() {
    let hook = json!({"connectorRef": {"name": "pager"}, "path": "/hooks", "signingSecret": "{signing}"});
    let spec = json!({"name": "ops", "webhook": hook, "groupSeconds": 300, "repeatSeconds": 60});
    let alert = one(&spec);
    let AlertWay::Webhook { path, signing_secret } = &alert.way else { panic!("{alert:?}") };
    assert_eq!((path.as_str(), signing_secret.as_ref().unwrap().to_string().as_str()), ("/hooks", "{signing}"));
    assert_eq!((alert.group_seconds, alert.repeat_seconds), (300, 300), "no more often than it is gathered");
    assert_eq!(alert.credential_keys(), ["signing"]);
    let orders: Integration = serde_json::from_value(with(orders(), "/spec/alerts", json!([spec]))).unwrap();
    assert_eq!((signing_keys(&orders, "pager"), signing_keys(&orders, "chat")), (vec!["signing".to_owned()], vec![]));
}

#[test]
fn an_alert_that_would_tell_nobody_is_found_with_its_place() {
    let slack =
        |connector: &str| json!({"name": "ops", "slack": {"connectorRef": {"name": connector}, "channel": "C0"}});
    let mail = |email: Value| json!({"name": "ops", "email": email});
    let hook = |connector: &str, secret: &str| json!({"name": "ops", "webhook": {"connectorRef": {"name": connector}, "signingSecret": secret}});
    let cases = [
        (slack("nobody"), Reason::ConnectorNotFound, "there is no Connector nobody"),
        (slack("pager"), Reason::PlanInvalid, "has no operation `postMessage`"),
        (slack("mail"), Reason::PlanInvalid, "is a mail server: use email"),
        (mail(email("chat")), Reason::PlanInvalid, "auth.basic"),
        (mail(email("bearer")), Reason::PlanInvalid, "auth.basic, or auth.none"),
        (mail(with(email("mails"), "/tls", json!("None"))), Reason::PlanInvalid, "TLS from the beginning"),
        (mail(with(email("mail"), "/to", json!(["Ops <ops@example.com>"]))), Reason::PlanInvalid, "is no address"),
        (hook("mail", "{signing}"), Reason::PlanInvalid, "is a mail server"),
        (hook("pager", "whsec_abc"), Reason::PlanInvalid, "does not belong into a spec"),
        (hook("pager", "{signing"), Reason::PlanInvalid, "unfinished"),
        (json!({"name": "ops"}), Reason::PlanInvalid, "exactly one of slack, email and webhook"),
    ];
    for (alert, reason, expected) in cases {
        let found = findings(&alerted(&json!([alert])));
        let said = found
            .iter()
            .any(|(found, text)| *found == reason && text.starts_with("spec.alerts[ops]") && text.contains(expected));
        assert!(said, "{alert}: {found:?}");
    }
    let twice = json!([slack("chat"), slack("chat")]);
    assert!(only(&alerted(&twice)).1.contains("another alert has the same name"));
}

#[test]
fn records_neither_come_from_a_mail_server_nor_go_to_one() {
    let mail = json!({"name": "shopify", "namespace": "shop"});
    let mut connector =
        serde_json::to_value(connector("x", &json!({"baseURL": "smtp://a.example.com", "auth": basic()}))).unwrap();
    connector["metadata"] = mail;
    let (reason, text) = only(&compile(connector, netsuite(), orders()));
    assert!(reason == Reason::PlanInvalid && text.contains("is a mail server"), "{text}");
    for bad in ["smtp://a.example.com/path", "smtp://user@a.example.com", "smtp://"] {
        let compiled = compile(with(shopify(), "/spec/baseURL", json!(bad)), netsuite(), orders());
        assert_eq!(only(&compiled).0, Reason::ConnectorNotReady, "{bad}");
    }
}
