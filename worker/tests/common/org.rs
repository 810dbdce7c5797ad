//! An org of the simulator's Salesforce in place of the books: records go there in batches, each answered by a row of its own.

use std::collections::BTreeMap;

use crosstie_engine::{
    plan::{Allowance, Batch, BatchResults, Identifier, LookUp, Method, Operation, Outcome},
    template::Template,
};
use serde_json::json;

use super::Bench;

/// Where batches are sent.
pub const BATCH: &str = "/services/data/v67.0/composite/sobjects/Order__c/External_Id__c";
/// Enough that calls which never get an answer leave room for others.
const SHARE: Allowance = Allowance { requests: 10_000, per_seconds: 1, concurrency: 16 };

fn operation() -> Operation {
    let path = "/services/data/v67.0/sobjects/Order__c/External_Id__c/{body.External_Id__c}";
    let lookup = LookUp {
        path: Template::parse(path).unwrap(),
        query: BTreeMap::new(),
        key: "/External_Id__c".into(),
        key_field: "External_Id__c".into(),
        settle_seconds: 1,
        ..LookUp::default()
    };
    let results = BatchResults {
        records: String::new(),
        succeeded: Some("/success".into()),
        key: None,
        failed: None,
        identifier: Some("/id".into()),
        error: Some("/errors".into()),
    };
    let batch = Batch {
        max_records: 200,
        method: Method::Patch,
        path: BATCH.into(),
        query: BTreeMap::new(),
        records: "/records".into(),
        fields: [("allOrNone".to_owned(), json!(false))].into(),
        record_fields: [("attributes".to_owned(), json!({"type": "Order__c"}))].into_iter().collect(),
        record_wrap: String::new(),
        results: Some(results),
    };
    Operation {
        name: "upsertCustomOrder".into(),
        method: Method::Patch,
        path: Template::parse(path).unwrap(),
        query: BTreeMap::new(),
        headers: BTreeMap::new(),
        omit: vec!["External_Id__c".into()],
        ownership: crosstie_engine::plan::Ownership::default(),
        shape: crosstie_engine::plan::Shape::default(),
        find: None,
        if_match: None,
        only_there: None,
        job: None,
        identifier: Some(Identifier::Pointer("/id".into())),
        outcome: Outcome { idempotency: None, lookup: Some(lookup) },
        batch: Some(batch),
    }
}

impl Bench {
    /// A bench with so many orders, and an org that they go to, so many in a call. What is written says by its name which state of the record it is.
    pub async fn with_org(records: u64, batch_size: u32) -> Self {
        let mut bench = Self::new().await;
        bench.books = bench.simulator.control("salesforce", "org").unwrap();
        bench.books.set_tokens(&["books-1"]).await.unwrap();
        bench.books.change_settings(&json!({"rateLimit": null, "concurrencyLimit": null})).await.unwrap();
        bench.plan = super::plan(&bench.shop, &bench.books);
        let flow = &mut bench.plan.flows[0];
        let map = [("External_Id__c", "string(record.id)"), ("Name", "record.?state.orValue('0')")];
        flow.map = map.map(|(field, expression)| (field.to_owned(), expression.to_owned())).into();
        (flow.operation, flow.batch_size) = (operation(), batch_size);
        bench.write_plan();
        bench.write_shares(SHARE);
        bench.seed(records).await;
        bench
    }
}
