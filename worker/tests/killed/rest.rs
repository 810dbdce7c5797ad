//! The simulator's system of nobody's in particular in place of the books: it remembers idempotency keys for a day, and takes batches that it
//! answers row by row.

use std::collections::BTreeMap;

use crosstie_engine::{
    plan::{
        Allowance, Batch, BatchResults, Idempotency, Identifier, LookUp, Method, Operation, Outcome, RetryPolicy,
        Trigger,
    },
    template::Template,
};
use crosstie_vendors::wire::Fault;
use serde_json::json;

use crate::common::{Bench, operation, plan};

/// How long keys are remembered.
const WINDOW_SECONDS: u32 = 24 * 3600;
/// How long a look-up waits, on a clock that runs 25 times as fast: longer than a write can take to be applied.
const SETTLE_SECONDS: u32 = 25;
/// Often enough that a record that fails by chance is not set aside.
pub const RETRY: RetryPolicy = RetryPolicy { retries: 10, initial_seconds: 1, factor: 1, max_seconds: 1 };

/// The destination remembers keys.
pub fn by_key() -> Outcome {
    let header = "Idempotency-Key".into();
    Outcome { idempotency: Some(Idempotency { header, window_seconds: WINDOW_SECONDS }), lookup: None }
}

/// It can be asked what it has too.
pub fn by_key_and_look_up() -> Outcome {
    let lookup = LookUp {
        path: Template::parse("/v1/orders/{body.id}").unwrap(),
        key: "/id".into(),
        key_field: "id".into(),
        settle_seconds: SETTLE_SECONDS,
        ..LookUp::default()
    };
    Outcome { lookup: Some(lookup), ..by_key() }
}

/// A vendor that fails as vendors do.
pub fn failures() -> [(Fault, u8); 4] {
    [
        (Fault::TimeoutAfterCommit {}, 10),
        (Fault::RateLimited { retry_after_seconds: Some(0.2) }, 1),
        (Fault::Status { code: 500, headers: BTreeMap::new(), body: json!({}) }, 1),
        (Fault::Slow { millis: 80 }, 20),
    ]
}

fn batch() -> Batch {
    let results = BatchResults {
        records: "/results".into(),
        succeeded: Some("/status".into()),
        key: None,
        failed: None,
        identifier: Some("/id".into()),
        error: Some("/message".into()),
    };
    Batch {
        max_records: 100,
        method: Method::Post,
        path: "/v1/orders/batch".into(),
        query: BTreeMap::new(),
        records: "/items".into(),
        fields: BTreeMap::new(),
        record_fields: serde_json::Map::new(),
        record_wrap: String::new(),
        results: Some(results),
    }
}

/// A bench with so many orders that go there, so many in a call and so many calls at a time. What is written says by its name which state of the
/// record it is.
pub async fn bench(records: u32, outcome: Outcome, batch_size: u32, concurrency: u32) -> Bench {
    let mut bench = Bench::new().await;
    bench.books = bench.simulator.control("rest", "books").unwrap();
    bench.books.set_tokens(&["books-1"]).await.unwrap();
    bench.plan = plan(&bench.shop, &bench.books);
    bench.plan.retry = RETRY;
    let flow = &mut bench.plan.flows[0];
    let map = [("id", "string(record.id)"), ("Name", "record.?state.orValue('0')")];
    flow.map = map.map(|(field, expression)| (field.to_owned(), expression.to_owned())).into();
    flow.triggers = vec![Trigger::EverySeconds(5)];
    flow.operation = Operation {
        name: "upsertOrder".into(),
        path: Template::parse("/v1/orders/{body.id}").unwrap(),
        identifier: Some(Identifier::Pointer("/id".into())),
        outcome,
        batch: (batch_size > 1).then(batch),
        ..operation()
    };
    flow.batch_size = batch_size;
    bench.write_plan();
    bench.write_shares(Allowance { requests: 10_000, per_seconds: 1, concurrency });
    bench.seed(records.into()).await;
    bench
}
