//! Presets at work: what one vendor of the simulator holds is read by its preset, page by page, and written by another vendor's, while a part
//! of the writes are done and not answered. Each record arrives, and none is made twice.

use std::{collections::BTreeMap, fs, path::Path};

use crosstie_connect::{CallFailure, FailureKind, Page, Timeouts, VendorClient};
use crosstie_engine::{
    plan::{RetryPolicy, StartFrom, Stream},
    window::PollState,
};
use crosstie_vendors::wire::SeedRequest;

use super::{
    Client, Connector, Fault, FaultRule, LookedUp, Outgoing, Plan, Simulator, TOKEN, Value, Written, client_with,
    compiled, found, json, write,
};
use crate::common::{Bench, PLENTY, until_report};

/// Records at the source: more than a page of any stream here.
const COUNT: u64 = 25;

/// One vendor under its preset.
struct End {
    vendor: &'static str,
    preset: &'static str,
    /// What follows the simulator's address in baseURL.
    below: &'static str,
    /// Members of the Connector's spec: smaller pages than a real vendor would be asked for.
    spec: Value,
}

impl End {
    fn of(vendor: &'static str, preset: &'static str) -> Self {
        Self { vendor, preset, below: "", spec: json!({}) }
    }

    fn with(self, spec: Value) -> Self {
        Self { spec, ..self }
    }

    /// A stream that is asked for ten records a page.
    fn paged(self, stream: &str, member: &str, value: &Value) -> Self {
        self.with(json!({"streams": [{"name": stream, member: value}]}))
    }

    async fn vendor(&self, simulator: &Simulator) -> Client {
        let vendor = simulator.control(self.vendor, "main").unwrap();
        vendor.set_tokens(&[TOKEN]).await.unwrap();
        vendor.change_settings(&json!({"rateLimit": null, "concurrencyLimit": null})).await.unwrap();
        vendor
    }

    fn connector(&self, name: &str, vendor: &Client) -> Connector {
        let base = format!("{}{}", vendor.base_url(), self.below);
        let mut spec = json!({"preset": self.preset, "baseURL": base, "credentials": {"secretRef": {"name": "x"}}});
        spec.as_object_mut().unwrap().extend(self.spec.as_object().unwrap().clone());
        let document = json!({
            "apiVersion": "crosstie.dev/v1alpha1", "kind": "Connector",
            "metadata": {"name": name, "namespace": "shop"}, "spec": spec,
        });
        serde_json::from_value(document).unwrap()
    }
}

fn shopify() -> End {
    End::of("shopify", "Shopify")
}

fn netsuite() -> End {
    End::of("netsuite", "NetSuite")
}

fn rest() -> End {
    End::of("rest", "REST")
}

fn stripe() -> End {
    End::of("stripe", "Stripe")
}

fn klaviyo() -> End {
    End::of("klaviyo", "Klaviyo")
}

fn mailchimp() -> End {
    End { below: "/3.0/lists/57afe96172", ..End::of("mailchimp", "Mailchimp") }
}

fn sap() -> End {
    End::of("sap", "SAP")
}

fn hubspot() -> End {
    End::of("hubspot", "HubSpot")
}

fn plan(source: &Connector, destination: &Connector, flow: &Value) -> Plan {
    let mut plan = compiled(flow, source, destination);
    // Tests are not about waiting.
    plan.retry = RetryPolicy { retries: 5, initial_seconds: 1, factor: 1, max_seconds: 1 };
    for flow in &mut plan.flows {
        let operation = &mut flow.operation;
        let found = operation.find.as_mut().map(|find| &mut find.lookup);
        for lookup in operation.outcome.lookup.as_mut().into_iter().chain(found) {
            lookup.settle_seconds = 0;
        }
    }
    plan
}

async fn seed(vendor: &Client, resource: &str) {
    let start_time = "2026-01-01T00:00:00Z".parse().unwrap();
    let resource = resource.to_owned();
    let request =
        SeedRequest { resource, count: COUNT, start_id: 1, start_time, step_millis: 1_000, seed: 7, lines: None };
    assert_eq!(vendor.seed(&request).await.unwrap(), COUNT);
}

/// A flow that asks every second.
fn flow(stream: &str, operation: &str, map: &Value) -> Value {
    json!({
        "name": "flow", "triggers": [{"everySeconds": 1}], "stream": stream, "startFrom": "Beginning", "map": map,
        "write": {"operation": operation},
    })
}

/// The flow of an example's Integration, which asks every second here.
fn example(file: &str, integration: &str) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples").join(file);
    let text = fs::read_to_string(path).unwrap();
    let documents = text.split("\n---\n").map(|document| serde_saphyr::from_str::<Value>(document).unwrap());
    let mut found = documents.into_iter().find(|document| document["metadata"]["name"] == integration).unwrap();
    let mut flow = found["spec"]["flows"][0].take();
    flow["triggers"] = json!([{"everySeconds": 1}]);
    flow["startFrom"] = json!("Beginning");
    flow
}

/// Runs a flow until everything has arrived, and gives what is to be looked at then.
async fn carry(source: End, seeded: &[&str], destination: End, flow: Value) -> Bench {
    let simulator = Simulator::start().await.unwrap();
    let (from, to) = (source.vendor(&simulator).await, destination.vendor(&simulator).await);
    for resource in seeded {
        seed(&from, resource).await;
    }
    // Done, and not answered: whether it was is for the preset's outcome to find out.
    let unanswered = FaultRule::new(Fault::ErrorAfterCommit { code: 500 }).percent(25, 3).times(2);
    let method = |method: &str| unanswered.clone().method(method);
    for rule in [method("POST"), method("PUT"), method("PATCH")] {
        to.add_fault(&rule).await.unwrap();
    }
    let plan = plan(&source.connector("source", &from), &destination.connector("destination", &to), &flow);
    let folder = tempfile::tempdir().unwrap();
    let bench = Bench { simulator, shop: from, books: to, folder, plan, timeouts: Timeouts::default() };
    bench.write_plan();
    bench.write_shares(PLENTY);
    let values = json!({"token": TOKEN, "username": "crosstie", "password": TOKEN});
    for (end, connector) in [("source", "source"), ("destination", "destination")] {
        let document = json!({"connector": connector, "current": {"versionId": "v1", "values": values}});
        bench.write(&format!("credentials/{end}/credentials.json"), &document.to_string());
    }
    let worker = bench.start().await;
    let all = i64::try_from(COUNT).unwrap();
    let report = until_report(&worker, "everything has arrived", |report| {
        let flow = report.flows.first();
        flow.is_some_and(|flow| flow.delivered >= all && flow.queue_depth == 0 || flow.dead_letters > 0)
    })
    .await;
    let faults: u64 = bench.books.faults().await.unwrap().iter().map(|fault| fault.applied).sum();
    assert_eq!((report.flows[0].delivered, report.flows[0].dead_letters), (all, 0), "{:?}", report.problems);
    assert!(faults > 0, "no write went unanswered");
    worker.stop().await;
    let writes = bench.books.stats().await.unwrap().writes;
    assert_eq!((writes.creates, writes.keys_with_more_than_one_create.count), (COUNT, 0), "{writes:?}");
    bench
}

const RUN: &str = "every record arrives once";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn klaviyos_profiles_become_members_at_mailchimp() {
    let source = klaviyo().paged("profiles", "query", &json!({"page[size]": "10"}));
    let map = json!({
        "subscriber_hash": "md5(lower(record.attributes.email))", "email_address": "record.attributes.email",
        "status_if_new": "'subscribed'", "merge_fields.FNAME": "record.attributes.first_name",
    });
    let bench = carry(source, &["profiles"], mailchimp(), flow("profiles", "upsertMember", &map)).await;
    let page = bench.books.records("members", 0, 1).await.unwrap();
    assert_eq!((page.total, &page.items[0]["merge_fields"]["FNAME"]), (25, &json!("Käufer")), "{RUN}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_more_email_tool_of_the_hub_gets_every_profile() {
    let source = klaviyo().paged("profiles", "query", &json!({"page[size]": "10"}));
    carry(source, &["profiles"], mailchimp(), example("hub/one-more.yaml", "klaviyo-to-mailchimp")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stripes_payments_become_deals_at_hubspot() {
    let source = stripe().paged("payments", "query", &json!({"limit": "10"}));
    let flow = example("payments-to-deals/integration.yaml", "payments-to-deals");
    carry(source, &["charges", "events"], hubspot(), flow).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stripes_payments_are_told_to_an_analytics_api() {
    let source = stripe().paged("payments", "query", &json!({"limit": "10"}));
    let map = json!({
        "id": "record.data.object.id", "amount": "fromMinorUnits(record.data.object.amount, upper(record.data.object.currency))",
    });
    let bench = carry(source, &["charges", "events"], rest(), flow("payments", "sendEvent", &map)).await;
    assert_eq!(bench.books.record("events", "ch_000000000001").await.unwrap().unwrap()["amount"], json!(5.25), "{RUN}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn saps_orders_become_orders_at_a_warehouse() {
    let source = sap().paged("salesOrders", "headers", &json!({"Prefer": "odata.maxpagesize=10"}));
    let map = json!({"id": "record.SalesOrder", "amount": "record.TotalNetAmount"});
    carry(source, &["SalesOrder"], rest(), flow("salesOrders", "upsertOrder", &map)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn saps_business_partners_are_read_in_version_two() {
    let source = sap().paged("businessPartners", "headers", &json!({"Prefer": "odata.maxpagesize=10"}));
    let map = json!({"id": "record.BusinessPartner", "name": "record.BusinessPartnerFullName"});
    carry(source, &["A_BusinessPartner"], rest(), flow("businessPartners", "upsertOrder", &map)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn netsuites_changed_orders_are_found_by_suiteql_and_fetched_whole() {
    let source = netsuite().paged("salesOrders", "query", &json!({"limit": "10"}));
    let map = json!({"id": "record.id", "lines": "record.item.items.size()"});
    carry(source, &["salesOrder"], rest(), flow("salesOrders", "upsertOrder", &map)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn netsuites_customers_are_rows_of_suiteql() {
    let source = netsuite().paged("customers", "query", &json!({"limit": "10"}));
    let map = json!({
        "subscriber_hash": "md5(lower(record.email))", "email_address": "record.email", "status_if_new": "'pending'",
    });
    carry(source, &["customer"], mailchimp(), flow("customers", "upsertMember", &map)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn netsuites_customers_are_read_by_the_record_service_too() {
    let pages = json!({"page": {"param": "offset", "sizeParam": "limit", "size": 20, "inRecords": true}});
    let source = netsuite().paged("customerRecords", "pagination", &pages);
    let map = json!({"id": "record.id", "email": "record.email"});
    carry(source, &["customer"], rest(), flow("customerRecords", "upsertOrder", &map)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn shopifys_orders_are_read_by_graphql_too() {
    let size = json!({"cursor": {
        "pointer": "/data/orders/pageInfo/endCursor", "hasMore": "/data/orders/pageInfo/hasNextPage", "size": 10,
    }});
    let source = shopify().paged("ordersGraphQL", "pagination", &size);
    let map = json!({
        "externalId": "record.legacyResourceId", "entity.id": "'5'", "otherRefNum": "record.name",
        "item.items": "record.lineItems.nodes.map(line, {'sku': line.sku, 'quantity': line.quantity, \
                       'rate': decimal(line.originalUnitPriceSet.shopMoney.amount)})",
    });
    let bench = carry(source, &["orders"], netsuite(), flow("ordersGraphQL", "upsertSalesOrder", &map)).await;
    assert_eq!(bench.books.record("salesOrder", "eid:1").await.unwrap().unwrap()["otherRefNum"], "#1001", "{RUN}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn shopifys_products_become_stock_at_a_warehouse() {
    let source = shopify().paged("products", "query", &json!({"limit": "10"}));
    let map = json!({"id": "string(record.id)", "title": "record.title"});
    carry(source, &["products"], rest(), flow("products", "upsertStock", &map)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mailchimps_members_become_profiles_at_klaviyo() {
    let pages = json!({"offset": {"param": "offset", "limitParam": "count", "limit": 10}});
    let source = mailchimp().paged("members", "pagination", &pages);
    let map = json!({"external_id": "record.id", "email": "record.email_address"});
    carry(source, &["members"], klaviyo(), flow("members", "upsertProfile", &map)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_warehouses_shipments_become_customers_at_stripe() {
    let source = rest().paged("shipments", "query", &json!({"limit": "10"}));
    let map = json!({"email": "record.number + '@example.com'", "metadata.shipment": "record.id"});
    carry(source, &["shipments"], stripe(), flow("shipments", "createCustomer", &map)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_warehouses_orders_become_saps_once_each() {
    let source = rest().paged("orders", "query", &json!({"limit": "10"}));
    let map = json!({"PurchaseOrderByCustomer": "record.id", "SalesOrderType": "'OR'", "SoldToParty": "'17100001'"});
    carry(source, &["orders"], sap(), flow("orders", "upsertSalesOrder", &map)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn netsuites_customers_become_business_partners_once_each() {
    let source = netsuite().paged("customers", "query", &json!({"limit": "10"}));
    let map = json!({
        "BusinessPartnerIDByExtSystem": "record.externalid", "BusinessPartnerCategory": "'2'",
        "OrganizationBPName1": "record.companyname",
    });
    carry(source, &["customer"], sap(), flow("customers", "upsertBusinessPartner", &map)).await;
}

#[tokio::test]
async fn saps_orders_are_deleted_with_a_token_and_whatever_their_state_is() {
    let simulator = Simulator::start().await.unwrap();
    let (source, vendor) = (rest().vendor(&simulator).await, sap().vendor(&simulator).await);
    let map = json!({"PurchaseOrderByCustomer": "record.id", "SalesOrderType": "'OR'", "SoldToParty": "'17100001'"});
    let mut flow = flow("orders", "upsertSalesOrder", &map);
    flow["write"]["deleteOperation"] = json!("deleteSalesOrder");
    let plan = plan(&rest().connector("source", &source), &sap().connector("destination", &vendor), &flow);
    let values = [("username", "crosstie"), ("password", TOKEN)];
    let client = client_with(&plan.destination, values.map(|(key, value)| (key.to_owned(), value.to_owned())).into());
    let (operation, delete) = (&plan.flows[0].operation, plan.flows[0].delete_operation.as_ref().unwrap());
    let body = json!({"PurchaseOrderByCustomer": "po-1", "SalesOrderType": "OR", "SoldToParty": "17100001"});
    let identifier = write(&client, operation, &body).await.unwrap();
    // Another has changed it since: its ETag is not the one that our write gave it.
    write(&client, operation, &body).await;
    // The token of the session is refused once, and fetched anew.
    let stale =
        Fault::Status { code: 403, headers: [("X-CSRF-Token".into(), "Required".into())].into(), body: json!({}) };
    vendor.add_fault(&FaultRule::new(stale).method("DELETE").times(1)).await.unwrap();
    for _ in 0..2 {
        let outgoing = Outgoing { body: &body.clone().into(), identifier: Some(&identifier), idempotency_key: None };
        let written = client.write(delete, outgoing).await;
        assert!(matches!(written, Written::Applied { .. }), "what is gone is as good as deleted: {written:?}");
        assert_eq!(found(&client, delete, &body).await, LookedUp::Absent);
    }
    let stats = vendor.stats().await.unwrap().writes;
    assert_eq!((stats.creates, stats.deletes), (1, 1));
}

/// The streams whose bad answers are tried.
fn streams() -> [(End, &'static str); 7] {
    [
        (klaviyo(), "profiles"),
        (mailchimp(), "members"),
        (netsuite(), "salesOrders"),
        (rest(), "shipments"),
        (sap(), "salesOrders"),
        (shopify(), "orders"),
        (stripe(), "payments"),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_goes_wrong_at_a_vendor_is_told_apart() {
    let simulator = Simulator::start().await.unwrap();
    let destination = rest().vendor(&simulator).await;
    for (end, stream) in streams() {
        let vendor = end.vendor(&simulator).await;
        let flow = json!({
            "name": "flow", "triggers": [{"everySeconds": 60}], "stream": stream, "map": {"id": "'1'"},
            "write": {"operation": "upsertOrder"},
        });
        let plan = plan(&end.connector("source", &vendor), &rest().connector("destination", &destination), &flow);
        let stream = &plan.flows[0].stream;
        let values = [("token", TOKEN), ("username", "crosstie"), ("password", TOKEN)];
        let values: BTreeMap<String, String> = values.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
        let client = client_with(&plan.source, values.clone());
        assert!(page(&client, stream).await.is_ok(), "{}: {:?}", end.preset, page(&client, stream).await.err());
        let html = Fault::Status { code: 200, headers: [].into(), body: json!("<html>Log in</html>") };
        for (fault, kind) in [
            (html, FailureKind::Malformed),
            (Fault::Status { code: 503, headers: [].into(), body: Value::Null }, FailureKind::ServerError),
            (Fault::DropConnection {}, FailureKind::Unreachable),
        ] {
            vendor.add_fault(&FaultRule::new(fault.clone()).times(1)).await.unwrap();
            let failure = page(&client, stream).await.unwrap_err();
            assert_eq!(failure.kind, kind, "{} {fault:?}: {}", end.preset, failure.detail);
            assert!(!failure.detail.contains("Log in"), "{}", failure.detail);
        }
        vendor.set_tokens(&["another"]).await.unwrap();
        assert_eq!(page(&client, stream).await.unwrap_err().kind, FailureKind::CredentialsRejected, "{}", end.preset);
        vendor.set_tokens(&[TOKEN]).await.unwrap();
        let too_fast = FaultRule::new(Fault::RateLimited { retry_after_seconds: Some(2.0) }).times(1);
        vendor.add_fault(&too_fast).await.unwrap();
        let failure = page(&client_with(&plan.source, values), stream).await.unwrap_err();
        assert_eq!(failure.kind, FailureKind::RateLimited, "{}: {}", end.preset, failure.detail);
    }
}

async fn page(client: &VendorClient, stream: &Stream) -> Result<Page, CallFailure> {
    let opened = PollState::default().opened(stream, StartFrom::Beginning, jiff::Timestamp::now());
    let window = opened.open.unwrap();
    client.read_page(stream, Some(&window.bounds), &window.next).await
}
