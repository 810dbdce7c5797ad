//! Rules against answers, and what each meaning says of a write.

use std::{sync::Arc, time::Duration};

use crosstie_engine::plan::ErrorRule;
use serde_json::{Value, json};

use super::Asked;
use crate::{
    SystemClock,
    call::{Answer, BodyFailure, Reached, Reply, Setback},
    classify::Classifier,
    observe::Purpose,
    testing::answer,
};

const WRITE: Asked = Asked { purpose: Purpose::Write, name: "post" };
const READ: Asked = Asked { purpose: Purpose::ReadPage, name: "list" };

fn rule(when: &Value, means: &str) -> ErrorRule {
    serde_json::from_value(json!({"when": when, "means": means})).unwrap()
}

fn classifier(rules: Vec<ErrorRule>) -> Classifier {
    Classifier { host: "api.example.com".into(), rules, request_id_header: None, clock: Arc::new(SystemClock) }
}

/// What an answer comes to, in a word, with the failure's detail.
fn told(rules: &[ErrorRule], asked: Asked, answer: Answer) -> (String, String) {
    match classifier(rules.to_vec()).answer(asked, answer) {
        Ok(Reply::Success(_)) => ("success".into(), String::new()),
        Ok(Reply::Redirect(_)) => ("redirect".into(), String::new()),
        Ok(Reply::Refusal(answer)) => ("refusal".into(), answer.code.unwrap_or_default()),
        Ok(Reply::Ignored(_)) => ("ignored".into(), String::new()),
        Err(Setback { failure, reached }) => (format!("{} {reached:?}", failure.kind.as_str()), failure.detail),
    }
}

fn word(rules: &[ErrorRule], asked: Asked, answer: Answer) -> String {
    told(rules, asked, answer).0
}

/// Slack's rules: every answer has status 200, and `ok` says the rest.
fn slack() -> Vec<ErrorRule> {
    let failed = json!({"pointer": "/ok", "test": {"in": ["false"]}});
    let named = |codes: &[&str], means: &str| {
        rule(&json!({"statuses": [200], "body": {"pointer": "/error", "test": {"in": codes}}}), means)
    };
    let mut other = rule(&json!({"statuses": [200], "body": failed}), "RecordFailure");
    other.message = Some("/error".into());
    vec![
        named(&["invalid_auth", "token_revoked"], "CredentialsRejected"),
        named(&["ratelimited"], "RateLimited"),
        named(&["internal_error", "fatal_error"], "SystemFailure"),
        named(&["already_in_channel"], "Ignore"),
        other,
    ]
}

#[test]
fn an_answer_with_status_200_that_says_no_is_believed() {
    for (body, expected) in [
        (r#"{"ok":true,"ts":"1.2"}"#, "success"),
        (r#"{"ok":false,"error":"invalid_auth"}"#, "CredentialsRejected Never"),
        (r#"{"ok":false,"error":"ratelimited"}"#, "RateLimited Never"),
        (r#"{"ok":false,"error":"internal_error"}"#, "ServerError Perhaps"),
        (r#"{"ok":false,"error":"already_in_channel"}"#, "ignored"),
        (r#"{"ok":false,"error":"channel_not_found"}"#, "refusal"),
        (r#"{"\u006fk":false}"#, "refusal"),
    ] {
        assert_eq!(word(&slack(), WRITE, answer(200, &[], body)), expected, "{body}");
    }
}

#[test]
fn a_write_whose_answer_cannot_be_read_is_in_doubt_where_only_its_body_tells() {
    for body in ["{\"ok\":tr", "<html>Sign in</html>", "\u{0}\u{0}"] {
        let (kind, detail) = told(&slack(), WRITE, answer(200, &[], body));
        assert_eq!(kind, "Malformed Perhaps", "{body}");
        assert!(detail.contains("could not be read"), "{detail}");
    }
    let cut = Answer { body: Err(BodyFailure::TooLarge { limit: 7 }), ..answer(200, &[], "") };
    assert_eq!(word(&slack(), WRITE, cut), "Malformed Perhaps");
    assert_eq!(
        word(&slack(), READ, answer(200, &[], "<html>")),
        "success",
        "a page says itself what it cannot be read as"
    );
    assert_eq!(word(&slack(), WRITE, answer(502, &[], "<html>")), "ServerError Perhaps", "its status tells");
}

#[test]
fn graphql_errors_are_found_wherever_they_stand() {
    let limited = json!({"pointer": "/errors/*/extensions/code", "test": {"in": ["THROTTLED"]}});
    let any = json!({"pointer": "/errors", "test": {"exists": true}});
    let user = json!({"pointer": "/data/*/userErrors", "test": {"exists": true}});
    let rules = [
        rule(&json!({"statuses": [200], "body": limited}), "RateLimited"),
        rule(&json!({"statuses": [200], "body": any}), "SystemFailure"),
        rule(&json!({"statuses": [200], "body": user}), "RecordFailure"),
    ];
    for (body, expected) in [
        (r#"{"data":{"orderCreate":{"order":{"id":"1"},"userErrors":[]}}}"#, "success"),
        (r#"{"data":{"orderCreate":{"order":null,"userErrors":[{"field":["email"]}]}}}"#, "refusal"),
        (r#"{"errors":[{"message":"a"},{"extensions":{"code":"THROTTLED"}}]}"#, "RateLimited Never"),
        (r#"{"errors":[{"message":"a"}],"data":null}"#, "ServerError Perhaps"),
        (r#"{"errors":[],"data":{}}"#, "success"),
    ] {
        assert_eq!(word(&rules, WRITE, answer(200, &[], body)), expected, "{body}");
    }
}

#[test]
fn a_refused_permission_can_be_a_rate_limit_and_a_bare_403_the_credentials() {
    let quota = json!({"pointer": "/0/errorCode", "test": {"in": ["REQUEST_LIMIT_EXCEEDED"]}});
    let bare = json!({"pointer": "", "test": {"exists": false}});
    let rules = [
        rule(&json!({"statuses": [403], "body": quota}), "RateLimited"),
        rule(&json!({"statuses": [403], "body": bare}), "Retry"),
    ];
    let limited = r#"[{"message":"TotalRequests Limit exceeded.","errorCode":"REQUEST_LIMIT_EXCEEDED"}]"#;
    let (kind, detail) = told(&rules, WRITE, answer(403, &[], limited));
    assert_eq!(kind, "RateLimited Never");
    assert!(!detail.contains("exceeded."), "{detail}");
    assert_eq!(word(&rules, WRITE, answer(403, &[], r#"[{"errorCode":"INSUFFICIENT_ACCESS"}]"#)), "refusal");
    assert_eq!(word(&rules, WRITE, answer(403, &[], "")), "ServerError Never");
    assert_eq!(word(&rules, READ, answer(403, &[], "<html>Forbidden</html>")), "ServerError Never");
    let lost = Answer { body: Err(BodyFailure::TooLarge { limit: 7 }), ..answer(403, &[], "") };
    assert_eq!(word(&rules, WRITE, lost), "refusal", "a body that was lost is not one that was empty");
}

#[test]
fn what_each_meaning_says_of_a_write() {
    for (means, expected) in [
        ("Success", "success"),
        ("Ignore", "ignored"),
        ("Retry", "ServerError Never"),
        ("RateLimited", "RateLimited Never"),
        ("CredentialsRejected", "CredentialsRejected Never"),
        ("RecordFailure", "refusal"),
        ("SystemFailure", "ServerError Perhaps"),
        ("Unsupported", "Unsupported Never"),
    ] {
        for status in [200, 302, 409, 503] {
            let rules = [rule(&json!({"statuses": [status]}), means)];
            assert_eq!(word(&rules, WRITE, answer(status, &[], "")), expected, "{means} {status}");
        }
    }
    let unsaid = Setback::never(crate::CallFailure::new(crate::FailureKind::Unsupported, ""));
    assert_eq!(unsaid.reached, Reached::Never);
}

#[test]
fn the_first_rule_that_matches_decides_and_each_is_for_its_own_calls() {
    let gone = |extra: &Value| {
        let mut when = json!({"statuses": [404]});
        when.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        when
    };
    let rules = [
        rule(&gone(&json!({"streams": ["list"]})), "Ignore"),
        rule(&gone(&json!({"operations": ["list"]})), "SystemFailure"),
        rule(&gone(&json!({"header": {"name": "X-Gone", "contains": "SOON"}})), "Retry"),
        rule(&gone(&json!({})), "Unsupported"),
    ];
    assert_eq!(word(&rules, READ, answer(404, &[], "")), "ignored");
    let written = Asked { purpose: Purpose::Write, name: "list" };
    assert_eq!(word(&rules, written, answer(404, &[], "")), "ServerError Perhaps", "an operation of a stream's name");
    assert_eq!(word(&rules, WRITE, answer(404, &[("x-gone", "very soon")], "")), "ServerError Never");
    assert_eq!(word(&rules, WRITE, answer(404, &[("x-gone", "later")], "")), "Unsupported Never");
    assert_eq!(word(&rules, WRITE, answer(410, &[], "")), "refusal", "HTTP's own meaning");
}

#[test]
fn a_code_is_shown_and_a_sentence_is_not() {
    let mut limited = rule(&json!({"statuses": [403]}), "RateLimited");
    limited.message = Some("/error/*/reason".into());
    let shown = |body| told(std::slice::from_ref(&limited), WRITE, answer(403, &[], body)).1;
    assert!(shown(r#"{"error":[{"reason":"quotaExceeded"}]}"#).ends_with("(`quotaExceeded`)"));
    let sentence = shown(r#"{"error":[{"reason":"jane@example.com asks too often"}]}"#);
    assert!(!sentence.contains("jane"), "{sentence}");
    let mut refused = limited.clone();
    refused.means = crosstie_engine::plan::Meaning::RecordFailure;
    let code = told(&[refused], WRITE, answer(403, &[], r#"{"error":[{"reason":"taken"}]}"#)).1;
    assert_eq!(code, "taken");
}

fn waits(rule: &ErrorRule, answer: Answer) -> (Option<Duration>, String) {
    let Err(setback) = classifier(vec![rule.clone()]).answer(WRITE, answer) else { panic!("no failure") };
    (setback.failure.retry_after, setback.failure.detail)
}

#[test]
fn a_wait_is_read_where_the_rule_says_and_else_from_retry_after() {
    let date = ("date", "Mon, 01 Mar 2027 12:00:00 GMT");
    let mut limited = rule(&json!({"statuses": [420]}), "RateLimited");
    assert_eq!(waits(&limited, answer(420, &[("retry-after", "7")], "")).0, Some(Duration::from_secs(7)));
    limited.retry_after =
        serde_json::from_value(json!({"at": {"header": "X-Reset"}, "format": "EpochSeconds"})).unwrap();
    let reset = answer(420, &[date, ("x-reset", "1803902420"), ("retry-after", "7")], "");
    assert_eq!(waits(&limited, reset).0, Some(Duration::from_secs(20)));
    let garbage = answer(420, &[date, ("x-reset", "tomorrow"), ("retry-after", "7")], "");
    assert_eq!(waits(&limited, garbage).0, Some(Duration::from_secs(7)));
    limited.retry_after =
        serde_json::from_value(json!({"at": {"pointer": "/wait/ms"}, "format": "Milliseconds"})).unwrap();
    assert_eq!(waits(&limited, answer(420, &[], r#"{"wait":{"ms":1500}}"#)).0, Some(Duration::from_millis(1500)));
    assert_eq!(waits(&limited, answer(420, &[], r#"{"wait":{"ms":[1500]}}"#)).0, None);
}

#[test]
fn a_wait_of_a_year_is_bounded_to_a_day_and_said() {
    let limited = rule(&json!({"statuses": [420]}), "RateLimited");
    for year in ["31536000", "Fri, 31 Dec 9999 23:59:59 GMT", "99999999999999999999999"] {
        let (wait, detail) = waits(&limited, answer(420, &[("retry-after", year)], ""));
        assert_eq!(wait, Some(Duration::from_hours(24)), "{year}");
        assert!(detail.contains("days, which is more than is believed"), "{detail}");
    }
    let by_status = classifier(Vec::new()).answer(WRITE, answer(429, &[("retry-after", "31536000")], ""));
    let Err(setback) = by_status else { panic!("no failure") };
    assert!(setback.failure.detail.contains("asks to wait 365 days"), "{}", setback.failure.detail);
    for garbage in ["", "-1", "soon", "\u{fc}"] {
        assert_eq!(waits(&limited, answer(420, &[("retry-after", garbage)], "")).0, None, "{garbage}");
    }
}

#[test]
fn a_large_body_is_not_read_for_what_does_not_stand_in_it() {
    // Not JSON after its first byte: reading it would make the write's outcome unclear.
    let unread = answer(200, &[], "{ this is not JSON, and the word errors stands in it without its marks");
    let rules = [rule(&json!({"body": {"pointer": "/errors", "test": {"exists": true}}}), "RecordFailure")];
    assert_eq!(word(&rules, WRITE, unread), "success");
}
