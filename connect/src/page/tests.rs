//! Pages and what they lead to.

use http::header;
use serde_json::json;

use super::*;

fn rules() -> Rules {
    Rules::new(&crate::testing::system()).unwrap()
}

type Read = Result<(Vec<Value>, Option<Position>), (FailureKind, String)>;

fn opened(pagination: &Pagination, position: &Position, link: &str, body: &str) -> Read {
    let (name, records) = ("orders".into(), "/data".into());
    let stream = Stream { name, records, pagination: pagination.clone(), ..Stream::default() };
    let url = Url::parse("https://api.example.com/orders?page=1").unwrap();
    let headers = HeaderMap::from_iter([(header::LINK, link.parse().unwrap())]);
    let body = Bytes::from(body.to_owned());
    let arrived = Arrived { stream: &stream, position, url: &url, headers: &headers, body: &body };
    let opened = arrived.open(&rules(), |record: &Json| record.to_value()).map(|opened| (opened.records, opened.next));
    opened.map_err(|failure| (failure.kind, failure.detail))
}

fn next(pagination: &Pagination, position: &Position, link: &str, body: &Value) -> Option<Position> {
    opened(pagination, position, link, &body.to_string()).unwrap().1
}

fn kind(pagination: &Pagination, link: &str, body: &str) -> FailureKind {
    opened(pagination, &Position::First, link, body).unwrap_err().0
}

fn next_url() -> Pagination {
    Pagination::NextUrl { pointer: "/links/next".into() }
}

fn cursor() -> Pagination {
    Pagination::Cursor(CursorPages::of("/after", "after"))
}

fn offset() -> Pagination {
    Pagination::Offset { param: "offset".into(), limit_param: "limit".into(), limit: 100 }
}

#[test]
fn the_next_page_is_found_for_each_kind_of_pagination() {
    let data = json!([{"id": 1}, {"id": 2}]);
    let link = r#"</orders?page=2>; rel="next""#;
    let second = Some(Position::Url("https://api.example.com/orders?page=2".into()));
    assert_eq!(next(&Pagination::None, &Position::First, link, &json!({"data": data})), None);
    assert_eq!(next(&Pagination::LinkHeader, &Position::First, link, &json!({"data": data})), second);
    let body = json!({"data": data, "links": {"next": "?page=2"}});
    assert_eq!(next(&next_url(), &Position::First, "", &body), second);
    assert_eq!(
        next(&cursor(), &Position::First, "", &json!({"data": data, "after": 12})),
        Some(Position::Cursor("12".into()))
    );
    assert_eq!(next(&offset(), &Position::Offset(99), "", &json!({"data": data})), Some(Position::Offset(101)));
}

#[test]
fn whatever_vendors_write_for_no_next_page_is_the_end() {
    for nothing in [json!(null), json!(""), json!(false)] {
        let body = json!({"data": [{}], "links": {"next": nothing}, "after": nothing});
        assert_eq!(next(&next_url(), &Position::First, "", &body), None);
        assert_eq!(next(&cursor(), &Position::First, "", &body), None);
    }
    assert_eq!(next(&cursor(), &Position::First, "", &json!({"data": []})), None);
    assert_eq!(next(&Pagination::LinkHeader, &Position::First, "", &json!({"data": [1]})), None);
}

#[test]
fn a_short_page_by_position_is_not_the_end_but_one_with_nothing_new_is() {
    let page = |records: usize| json!({"data": vec![json!({}); records]});
    assert_eq!(
        next(&offset(), &Position::First, "", &page(30)),
        Some(Position::Offset(30)),
        "the vendor caps pages at 30"
    );
    assert_eq!(next(&offset(), &Position::Offset(29), "", &page(1)), None);
    assert_eq!(next(&offset(), &Position::First, "", &page(0)), None);
    assert_eq!(next(&offset(), &Position::Offset(u64::MAX), "", &page(2)), None);
}

#[test]
fn a_numbered_page_is_the_end_if_nothing_is_behind_the_record_that_was_read_last() {
    let numbered = Pagination::Page {
        param: "page".into(),
        first: 1,
        size_param: "per_page".into(),
        size: 100,
        in_records: false,
    };
    let page = |records: usize| json!({"data": vec![json!({}); records]});
    assert_eq!(next(&numbered, &Position::First, "", &page(100)), Some(Position::Offset(100)));
    // Page 1 of 99, counted from 0, begins at the record that is asked for.
    assert_eq!(next(&numbered, &Position::Offset(99), "", &page(99)), Some(Position::Offset(198)));
    assert_eq!(next(&numbered, &Position::Offset(99), "", &page(1)), None);
    assert_eq!(next(&numbered, &Position::Offset(99), "", &page(0)), None);
}

#[test]
fn the_last_record_may_lead_to_the_next_page_and_the_vendor_say_which_is_the_last() {
    let stripe = Pagination::Cursor(CursorPages {
        last_record: Some("/id".into()),
        param: Some("starting_after".into()),
        has_more: Some("/has_more".into()),
        ..CursorPages::default()
    });
    let data = json!([{"id": "a"}, {"id": "b"}]);
    let page = |more: Value| json!({"data": data, "has_more": more}).to_string();
    let open = |body: &str| opened(&stripe, &Position::First, "", body).map(|(_, next)| next);
    assert_eq!(open(&page(json!(true))), Ok(Some(Position::Cursor("b".into()))));
    assert_eq!((open(&page(json!(false))), open(&page(json!(null)))), (Ok(None), Ok(None)));
    for unclear in [
        json!({"data": data}),
        json!({"data": data, "has_more": "yes"}),
        json!({"data": [], "has_more": true}),
        json!({"data": [{"id": null}], "has_more": true}),
    ] {
        assert_eq!(open(&unclear.to_string()).unwrap_err().0, FailureKind::Malformed, "{unclear}");
    }
    let until_empty = Pagination::Cursor(CursorPages { last_record: Some("/id".into()), ..CursorPages::default() });
    assert_eq!(next(&until_empty, &Position::First, "", &json!({"data": data})), Some(Position::Cursor("b".into())));
    assert_eq!(next(&until_empty, &Position::Cursor("b".into()), "", &json!({"data": []})), None);
}

#[test]
fn the_last_page_may_lead_to_what_changes_from_then_on_and_only_to_where_pages_may() {
    let links = Pagination::DeltaLink { next: "/@odata.nextLink".into(), delta: "/@odata.deltaLink".into() };
    let stream = Stream { records: "/value".into(), pagination: links, ..Stream::default() };
    let url = Url::parse("https://api.example.com/orders").unwrap();
    let open = |body: Value| {
        let (body, headers) = (Bytes::from(body.to_string()), HeaderMap::new());
        let position = &Position::First;
        let arrived = Arrived { stream: &stream, position, url: &url, headers: &headers, body: &body };
        arrived.open(&rules(), |record: &Json| record.to_value()).map_err(|failure| failure.kind)
    };
    let (next, delta) = ("https://api.example.com/orders?$skip=2", "orders?$deltatoken=7");
    let page = open(json!({"value": [], "@odata.nextLink": next, "@odata.deltaLink": delta})).unwrap();
    assert_eq!((page.next, page.delta), (Some(Position::Url(next.into())), None));
    let last = open(json!({"value": [], "@odata.deltaLink": delta})).unwrap();
    assert_eq!(last.delta.as_deref(), Some("https://api.example.com/orders?$deltatoken=7"));
    assert_eq!(open(json!({"value": []})).unwrap(), Opened { records: Vec::new(), next: None, delta: None });
    let elsewhere = json!({"value": [], "@odata.deltaLink": "https://evil.example/"});
    assert_eq!(open(elsewhere), Err(FailureKind::EgressRefused));
}

#[test]
fn pages_and_changes_of_odata_2_are_led_to_by_its_own_names() {
    let links = Pagination::DeltaLink { next: "/d/__next".into(), delta: "/d/__delta".into() };
    let stream = Stream { records: "/d/results".into(), pagination: links, ..Stream::default() };
    let url = Url::parse("https://api.example.com/sap/opu/odata/sap/API/Set?$skiptoken=9").unwrap();
    let open = |body: Value| {
        let (body, headers) = (Bytes::from(body.to_string()), HeaderMap::new());
        let position = &Position::Url(url.as_str().to_owned());
        Arrived { stream: &stream, position, url: &url, headers: &headers, body: &body }
            .open(&rules(), |record: &Json| record.to_value())
            .unwrap()
    };
    let next = "https://api.example.com/sap/opu/odata/sap/API/Set?$skiptoken=18";
    let page = open(json!({"d": {"results": [{"ID": 1}], "__next": next}}));
    assert_eq!((page.records.len(), page.next, page.delta), (1, Some(Position::Url(next.into())), None));
    let last = open(json!({"d": {"results": [], "__delta": "Set?!deltatoken='7'"}}));
    let delta = "https://api.example.com/sap/opu/odata/sap/API/Set?!deltatoken=%277%27";
    assert_eq!((last.next, last.delta.as_deref()), (None, Some(delta)));
}

#[test]
fn an_html_page_with_status_200_is_told_as_one() {
    let headers = HeaderMap::from_iter([(header::CONTENT_TYPE, "text/html; charset=utf-8".parse().unwrap())]);
    let (stream, body) =
        (Stream { name: "orders".into(), ..Stream::default() }, Bytes::from_static(b"<html>jane</html>"));
    let url = Url::parse("https://api.example.com/orders").unwrap();
    let arrived = Arrived { stream: &stream, position: &Position::First, url: &url, headers: &headers, body: &body };
    let failure = arrived.open(&rules(), |record: &Json| record.to_value()).unwrap_err();
    assert_eq!(failure.kind, FailureKind::Malformed);
    assert!(failure.detail.contains("log in") && !failure.detail.contains("jane"), "{failure}");
}

#[test]
fn an_empty_answer_has_no_records_and_may_have_a_next_page() {
    let (records, next) = opened(&Pagination::LinkHeader, &Position::First, "<?page=2>; rel=next", "").unwrap();
    assert!(records.is_empty() && next.is_some());
}

#[test]
fn a_next_page_elsewhere_is_refused() {
    for target in [
        "https://evil.example/orders",
        "http://api.example.com/orders",
        "https://api.example.com:8443/orders",
        "//evil.example/orders",
        "https://api.example.com@evil.example/",
        "https://user@api.example.com/",
        "https://api.example.com.evil.example/",
        "http://169.254.169.254/latest",
        "file:///etc/passwd",
        "gopher://api.example.com/",
        "http://files.example.com:8080/",
    ] {
        assert_eq!(
            kind(&Pagination::LinkHeader, &format!("<{target}>; rel=next"), r#"{"data":[]}"#),
            FailureKind::EgressRefused,
            "{target}"
        );
        let body = json!({"data": [], "links": {"next": target}}).to_string();
        assert_eq!(kind(&next_url(), "", &body), FailureKind::EgressRefused, "{target}");
    }
    let allowed = next(
        &Pagination::LinkHeader,
        &Position::First,
        "<https://files.example.com/p>; rel=next",
        &json!({"data": []}),
    );
    assert_eq!(allowed, Some(Position::Url("https://files.example.com/p".into())));
}

#[test]
fn a_page_that_names_itself_as_the_next_is_refused_or_without_records_the_end() {
    let itself = "<https://api.example.com/orders?page=1>; rel=next";
    assert_eq!(kind(&Pagination::LinkHeader, itself, r#"{"data":[1]}"#), FailureKind::Malformed);
    assert_eq!(next(&Pagination::LinkHeader, &Position::First, itself, &json!({"data": []})), None);
    let position = Position::Cursor("c".into());
    assert!(opened(&cursor(), &position, "", r#"{"data":[1],"after":"c"}"#).is_err());
    assert_eq!(next(&cursor(), &position, "", &json!({"data": [], "after": "c"})), None);
}

#[test]
fn an_answer_of_another_shape_is_malformed_and_its_content_is_not_repeated() {
    for body in ["<html>jane</html>", "{", r#"{"data":{"jane":1}}"#, r#"{"orders":["jane"]}"#, r#""jane""#, "[1] jane"]
    {
        let (kind, detail) = opened(&Pagination::None, &Position::First, "", body).unwrap_err();
        assert_eq!(kind, FailureKind::Malformed, "{body}");
        assert!(!detail.contains("jane"), "{detail}");
    }
    assert_eq!(kind(&cursor(), "", r#"{"data":[],"after":{"x":1}}"#), FailureKind::Malformed);
    assert_eq!(kind(&next_url(), "", r#"{"data":[],"links":{"next":7}}"#), FailureKind::Malformed);
}

#[test]
fn where_json_breaks_is_told_without_what_stands_there() {
    let error = serde_json::from_str::<Value>(r#"{"jane": jane}"#).unwrap_err();
    let told = response::without_content(&error);
    assert!(told.contains("line 1") && !told.contains("jane"), "{told}");
}
