//! What is kept, for how long, and what that saves.

use std::sync::atomic::{AtomicUsize, Ordering};

use futures::future::join_all;
use serde_json::json;
use tower::service_fn;
use url::Url;

use super::*;
use crate::{
    Silent,
    failure::FailureKind,
    testing::{answer, call, document, setback},
};

fn rules(max_mib: u32) -> Rules {
    serde_json::from_value(json!({"ttlSeconds": 60, "paths": ["/menus/*"], "maxMib": max_mib})).unwrap()
}

fn ask(path: &str) -> Call {
    let url = Url::parse(&format!("https://api.example.com{path}")).unwrap();
    Call { purpose: Purpose::Consult, url, ..call("menus") }
}

fn body(reply: Result<Reply, Setback>) -> String {
    match reply {
        Ok(Reply::Success(answer)) => String::from_utf8(answer.body.unwrap().to_vec()).unwrap(),
        Ok(_) => panic!("no success"),
        Err(setback) => panic!("{}", setback.failure),
    }
}

/// What came of the uses so far: hits, revalidations, misses.
#[derive(Default)]
struct Uses([AtomicUsize; 3]);

impl Uses {
    fn counts(&self) -> [usize; 3] {
        [0, 1, 2].map(|index| self.0[index].load(Ordering::SeqCst))
    }
}

impl Observer for Uses {
    fn called(&self, _: &crate::CallRecord<'_>) {}

    fn cached(&self, _: &str, cache_use: CacheUse) {
        let index = match cache_use {
            CacheUse::Hit => 0,
            CacheUse::Revalidated => 1,
            CacheUse::Miss => 2,
        };
        self.0[index].fetch_add(1, Ordering::SeqCst);
    }
}

/// A vendor that takes a second and gives what the script says of the number of the request and its headers.
fn caching(
    max_mib: u32,
    observer: Arc<dyn Observer>,
    script: impl Fn(usize, &Call) -> Result<Reply, Setback> + Clone + Send + Sync + 'static,
) -> (impl Service<Call, Response = Reply, Error = Setback, Future = Pending<Reply, Setback>> + Clone, Arc<AtomicUsize>)
{
    let store = CredentialStore::new(&document("v1", None));
    let asked_as = store.clone();
    caching_for(max_mib, store, observer, move |number, call| {
        script(number, call).map(|reply| reply.to(asked_as.in_turn()))
    })
}

/// The same under credentials that the script knows of.
fn caching_for(
    max_mib: u32,
    store: CredentialStore,
    observer: Arc<dyn Observer>,
    script: impl Fn(usize, &Call) -> Result<Reply, Setback> + Clone + Send + Sync + 'static,
) -> (impl Service<Call, Response = Reply, Error = Setback, Future = Pending<Reply, Setback>> + Clone, Arc<AtomicUsize>)
{
    let requests = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&requests);
    let vendor = service_fn(move |call: Call| {
        let (count, script) = (Arc::clone(&count), script.clone());
        async move {
            tokio::time::sleep(Duration::from_secs(1)).await;
            script(count.fetch_add(1, Ordering::SeqCst), &call)
        }
    });
    let kept = Kept::new(&rules(max_mib), "/", store, observer);
    (Caching::new(vendor, Some(Arc::new(kept))), requests)
}

#[tokio::test(start_paused = true)]
async fn an_answer_to_one_version_of_the_credentials_is_given_to_no_other() {
    let store = CredentialStore::new(&document("v1", None));
    let asked_as = store.clone();
    let (cache, requests) = caching_for(1, store.clone(), Arc::new(Silent), move |number, _| {
        let body = ["first", "second", "third"][number];
        Ok(Reply::Success(answer(200, &[], body)).to(asked_as.in_turn()))
    });
    let get = || cache.clone().oneshot(ask("/menus/1"));
    assert_eq!((body(get().await), body(get().await)), ("first".into(), "first".into()));
    store.replace(&document("v2", Some("v1")));
    assert_eq!((body(get().await), body(get().await)), ("second".into(), "second".into()));
    // The same id with other values is another version as well.
    let mut other = document("v2", None);
    other.current.values.insert("token".into(), "another's".into());
    store.replace(&other);
    assert_eq!(body(get().await), "third");
    assert_eq!(requests.load(Ordering::SeqCst), 3);
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_the_other_version_got_is_not_kept_for_the_one_that_was_refused() {
    let store = CredentialStore::new(&document("v2", Some("v1")));
    let (newest, before) = (store.in_turn(), store.pick(&[store.pick(&[]).unwrap()]).unwrap().version.number);
    let asks = store.clone();
    let (cache, requests) = caching_for(1, store.clone(), Arc::new(Silent), move |number, call| {
        // The second time the older version is asked, which has what the newer one saw the first time, by its tag.
        let asked_as = if number == 0 { newest } else { before };
        assert_eq!(asks.in_turn(), newest);
        if call.headers.contains_key("if-none-match") {
            return Ok(Reply::Redirect(answer(304, &[], "")).to(asked_as));
        }
        let body = if number == 0 { "newest" } else { "before" };
        Ok(Reply::Success(answer(200, &[("etag", "\"1\"")], body)).to(asked_as))
    });
    let get = || cache.clone().oneshot(ask("/menus/1"));
    assert_eq!(body(get().await), "newest");
    tokio::time::advance(Duration::from_secs(61)).await;
    assert_eq!(body(get().await), "before", "the other's 304 says nothing of what is kept");
    assert_eq!(requests.load(Ordering::SeqCst), 3);
    assert_eq!(body(get().await), "before");
    assert_eq!(requests.load(Ordering::SeqCst), 5, "it was not kept for the newest");
}

#[tokio::test(start_paused = true)]
async fn what_is_asked_with_other_headers_or_for_another_stream_is_another_answer() {
    let (cache, requests) =
        caching(1, Arc::new(Silent), |number, _| Ok(Reply::Success(answer(200, &[], ["a", "b", "c"][number]))));
    let with = |shop: &'static str, name: &str| {
        let headers = HeaderMap::from_iter([(header::ACCEPT, HeaderValue::from_static(shop))]);
        Call { headers, name: name.into(), ..ask("/menus/1") }
    };
    for _ in 0..2 {
        assert_eq!(body(cache.clone().oneshot(with("x", "menus")).await), "a");
        assert_eq!(body(cache.clone().oneshot(with("y", "menus")).await), "b");
        assert_eq!(body(cache.clone().oneshot(with("x", "offers")).await), "c");
    }
    assert_eq!(requests.load(Ordering::SeqCst), 3);
}

#[tokio::test(start_paused = true)]
async fn an_answer_is_used_for_its_time_and_then_asked_about() {
    let uses = Arc::new(Uses::default());
    let (cache, requests) =
        caching(1, Arc::<Uses>::clone(&uses), |number, call| match call.headers.get("if-none-match") {
            None => Ok(Reply::Success(answer(200, &[("etag", "\"1\"")], "first"))),
            Some(tag) if tag == "\"1\"" && number < 2 => Ok(Reply::Redirect(answer(304, &[], ""))),
            Some(_) => Ok(Reply::Success(answer(200, &[("etag", "\"2\"")], "second"))),
        });
    let get = || cache.clone().oneshot(ask("/menus/1"));
    assert_eq!(body(get().await), "first");
    tokio::time::advance(Duration::from_secs(59)).await;
    assert_eq!((body(get().await), requests.load(Ordering::SeqCst)), ("first".into(), 1));
    tokio::time::advance(Duration::from_secs(2)).await;
    assert_eq!((body(get().await), requests.load(Ordering::SeqCst)), ("first".into(), 2), "304: it still holds");
    assert_eq!((body(get().await), requests.load(Ordering::SeqCst)), ("first".into(), 2));
    tokio::time::advance(Duration::from_secs(61)).await;
    assert_eq!((body(get().await), requests.load(Ordering::SeqCst)), ("second".into(), 3));
    assert_eq!(uses.counts(), [2, 1, 2]);
}

#[tokio::test(start_paused = true)]
async fn an_answer_can_be_asked_about_by_its_date() {
    let (cache, requests) = caching(1, Arc::new(Silent), |_, call| {
        if call.headers.contains_key("if-modified-since") {
            return Ok(Reply::Redirect(answer(304, &[], "")));
        }
        Ok(Reply::Success(answer(200, &[("last-modified", "Mon, 01 Mar 2027 12:00:00 GMT")], "menu")))
    });
    for _ in 0..3 {
        assert_eq!(body(cache.clone().oneshot(ask("/menus/1")).await), "menu");
        tokio::time::advance(Duration::from_secs(61)).await;
    }
    assert_eq!(requests.load(Ordering::SeqCst), 3);
}

#[tokio::test(start_paused = true)]
async fn one_request_is_made_however_many_ask_at_the_same_moment() {
    let (cache, requests) = caching(1, Arc::new(Silent), |_, _| Ok(Reply::Success(answer(200, &[], "menu"))));
    for asked in join_all((0..100).map(|_| cache.clone().oneshot(ask("/menus/1")))).await {
        assert_eq!(body(asked), "menu");
    }
    assert_eq!(requests.load(Ordering::SeqCst), 1);
}

#[tokio::test(start_paused = true)]
async fn a_failure_is_not_kept_and_nobody_waits_for_one_who_gave_up() {
    let (cache, requests) = caching(1, Arc::new(Silent), |number, _| match number {
        0 => Err(setback(FailureKind::Unreachable, None)),
        1 => Ok(Reply::Refusal(answer(404, &[], "gone"))),
        _ => Ok(Reply::Success(answer(200, &[], "menu"))),
    });
    let get = || cache.clone().oneshot(ask("/menus/1"));
    assert!(get().await.is_err());
    assert!(matches!(get().await, Ok(Reply::Refusal(_))));
    let given_up = tokio::time::timeout(Duration::from_millis(500), get()).await;
    assert!(given_up.is_err());
    assert_eq!(body(get().await), "menu");
    assert!(requests.load(Ordering::SeqCst) >= 3);
}

#[tokio::test(start_paused = true)]
async fn only_what_may_be_old_and_is_named_is_kept() {
    let (cache, requests) = caching(1, Arc::new(Silent), |_, call| {
        let store = if call.url.path() == "/menus/secret" { "private, No-Store" } else { "max-age=1" };
        Ok(Reply::Success(answer(200, &[("cache-control", store)], "menu")))
    });
    let asks = [
        ask("/orders/1"),
        ask("/menus/secret"),
        Call { purpose: Purpose::ReadOne, ..ask("/menus/1") },
        Call { purpose: Purpose::LookUp, ..ask("/menus/1") },
        Call { purpose: Purpose::ReadPage, ..ask("/menus/1") },
    ];
    for asked in asks {
        for _ in 0..2 {
            body(cache.clone().oneshot(asked.clone()).await);
        }
    }
    assert_eq!(requests.load(Ordering::SeqCst), 10);
}

#[tokio::test(start_paused = true)]
async fn memory_is_bounded() {
    let large: &'static str = Box::leak("x".repeat(200 * 1024).into_boxed_str());
    let (cache, requests) = caching(1, Arc::new(Silent), move |_, _| Ok(Reply::Success(answer(200, &[], large))));
    let ask_all = || async {
        for number in 0..50 {
            body(cache.clone().oneshot(ask(&format!("/menus/{number}"))).await);
        }
    };
    ask_all().await;
    ask_all().await;
    let made = requests.load(Ordering::SeqCst);
    assert!(made >= 95, "of 50 answers no more than five fit: {made} requests");
}

/// Menus that are asked for by chance, popular ones more often: the menu of number n with a weight of 1/n.
struct Guests {
    state: u64,
    weights: Vec<f64>,
}

impl Guests {
    fn menu(&mut self) -> usize {
        self.state = self.state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let chance = f64::from(u32::try_from(self.state >> 32).unwrap()) / f64::from(u32::MAX);
        let mut rest = chance * self.weights.iter().sum::<f64>();
        self.weights
            .iter()
            .position(|weight| {
                rest -= weight;
                rest <= 0.0
            })
            .unwrap_or(0)
    }
}

#[tokio::test(start_paused = true)]
async fn a_delivery_services_menus_cost_at_least_40_percent_fewer_calls() {
    let menus = 200;
    let (cache, requests) = caching(16, Arc::new(Silent), |_, _| Ok(Reply::Success(answer(200, &[], "menu"))));
    let mut guests = Guests { state: 7, weights: (1..=menus).map(|rank| 1.0 / f64::from(rank)).collect() };
    // 50,000 requests a day come to 579 in 1,000 seconds. Each menu is good for a minute.
    let mut asked = 0_usize;
    for _ in 0..5_000 {
        body(cache.clone().oneshot(ask(&format!("/menus/{}", guests.menu()))).await);
        asked += 1;
        tokio::time::advance(Duration::from_millis(727)).await;
    }
    let made = requests.load(Ordering::SeqCst);
    // What is printed is the figure of an ordinary day, at an even pace: the worst for a cache.
    println!("an ordinary day: {made} calls for {asked} looks");
    // Ten seconds of a burst of 100,000 a minute.
    for _ in 0..10 {
        let looks: Vec<Call> = (0..1_667).map(|_| ask(&format!("/menus/{}", guests.menu()))).collect();
        asked += looks.len();
        join_all(looks.into_iter().map(|look| cache.clone().oneshot(look)))
            .await
            .into_iter()
            .for_each(|reply| drop(body(reply)));
    }
    let made = requests.load(Ordering::SeqCst);
    println!("with ten seconds of a burst: {made} calls for {asked} looks");
    assert!(made * 100 <= asked * 60, "{made} calls for {asked} looks");
}
