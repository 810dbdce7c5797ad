//! Stripe's preset against stripe-mock, which serves Stripe's own OpenAPI document: paths, parameters and bodies that Stripe does not know are
//! refused by it. It keeps no state and answers with examples: this says nothing about what Stripe does, only that it would understand.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::{
    io::{BufRead as _, BufReader, Read as _},
    path::{Path, PathBuf},
    process::{Child, ChildStdout, Command, Stdio},
};

use crosstie_connect::{Authorities, CredentialStore, Outgoing, Surroundings, VendorClient, Written};
use crosstie_crds::{Connector, Integration};
use crosstie_engine::{
    compile::{self, Settings},
    credentials::{CredentialVersion, CredentialsDocument},
    plan::{Flow, StartFrom},
    window::PollState,
};
use serde_json::{Value, json};

/// stripe-mock, ended when this is dropped.
struct Mock {
    process: Child,
    address: String,
    /// Kept open: it writes a line for each request, and a closed pipe ends it.
    _said: BufReader<ChildStdout>,
}

impl Mock {
    /// Builds it when the cache has none yet, and starts it on free ports of this machine.
    fn start() -> Self {
        let build = repository().join("tests/cluster/build");
        let built = Command::new(&build).arg("stripe-mock").status().unwrap();
        assert!(built.success(), "{} stripe-mock failed", build.display());
        let mut command = Command::new(cache().join("bin/stripe-mock"));
        // Without an address of its own it would listen for HTTPS at a fixed port of every interface.
        command.args(["-http-addr", "127.0.0.1:0", "-https-addr", "127.0.0.1:0"]);
        let mut process = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut said = BufReader::new(process.stdout.take().unwrap());
        let address = said
            .by_ref()
            .lines()
            .map_while(Result::ok)
            .find_map(|line| line.strip_prefix("Listening for HTTP at address: ").map(str::to_owned));
        Self { process, address: address.expect("stripe-mock said no address"), _said: said }
    }
}

impl Drop for Mock {
    fn drop(&mut self) {
        let _ended = self.process.kill();
        let _reaped = self.process.wait();
    }
}

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Where `tests/cluster/lib/paths.sh` says that it is.
fn cache() -> PathBuf {
    let named = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    named("CROSSTIE_CACHE").unwrap_or_else(|| {
        let home = || named("HOME").expect("HOME is not set").join(".cache");
        named("XDG_CACHE_HOME").unwrap_or_else(home).join("crosstie")
    })
}

/// A client for the mock, and a flow that reads one stream and writes by one operation.
fn planned(mock: &Mock, stream: &str, operation: &str, delete: Option<&str>) -> (VendorClient, Flow) {
    let document = json!({
        "apiVersion": "crosstie.dev/v1alpha1", "kind": "Connector", "metadata": {"name": "stripe", "namespace": "shop"},
        "spec": {
            "preset": "Stripe", "baseURL": format!("http://{}", mock.address),
            "credentials": {"secretRef": {"name": "x"}},
        },
    });
    let connector: Connector = serde_json::from_value(document).unwrap();
    let mut write = json!({"operation": operation});
    if let Some(delete) = delete {
        write["deleteOperation"] = json!(delete);
    }
    let map = json!({"id": "'cus_1'", "charge": "'ch_1'"});
    let flow =
        json!({"name": "flow", "triggers": [{"everySeconds": 60}], "stream": stream, "map": map, "write": write});
    let document = json!({
        "apiVersion": "crosstie.dev/v1alpha1", "kind": "Integration", "metadata": {"name": "i", "namespace": "shop"},
        "spec": {
            "source": {"connectorRef": {"name": "stripe"}}, "destination": {"connectorRef": {"name": "stripe"}},
            "flows": [flow],
        },
    });
    let integration: Integration = serde_json::from_value(document).unwrap();
    let settings = Settings { allow_cidrs: vec!["127.0.0.0/8".into()] };
    let compiled = compile::integration(&integration, &connector, &connector, &settings);
    assert_eq!(compiled.findings, []);
    let plan = compiled.value.unwrap();
    let values = [("token".to_owned(), "sk_test_123".to_owned())].into();
    let current = CredentialVersion { version_id: "v1".into(), values };
    let document = CredentialsDocument { connector: "stripe".into(), current, previous: None };
    let surroundings = Surroundings { authorities: Authorities::Only(Vec::new()), ..Surroundings::default() };
    let store = CredentialStore::new(&document);
    let client = VendorClient::surrounded(&plan.source, store, plan.source.allowance, &surroundings).unwrap();
    (client, plan.flows[0].clone())
}

#[tokio::test]
async fn stripe_knows_every_stream_as_it_is_asked_for() {
    let mock = Mock::start();
    for stream in ["payments", "refunds", "customers", "charges"] {
        let (client, flow) = planned(&mock, stream, "createCustomer", None);
        let begun = "2026-01-01T00:00:00Z".parse().unwrap();
        let state =
            PollState::default().opened(&flow.stream, StartFrom::Time(begun), "2026-07-01T00:00:00Z".parse().unwrap());
        let window = state.open.unwrap();
        let page = client.read_page(&flow.stream, Some(&window.bounds), &window.next).await.unwrap();
        assert!(!page.records.is_empty(), "{stream}");
        assert!(page.request_id.is_some(), "{stream}");
        let one = client.read_one(&flow.stream, "obj_1").await.unwrap().unwrap();
        assert_eq!(one.pointer(&flow.stream.key), Some(&json!("obj_1")), "{stream}");
    }
}

async fn write(client: &VendorClient, flow: &Flow, body: &Value) -> Written {
    let outgoing = Outgoing { body: &body.clone().into(), identifier: None, idempotency_key: Some("key-1") };
    client.write(&flow.operation, outgoing).await
}

#[tokio::test]
async fn stripe_understands_what_is_written_and_refuses_what_it_does_not_know() {
    let mock = Mock::start();
    let customer = json!({
        "email": "käuferin@example.com", "name": "Käuferin & Söhne", "address": {"city": "München", "postal_code": "80331"},
        "metadata": {"crm": "7"}, "preferred_locales": ["de", "en"],
    });
    let (client, flow) = planned(&mock, "charges", "createCustomer", Some("deleteCustomer"));
    let Written::Applied { identifier: Some(made), .. } = write(&client, &flow, &customer).await else {
        panic!("not applied")
    };
    assert!(made.starts_with("cus_"), "{made}");
    let unknown = write(&client, &flow, &json!({"email": "a@example.com", "hat_size": 7})).await;
    assert!(matches!(&unknown, Written::Refused { fault } if fault.status == Some(400)), "{unknown:?}");
    let (updating, flow) = planned(&mock, "charges", "updateCustomer", None);
    assert!(matches!(write(&updating, &flow, &json!({"id": "cus_1", "name": "Neu"})).await, Written::Applied { .. }));
    let (refunding, flow) = planned(&mock, "charges", "createRefund", None);
    let refund =
        json!({"charge": "ch_1", "amount": 500, "reason": "requested_by_customer", "metadata": {"order": "1"}});
    assert!(matches!(write(&refunding, &flow, &refund).await, Written::Applied { identifier: Some(_), .. }));
    let wrong = write(&refunding, &flow, &json!({"charge": "ch_1", "amount": "five"})).await;
    assert!(matches!(wrong, Written::Refused { .. }), "{wrong:?}");
}
