//! Where the destination remembers idempotency keys: what is in doubt is sent again with its key, and after the key's window it is looked up.

use std::collections::BTreeSet;

use crosstie_vendors::wire::Fault;

use crate::{
    common::process::random,
    rest::{bench, by_key, by_key_and_look_up, failures},
    trial::{Trial, sized, strike},
};

/// Enough that calls which never get an answer leave room for others.
const CALLS: u32 = 64;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn through_kills_what_is_in_doubt_is_sent_again_with_its_key_and_applied_once_and_in_order() {
    let (size, (seed, random)) = (sized(1000, 8), random());
    let bench = bench(size.0, by_key(), 1, CALLS).await;
    strike(&bench, "PUT", &failures(), seed).await;
    let end = Trial::of(bench, size, random).hurrying().run(|_| BTreeSet::new()).await;
    end.assert_struck(&failures());
    end.assert_keys_told();
    end.assert_once_and_in_order();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn through_kills_and_days_no_key_is_sent_that_was_forgotten_and_look_ups_tell_what_was_applied() {
    let (size, (seed, random)) = (sized(1000, 8), random());
    let bench = bench(size.0, by_key_and_look_up(), 1, CALLS).await;
    strike(&bench, "PUT", &failures(), seed).await;
    let end = Trial::of(bench, size, random).through_days().run(|_| BTreeSet::new()).await;
    end.assert_struck(&failures());
    end.assert_keys_told();
    let looked_up = end.stats.requests.iter().filter(|count| count.method == "GET").map(|count| count.count);
    assert!(looked_up.sum::<u64>() > 0, "nothing was looked up");
    end.assert_once_and_in_order();
}

/// Rows that are refused after their batch was in doubt are looked up: the key tells only what the batch came to the first time.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn through_kills_batches_are_sent_again_whole_and_each_row_is_applied_once_and_in_order() {
    let (size, (seed, random)) = (sized(1500, 8), random());
    let bench = bench(size.0, by_key_and_look_up(), 10, CALLS / 4).await;
    let refused = (Fault::RefuseRows { percent: 5, containing: None, seed }, 20);
    let [lost, limited, failed, slow] = failures();
    // One record is written alone where its batch was taken apart, or when it probes.
    strike(&bench, "PUT", std::slice::from_ref(&lost), seed).await;
    let all = [lost.clone(), refused.clone(), limited, failed, slow];
    strike(&bench, "POST", &all, seed).await;
    let end = Trial::of(bench, size, random).through_days().run(|_| BTreeSet::new()).await;
    end.assert_struck(&[lost, refused]);
    end.assert_keys_told();
    end.assert_once_and_in_order();
}
