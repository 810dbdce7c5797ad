//! Lanes for tests of what runs in them.

use std::{collections::BTreeMap, sync::LazyLock};

use crosstie_connect::CredentialStore;
use crosstie_engine::{
    credentials::{CredentialVersion, CredentialsDocument},
    mapping::MappingSource,
    plan::{
        Allowance, Authentication, Egress, Evidence, LookUp, Method, OnUnknownOutcome, OnWhenFalse, Operation, Outcome,
        RetryPolicy, StartFrom, Stream, System, Trigger,
    },
    template::Template,
};

use super::*;

fn template(text: &str) -> Template {
    Template::parse(text).unwrap()
}

/// A look-up that is believed after so many seconds.
pub fn look_up(settle_seconds: u32) -> LookUp {
    LookUp {
        path: template("/orders"),
        query: BTreeMap::new(),
        key: "/id".into(),
        key_field: "id".into(),
        settle_seconds,
        evidence: Evidence::default(),
        ..LookUp::default()
    }
}

/// A mapping of these fields, of the records that meet a condition.
pub fn mapping(when: Option<&str>, fields: &[(&str, &str)]) -> Arc<Mapping> {
    let map = fields.iter().map(|(field, expression)| ((*field).to_owned(), (*expression).to_owned())).collect();
    Arc::new(Mapping::compile(&MappingSource { when, map: &map }).unwrap())
}

/// A lane that writes to this destination. Its source answers nothing.
pub fn lane(
    store: SharedStore,
    scope: ScopeId,
    destination: Arc<dyn Destination>,
    clock: Arc<dyn Clock>,
    mapping: Arc<Mapping>,
) -> Lane {
    // Making a client reads the machine's certificates, which takes longer than everything else in a test.
    static SOURCE: LazyLock<VendorClient> = LazyLock::new(|| client(&CredentialStore::new(&credentials("v1"))));
    let flow = flow();
    Lane {
        operation: Arc::new(flow.operation.clone()),
        delete_operation: None,
        source_name: "shop".into(),
        destination_name: "books".into(),
        scope,
        scopes: Arc::new([("orders".to_owned(), scope)].into()),
        part: part(&flow, &mapping, None, None),
        flow,
        mapping,
        remains: None,
        parent: None,
        paired: None,
        terms: Terms {
            retry: RetryPolicy { retries: 2, initial_seconds: 10, factor: 2, max_seconds: 60 },
            on_unknown: OnUnknownOutcome::Hold,
            longest_flight: std::time::Duration::from_secs(30),
        },
        plan_hash: "plan".into(),
        store,
        source: SOURCE.clone(),
        singles: Arc::new(SOURCE.clone()),
        look_ups: Arc::default(),
        destination,
        gates: Gates::default(),
        slots: Slots::new(1),
        clock,
        chance: || 0.0,
        metrics: Arc::default(),
        store_trouble: Arc::default(),
        wake: Arc::default(),
        dependents: Vec::new(),
        again: Again::default(),
        facts: LaneFacts::default(),
    }
}

fn flow() -> Flow {
    Flow {
        name: "orders".into(),
        direction: crosstie_engine::plan::Direction::Forward,
        pair: None,
        triggers: vec![Trigger::EverySeconds(1)],
        events: Vec::new(),
        start_from: StartFrom::Beginning,
        stream: Stream {
            name: "orders".into(),
            path: "/orders".into(),
            key: "/id".into(),
            version: Some("/version".into()),
            ..Stream::default()
        },
        when: None,
        on_when_false: OnWhenFalse::Ignore,
        writes_once: false,
        deletes_unlisted: false,
        map: BTreeMap::new(),
        lookups: Vec::new(),
        depends_on: None,
        operation: Operation {
            name: "upsert".into(),
            method: Method::Put,
            path: template("/orders"),
            query: BTreeMap::new(),
            headers: BTreeMap::new(),
            identifier: None,
            outcome: Outcome::default(),
            omit: Vec::new(),
            ownership: crosstie_engine::plan::Ownership::default(),
            shape: crosstie_engine::plan::Shape::default(),
            find: None,
            if_match: None,
            only_there: None,
            job: None,
            batch: None,
        },
        delete_operation: None,
        batch_size: 1,
        on_unknown_outcome: OnUnknownOutcome::Hold,
    }
}

/// Credentials of one version, without values.
pub fn credentials(version_id: &str) -> CredentialsDocument {
    let current = CredentialVersion { version_id: version_id.into(), values: BTreeMap::new() };
    CredentialsDocument { connector: "shop".into(), current, previous: None }
}

/// A client of a system that answers nothing.
pub fn client(credentials: &CredentialStore) -> VendorClient {
    let allowance = Allowance { requests: 1, per_seconds: 1, concurrency: 1 };
    let system = System {
        connector: "shop".into(),
        base_url: "http://127.0.0.1:1".parse().unwrap(),
        api_version: None,
        authentication: Authentication::Bearer { token: template("{token}") },
        tls: None,
        egress: Egress::default(),
        allowance,
        served_version_header: None,
        deprecated_reason_header: None,
        request_id_header: None,
        errors: Vec::new(),
        csrf: None,
        webhook_keys: Vec::new(),
        grant: None,
        rate: crosstie_engine::plan::RateRules::default(),
        cache: None,
    };
    VendorClient::new(&system, credentials.clone(), allowance).unwrap()
}
