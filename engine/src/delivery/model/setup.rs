//! What the model's worker is set up with: its plan's terms, operation and stream, and the world's seconds as times.

use std::{collections::BTreeMap, time::Duration};

use crosstie_histories::{
    FLIGHT_SECONDS, LOOKBACK_SECONDS, Means, PAGE, RETRIES, SETTLE_SECONDS, State, WINDOW_SECONDS,
};
use jiff::Timestamp;

use crate::{
    delivery::{Fault, Seen, Setback, Terms},
    plan::{
        Cursor, Evidence, Flow, Idempotency, LookUp, Method, OnUnknownOutcome, OnWhenFalse, Operation, Outcome,
        Ownership, Pagination, ReadOne, RetryPolicy, StartFrom, Stream,
    },
    template::Template,
    version::Version,
};

pub fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + second).unwrap()
}

/// A state as the worker sees it.
pub fn seen(state: &State, means: Means) -> Seen {
    let version = if means.shows.versions() { Version::Counter(state.time) } else { Version::Unordered };
    Seen::of(version, &state.record(means))
}

/// What comes in of a state, as the worker sees it.
pub fn told(state: &State, means: Means) -> (Seen, serde_json::Value) {
    let told = state.told(means);
    (Seen { hash: crate::canonical::hash(&told), ..seen(state, means) }, told)
}

/// Where a state stands among its record's states, by its version.
pub fn order(seen: &Seen) -> i64 {
    match seen.version {
        Version::Counter(counter) => counter,
        Version::Time(time) => seconds(time),
        Version::Unordered => 0,
    }
}

/// What becomes, in the model, of records that do not match: the flow as the plan has it.
pub fn flow(means: Means) -> Flow {
    let on_when_false = match means.on_when_false {
        crosstie_histories::OnWhenFalse::Ignore => OnWhenFalse::Ignore,
        crosstie_histories::OnWhenFalse::Delete => OnWhenFalse::Delete,
        crosstie_histories::OnWhenFalse::Update => OnWhenFalse::Update,
    };
    let operation = operation(means);
    Flow {
        name: "orders".into(),
        direction: crate::plan::Direction::Forward,
        pair: None,
        events: Vec::new(),
        triggers: Vec::new(),
        start_from: StartFrom::Beginning,
        stream: stream(means),
        when: None,
        on_when_false,
        map: BTreeMap::new(),
        lookups: Vec::new(),
        depends_on: None,
        delete_operation: Some(Operation { method: Method::Delete, ..operation.clone() }),
        operation,
        writes_once: means.once,
        deletes_unlisted: false,
        batch_size: means.batch.into(),
        on_unknown_outcome: terms(means).on_unknown,
    }
}

pub fn seconds(time: Timestamp) -> i64 {
    time.as_second() - 1_800_000_000
}

pub fn operation(means: Means) -> Operation {
    let idempotency =
        means.key.then(|| Idempotency { header: "Idempotency-Key".into(), window_seconds: WINDOW_SECONDS });
    let lookup = means.look_up.then(|| LookUp {
        path: Template::parse("/orders").unwrap(),
        query: BTreeMap::new(),
        key: "/id".into(),
        key_field: "id".into(),
        settle_seconds: SETTLE_SECONDS,
        evidence: Evidence::default(),
        ..LookUp::default()
    });
    Operation {
        name: "upsert".into(),
        method: Method::Put,
        path: Template::parse("/orders").unwrap(),
        query: BTreeMap::new(),
        headers: BTreeMap::new(),
        identifier: None,
        outcome: Outcome { idempotency, lookup },
        omit: Vec::new(),
        ownership: Ownership {
            destination_owned: means.owned.then(|| State::OWNED.to_owned()).into_iter().collect(),
            create_only: Vec::new(),
        },
        shape: crate::plan::Shape::default(),
        find: None,
        if_match: None,
        only_there: None,
        job: None,
        batch: None,
    }
}

pub fn terms(means: Means) -> Terms {
    let on_unknown = if means.resend { OnUnknownOutcome::Resend } else { OnUnknownOutcome::Hold };
    let retry = RetryPolicy { retries: RETRIES, initial_seconds: 10, factor: 2, max_seconds: 60 };
    let longest_flight = Duration::from_secs(FLIGHT_SECONDS.into());
    Terms { retry, on_unknown, longest_flight }
}

pub fn setback(wait: Option<u8>, overloaded: bool) -> Setback {
    let retry_after = wait.map(|seconds| Duration::from_secs(seconds.into()));
    Setback { fault: Fault::of("the system failed"), retry_after, overloaded }
}

pub fn stream(means: Means) -> Stream {
    let one = || ReadOne {
        path: Template::parse("/orders/{key}").unwrap(),
        query: BTreeMap::new(),
        record: String::new(),
        into: String::new(),
    };
    Stream {
        name: "orders".into(),
        path: "/orders".into(),
        query: BTreeMap::new(),
        records: String::new(),
        key: "/id".into(),
        version: means.shows.versions().then(|| "/time".into()),
        deleted: Some("/deleted".into()),
        one: means.shows.singles().then(one),
        cursor: Some(Cursor {
            field: "/time".into(),
            param: Some("min".into()),
            lookback_seconds: LOOKBACK_SECONDS,
            ..Cursor::default()
        }),
        pagination: Pagination::Offset { param: "offset".into(), limit_param: "limit".into(), limit: PAGE },
        ..Stream::default()
    }
}
