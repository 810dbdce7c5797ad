//! Tables of headers as they are found in the wild and as they are made up to harm.

use serde_json::json;

use super::*;
use crate::testing;

fn shopify() -> Headers {
    Headers {
        served_version: Some("X-Shopify-API-Version".into()),
        deprecated_reason: Some("X-Shopify-API-Deprecated-Reason".into()),
    }
}

fn read(purpose: Purpose, status: u16, headers: &[(&'static str, &str)], body: &str) -> Option<Observed> {
    let answer = testing::answer(status, headers, "");
    let body = Bytes::from(body.to_owned());
    shopify().read(&Answered { purpose, status: answer.status, headers: &answer.headers, body: Some(&body) })
}

/// Who says so, since when, until when, and where to read more.
type Said = (Source, Option<String>, Option<String>, Option<String>);

fn notice(headers: &[(&'static str, &str)]) -> Option<Said> {
    let notice = read(Purpose::ReadPage, 200, headers, "").unwrap().notice?;
    let text = |time: Option<Timestamp>| time.map(|time| time.to_string());
    Some((notice.source, text(notice.deprecated_at), text(notice.sunset_at), notice.link))
}

#[test]
fn each_form_of_deprecation_is_read() {
    for (value, at) in [
        ("@1688169599", Some("2023-06-30T23:59:59Z")),
        ("@4102444800", Some("2100-01-01T00:00:00Z")),
        ("Sun, 11 Nov 2018 23:59:59 GMT", Some("2018-11-11T23:59:59Z")),
        ("2026-07-01", Some("2026-07-01T00:00:00Z")),
        ("2026-07-01T10:00:00+02:00", Some("2026-07-01T08:00:00Z")),
        ("\"2026-07-01\"", Some("2026-07-01T00:00:00Z")),
        ("1688169599", Some("2023-06-30T23:59:59Z")),
        ("true", None),
        ("?1", None),
        ("version=\"v1\"", None),
        ("@99999999999999999999", None),
        ("@-1", None),
        ("@0", None),
        ("Fri, 31 Dec 9999 23:59:59 GMT", None),
    ] {
        let expected = Some((Source::DeprecationHeader, at.map(str::to_owned), None, None));
        assert_eq!(notice(&[("deprecation", value)]), expected, "{value}");
    }
    for nothing in ["false", "?0", "", "0"] {
        assert_eq!(notice(&[("deprecation", nothing)]), None, "{nothing}");
    }
}

#[test]
fn a_sunset_is_a_time_or_it_is_none() {
    let sunset = |text: &str| Some((Source::SunsetHeader, None, Some(text.to_owned()), None));
    assert_eq!(notice(&[("sunset", "Fri, 01 Jan 2027 00:00:00 GMT")]), sunset("2027-01-01T00:00:00Z"));
    assert_eq!(notice(&[("sunset", "2027-01-01")]), sunset("2027-01-01T00:00:00Z"));
    for nonsense in ["soon", "true", "Fri, 31 Dec 9999 23:59:59 GMT", "@", "-1", "2027-13-01"] {
        assert_eq!(notice(&[("sunset", nonsense)]), None, "{nonsense}");
    }
    let both = [
        ("deprecation", "@1767225600"),
        ("sunset", "Fri, 01 Jan 2027 00:00:00 GMT"),
        ("link", "<https://dev.example.com/v2>; rel=\"successor-version\""),
    ];
    let expected = (Source::SunsetHeader, "2026-01-01T00:00:00Z", "2027-01-01T00:00:00Z", "https://dev.example.com/v2");
    let (source, deprecated, end, link) = expected;
    assert_eq!(notice(&both), Some((source, Some(deprecated.into()), Some(end.into()), Some(link.into()))));
}

#[test]
fn a_link_of_the_relation_is_word_of_deprecation_and_a_link_to_the_next_page_is_not() {
    let linked = |link: &str| notice(&[("link", link)]);
    let expected = |link: Option<&str>| Some((Source::DeprecationHeader, None, None, link.map(str::to_owned)));
    assert_eq!(
        linked("<https://dev.example.com/changes>; rel=\"deprecation\"; type=\"text/html\""),
        expected(Some("https://dev.example.com/changes"))
    );
    assert_eq!(linked("</changes>; rel=deprecation"), expected(None), "a relative address leads nowhere in a status");
    assert_eq!(
        linked("<https://x.example.com/v2>; rel=\"successor-version\""),
        None,
        "a newer version alone deprecates nothing"
    );
    assert_eq!(linked("<https://x.example.com/?page=2>; rel=\"next\""), None);
}

#[test]
fn a_warning_counts_when_it_speaks_of_the_end() {
    for (value, counts) in [
        ("299 - \"This API version is deprecated and will be retired by Summer '27\"", true),
        ("299 api.example.com \"v1 is NO LONGER SUPPORTED\"", true),
        ("299 - \"cached answers may be stale\"", false),
        ("199 - \"deprecated\"", false),
        ("deprecated", false),
    ] {
        let expected = counts.then_some((Source::WarningHeader, None, None, None));
        assert_eq!(notice(&[("warning", value)]), expected, "{value}");
    }
}

#[test]
fn the_vendors_own_headers_are_read_by_the_presets_names() {
    let reason = |value: &str| notice(&[("x-shopify-api-deprecated-reason", value)]);
    let expected = |link: Option<&str>| Some((Source::VendorHeader, None, None, link.map(str::to_owned)));
    assert_eq!(reason("https://shopify.dev/changelog#orders"), expected(Some("https://shopify.dev/changelog")));
    assert_eq!(reason("the orders endpoint goes away"), expected(None), "the vendor's words are not kept");
    let served = read(Purpose::ReadPage, 200, &[("x-shopify-api-version", "2026-10")], "").unwrap();
    assert_eq!(served, Observed { served: Some("2026-10".into()), ..Observed::default() });
}

#[test]
fn what_would_harm_those_who_read_a_status_is_not_kept() {
    let long = "x".repeat(5000);
    for version in ["2026-07 <script>", "{\"a\":1}", long.as_str(), &"9".repeat(64)] {
        let seen = read(Purpose::ReadPage, 200, &[("x-shopify-api-version", version)], "").unwrap();
        assert_eq!(seen.served, None, "{version}");
    }
    for link in [
        "http://plain.example.com/",
        "javascript:alert(1)",
        "https://token:secret@x.example.com/",
        &format!("https://x.example.com/{}", "a".repeat(300)),
        &format!("https://x.example.com/{long}"),
    ] {
        assert_eq!(address(link), None, "{link}");
    }
    assert_eq!(address("https://x.example.com/a?api_key=secret#secret").as_deref(), Some("https://x.example.com/a"));
    let many: Vec<(&'static str, &str)> =
        std::iter::repeat_n(("deprecation", "?0"), 100).chain([("deprecation", "@1688169599")]).collect();
    assert_eq!(notice(&many), None, "only a few values of a header are read");
}

#[test]
fn a_refusal_says_something_of_the_version_only_when_it_is_about_it() {
    let code = |code: &str| json!([{"errorCode": code, "message": "m"}]).to_string();
    for (purpose, status, body, unsupported) in [
        (Purpose::ReadTime, 410, String::new(), true),
        (Purpose::ReadPage, 410, String::new(), false),
        (Purpose::ReadOne, 410, String::new(), false),
        (Purpose::Write, 410, code("UNSUPPORTED_API_VERSION"), true),
        (Purpose::ReadPage, 400, json!({"error": {"code": "unsupported_api_version"}}).to_string(), true),
        (Purpose::Write, 400, code("REQUIRED_FIELD_MISSING"), false),
        (Purpose::Write, 503, code("UNSUPPORTED_API_VERSION"), false),
    ] {
        let seen = read(purpose, status, &[], &body).is_some_and(|observed| observed.unsupported);
        assert_eq!(seen, unsupported, "{purpose:?} {status} {body}");
    }
}

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|&name| name.to_owned()).collect()
}

fn orders(heard: &Heard) -> Option<Observed> {
    heard.of(&names(&["orders"]), &[])
}

#[tokio::test(start_paused = true)]
async fn only_success_takes_back_what_was_said_and_not_at_once() {
    let heard = Heard::default();
    let say = |status: u16, headers: &[(&'static str, &str)]| {
        if let Some(observed) = read(Purpose::ReadPage, status, headers, "") {
            heard.note(Purpose::ReadPage, "orders", observed);
        }
        orders(&heard).is_some_and(|observed| observed.notice.is_some())
    };
    assert!(!say(200, &[]));
    assert!(say(404, &[("deprecation", "true")]));
    tokio::time::advance(SILENCE).await;
    for status in [301, 401, 404, 429, 500, 503] {
        assert!(say(status, &[]), "{status}");
    }
    assert!(say(200, &[("deprecation", "true")]));
    assert!(say(200, &[]), "a vendor that changes its mind from one answer to the next is not believed the better one");
    tokio::time::advance(SILENCE).await;
    assert!(!say(200, &[]));
}

#[tokio::test(start_paused = true)]
async fn answers_that_contradict_each_other_count_as_the_worst_of_them() {
    let heard = Heard::new(Some("2026-07".into()));
    let sunset = |day: u8| {
        let text = format!("2027-01-{day:02}");
        read(Purpose::ReadPage, 200, &[("sunset", &text), ("x-shopify-api-version", "2026-07")], "").unwrap()
    };
    let other = read(Purpose::ReadPage, 200, &[("x-shopify-api-version", "2026-10")], "").unwrap();
    for observed in [sunset(20), sunset(10), sunset(30), other.clone(), sunset(30)] {
        heard.note(Purpose::ReadPage, "orders", observed);
    }
    assert_eq!(orders(&heard), Some(Observed { served: other.served, ..sunset(10) }));
    tokio::time::advance(SILENCE).await;
    heard.note(Purpose::ReadPage, "orders", sunset(30));
    assert_eq!(orders(&heard), Some(sunset(30)));
}

#[test]
fn bad_news_of_one_stream_is_told_at_once_and_good_news_when_all_were_heard() {
    let heard = Heard::default();
    let deprecated = read(Purpose::ReadPage, 200, &[("deprecation", "true")], "").unwrap();
    let streams = names(&["orders", "customers"]);
    assert_eq!(heard.of(&streams, &[]), None);
    heard.note(Purpose::ReadTime, "orders", Observed::default());
    assert_eq!(heard.of(&streams, &[]), None, "customers were not heard yet");
    heard.note(Purpose::ReadPage, "customers", deprecated.clone());
    assert_eq!(heard.of(&streams, &[]), Some(deprecated));
    assert_eq!(orders(&heard), Some(Observed::default()), "a stream that is not read any more is forgotten");
    heard.gone("orders");
    assert!(orders(&heard).unwrap().unsupported);
}

#[test]
fn a_vendor_cannot_make_it_grow_without_bounds() {
    let heard = Heard::default();
    for number in 0..10_000 {
        heard.note(Purpose::Write, &format!("operation-{number}"), Observed::default());
    }
    assert_eq!(heard.lock().len(), MOST_NAMES);
}
