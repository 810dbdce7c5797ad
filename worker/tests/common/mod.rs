//! A bench for worker tests: a simulator with a shop to read from and books to write to, and a folder with the files that an operator would
//! mount. Timings are short; nothing else differs from production.

#![allow(dead_code, reason = "each test file uses a part of it")]

pub mod disk;
pub mod hooks;
pub mod org;
pub mod process;

use std::{
    collections::BTreeMap,
    fs,
    future::Future,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use crosstie_connect::{Surroundings, Timeouts};
use crosstie_crds::{condition::Reason, sync_report::WorkerReport};
use crosstie_engine::{
    plan::{
        Allowance, Authentication, Cursor, Egress, Environment, Evidence, Flow, Identifier, LookUp, Method, ObjectName,
        OnUnknownOutcome, OnWhenFalse, Operation, Outcome, Pagination, Plan, ReadOne, RetryPolicy, StartFrom, Stream,
        System, Trigger,
    },
    rate::Shares,
    template::Template,
};
use crosstie_vendors::{Simulator, control::Client, wire::SeedRequest};
use crosstie_worker::{Settings, Worker};
use serde_json::{Value, json};
use tempfile::TempDir;

/// How long anything may take before a test gives up.
pub const PATIENCE: Duration = Duration::from_mins(1);
/// What both systems allow: plenty, so that tests are not about waiting.
pub const PLENTY: Allowance = Allowance { requests: 10_000, per_seconds: 1, concurrency: 4 };

pub struct Bench {
    pub simulator: Simulator,
    pub shop: Client,
    pub books: Client,
    pub folder: TempDir,
    pub plan: Plan,
    /// How long a worker that is started here waits for an answer: as long as in production, because a busy machine is slow too.
    pub timeouts: Timeouts,
}

impl Bench {
    /// Shop and books with tokens set, and all files written.
    pub async fn new() -> Self {
        let simulator = Simulator::start().await.unwrap();
        let shop = simulator.control("shopify", "shop").unwrap();
        let books = simulator.control("netsuite", "books").unwrap();
        shop.set_tokens(&["shop-1"]).await.unwrap();
        books.set_tokens(&["books-1"]).await.unwrap();
        // The rate limits of the real ones would make tests about waiting.
        let unlimited = json!({"rateLimit": null, "concurrencyLimit": null});
        shop.change_settings(&unlimited).await.unwrap();
        books.change_settings(&unlimited).await.unwrap();
        let plan = plan(&shop, &books);
        let folder = tempfile::tempdir().unwrap();
        let bench = Self { simulator, shop, books, folder, plan, timeouts: Timeouts::default() };
        bench.write_plan();
        bench.write_shares(PLENTY);
        bench.write_credentials("source", "shop", ("v1", "shop-1"), None);
        bench.write_credentials("destination", "books", ("v1", "books-1"), None);
        bench
    }

    pub fn files(&self) -> PathBuf {
        self.folder.path().join("files")
    }

    pub fn state(&self) -> PathBuf {
        self.folder.path().join("state")
    }

    /// The log of the worker's processes.
    pub fn log(&self) -> PathBuf {
        self.folder.path().join("worker.log")
    }

    /// Waits until a process of the worker logged something.
    pub async fn until_logged(&self, what: &str) {
        until(&format!("the log says {what:?}"), || async {
            fs::read_to_string(self.log()).is_ok_and(|log| log.contains(what))
        })
        .await;
    }

    /// Writes a file as Kubernetes does: all at once.
    pub fn write(&self, path: &str, content: &str) {
        let path = self.files().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let fresh = path.with_extension("fresh");
        fs::write(&fresh, content).unwrap();
        fs::rename(fresh, path).unwrap();
    }

    pub fn write_plan(&self) {
        self.write("plan/plan.json", &self.plan.to_json());
    }

    pub fn write_shares(&self, share: Allowance) {
        self.write("shares/shares.json", &Shares { source: share, destination: share }.to_json());
    }

    pub fn write_credentials(&self, end: &str, connector: &str, current: (&str, &str), previous: Option<(&str, &str)>) {
        let version = |(id, token): (&str, &str)| json!({"versionId": id, "values": {"token": token}});
        let mut document = json!({"connector": connector, "current": version(current)});
        if let Some(previous) = previous {
            document["previous"] = version(previous);
        }
        self.write(&format!("credentials/{end}/credentials.json"), &document.to_string());
    }

    pub fn settings(&self) -> Settings {
        Settings {
            files: self.files(),
            state: self.state(),
            pod: "pod".into(),
            listen: Some("127.0.0.1:0".parse().unwrap()),
            letters_listen: Some("127.0.0.1:0".parse().unwrap()),
            webhooks_listen: Some("127.0.0.1:0".parse().unwrap()),
            report: None,
            surroundings: Surroundings { timeouts: self.timeouts, ..Surroundings::default() },
        }
    }

    /// For tests in which answers never come: calls are given up soon. What is slow for another reason is then given up too, and found again.
    pub fn give_up_soon(&mut self) {
        let whole = Duration::from_millis(800);
        self.timeouts = Timeouts { connect: Duration::from_secs(1), first_byte: whole, whole };
    }

    pub async fn start(&self) -> Worker {
        Worker::start(self.settings()).await.unwrap()
    }

    /// Puts so many orders into the shop, all in the past.
    pub async fn seed(&self, count: u64) {
        let start_time = "2026-01-01T00:00:00Z".parse().unwrap();
        let request = SeedRequest {
            resource: "orders".into(),
            count,
            start_id: 1,
            start_time,
            step_millis: 1000,
            seed: 7,
            lines: None,
        };
        assert_eq!(self.shop.seed(&request).await.unwrap(), count);
    }

    /// Puts one order into the shop.
    pub async fn order(&self, id: u64, note: &str) {
        let order =
            json!({"id": id, "name": format!("#{id}"), "note": note, "total_price": "10.00", "cancelled_at": null});
        self.shop.put_record("orders", &id.to_string(), &order).await.unwrap();
    }

    /// What the books hold for an order.
    pub async fn booked(&self, id: u64) -> Option<Value> {
        self.books.record("salesOrder", &format!("eid:{id}")).await.unwrap()
    }

    /// How often an order was written.
    pub async fn writes(&self, id: u64) -> u64 {
        let writes = self.books.writes("salesOrder", &id.to_string()).await.unwrap();
        writes.creates + writes.updates
    }

    /// Waits until so many different orders are booked.
    pub async fn until_booked(&self, count: u64) {
        let (mut booked, mut since) = (0, Instant::now());
        loop {
            let distinct = self.books.stats().await.unwrap().writes.distinct;
            if distinct >= count {
                return;
            }
            if distinct > booked {
                (booked, since) = (distinct, Instant::now());
            }
            assert!(since.elapsed() < PATIENCE, "waited in vain until {count} orders are booked, after {booked}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

/// Waits until something is the case.
pub async fn until<F: Future<Output = bool>>(what: &str, is: impl FnMut() -> F) {
    until_within(PATIENCE, what, is).await;
}

/// Waits that long until something is the case.
pub async fn until_within<F: Future<Output = bool>>(patience: Duration, what: &str, mut is: impl FnMut() -> F) {
    let waited = tokio::time::timeout(patience, async {
        while !is().await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    assert!(waited.await.is_ok(), "waited in vain until {what}");
}

/// Waits until the report shows something, and gives the report that did: the next one may show something else.
pub async fn until_report(worker: &Worker, what: &str, shows: impl Fn(&WorkerReport) -> bool) -> WorkerReport {
    let waited = tokio::time::timeout(PATIENCE, async {
        loop {
            let report = worker.report().await;
            if shows(&report) {
                return report;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    waited.await.unwrap_or_else(|_| panic!("waited in vain until {what}"))
}

/// Whether a report names a problem.
pub fn names(report: &WorkerReport, reason: Reason) -> bool {
    report.problems.iter().any(|problem| problem.reason == reason)
}

fn template(text: &str) -> Template {
    Template::parse(text).unwrap()
}

fn system(connector: &str, client: &Client, authentication: Authentication) -> System {
    System {
        connector: connector.into(),
        base_url: client.base_url().parse().unwrap(),
        api_version: None,
        authentication,
        tls: None,
        egress: Egress { allow_hosts: Vec::new(), allow_cidrs: vec!["127.0.0.0/8".into()] },
        allowance: PLENTY,
        served_version_header: None,
        deprecated_reason_header: None,
        request_id_header: Some("X-N-OperationId".into()),
        errors: Vec::new(),
        csrf: None,
        webhook_keys: Vec::new(),
        grant: None,
        rate: crosstie_engine::plan::RateRules::default(),
        cache: None,
    }
}

/// Orders of the shop become sales orders in the books, every second, looked up after a second when in doubt.
pub fn plan(shop: &Client, books: &Client) -> Plan {
    let header = Authentication::Header { name: "X-Shopify-Access-Token".into(), value: template("{token}") };
    let bearer = Authentication::Bearer { token: template("{token}") };
    Plan {
        format_version: crosstie_engine::plan::FORMAT_VERSION,
        integration: ObjectName { namespace: "default".into(), name: "orders".into() },
        environment: Environment::Production,
        source: system("shop", shop, header),
        destination: system("books", books, bearer),
        flows: vec![flow("orders")],
        retry: RetryPolicy { retries: 2, initial_seconds: 1, factor: 1, max_seconds: 1 },
        receiver: None,
        alerts: Vec::new(),
        call_log_days: crosstie_engine::plan::CALL_LOG_DAYS,
    }
}

pub fn flow(name: &str) -> Flow {
    let map = [
        ("externalId", "string(record.id)"),
        ("entity.id", "'1'"),
        ("memo", "record.?note.orValue('')"),
        ("otherRefNum", "record.name"),
    ];
    Flow {
        name: name.into(),
        direction: crosstie_engine::plan::Direction::Forward,
        pair: None,
        triggers: vec![Trigger::EverySeconds(1)],
        events: Vec::new(),
        start_from: StartFrom::Beginning,
        stream: stream(),
        when: Some("record.?cancelled_at.orValue(null) == null".into()),
        on_when_false: OnWhenFalse::Ignore,
        writes_once: false,
        deletes_unlisted: false,
        map: map.map(|(field, expression)| (field.to_owned(), expression.to_owned())).into(),
        lookups: Vec::new(),
        depends_on: None,
        operation: operation(),
        delete_operation: None,
        batch_size: 1,
        on_unknown_outcome: OnUnknownOutcome::Hold,
    }
}

pub fn stream() -> Stream {
    Stream {
        name: "orders".into(),
        path: "/admin/api/2026-07/orders.json".into(),
        query: [("status", "any"), ("order", "updated_at asc"), ("limit", "250")]
            .map(|(a, b)| (a.to_owned(), b.to_owned()))
            .into(),
        records: "/orders".into(),
        key: "/id".into(),
        version: Some("/updated_at".into()),
        cursor: Some(Cursor {
            field: "/updated_at".into(),
            param: Some("updated_at_min".into()),
            until_param: Some("updated_at_max".into()),
            lookback_seconds: 300,
            ..Cursor::default()
        }),
        pagination: Pagination::LinkHeader,
        ..Stream::default()
    }
}

pub fn operation() -> Operation {
    let path = "/services/rest/record/v1/salesOrder/eid:{body.externalId}";
    let lookup = LookUp {
        path: template(path),
        query: [("expandSubResources".to_owned(), template("true"))].into(),
        key: "/externalId".into(),
        key_field: "externalId".into(),
        settle_seconds: 1,
        evidence: Evidence::default(),
        ..LookUp::default()
    };
    Operation {
        name: "upsertSalesOrder".into(),
        method: Method::Put,
        path: template(path),
        query: BTreeMap::new(),
        headers: BTreeMap::new(),
        identifier: Some(Identifier::Header("Location".into())),
        outcome: Outcome { idempotency: None, lookup: Some(lookup) },
        omit: Vec::new(),
        ownership: crosstie_engine::plan::Ownership::default(),
        shape: crosstie_engine::plan::Shape::default(),
        find: None,
        if_match: None,
        only_there: None,
        job: None,
        batch: None,
    }
}

/// What deletes a sales order.
pub fn delete_operation() -> Operation {
    Operation { name: "deleteSalesOrder".into(), method: Method::Delete, identifier: None, ..operation() }
}

/// How a single order is read.
pub fn one() -> ReadOne {
    let path = template("/admin/api/2026-07/orders/{key}.json");
    ReadOne { path, query: [].into(), record: "/order".into(), into: String::new() }
}

/// A worker that several tasks may ask.
pub type Shared = Arc<Worker>;
