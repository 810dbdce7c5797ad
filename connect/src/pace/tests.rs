//! Paces side by side, and four workers over one account.

use std::sync::atomic::{AtomicU64, Ordering};

use crosstie_engine::plan::RateRules;
use futures::{FutureExt, future::join_all};
use serde_json::json;

use super::*;
use crate::SystemClock;

fn share(requests: u32, per_seconds: u32, concurrency: u32) -> Allowance {
    Allowance { requests, per_seconds, concurrency }
}

fn paces(rules: &serde_json::Value, account: Allowance, share: Allowance) -> Paces {
    let rules: RateRules = serde_json::from_value(rules.clone()).unwrap();
    Paces::of(account, &rules, share, Arc::new(SystemClock), None)
}

fn two_endpoints() -> serde_json::Value {
    let allowance =
        |requests: u32, seconds: u32| json!({"requests": requests, "perSeconds": seconds, "concurrency": 2});
    json!({"endpoints": [
        {"name": "post", "methods": ["POST"], "paths": ["/api/chat.post*"], "allowance": allowance(2, 60)},
        {"name": "search", "methods": [], "paths": ["/search*"], "allowance": allowance(1, 30)},
    ]})
}

const POST: http::Method = http::Method::POST;

#[tokio::test(start_paused = true)]
async fn an_endpoint_has_a_pace_of_its_own_and_holds_up_no_other() {
    let paces = paces(&two_endpoints(), share(1000, 1, 8), share(1000, 1, 8));
    assert!(paces.leave(&POST, "/search").await.is_ok());
    let start = Instant::now();
    let search = paces.leave(&POST, "/search/7");
    tokio::pin!(search);
    assert!(search.as_mut().now_or_never().is_none());
    assert!(paces.leave(&POST, "/api/chat.postMessage").now_or_never().is_some());
    assert!(paces.leave(&http::Method::GET, "/api/chat.postMessage").now_or_never().is_some(), "another method");
    assert!(paces.leave(&POST, "/other").now_or_never().is_some());
    assert!(search.await.is_ok());
    assert_eq!(start.elapsed().as_secs(), 30);
}

#[tokio::test(start_paused = true)]
async fn a_limit_that_an_endpoint_answers_with_holds_that_endpoint_only() {
    let paces = paces(&two_endpoints(), share(1000, 1, 8), share(1000, 1, 8));
    paces.hold(&POST, "/api/chat.postMessage", Duration::from_secs(30));
    assert!(paces.leave(&POST, "/other").now_or_never().is_some());
    let start = Instant::now();
    assert!(paces.leave(&POST, "/api/chat.postMessage").await.is_ok());
    assert_eq!(start.elapsed().as_secs(), 30);
    paces.hold(&POST, "/other", Duration::from_secs(30));
    assert!(paces.leave(&POST, "/third").now_or_never().is_none(), "what is no endpoint's is everyone's");
}

#[tokio::test(start_paused = true)]
async fn a_smaller_share_is_a_smaller_part_of_every_endpoint() {
    let paces = paces(&two_endpoints(), share(100, 1, 8), share(100, 1, 8));
    paces.set_share(share(50, 1, 4));
    let start = Instant::now();
    assert!(paces.leave(&POST, "/api/chat.post").await.is_ok());
    assert!(paces.leave(&POST, "/api/chat.post").await.is_err(), "one a minute is left of two, a little late");
    assert_eq!(start.elapsed(), Duration::ZERO);
}

/// A clock that is set.
struct Set(AtomicU64);

impl Clock for Set {
    fn now(&self) -> Timestamp {
        Timestamp::from_second(i64::try_from(self.0.load(Ordering::SeqCst)).unwrap()).unwrap()
    }
}

#[tokio::test(start_paused = true)]
async fn a_quota_of_a_day_ends_what_leaves_until_it_is_there_again() {
    let rules: RateRules = serde_json::from_value(json!({"daily": {"requests": 6, "resetMinute": 60}})).unwrap();
    let clock = Arc::new(Set(AtomicU64::new(50 * 60)));
    let paces = Paces::of(share(1000, 1, 8), &rules, share(500, 1, 8), Arc::<Set>::clone(&clock), None);
    for _ in 0..3 {
        assert!(paces.leave(&POST, "/x").await.is_ok());
    }
    assert_eq!(paces.leave(&POST, "/x").await.err(), Some(Duration::from_mins(10)), "half of six is ours");
    clock.0.store(60 * 60, Ordering::SeqCst);
    for _ in 0..3 {
        assert!(paces.leave(&POST, "/x").await.is_ok());
    }
    assert_eq!(paces.leave(&POST, "/x").await.err(), Some(Duration::from_hours(24)));
}

#[tokio::test(start_paused = true)]
async fn what_left_under_the_plan_before_counts_on_and_so_does_what_the_vendor_says_is_used() {
    let rules: RateRules = serde_json::from_value(json!({"daily": {"requests": 6, "resetMinute": 60}})).unwrap();
    let clock = Arc::new(Set(AtomicU64::new(50 * 60)));
    let begin = |before: Option<&Paces>| {
        Paces::of(share(1000, 1, 8), &rules, share(500, 1, 8), Arc::<Set>::clone(&clock), before)
    };
    let first = begin(None);
    assert!(first.leave(&POST, "/x").await.is_ok());
    let second = begin(Some(&first));
    // Under way when the plan changed.
    assert!(first.leave(&POST, "/x").await.is_ok());
    assert!(second.leave(&POST, "/x").await.is_ok());
    assert!(second.leave(&POST, "/x").await.is_err(), "three of six are ours");
    // A process that begins knows nothing, until the vendor says that four of six are used.
    let restarted = begin(None);
    assert!(restarted.leave(&POST, "/x").await.is_ok());
    let quota = |limit, remaining| Quota { limit: Some(limit), remaining, resets_in: None };
    restarted.follow(&POST, "/x", &quota(100, 0));
    restarted.follow(&POST, "/x", &quota(6, 2));
    assert!(restarted.leave(&POST, "/x").await.is_ok(), "a quota of another size is another one");
    assert_eq!(restarted.leave(&POST, "/x").await.err(), Some(Duration::from_mins(10)));
    clock.0.store(60 * 60, Ordering::SeqCst);
    assert!(restarted.leave(&POST, "/x").await.is_ok());
}

/// A vendor's account: so many requests in any span, and what it said no to.
struct Account {
    most: usize,
    span: Duration,
    arrived: Mutex<Vec<Instant>>,
    limited: AtomicU64,
}

impl Account {
    /// Counts a request.
    fn arrive(&self) {
        let now = Instant::now();
        let mut arrived = self.arrived.lock().unwrap();
        let within = arrived.iter().rev().take_while(|time| now - **time < self.span).count();
        if within >= self.most {
            self.limited.fetch_add(1, Ordering::SeqCst);
        } else {
            arrived.push(now);
        }
    }
}

/// Requests that four workers with equal shares of 40 in 20 s get through in five minutes. Each request travels up to 200 ms there.
async fn five_minutes() -> (usize, u64) {
    let account = Arc::new(Account {
        most: 40,
        span: Duration::from_secs(20),
        arrived: Mutex::default(),
        limited: AtomicU64::new(0),
    });
    let end = Instant::now() + Duration::from_mins(5);
    let workers = (0..4_u64).map(|worker| {
        let account = Arc::clone(&account);
        async move {
            let paces = paces(&json!({}), share(40, 20, 4), rate::share(&share(40, 20, 4), 4));
            let mut noise = worker * 7919 + 1;
            while Instant::now() < end {
                let Ok(_places) = paces.leave(&POST, "/orders").await else { continue };
                noise = noise.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                tokio::time::sleep(Duration::from_millis((noise >> 33) % 200)).await;
                account.arrive();
            }
        }
    });
    join_all(workers).await;
    let arrived = account.arrived.lock().unwrap().iter().filter(|time| **time < end).count();
    (arrived, account.limited.load(Ordering::SeqCst))
}

#[tokio::test(start_paused = true)]
async fn four_workers_use_95_percent_of_the_allowance_and_meet_no_limit() {
    let (arrived, limited) = five_minutes().await;
    // 15 spans of 40.
    assert!(arrived * 100 >= 600 * 95, "{arrived} of 600");
    assert_eq!(limited, 0);
}
