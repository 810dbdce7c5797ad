//! Sources of other kinds than the simulator's shop, read by the real worker: searches by POST, counters, children of parents, pages that come
//! for ever, and records that lack what every record has.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicU64, Ordering},
};

use common::{Bench, disk::LossyDisk, names, process::Process, until, until_report};
use crosstie_crds::condition::Reason;
use crosstie_engine::plan::{Cursor, CursorFormat, CursorPages, Pagination, Parent, ReadMethod, Stream};
use serde_json::{Value, json};
use wiremock::{
    Mock, MockServer, Request, ResponseTemplate,
    matchers::{method, path, path_regex, query_param, query_param_is_missing},
};

/// A bench that reads a stream from another source than the shop.
async fn bench(source: &MockServer, stream: Stream) -> Bench {
    let mut bench = Bench::new().await;
    bench.plan.source.base_url = source.uri().parse().unwrap();
    bench.plan.source.request_id_header = Some("X-Request-Id".into());
    bench.plan.flows[0].stream = stream;
    bench.write_plan();
    bench
}

fn stream(path: &str) -> Stream {
    Stream {
        name: "orders".into(),
        path: path.into(),
        records: "/orders".into(),
        key: "/id".into(),
        version: Some("/n".into()),
        ..Stream::default()
    }
}

fn orders(numbers: impl Iterator<Item = u64>) -> Vec<Value> {
    numbers.map(|n| json!({"id": n, "n": n, "name": format!("#{n}")})).collect()
}

fn answered(id: &str, body: &Value) -> ResponseTemplate {
    ResponseTemplate::new(200).insert_header("X-Request-Id", id).set_body_json(body)
}

/// Starts a worker's process whose log tells what went wrong.
fn telling(bench: &Bench) -> Process {
    Process::start_with(bench, &[("CROSSTIE_LOG_FILTER", "warn".into())])
}

fn body(request: &Request) -> Value {
    serde_json::from_slice(&request.body).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_source_that_counts_its_changes_is_searched_by_post_and_asked_for_what_is_new() {
    let source = MockServer::start().await;
    let asked: Arc<Mutex<Vec<u64>>> = Arc::default();
    let newest = Arc::new(AtomicU64::new(25));
    let (notes, highest) = (Arc::clone(&asked), Arc::clone(&newest));
    // Ten orders a page, from a number on, behind a cursor.
    let answer = move |request: &Request| {
        let body = body(request);
        let from: u64 = body["from"].as_str().unwrap().parse().unwrap();
        let page = body.get("after").map_or(from, |after| after.as_str().unwrap().parse().unwrap());
        if body.get("after").is_none() {
            notes.lock().unwrap().push(from);
        }
        let last = highest.load(Ordering::SeqCst);
        let more = page + 10 <= last;
        let end = json!({"more": more, "end": page + 10});
        ResponseTemplate::new(200)
            .set_body_json(json!({"orders": orders(page.max(1)..=last.min(page + 9)), "page": end}))
    };
    Mock::given(method("POST")).and(path("/search")).respond_with(answer).mount(&source).await;
    let pages = CursorPages {
        pointer: Some("/page/end".into()),
        has_more: Some("/page/more".into()),
        ..CursorPages::default()
    };
    let cursor = Cursor { field: "/n".into(), format: CursorFormat::Counter, lookback_count: 3, ..Cursor::default() };
    let stream = Stream {
        method: ReadMethod::Post,
        body: Some(json!({"from": "{since}", "after": "{cursor}"})),
        cursor: Some(cursor),
        pagination: Pagination::Cursor(pages),
        ..stream("/search")
    };
    let bench = bench(&source, stream).await;
    let worker = bench.start().await;
    bench.until_booked(25).await;
    until("what is new is asked for", || async { asked.lock().unwrap().len() > 1 }).await;
    worker.stop().await;
    newest.store(27, Ordering::SeqCst);
    asked.lock().unwrap().clear();
    let worker = bench.start().await;
    bench.until_booked(27).await;
    worker.stop().await;
    assert_eq!(asked.lock().unwrap()[0], 22, "a restart goes on three numbers before the highest that was read");
    assert_eq!(bench.books.stats().await.unwrap().writes.applied, 27);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_children_of_each_parent_are_read_and_a_restart_goes_on_among_them() {
    let source = MockServer::start().await;
    let parents: Vec<Value> = (1..=6).map(|id| json!({"id": id, "shop": {"name": "a/b"}})).collect();
    let answer = ResponseTemplate::new(200).set_body_json(json!({ "parents": parents }));
    Mock::given(path("/parents")).respond_with(answer).mount(&source).await;
    let stuck = Arc::new(AtomicU64::new(1));
    let holds = Arc::clone(&stuck);
    // Two pages of two children a parent; the fourth parent's second page fails at first.
    let answer = move |request: &Request| {
        let parent: u64 = request.url.path().rsplit('/').nth(1).unwrap().parse().unwrap();
        let second = request.url.query_pairs().any(|(name, value)| name == "page" && value == "2");
        if parent == 4 && second && holds.load(Ordering::SeqCst) == 1 {
            return ResponseTemplate::new(503);
        }
        let first = parent * 10 + if second { 2 } else { 0 };
        let next = if second { Value::Null } else { json!(format!("{}?page=2", request.url.path())) };
        ResponseTemplate::new(200).set_body_json(json!({"orders": orders(first..first + 2), "next": next}))
    };
    Mock::given(path_regex("^/a%2Fb/[0-9]+/children$")).respond_with(answer).mount(&source).await;
    let parent = Stream { records: "/parents".into(), ..stream("/parents") };
    let stream = Stream {
        parent: Some(Box::new(Parent { stream: parent, key: "/id".into() })),
        pagination: Pagination::NextUrl { pointer: "/next".into() },
        ..stream("/{parent.shop.name}/{parent.key}/children")
    };
    let bench = bench(&source, stream).await;
    let worker = bench.start().await;
    bench.until_booked(14).await;
    until_report(&worker, "the source is said to fail", |report| names(report, Reason::SourceUnavailable)).await;
    worker.stop().await;
    let before = source.received_requests().await.unwrap().len();
    stuck.store(0, Ordering::SeqCst);
    let worker = bench.start().await;
    bench.until_booked(24).await;
    worker.stop().await;
    let requests = source.received_requests().await.unwrap();
    let after: Vec<&str> = requests[before..].iter().map(|request| request.url.path()).collect();
    let first_child = after.iter().find(|path| path.ends_with("/children")).unwrap();
    assert!(first_child.contains("/4/"), "the children of the parents before it were taken: {after:?}");
    assert_eq!(bench.books.stats().await.unwrap().writes.applied, 24);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_last_children_of_a_parent_that_the_store_did_not_take_are_read_again() {
    let source = MockServer::start().await;
    let parent = Stream { records: "/parents".into(), ..stream("/parents") };
    let parent = Some(Box::new(Parent { stream: parent, key: "/id".into() }));
    let bench = bench(&source, Stream { parent, ..stream("/{parent.key}/children") }).await;
    let disk = Arc::new(LossyDisk::new(bench.state()));
    let asked = Arc::new(AtomicU64::new(0));
    // Once children were asked for, no parents are listed any more: what is passed over is gone.
    let begun = Arc::clone(&asked);
    let parents = move |_: &Request| {
        let parents = if begun.load(Ordering::SeqCst) == 0 { json!([{"id": 1}, {"id": 2}]) } else { json!([]) };
        ResponseTemplate::new(200).set_body_json(json!({ "parents": parents }))
    };
    Mock::given(path("/parents")).respond_with(parents).mount(&source).await;
    // There is no room for the first children, until others are asked for, or the same again.
    let (times, room) = (Arc::clone(&asked), Arc::clone(&disk));
    let children = move |request: &Request| {
        let parent: u64 = request.url.path().split('/').nth(1).unwrap().parse().unwrap();
        match times.fetch_add(1, Ordering::SeqCst) {
            0 => room.set_full(true),
            1 => room.set_full(false),
            _ => {}
        }
        ResponseTemplate::new(200).set_body_json(json!({"orders": orders(parent * 10..parent * 10 + 2)}))
    };
    Mock::given(path_regex("^/[0-9]+/children$")).respond_with(children).mount(&source).await;
    let _worker = Process::start_with(&bench, &disk.environment(false));
    bench.until_logged("the state's volume is full").await;
    bench.until_booked(4).await;
    let requests = source.received_requests().await.unwrap();
    let read: Vec<&str> =
        requests.iter().map(|request| request.url.path()).filter(|path| path.ends_with("/children")).collect();
    assert_eq!(read, ["/1/children", "/1/children", "/2/children"]);
    assert_eq!(bench.books.stats().await.unwrap().writes.applied, 4);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn changes_are_read_along_odatas_delta_link_and_the_whole_list_when_it_is_forgotten() {
    let source = MockServer::start().await;
    let stage = Arc::new(AtomicU64::new(0));
    let now = Arc::clone(&stage);
    // A list of two pages that ends in a link to what changes; then one more order by that link, and then the link is forgotten.
    let answer = move |request: &Request| {
        let stage = now.load(Ordering::SeqCst);
        let page = |numbers: std::ops::Range<u64>, link: &str, to: &str| {
            ResponseTemplate::new(200).set_body_json(json!({"value": orders(numbers), link: format!("/orders?{to}")}))
        };
        match request.url.query() {
            None => page(1..3, "@odata.nextLink", "$skiptoken=2"),
            Some("$skiptoken=2") if stage < 2 => page(3..5, "@odata.deltaLink", "$deltatoken=a"),
            Some("$skiptoken=2") => page(3..7, "@odata.deltaLink", "$deltatoken=c"),
            Some("$deltatoken=a") if stage == 0 => page(0..0, "@odata.deltaLink", "$deltatoken=a"),
            Some("$deltatoken=a") => page(5..6, "@odata.deltaLink", "$deltatoken=b"),
            Some("$deltatoken=b") if stage == 1 => page(0..0, "@odata.deltaLink", "$deltatoken=b"),
            Some("$deltatoken=b") => ResponseTemplate::new(410),
            Some(_) => page(0..0, "@odata.deltaLink", "$deltatoken=c"),
        }
    };
    Mock::given(path("/orders")).respond_with(answer).mount(&source).await;
    let pagination = Pagination::DeltaLink { next: "/@odata.nextLink".into(), delta: "/@odata.deltaLink".into() };
    let bench = bench(&source, Stream { records: "/value".into(), pagination, ..stream("/orders") }).await;
    let asked = async |query: &str| {
        let requests = source.received_requests().await.unwrap();
        requests.iter().filter(|request| request.url.query() == Some(query)).count()
    };
    let worker = bench.start().await;
    bench.until_booked(4).await;
    until("changes alone are asked for", || async { asked("$deltatoken=a").await > 1 }).await;
    worker.stop().await;
    stage.store(1, Ordering::SeqCst);
    let worker = bench.start().await;
    bench.until_booked(5).await;
    until("the next link is followed", || async { asked("$deltatoken=b").await > 1 }).await;
    // The first page is also asked for to learn the source's time; the second one only by who reads the list.
    assert_eq!(asked("$skiptoken=2").await, 1, "a restart goes on by the link");
    stage.store(2, Ordering::SeqCst);
    bench.until_booked(6).await;
    assert_eq!(asked("$skiptoken=2").await, 2, "what is forgotten is read again");
    worker.stop().await;
    assert_eq!(bench.books.stats().await.unwrap().writes.applied, 6);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_that_come_for_ever_are_said_and_what_was_on_them_is_delivered_once() {
    let source = MockServer::start().await;
    let answer = answered("r-17", &json!({"orders": orders(1..6)}));
    Mock::given(path("/orders")).respond_with(answer).mount(&source).await;
    let pagination = Pagination::Offset { param: "offset".into(), limit_param: "limit".into(), limit: 5 };
    let bench = bench(&source, Stream { pagination, ..stream("/orders") }).await;
    let worker = bench.start().await;
    let report =
        until_report(&worker, "the source is said to fail", |report| names(report, Reason::SourceUnavailable)).await;
    let problem = report.problems.iter().find(|problem| problem.reason == Reason::SourceUnavailable).unwrap();
    assert!(problem.message.contains("come again and again"), "{}", problem.message);
    bench.until_booked(5).await;
    let asked = source.received_requests().await.unwrap().len();
    assert!(asked < 40, "{asked} requests before it was noticed");
    worker.stop().await;
    assert_eq!(bench.books.stats().await.unwrap().writes.applied, 5);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cursor_that_goes_back_is_said_and_what_was_on_its_pages_is_delivered_once() {
    let source = MockServer::start().await;
    // Three pages of two, the last of which leads back to the second.
    let answer = |request: &Request| {
        let after = request.url.query_pairs().find(|(name, _)| name == "after").map(|(_, value)| value.into_owned());
        let page: u64 = after.as_deref().unwrap_or("1").parse().unwrap();
        let next = if page == 3 { 2 } else { page + 1 };
        answered(&format!("r-{page}"), &json!({"orders": orders(page * 2..page * 2 + 2), "next": next.to_string()}))
    };
    Mock::given(path("/orders")).respond_with(answer).mount(&source).await;
    let pages = CursorPages { pointer: Some("/next".into()), param: Some("after".into()), ..CursorPages::default() };
    let bench = bench(&source, Stream { pagination: Pagination::Cursor(pages), ..stream("/orders") }).await;
    let worker = telling(&bench);
    bench.until_booked(6).await;
    bench.until_logged("come again and again").await;
    bench.until_logged("\"r-").await;
    let asked = source.received_requests().await.unwrap().len();
    assert!(asked < 40, "{asked} requests before it was noticed");
    worker.stop().await;
    assert_eq!(bench.books.stats().await.unwrap().writes.applied, 6);
}

/// What a source may say in place of a page, with the id of its answer.
fn nonsense() -> Vec<(&'static str, ResponseTemplate)> {
    let answer = |id: &str, kind: &str, body: Vec<u8>| {
        ResponseTemplate::new(200).insert_header("X-Request-Id", id).set_body_raw(body, kind)
    };
    let json = "application/json";
    // 256 MiB of blanks, in blocks of zstd that say "this byte, so many times" (RFC 8878).
    let mut packed = vec![0x28, 0xb5, 0x2f, 0xfd, 0x00, 0x38];
    for block in 1..=2048_u32 {
        let header = (131_072 << 3) | (1 << 1) | u32::from(block == 2048);
        packed.extend([&header.to_le_bytes()[..3], b" "].concat());
    }
    vec![
        ("r-truncated", answer("r-truncated", json, b"{\"orders\": [{\"id\": 1, \"n\"".to_vec())),
        ("r-login", answer("r-login", "text/html", b"<html>please log in</html>".to_vec())),
        ("r-utf8", answer("r-utf8", json, b"{\"orders\": [{\"id\": 1, \"n\": 1, \"name\": \"\xff\"}]}".to_vec())),
        ("r-large", answer("r-large", json, vec![b' '; (32 << 20) + 1])),
        ("r-packed", answer("r-packed", json, packed).insert_header("Content-Encoding", "zstd")),
        (
            "r-year",
            ResponseTemplate::new(429).insert_header("X-Request-Id", "r-year").insert_header("Retry-After", "31536000"),
        ),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_page_is_said_with_the_requests_id_and_nothing_is_lost_when_the_source_is_itself_again() {
    for (id, answer) in nonsense() {
        let source = MockServer::start().await;
        let page = |after: Option<&str>, body: &Value| {
            let answer = ResponseTemplate::new(200).set_body_json(body);
            match after {
                Some(after) => Mock::given(query_param("after", after)).respond_with(answer),
                None => Mock::given(query_param_is_missing("after")).respond_with(answer),
            }
        };
        page(None, &json!({"orders": orders(1..3), "next": "2"})).mount(&source).await;
        let hitch = Mock::given(query_param("after", "2")).respond_with(answer).mount_as_scoped(&source).await;
        let pages =
            CursorPages { pointer: Some("/next".into()), param: Some("after".into()), ..CursorPages::default() };
        let bench = bench(&source, Stream { pagination: Pagination::Cursor(pages), ..stream("/orders") }).await;
        let worker = telling(&bench);
        bench.until_booked(2).await;
        bench.until_logged(&format!("\"{id}\"")).await;
        let peak = worker.peak_memory().unwrap();
        assert!(peak < 256, "{id}: {peak} MiB");
        // Who was told to wait for a year waits for a day: a new worker need not.
        worker.stop().await;
        drop(hitch);
        page(Some("2"), &json!({"orders": orders(3..6), "next": null})).mount(&source).await;
        let worker = telling(&bench);
        bench.until_booked(5).await;
        worker.stop().await;
        assert_eq!(bench.books.stats().await.unwrap().writes.applied, 5, "{id}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_record_without_its_key_is_set_aside_and_the_others_are_delivered() {
    let source = MockServer::start().await;
    let mut records = orders(1..4);
    records.insert(1, json!({"n": 7, "name": "nameless"}));
    records.push(json!(null));
    let answer = answered("r-23", &json!({ "orders": records }));
    Mock::given(path("/orders")).respond_with(answer).mount(&source).await;
    let bench = bench(&source, stream("/orders")).await;
    let worker = bench.start().await;
    bench.until_booked(3).await;
    let report = until_report(&worker, "two are set aside", |report| {
        report.flows.first().is_some_and(|flow| flow.dead_letters == 2)
    })
    .await;
    assert!(!names(&report, Reason::SourceUnavailable));
    for letter in worker.letters().list(0, 10).await.unwrap() {
        assert!(letter.cause.contains("no text or number at `/id`"), "{}", letter.cause);
        assert_eq!(letter.request_ids, ["r-23"]);
    }
    worker.stop().await;
}
