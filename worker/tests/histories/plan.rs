//! The plan that a history's circumstances ask for.

use std::{collections::BTreeMap, net::SocketAddr};

use crosstie_engine::{
    plan::{
        Allowance, Authentication, Batch, BatchResults, Cursor, DependsOn, Egress, Environment, Flow, Idempotency,
        LookUp, Method, ObjectName, OnUnknownOutcome, OnWhenFalse, Operation, Outcome, Ownership, Pagination, Plan,
        RateRules, ReadOne, RetryPolicy, Shape, StartFrom, Stream, System, Trigger,
    },
    template::Template,
};
use crosstie_histories::{
    self as histories, LOOKBACK_SECONDS, Means, PAGE, RETRIES, SETTLE_SECONDS, State, WINDOW_SECONDS,
};

use super::events;

/// What both systems allow. Two calls at a time, so that one can be held while another goes on.
pub const SHARE: Allowance = Allowance { requests: 10_000, per_seconds: 1, concurrency: 2 };

fn template(text: &str) -> Template {
    Template::parse(text).unwrap()
}

/// Orders from the source to the books, and, where orders depend on them, customers.
pub fn plan(means: Means, address: SocketAddr) -> Plan {
    let mut flows = vec![orders(means)];
    flows.extend(means.parents.then(customers));
    let mut plan = Plan {
        format_version: 1,
        integration: ObjectName { namespace: "default".into(), name: "orders".into() },
        environment: Environment::Production,
        source: system("shop", address),
        destination: system("books", address),
        flows,
        retry: RetryPolicy { retries: RETRIES, initial_seconds: 10, factor: 2, max_seconds: 60 },
        receiver: Some(events::receiver()),
        alerts: Vec::new(),
        call_log_days: crosstie_engine::plan::CALL_LOG_DAYS,
    };
    plan.format_version = plan.format();
    plan
}

fn system(connector: &str, address: SocketAddr) -> System {
    System {
        connector: connector.into(),
        base_url: format!("http://{address}/{connector}").parse().unwrap(),
        api_version: None,
        authentication: Authentication::Bearer { token: template("{token}") },
        tls: None,
        egress: Egress { allow_hosts: Vec::new(), allow_cidrs: vec!["127.0.0.0/8".into()] },
        allowance: SHARE,
        served_version_header: None,
        deprecated_reason_header: None,
        request_id_header: None,
        errors: Vec::new(),
        csrf: None,
        webhook_keys: Vec::new(),
        grant: None,
        rate: RateRules::default(),
        cache: None,
    }
}

fn orders(means: Means) -> Flow {
    let plain = [("id", "record.id".to_owned()), ("content", "record.content".to_owned())];
    let trace = State::TRACE.map(|field| (field, format!("record.{field}")));
    let fields = plain.into_iter().chain(trace.into_iter().filter(|_| means.traced));
    let fields = fields.chain([("parent", "record.?parent".to_owned()), (State::OWNED, "record.?theirs".to_owned())]);
    let one =
        || ReadOne { path: template("/orders/{key}"), query: [].into(), record: String::new(), into: String::new() };
    Flow {
        events: vec![events::route(means.words)],
        stream: Stream {
            version: means.shows.versions().then(|| "/time".into()),
            deleted: Some("/deleted".into()),
            one: means.shows.singles().then(one),
            cursor: Some(Cursor {
                field: "/time".into(),
                param: Some("min".into()),
                lookback_seconds: LOOKBACK_SECONDS,
                ..Cursor::default()
            }),
            ..stream("orders")
        },
        when: Some(format!("record.content != '{}'", State::OUT)),
        on_when_false: match means.on_when_false {
            histories::OnWhenFalse::Ignore => OnWhenFalse::Ignore,
            histories::OnWhenFalse::Delete => OnWhenFalse::Delete,
            histories::OnWhenFalse::Update => OnWhenFalse::Update,
        },
        map: fields.map(|(field, expression)| (field.to_owned(), expression)).collect(),
        depends_on: means.parents.then(|| DependsOn { flow: "customers".into(), key: "record.?parent".into() }),
        operation: Operation {
            batch: (means.batch > 1).then(|| batch(means)),
            ..operation(means, "upsertOrder", Method::Put)
        },
        batch_size: means.batch.into(),
        delete_operation: Some(operation(means, "deleteOrder", Method::Delete)),
        writes_once: means.once,
        deletes_unlisted: false,
        on_unknown_outcome: if means.resend { OnUnknownOutcome::Resend } else { OnUnknownOutcome::Hold },
        ..flow("orders")
    }
}

/// A call names in its query what a body would say, so that the books know of a delete or a look-up which state it is about.
fn operation(means: Means, name: &str, method: Method) -> Operation {
    let named = ["content"].into_iter().chain(State::TRACE.into_iter().filter(|_| means.traced));
    let query: BTreeMap<String, Template> =
        named.map(|field| (field.to_owned(), template(&format!("{{body.{field}}}")))).collect();
    let path = template("/orders/{body.id}");
    let lookup = LookUp {
        path: path.clone(),
        query: query.clone(),
        key: "/id".into(),
        key_field: "id".into(),
        settle_seconds: SETTLE_SECONDS,
        ..LookUp::default()
    };
    let idempotency = Idempotency { header: "Idempotency-Key".into(), window_seconds: WINDOW_SECONDS };
    let outcome = Outcome { idempotency: means.key.then_some(idempotency), lookup: means.look_up.then_some(lookup) };
    let destination_owned = means.owned.then(|| State::OWNED.to_owned()).into_iter().collect();
    let ownership = Ownership { destination_owned, create_only: Vec::new() };
    Operation { name: name.into(), method, path, query, outcome, ownership, ..plain_operation(name) }
}

/// Several orders in one call, which is answered row by row, or applied as a whole.
fn batch(means: Means) -> Batch {
    let results = || BatchResults {
        records: "/rows".into(),
        succeeded: Some("/status".into()),
        key: None,
        failed: None,
        identifier: None,
        error: None,
    };
    Batch {
        max_records: means.batch.into(),
        method: Method::Post,
        path: "/orders/batch".into(),
        query: BTreeMap::new(),
        records: "/items".into(),
        fields: BTreeMap::new(),
        record_fields: serde_json::Map::new(),
        record_wrap: String::new(),
        results: means.rows.then(results),
    }
}

/// What orders depend on. It never fails.
fn customers() -> Flow {
    let idempotency = Idempotency { header: "Idempotency-Key".into(), window_seconds: u32::MAX };
    let outcome = Outcome { idempotency: Some(idempotency), lookup: None };
    let operation = |name: &str, method| Operation { method, outcome: outcome.clone(), ..plain_operation(name) };
    Flow {
        stream: Stream { version: Some("/time".into()), deleted: Some("/deleted".into()), ..stream("customers") },
        map: [("id".to_owned(), "record.id".to_owned())].into(),
        operation: operation("upsertCustomer", Method::Put),
        delete_operation: Some(operation("deleteCustomer", Method::Delete)),
        ..flow("customers")
    }
}

fn plain_operation(name: &str) -> Operation {
    Operation {
        name: name.into(),
        method: Method::Put,
        path: template("/customers/{body.id}"),
        query: BTreeMap::new(),
        headers: BTreeMap::new(),
        identifier: None,
        outcome: Outcome::default(),
        omit: Vec::new(),
        ownership: Ownership::default(),
        shape: Shape::default(),
        find: None,
        if_match: None,
        only_there: None,
        job: None,
        batch: None,
    }
}

fn stream(name: &str) -> Stream {
    Stream {
        name: name.into(),
        path: format!("/{name}"),
        query: BTreeMap::new(),
        records: String::new(),
        key: "/id".into(),
        version: None,
        deleted: None,
        one: None,
        cursor: None,
        pagination: Pagination::Offset { param: "offset".into(), limit_param: "limit".into(), limit: PAGE },
        ..Stream::default()
    }
}

fn flow(name: &str) -> Flow {
    Flow {
        name: name.into(),
        direction: crosstie_engine::plan::Direction::Forward,
        pair: None,
        triggers: vec![Trigger::EverySeconds(1)],
        events: Vec::new(),
        start_from: StartFrom::Beginning,
        stream: stream(name),
        when: None,
        on_when_false: OnWhenFalse::Ignore,
        map: BTreeMap::new(),
        lookups: Vec::new(),
        depends_on: None,
        operation: plain_operation(name),
        writes_once: false,
        deletes_unlisted: false,
        delete_operation: None,
        batch_size: 1,
        on_unknown_outcome: OnUnknownOutcome::Hold,
    }
}
