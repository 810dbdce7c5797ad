//! Webhooks: which flows take what, how it is verified, and what is found.

use serde_json::{Value, json};

use super::{compile, findings, netsuite, only, orders, shopify, with};
use crate::{
    compile::Settings,
    plan::{Brings, Place, Plan, Rest, Trigger, Verification},
    preset,
    webhook::route,
};

fn taking(topics: &[&str]) -> Value {
    with(orders(), "/spec/flows/0/triggers", json!([{"webhook": {"topics": topics}}]))
}

fn planned(source: Value, integration: Value) -> Plan {
    let compiled = compile(source, netsuite(), integration);
    assert_eq!(compiled.findings, []);
    compiled.value.unwrap()
}

/// What is found when the source's webhooks are described so.
fn found(webhooks: Value, integration: Value) -> String {
    let source = with(shopify(), "/spec/webhooks", webhooks);
    only(&compile(source, netsuite(), integration)).1
}

#[test]
fn a_flow_takes_the_topics_it_asks_for_and_reads_every_hour_what_never_came() {
    let plan = planned(shopify(), taking(&["orders/create", "orders/delete"]));
    let flow = &plan.flows[0];
    assert_eq!(flow.triggers, [Trigger::EverySeconds(3600)]);
    let brings = |topic: &str| route(&flow.events, topic).map(|route| route.brings.clone());
    assert_eq!(brings("orders/create"), Some(Brings::Record(String::new())));
    let deleted = Brings::Deleted {
        rest: Rest::Record(String::new()),
        version: Some(Place::Header("X-Shopify-Triggered-At".into())),
    };
    assert_eq!(brings("orders/delete"), Some(deleted));
    assert_eq!(brings("orders/paid"), None, "nobody asked for it");
    assert!(flow.stream.deleted.is_some(), "there is a place where a deletion is said");
    let receiver = plan.receiver.as_ref().unwrap();
    assert_eq!((receiver.path.as_str(), receiver.url()), ("/shop/orders", None));
    assert_eq!(receiver.credential_keys().collect::<Vec<_>>(), ["webhookSecret"]);
    assert_eq!((plan.format_version, receiver.max_body_bytes, receiver.audit_days), (4, 1_048_576, 7));
    let both = json!([{"webhook": {"topics": ["orders/*"]}}, {"everySeconds": 900}]);
    let both = with(orders(), "/spec/flows/0/triggers", both);
    assert_eq!(planned(shopify(), both).flows[0].triggers, [Trigger::EverySeconds(900)]);
    assert_eq!(planned(shopify(), orders()).receiver, None);
}

#[test]
fn the_integration_says_where_it_is_reached_and_how_much_it_takes() {
    let receiver = json!({
        "host": "hooks.example.com", "limit": {"key": {"pointer": "/user/id"}, "requests": 100},
        "trustedProxies": ["10.0.0.0/8", "fd00::/8"], "maxBodyBytes": 2048, "auditDays": 30,
    });
    let plan = planned(shopify(), with(taking(&["orders/create"]), "/spec/receiver", receiver));
    let receiver = plan.receiver.unwrap();
    assert_eq!(receiver.url().as_deref(), Some("https://hooks.example.com/shop/orders"));
    assert_eq!(receiver.limit.map(|limit| (limit.requests, limit.per_seconds)), Some((100, 60)));
    assert_eq!((receiver.max_body_bytes, receiver.audit_days), (2048, 30));
    for range in ["10.0.0.1", "10.0.0.0/33", "x/8", "::/129"] {
        let wrong = with(taking(&["orders/*"]), "/spec/receiver", json!({"trustedProxies": [range]}));
        let (_, message) = only(&compile(shopify(), netsuite(), wrong));
        assert!(message.contains(range) && message.contains("10.0.0.0/8"), "{message}");
    }
}

#[test]
fn what_a_connector_sets_wins_over_its_preset_and_its_routes_come_first() {
    let own = json!({
        "verify": {"standardWebhooks": {"secret": "{hookSecret}"}},
        "routes": [{"topics": ["orders/*"], "stream": "orders", "record": "/payload"}],
    });
    let plan = planned(with(shopify(), "/spec/webhooks", own), taking(&["orders/create"]));
    assert_eq!(route(&plan.flows[0].events, "orders/create").unwrap().brings, Brings::Record("/payload".into()));
    let receiver = plan.receiver.unwrap();
    assert_eq!(receiver.topic, Some(Place::Header("X-Shopify-Topic".into())));
    assert_eq!(receiver.credential_keys().collect::<Vec<_>>(), ["hookSecret"]);
}

#[test]
fn what_would_be_taken_without_proof_is_found() {
    let hash = |changes: Value| {
        let mut hash =
            json!({"algorithm": "SHA256", "secret": "{s}", "encoding": "Hex", "signature": {"header": "X-S"}});
        hash.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        json!({"verify": {"hmac": hash}})
    };
    let at = json!({"at": {"header": "X-T"}});
    for (webhooks, words) in [
        (hash(json!({"secret": "fixed"})), "name a key of the credentials"),
        (hash(json!({"message": "{timestamp}", "timestamp": at})), "put {body} into it"),
        (hash(json!({"message": "{timestamp}.{body}"})), "set it: the message has {timestamp}"),
        (hash(json!({"timestamp": at})), "put {timestamp} into it"),
        (hash(json!({"message": "{boddy}{body}"})), "`{boddy}` is not known here"),
        (json!({"verify": {"token": {"header": "X", "value": "fixed"}}}), "name a key of the credentials"),
        (json!({"verify": {}}), "set exactly one of hmac, standardWebhooks and token"),
    ] {
        let message = found(webhooks, taking(&["orders/*"]));
        assert!(message.contains(words), "{words}: {message}");
    }
    let signs_url = hash(json!({"message": "{url}{body}"}));
    let message = found(signs_url.clone(), taking(&["orders/*"]));
    assert!(message.contains("set receiver.host"), "{message}");
    let hosted = with(taking(&["orders/create"]), "/spec/receiver", json!({"host": "hooks.example.com"}));
    planned(with(shopify(), "/spec/webhooks", signs_url), hosted);
    let mut bare = shopify();
    bare["spec"]["webhooks"] = json!({"routes": []});
    bare["spec"]["preset"] = json!("NetSuite");
    let all = findings(&compile(bare, netsuite(), orders()));
    assert!(all.iter().any(|(_, message)| message.contains("nothing that is not verified is taken")), "{all:?}");
}

#[test]
fn topics_and_streams_that_nobody_knows_are_named_with_those_that_are() {
    let (_, message) = only(&compile(shopify(), netsuite(), taking(&["carts/update"])));
    assert!(message.contains("carts/update") && message.contains("orders/*"), "{message}");
    let route = |changes: Value| {
        let mut route = json!({"topics": ["x"], "stream": "orders"});
        route.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        json!({"routes": [route]})
    };
    let message = found(route(json!({"stream": "carts"})), orders());
    assert!(message.contains("there is no stream `carts`") && message.contains("orders"), "{message}");
    let message = found(route(json!({"stream": "refunds", "key": "/id"})), orders());
    assert!(message.contains("set `one` on the stream `refunds`"), "{message}");
    let without = with(taking(&["x"]), "/spec/source/connectorRef/name", json!("netsuite"));
    let all = findings(&compile(netsuite(), netsuite(), without));
    assert!(all.iter().any(|(_, message)| message.contains("does not say how its webhooks are verified")), "{all:?}");
}

#[test]
fn the_vendor_is_told_where_to_send_each_topic_once_the_address_is_known() {
    let hosted = |topics: &[&str]| with(taking(topics), "/spec/receiver", json!({"host": "hooks.example.com"}));
    let plan = planned(shopify(), hosted(&["orders/updated", "orders/create"]));
    let subscription = plan.receiver.unwrap().subscription.unwrap();
    assert_eq!(subscription.topics, ["orders/create", "orders/updated"]);
    assert_eq!(subscription.stream.path, "/admin/api/2026-07/webhooks.json");
    assert_eq!(subscription.operation.path.to_string(), subscription.stream.path);
    let (_, message) = only(&compile(shopify(), netsuite(), hosted(&["orders/*"])));
    assert!(message.contains("in place of `orders/*`"), "{message}");
    assert_eq!(planned(shopify(), taking(&["orders/create"])).receiver.unwrap().subscription, None);
    let unknown = json!({"subscription": {"stream": "s", "topic": "/t", "address": "/a", "operation": "o"}});
    let all = findings(&compile(with(shopify(), "/spec/webhooks", unknown), netsuite(), orders()));
    assert!(all[0].1.contains("there is no stream `s`"), "{all:?}");
}

#[test]
fn a_name_that_no_service_can_have_is_found() {
    for name in ["1st", "orders.eu"] {
        let named = with(taking(&["orders/*"]), "/metadata/name", json!(name));
        let (_, message) = only(&compile(shopify(), netsuite(), named));
        assert!(message.contains(name) && message.contains("begins with a letter"), "{message}");
    }
}

#[test]
fn every_preset_that_describes_webhooks_says_how_they_are_verified() {
    let mut verified = Vec::new();
    for name in preset::names() {
        let spec =
            json!({"preset": name, "baseURL": "https://api.example.com", "credentials": {"secretRef": {"name": "x"}}});
        let object = json!({
            "apiVersion": "crosstie.dev/v1alpha1", "kind": "Connector", "metadata": {"name": "x", "namespace": "shop"}, "spec": spec,
        });
        let connector = serde_json::from_value(object).unwrap();
        assert_eq!(super::super::connector(&connector, &Settings::default()).findings, [], "{name}");
        if let Some(verify) = preset::find(name).and_then(|preset| preset.webhooks.as_ref()?.verify.clone()) {
            let scheme = [verify.hmac.is_some(), verify.standard_webhooks.is_some(), verify.token.is_some()];
            assert_eq!(scheme.into_iter().filter(|set| *set).count(), 1, "{name}");
            verified.push(name);
        }
    }
    let expected =
        ["HubSpot", "Intercom", "Jira", "Klaviyo", "Mailchimp", "REST", "SAP", "Shopify", "Slack", "Stripe", "Zendesk"];
    assert_eq!(verified, expected);
    let plan = planned(shopify(), taking(&["orders/*"]));
    assert!(matches!(plan.receiver.unwrap().verification, Verification::Hash(hash) if hash.timestamp.is_none()));
}
