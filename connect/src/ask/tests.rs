//! Requests for pages.

use crosstie_engine::plan::{Cursor, CursorFormat};
use serde_json::json;

use super::*;

fn base() -> Url {
    Url::parse("https://api.example.com/root").unwrap()
}

fn stream(pagination: Pagination) -> Stream {
    Stream {
        name: "orders".into(),
        path: "/orders.json".into(),
        query: [("status".to_owned(), "any".to_owned())].into(),
        cursor: Some(Cursor { param: Some("min".into()), until_param: Some("max".into()), ..Cursor::default() }),
        pagination,
        ..Stream::default()
    }
}

fn offset() -> Pagination {
    Pagination::Offset { param: "offset".into(), limit_param: "limit".into(), limit: 50 }
}

fn bounds() -> Bounds {
    let at = |text: &str| Some(CursorValue::Time(text.parse().unwrap()));
    Bounds { from: at("2027-01-01T10:00:00.999Z"), until: at("2027-01-02T00:00:00Z") }
}

fn url(pagination: Pagination, position: &Position) -> String {
    page(&base(), &stream(pagination), Some(&bounds()), position).unwrap().url.into()
}

#[test]
fn a_first_page_asks_for_the_window_with_its_lower_end_rounded_down() {
    let expected =
        "https://api.example.com/root/orders.json?max=2027-01-02T00%3A00%3A00Z&min=2027-01-01T10%3A00%3A00Z&status=any";
    assert_eq!(url(Pagination::LinkHeader, &Position::First), expected);
}

#[test]
fn a_window_from_the_beginning_has_no_lower_end() {
    let bounds = Bounds { from: None, ..bounds() };
    let url = page(&base(), &stream(Pagination::None), Some(&bounds), &Position::First).unwrap().url;
    assert_eq!(url.query(), Some("max=2027-01-02T00%3A00%3A00Z&status=any"));
}

#[test]
fn a_stream_without_a_cursor_is_asked_for_everything() {
    let mut stream = stream(Pagination::None);
    stream.cursor = None;
    let url = page(&base(), &stream, Some(&bounds()), &Position::First).unwrap().url;
    assert_eq!(url.query(), Some("status=any"));
}

#[test]
fn pages_by_position_and_by_cursor_keep_the_window() {
    for (pagination, position, wanted) in [
        (
            offset(),
            Position::First,
            "limit=50&max=2027-01-02T00%3A00%3A00Z&min=2027-01-01T10%3A00%3A00Z&offset=0&status=any",
        ),
        (
            offset(),
            Position::Offset(99),
            "limit=50&max=2027-01-02T00%3A00%3A00Z&min=2027-01-01T10%3A00%3A00Z&offset=99&status=any",
        ),
        (
            Pagination::Cursor(CursorPages::of("/next", "after")),
            Position::Cursor("a b&c=d".into()),
            "after=a+b%26c%3Dd&max=2027-01-02T00%3A00%3A00Z&min=2027-01-01T10%3A00%3A00Z&status=any",
        ),
    ] {
        assert_eq!(url(pagination, &position).split_once('?').unwrap().1, wanted);
    }
}

#[test]
fn a_vendors_url_is_the_whole_request() {
    let next = "https://api.example.com/root/orders.json?page_info=abc";
    assert_eq!(url(Pagination::LinkHeader, &Position::Url(next.into())), next);
}

#[test]
fn a_position_of_another_kind_of_pagination_makes_the_window_start_again() {
    for (pagination, position) in [
        (Pagination::LinkHeader, Position::Cursor("c".into())),
        (offset(), Position::Url("https://api.example.com/".into())),
        (Pagination::None, Position::Offset(3)),
        (Pagination::LinkHeader, Position::Url("not a URL".into())),
    ] {
        let failure = page(&base(), &stream(pagination), None, &position).unwrap_err();
        assert_eq!(failure.kind, FailureKind::PageExpired);
    }
}

#[test]
fn asking_for_the_time_asks_for_as_little_as_possible() {
    let now = "2027-01-01T10:00:00Z".parse().unwrap();
    let url = smallest_page(&base(), &stream(offset()), now).unwrap().url;
    assert_eq!(
        url.query(),
        Some("limit=1&max=2027-01-01T10%3A00%3A00Z&min=2027-01-01T10%3A00%3A00Z&offset=0&status=any")
    );
}

fn searching(body: Value) -> Stream {
    Stream {
        method: ReadMethod::Post,
        path: "/search/{since}".into(),
        query: [("q".to_owned(), "updated >= '{since}' & updated < '{until}'".to_owned())].into(),
        body: Some(body),
        cursor: Some(Cursor::default()),
        pagination: Pagination::Cursor(CursorPages {
            size: Some(250),
            pointer: Some("/next".into()),
            ..CursorPages::default()
        }),
        ..Stream::default()
    }
}

fn body_of(ask: &Ask) -> Value {
    serde_json::from_slice(ask.body.as_ref().unwrap()).unwrap()
}

#[test]
fn names_in_path_query_and_body_stand_for_the_window_and_the_page() {
    let query = "query($after: String) { orders(first: 5) { id } }";
    let stream = searching(
        json!({"query": query, "variables": {"after": "{cursor}", "first": "{pageSize}", "q": "from {since}"}}),
    );
    let first = page(&base(), &stream, Some(&bounds()), &Position::First).unwrap();
    assert_eq!(first.method, Method::POST);
    assert_eq!(first.url.path(), "/root/search/2027-01-01T10%3A00%3A00Z");
    let q = "updated >= '2027-01-01T10:00:00Z' & updated < '2027-01-02T00:00:00Z'".to_owned();
    assert_eq!(first.url.query_pairs().into_owned().collect::<Vec<_>>(), [("q".to_owned(), q)]);
    let variables = json!({"first": 250, "q": "from 2027-01-01T10:00:00Z"});
    assert_eq!(body_of(&first), json!({"query": query, "variables": variables}));
    assert_eq!(first.headers["content-type"], "application/json");
    let second = page(&base(), &stream, Some(&bounds()), &Position::Cursor("a\"{since}".into())).unwrap();
    assert_eq!(body_of(&second)["variables"]["after"], json!("a\"{since}"), "what a vendor says is no template");
    let smallest = smallest_page(&base(), &stream, "2027-01-01T10:00:00Z".parse().unwrap()).unwrap();
    assert_eq!(body_of(&smallest)["variables"]["first"], json!(1));
}

#[test]
fn a_name_for_the_lower_bound_of_a_window_from_the_beginning_is_the_earliest_there_is() {
    let stream = searching(json!(["{cursor}", "{since}"]));
    let bounds = Bounds { from: None, ..bounds() };
    let ask = page(&base(), &stream, Some(&bounds), &Position::First).unwrap();
    assert_eq!(body_of(&ask), json!([null, "1970-01-01T00:00:00Z"]));
}

#[test]
fn a_cursor_that_is_a_parameter_by_name_is_left_out_of_the_first_page() {
    let mut stream = searching(json!("plain {cursor} text"));
    stream.query.insert("next".into(), "{cursor}".into());
    let first = page(&base(), &stream, Some(&bounds()), &Position::First).unwrap();
    assert!(!first.url.query().unwrap().contains("next"));
    assert_eq!(first.body.as_deref(), Some(&b"plain  text"[..]));
    let second = page(&base(), &stream, Some(&bounds()), &Position::Cursor("c&d".into())).unwrap();
    assert!(second.url.query().unwrap().contains("next=c%26d"));
}

#[test]
fn headers_of_a_stream_win_over_our_own_and_never_over_those_of_the_connection() {
    let with = |name: &str, value: &str| {
        let stream = Stream { headers: [(name.to_owned(), value.to_owned())].into(), ..searching(json!({})) };
        page(&base(), &stream, None, &Position::First)
    };
    assert_eq!(with("Accept", "application/vnd.api+json").unwrap().headers["accept"], "application/vnd.api+json");
    for (name, value) in [("Host", "evil.example"), ("content-length", "3"), ("a b", "c"), ("a", "b\nc")] {
        assert_eq!(with(name, value).unwrap_err().kind, FailureKind::Refused, "{name}");
    }
}

#[test]
fn numbered_pages_are_asked_for_by_number_and_size() {
    let stream = |in_records| {
        let (param, size_param) = ("page".into(), "per_page".into());
        let pagination = Pagination::Page { param, first: 1, size_param, size: 100, in_records };
        Stream { path: "/orders".into(), pagination, ..Stream::default() }
    };
    let (by_position, stream) = (stream(true), stream(false));
    for (position, query) in [(Position::First, "page=0&per_page=100"), (Position::Offset(99), "page=99&per_page=99")] {
        assert_eq!(page(&base(), &by_position, None, &position).unwrap().url.query(), Some(query));
    }
    let query = |position: &Position| page(&base(), &stream, None, position).unwrap().url.query().unwrap().to_owned();
    assert_eq!(query(&Position::First), "page=1&per_page=100");
    assert_eq!(query(&Position::Offset(99)), "page=2&per_page=99");
    let smallest = smallest_page(&base(), &stream, "2027-01-01T10:00:00Z".parse().unwrap()).unwrap();
    assert_eq!(smallest.url.query(), Some("page=1&per_page=1"));
}

#[test]
fn bounds_of_another_kind_than_the_cursors_are_not_sent() {
    let mut stream = stream(Pagination::None);
    stream.cursor.as_mut().unwrap().format = CursorFormat::Counter;
    let ask = page(&base(), &stream, Some(&bounds()), &Position::First).unwrap();
    assert_eq!(ask.url.query(), Some("status=any"));
    let counted = Bounds { from: Some(CursorValue::Counter(7)), until: None };
    let ask = page(&base(), &stream, Some(&counted), &Position::First).unwrap();
    assert_eq!(ask.url.query(), Some("min=7&status=any"));
}

#[test]
fn a_childs_request_names_its_parent_whatever_is_in_it() {
    let stream = Stream {
        path: "/orders/{parent.key}/refunds".into(),
        query: [("shop".to_owned(), "{parent.shop.id} {cursor}".to_owned())].into(),
        pagination: Pagination::Cursor(CursorPages { pointer: Some("/c".into()), ..CursorPages::default() }),
        ..Stream::default()
    };
    let parent = json!({"id": 1, "shop": {"id": "{cursor}&x=1"}});
    let ask = page_of(&base(), &stream, &parent, "../7", &Position::Cursor("c".into())).unwrap();
    assert_eq!(ask.url.path(), "/root/orders/..%2F7/refunds");
    let query: Vec<_> = ask.url.query_pairs().into_owned().collect();
    assert_eq!(query, [("shop".to_owned(), "{cursor}&x=1 c".to_owned())]);
    let failure = page_of(&base(), &stream, &json!({"id": 1}), "7", &Position::First).unwrap_err();
    assert!(failure.detail.contains("`shop.id`"), "{failure}");
    assert_eq!(page_of(&base(), &stream, &parent, "..", &Position::First).unwrap_err().kind, FailureKind::Refused);
}
