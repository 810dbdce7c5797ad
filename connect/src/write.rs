//! Making a request of a record, and judging what came of it. Pure.

use bytes::Bytes;
use crosstie_engine::{
    plan::{Identifier, KnownBy, Method, Operation, is_of_one_record},
    template::Template,
};
use http::{HeaderMap, HeaderName, HeaderValue, header};
use percent_encoding::percent_decode_str;
use url::Url;

use crate::{
    body,
    call::{Answer, Call, Reached, Reading, Reply, Setback},
    classify, document,
    failure::{CallFailure, FailureKind},
    observe::Purpose,
    outcome::{Outgoing, RecordFault, Written},
    response,
    target::{self, Filling, Unfilled},
};

/// Headers that belong to the connection or to the message's framing; an operation cannot set them.
pub const FRAMING: [HeaderName; 7] = [
    header::HOST,
    header::CONNECTION,
    header::CONTENT_LENGTH,
    header::TRANSFER_ENCODING,
    header::TE,
    header::TRAILER,
    header::UPGRADE,
];

/// The request of a write; or what it came to without one.
pub fn call(base: &Url, operation: &Operation, outgoing: Outgoing) -> Result<Call, Written> {
    let Outgoing { body, identifier, idempotency_key } = outgoing;
    let url = target::filled(base, &operation.path, &operation.query, Filling { body, identifier, since: None });
    let url = url.map_err(|unfilled| match unfilled {
        Unfilled::Missing { .. } | Unfilled::NoIdentifier | Unfilled::DotSegment => {
            Written::Refused { fault: without_request(operation, &unfilled.to_string()) }
        }
        Unfilled::Unknown { .. } => Written::NotSent { failure: not_called(operation, &unfilled.to_string()) },
    })?;
    let mut headers = headers(operation, idempotency_key).map_err(|failure| Written::NotSent { failure })?;
    if operation.method == Method::Delete {
        headers.remove(header::CONTENT_TYPE);
        return Ok(request(operation, operation.method, url, headers, None));
    }
    let made = body::made(operation, body, identifier);
    let made = made.map_err(|unmade| Written::Refused { fault: without_request(operation, &unmade.to_string()) })?;
    let named = operation.headers.keys().any(|name| name.eq_ignore_ascii_case(header::CONTENT_TYPE.as_str()));
    if !named {
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(made.content_type));
    }
    Ok(request(operation, operation.method, url, headers, Some(made.bytes)))
}

/// The request of an operation, with everything in it decided.
pub fn request(operation: &Operation, method: Method, url: Url, headers: HeaderMap, body: Option<Bytes>) -> Call {
    Call {
        purpose: Purpose::Write,
        name: operation.name.as_str().into(),
        method: match method {
            Method::Post => http::Method::POST,
            Method::Put => http::Method::PUT,
            Method::Patch => http::Method::PATCH,
            Method::Delete => http::Method::DELETE,
        },
        url,
        headers,
        body,
        reading: Reading::Whole,
        credential_version: None,
        identity: None,
    }
}

/// The headers of an operation's request, with the idempotency key where it has a header for one.
pub fn headers(operation: &Operation, idempotency_key: Option<&str>) -> Result<HeaderMap, CallFailure> {
    let json = HeaderValue::from_static("application/json");
    let mut headers: HeaderMap = [(header::ACCEPT, json.clone()), (header::CONTENT_TYPE, json)].into_iter().collect();
    for (name, value) in &operation.headers {
        let (name, value) = header_pair(operation, name, value)?;
        headers.insert(name, value);
    }
    if let (Some(idempotency), Some(key)) = (&operation.outcome.idempotency, idempotency_key) {
        let (name, value) = header_pair(operation, &idempotency.header, key)?;
        headers.insert(name, value);
    }
    Ok(headers)
}

fn header_pair(operation: &Operation, name: &str, value: &str) -> Result<(HeaderName, HeaderValue), CallFailure> {
    let pair = HeaderName::from_bytes(name.as_bytes()).ok().zip(HeaderValue::from_str(value).ok());
    pair.filter(|(name, _)| !FRAMING.contains(name)).ok_or_else(|| {
        not_called(operation, &format!("the header `{name}` cannot be set, or not to what the Connector says"))
    })
}

/// The failure of a call that cannot be made of what the configuration says.
pub fn not_called(operation: &Operation, problem: &str) -> CallFailure {
    CallFailure::new(FailureKind::Refused, format!("`{}` was not called: {problem}", operation.name))
}

fn without_request(operation: &Operation, problem: &str) -> RecordFault {
    let detail = format!("`{}` was not called: {problem}", operation.name);
    RecordFault { status: None, request_id: None, detail, excerpt: String::new(), code: None }
}

/// What a write came to.
pub fn judge(
    host: &str,
    operation: &Operation,
    request_id_header: Option<&str>,
    outcome: Result<Reply, Setback>,
) -> Written {
    let request_id = |answer: &Answer| response::header(&answer.headers, request_id_header);
    let (deletes, changes) = (operation.method == Method::Delete, operation.only_there == Some(KnownBy::Answer));
    match outcome {
        Ok(Reply::Success(answer)) => Written::Applied {
            identifier: operation.identifier.as_ref().and_then(|source| identifier(source, &answer)),
            request_id: request_id(&answer),
        },
        Ok(Reply::Refusal(answer)) if deletes && is_gone(&operation.path, &answer) => {
            Written::Applied { identifier: None, request_id: request_id(&answer) }
        }
        Ok(Reply::Refusal(answer)) if changes && is_gone(&operation.path, &answer) => Written::Missing,
        Ok(Reply::Refusal(answer)) => {
            let said = if (deletes || changes) && answer.finds_nothing() {
                "its path is the same for every record, so that this does not say that the record is absent; check path and API version in the \
                 Connector"
            } else {
                "it refuses the record as it is mapped"
            };
            Written::Refused { fault: fault(host, operation, said, request_id(&answer), &answer) }
        }
        Ok(Reply::Ignored(answer)) => {
            let said = "by the Connector's rules there is nothing to be done for the record";
            Written::Ignored { fault: fault(host, operation, said, request_id(&answer), &answer) }
        }
        Ok(Reply::Redirect(answer)) => {
            let failure = classify::refused(host, &operation.name, answer.status, request_id(&answer));
            match redirected(&answer) {
                Reached::Never => Written::NotSent { failure },
                Reached::Perhaps => Written::Unknown { failure },
            }
        }
        Err(Setback { failure, reached: Reached::Never }) => Written::NotSent { failure },
        Err(Setback { failure, reached: Reached::Perhaps }) => Written::Unknown { failure },
    }
}

/// Whether a refusal says that there is no such record: the path is that record's own, and there is nothing at it.
pub fn is_gone(path: &Template, answer: &Answer) -> bool {
    answer.finds_nothing() && is_of_one_record(path)
}

/// Whether a write that was answered with a redirect may have taken effect.
pub fn redirected(answer: &Answer) -> Reached {
    match answer.status.as_u16() {
        // The request is to be made again elsewhere as it is, so it was not carried out here.
        307 | 308 => Reached::Never,
        // The others are also how servers answer a write that was carried out.
        _ => Reached::Perhaps,
    }
}

/// A refusal, in words.
pub fn fault(
    host: &str,
    operation: &Operation,
    said: &str,
    request_id: Option<String>,
    answer: &Answer,
) -> RecordFault {
    let body = answer.body.as_ref().ok();
    let code = answer.code.clone().or_else(|| body.and_then(response::error_code));
    let shown = code.as_deref().map(|code| format!(" (`{code}`)")).unwrap_or_default();
    RecordFault {
        status: Some(answer.status.as_u16()),
        request_id,
        detail: format!("`{host}` answered {} to `{}`: {said}{shown}", answer.status.as_u16(), operation.name),
        excerpt: body.map(response::excerpt).unwrap_or_default(),
        code,
    }
}

/// The record's identifier, where the response holds one.
fn identifier(source: &Identifier, answer: &Answer) -> Option<String> {
    match source {
        Identifier::Pointer(pointer) => {
            let document = document::value(answer.body.as_ref().ok()?).ok()?;
            document.pointer(pointer).and_then(response::key_text)
        }
        Identifier::Header(name) => {
            let value = answer.headers.get(name)?.to_str().ok()?;
            let path = value.split(['?', '#']).next()?;
            let segment = path.trim_end_matches('/').rsplit('/').next().filter(|segment| !segment.is_empty())?;
            percent_decode_str(segment).decode_utf8().ok().map(Into::into)
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use crosstie_engine::{
        plan::{Idempotency, Outcome},
        template::Template,
    };
    use serde_json::{Value, json};

    use super::*;
    use crate::testing::{answer, setback};

    fn operation() -> Operation {
        Operation {
            name: "upsertOrder".into(),
            method: Method::Put,
            path: Template::parse("/orders/eid:{body.externalId}").unwrap(),
            query: BTreeMap::new(),
            headers: [("Prefer".to_owned(), "respond-async".to_owned())].into(),
            identifier: Some(Identifier::Pointer("/id".into())),
            outcome: Outcome {
                idempotency: Some(Idempotency { header: "Idempotency-Key".into(), window_seconds: 60 }),
                lookup: None,
            },
            omit: Vec::new(),
            ownership: crosstie_engine::plan::Ownership::default(),
            shape: crosstie_engine::plan::Shape::default(),
            find: None,
            if_match: None,
            only_there: None,
            job: None,
            batch: None,
        }
    }

    #[test]
    fn fields_that_stand_in_the_path_can_be_left_out_of_the_body() {
        let operation = Operation { omit: vec!["externalId".into()], ..operation() };
        let call = made(&operation, &json!({"externalId": 7, "memo": {"externalId": 8}})).unwrap();
        assert_eq!(call.url.path(), "/orders/eid:7");
        assert_eq!(call.body.as_deref(), Some(&br#"{"memo":{"externalId":8}}"#[..]));
    }

    #[test]
    fn a_delete_has_no_body_and_is_named_by_what_the_vendor_called_the_record() {
        let path = Template::parse("/orders/{identifier}").unwrap();
        let delete = Operation { method: Method::Delete, path, ..operation() };
        let base = Url::parse("https://api.example.com").unwrap();
        let body = json!({"externalId": 7}).into();
        let outgoing = Outgoing { body: &body, identifier: Some("a/b"), idempotency_key: Some("key-1") };
        let call = super::call(&base, &delete, outgoing).unwrap();
        assert_eq!((call.method, call.url.path()), (http::Method::DELETE, "/orders/a%2Fb"));
        assert_eq!((call.body, call.headers.get("content-type")), (None, None));
        assert_eq!(call.headers["idempotency-key"], "key-1");
        for identifier in [None, Some(""), Some("..")] {
            let outgoing = Outgoing { identifier, ..outgoing };
            let written = super::call(&base, &delete, outgoing).err();
            assert!(matches!(written, Some(Written::Refused { .. })), "{identifier:?}");
        }
    }

    #[test]
    fn a_delete_of_what_is_not_there_is_applied_and_any_other_write_of_it_is_refused() {
        let delete = Operation { method: Method::Delete, ..operation() };
        for status in [404, 410] {
            let written = judged(&delete, Ok(Reply::Refusal(answer(status, &[], ""))));
            assert!(matches!(written, Written::Applied { identifier: None, .. }), "{status}");
            let written = judged(&operation(), Ok(Reply::Refusal(answer(status, &[], ""))));
            assert!(matches!(written, Written::Refused { .. }), "{status}");
        }
        let written = judged(&delete, Ok(Reply::Refusal(answer(409, &[], ""))));
        assert!(matches!(written, Written::Refused { .. }));
        // A path that all records share is wrong, or its version is retired.
        let shared = Operation { path: Template::parse("/orders?id={body.externalId}").unwrap(), ..delete };
        let Written::Refused { fault } = judged(&shared, Ok(Reply::Refusal(answer(404, &[], "")))) else {
            panic!("taken for deleted")
        };
        assert!(fault.detail.contains("the same for every record"), "{}", fault.detail);
    }

    fn made(operation: &Operation, body: &Value) -> Result<Call, Written> {
        let outgoing = Outgoing { body: &body.clone().into(), identifier: None, idempotency_key: Some("key-1") };
        call(&Url::parse("https://api.example.com").unwrap(), operation, outgoing)
    }

    fn judged(operation: &Operation, outcome: Result<Reply, Setback>) -> Written {
        judge("api.example.com", operation, Some("x-request-id"), outcome)
    }

    fn identified(source: Identifier, answer: Answer) -> Option<String> {
        let operation = Operation { identifier: Some(source), ..operation() };
        match judged(&operation, Ok(Reply::Success(answer))) {
            Written::Applied { identifier, .. } => identifier,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_request_carries_body_headers_and_key() {
        let call = made(&operation(), &json!({"externalId": 7})).unwrap();
        assert_eq!((call.method, call.url.as_str()), (http::Method::PUT, "https://api.example.com/orders/eid:7"));
        assert_eq!(call.headers["content-type"], "application/json");
        assert_eq!(call.headers["prefer"], "respond-async");
        assert_eq!(call.headers["idempotency-key"], "key-1");
        assert_eq!(call.body.as_deref(), Some(&br#"{"externalId":7}"#[..]));
    }

    #[test]
    fn a_record_without_what_the_path_needs_is_refused_and_the_fault_says_what_to_map() {
        for body in [json!({}), json!({"externalId": ""}), json!({"externalId": ".."})] {
            let operation = Operation { path: Template::parse("/orders/{body.externalId}").unwrap(), ..operation() };
            let Err(Written::Refused { fault }) = made(&operation, &body) else { panic!("made of {body}") };
            assert!(fault.detail.contains("externalId") || fault.detail.contains("`..`"), "{}", fault.detail);
            assert_eq!(fault.status, None);
        }
    }

    #[test]
    fn an_operation_cannot_set_headers_of_the_connection() {
        for (name, value) in [
            ("Host", "evil.example"),
            ("Content-Length", "1"),
            ("Transfer-Encoding", "chunked"),
            ("X Y", "z"),
            ("X", "a\r\nb"),
        ] {
            let headers = [(name.to_owned(), value.to_owned())].into();
            let Err(Written::NotSent { failure }) =
                made(&Operation { headers, ..operation() }, &json!({"externalId": 7}))
            else {
                panic!("made with {name}")
            };
            assert_eq!(failure.kind, FailureKind::Refused);
        }
    }

    #[test]
    fn the_identifier_is_found_in_the_body() {
        let at = |pointer: &str, body| identified(Identifier::Pointer(pointer.into()), answer(200, &[], body));
        assert_eq!(at("/id", r#"{"id":"a-1"}"#).as_deref(), Some("a-1"));
        assert_eq!(at("/data/id", r#"{"data":{"id":9007199254740993}}"#).as_deref(), Some("9007199254740993"));
        assert_eq!(at("/id", r#"{"id":null}"#), None);
        assert_eq!(at("/id", "created"), None, "a 2xx that cannot be read was applied all the same");
    }

    #[test]
    fn the_identifier_is_the_last_path_segment_of_a_header() {
        for (location, identifier) in [
            ("https://x/record/v1/salesOrder/647", Some("647")),
            ("/salesOrder/647/?expand=1#top", Some("647")),
            ("a%2Fb%20c", Some("a/b c")),
            ("647", Some("647")),
            ("/", None),
            ("%ff", None),
        ] {
            let found = identified(Identifier::Header("Location".into()), answer(204, &[("location", location)], ""));
            assert_eq!(found.as_deref(), identifier, "{location}");
        }
        assert_eq!(identified(Identifier::Header("Location".into()), answer(204, &[], "")), None);
    }

    #[test]
    fn a_refusal_keeps_an_excerpt_and_the_vendors_code() {
        let refusal =
            answer(422, &[("x-request-id", "r-9")], r#"{"error":{"code":"taken","message":"jane is taken"}}"#);
        let Written::Refused { fault } = judged(&operation(), Ok(Reply::Refusal(refusal))) else {
            panic!("not refused")
        };
        assert_eq!(
            (fault.status, fault.request_id.as_deref(), fault.code.as_deref()),
            (Some(422), Some("r-9"), Some("taken"))
        );
        assert!(fault.excerpt.contains("jane") && !fault.detail.contains("jane"));
    }

    #[test]
    fn a_redirect_of_a_write_is_never_followed_and_only_some_prove_that_it_was_not_applied() {
        for (status, unknown) in
            [(300, true), (301, true), (302, true), (303, true), (304, true), (307, false), (308, false)]
        {
            let written = judged(&operation(), Ok(Reply::Redirect(answer(status, &[("location", "/x")], ""))));
            assert_eq!(matches!(written, Written::Unknown { .. }), unknown, "{status}");
            assert_eq!(matches!(written, Written::NotSent { .. }), !unknown, "{status}");
        }
    }

    #[test]
    fn a_setback_is_unknown_only_if_the_call_may_have_taken_effect() {
        let never = setback(FailureKind::RateLimited, None);
        assert!(matches!(judged(&operation(), Err(never)), Written::NotSent { .. }));
        let perhaps = Setback { reached: Reached::Perhaps, ..setback(FailureKind::ServerError, None) };
        assert!(matches!(judged(&operation(), Err(perhaps)), Written::Unknown { .. }));
    }
}
