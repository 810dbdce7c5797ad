//! Where the destination remembers idempotency keys: what is in doubt is sent again with its key, and after the key's window it is looked up.

use std::collections::BTreeSet;

use crosstie_vendors::wire::Fault;

use crate::{
    common::process::random,
    rest::{bench, by_key, by_key_and_look_up, failures},
    trial::{End, Trial, sized, strike},
};

/// Enough that calls which never get an answer leave room for others.
const CALLS: u32 = 64;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn through_kills_what_is_in_doubt_is_sent_again_with_its_key_and_applied_once_and_in_order() {
    let (size, (seed, random)) = (sized(1000, 8), random());
    let bench = bench(size.0, by_key(), 1, CALLS).await;
    strike(&bench, "PUT", &failures(), seed).await;
    let end = Trial::of(bench, size, random).hurrying().run(|_| BTreeSet::new()).await;
    end.assert_once_and_in_order();
    end.assert_struck(&failures());
    end.assert_keys_told();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn through_kills_and_days_no_key_is_sent_that_was_forgotten_and_look_ups_tell_what_was_applied() {
    let (size, (seed, random)) = (sized(1000, 8), random());
    let bench = bench(size.0, by_key_and_look_up(), 1, CALLS).await;
    strike(&bench, "PUT", &failures(), seed).await;
    let end = Trial::of(bench, size, random).through_days().run(|_| BTreeSet::new()).await;
    end.assert_once_and_in_order();
    end.assert_struck(&failures());
    end.assert_keys_told();
    end.assert_looked_up();
}

/// Rows that are refused after their batch was in doubt are looked up: the key tells only what the batch came to the first time.
async fn batches(prepared: impl FnOnce(Trial) -> Trial) -> End {
    let (size, (seed, random)) = (sized(1500, 8), random());
    let bench = bench(size.0, by_key_and_look_up(), 10, CALLS / 4).await;
    let refused = (Fault::RefuseRows { percent: 5, containing: None, seed }, 20);
    let [lost, limited, failed, _] = failures();
    // One record is written alone where its batch was taken apart, or when it probes.
    strike(&bench, "PUT", std::slice::from_ref(&lost), seed).await;
    let all = [lost.clone(), refused.clone(), limited, failed, (Fault::Slow { millis: 150 }, 40)];
    strike(&bench, "POST", &all, seed).await;
    let end = prepared(Trial::of(bench, size, random)).run(|_| BTreeSet::new()).await;
    end.assert_once_and_in_order();
    end.assert_struck(&[lost, refused]);
    end
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn through_kills_batches_are_sent_again_whole_and_each_row_is_applied_once_and_in_order() {
    batches(Trial::hurrying).await.assert_keys_told();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn through_kills_and_days_batches_whose_key_was_forgotten_are_taken_apart_and_looked_up() {
    batches(Trial::through_days).await.assert_looked_up();
}
