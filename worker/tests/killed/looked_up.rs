//! Where the destination can be asked what it has: what is in doubt is looked up.

use std::collections::{BTreeMap, BTreeSet};

use crosstie_engine::{
    plan::{Allowance, Trigger},
    template::Template,
};
use crosstie_vendors::wire::Fault;
use serde_json::json;

use crate::{
    common::{Bench, process::random},
    rest::{RETRY, failures},
    trial::{Trial, sized, strike},
};

/// Enough that calls which never get an answer leave room for others.
const SHARE: Allowance = Allowance { requests: 10_000, per_seconds: 1, concurrency: 128 };

/// A bench whose writes say in their URL which state of the record they carry, with a vendor that fails as vendors do.
pub async fn bench(records: u32, seed: u64) -> Bench {
    let mut bench = Bench::new().await;
    let flow = &mut bench.plan.flows[0];
    flow.triggers = vec![Trigger::EverySeconds(1)];
    flow.map.insert("memo".into(), "record.?state.orValue('0')".into());
    flow.operation.query.insert("state".into(), Template::parse("{body.memo}").unwrap());
    bench.plan.retry = RETRY;
    bench.write_plan();
    bench.write_shares(SHARE);
    bench.seed(records.into()).await;
    strike(&bench, "PUT", &failures(), seed).await;
    bench
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn through_kills_failures_and_changes_nothing_is_lost_applied_twice_or_goes_backwards() {
    let (size, (seed, random)) = (sized(5000, 20), random());
    let end = Trial::of(bench(size.0, seed).await, size, random).run(|_| BTreeSet::new()).await;
    end.assert_once_and_in_order();
    end.assert_struck(&failures());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn through_kills_in_the_middle_of_batches_nothing_is_lost_applied_twice_or_goes_backwards() {
    let (size, (seed, random)) = (sized(1500, 8), random());
    let mut bench = Bench::with_org(size.0.into(), 10).await;
    let lookup = bench.plan.flows[0].operation.outcome.lookup.as_mut().unwrap();
    // On a clock that runs 25 times as fast.
    lookup.settle_seconds = 25;
    bench.plan.retry = RETRY;
    bench.write_plan();
    let faults = [
        (Fault::TimeoutAfterCommit {}, 10),
        (Fault::RefuseRows { percent: 5, containing: None, seed }, 20),
        (Fault::ErrorAfterCommit { code: 500 }, 3),
        (Fault::RateLimited { retry_after_seconds: Some(0.2) }, 1),
        (Fault::Status { code: 500, headers: BTreeMap::new(), body: json!([]) }, 1),
        (Fault::Slow { millis: 150 }, 40),
    ];
    strike(&bench, "PATCH", &faults, seed).await;
    let end = Trial::of(bench, size, random).hurrying().run(|_| BTreeSet::new()).await;
    end.assert_once_and_in_order();
    end.assert_struck(&faults[..2]);
}
