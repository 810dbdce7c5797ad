//! Reading what answers have in common: ids in headers, values in JSON, excerpts, error codes. Pure.

use bytes::Bytes;
use http::HeaderMap;
use serde_json::Value;

use crate::document;

/// Longest value that is taken from a header for reports, in bytes.
const LONGEST_HEADER: usize = 200;

/// Longest excerpt of a response, in bytes.
pub const LONGEST_EXCERPT: usize = 2048;

/// Longest error code, in bytes.
const LONGEST_CODE: usize = 64;

/// Where vendors put their own code of an error, in the order of how specific it is.
const CODES: [&str; 13] = [
    "/o:errorDetails/0/o:errorCode",
    "/0/errorCode",
    "/errors/0/code",
    "/errors/0/statusCode",
    "/errors/0/extensions/code",
    "/error/code",
    "/errorCode",
    "/error_code",
    "/code",
    "/error/type",
    "/category",
    "/title",
    "/error",
];

/// The value of a header for reports: visible ASCII, bounded; none when it is absent or empty.
pub fn header(headers: &HeaderMap, name: Option<&str>) -> Option<String> {
    let text = headers.get(name?)?.to_str().ok()?.trim();
    (!text.is_empty()).then(|| text.bytes().take(LONGEST_HEADER).map(char::from).collect())
}

/// A key or identifier as text: strings as they are, numbers as their decimal text. Nothing else is one, and neither is an empty string.
pub fn key_text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) if !text.is_empty() => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::String(_) | Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

/// The beginning of a response as text; bytes that are none are replaced.
pub fn excerpt(body: &Bytes) -> String {
    let text = String::from_utf8_lossy(&body[..body.len().min(LONGEST_EXCERPT)]);
    let mut end = text.len().min(LONGEST_EXCERPT);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text[..end].to_owned()
}

/// The vendor's own code of an error, where it looks like a code and not like a sentence.
pub fn error_code(body: &Bytes) -> Option<String> {
    error_code_in(&document::value(body).ok()?)
}

/// The same of a document that was read already.
pub fn error_code_in(document: &Value) -> Option<String> {
    CODES.iter().filter_map(|pointer| document.pointer(pointer)).find_map(code)
}

/// A value as a code, where it looks like one and not like a sentence.
pub fn code(value: &Value) -> Option<String> {
    key_text(value).filter(|text| looks_like_a_code(text))
}

/// Where JSON could not be read, without the text that stood there.
pub fn without_content(error: &serde_json::Error) -> String {
    format!("{:?} error at line {} column {}", error.classify(), error.line(), error.column())
}

fn looks_like_a_code(text: &str) -> bool {
    text.len() <= LONGEST_CODE && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-.:".contains(&byte))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn code(body: &Value) -> Option<String> {
        error_code(&Bytes::from(body.to_string()))
    }

    #[test]
    fn an_error_code_is_found_where_vendors_put_it() {
        assert_eq!(
            code(&json!({"error": {"code": "resource_missing", "type": "x"}})).as_deref(),
            Some("resource_missing")
        );
        assert_eq!(code(&json!([{"errorCode": "DUPLICATE_VALUE"}])).as_deref(), Some("DUPLICATE_VALUE"));
        let netsuite = json!({"title": "Bad Request", "o:errorDetails": [{"o:errorCode": "INVALID_CONTENT"}]});
        assert_eq!(code(&netsuite).as_deref(), Some("INVALID_CONTENT"));
    }

    #[test]
    fn a_sentence_is_no_error_code() {
        assert_eq!(code(&json!({"error": "jane@example.com is taken already"})), None);
        assert_eq!(code(&json!({"errors": {"email": ["taken"]}})), None);
        assert_eq!(error_code(&Bytes::from_static(b"<html>")), None);
    }

    #[test]
    fn an_excerpt_ends_within_its_bound_and_between_characters() {
        let body = Bytes::from("ü".repeat(4000));
        let taken = excerpt(&body);
        assert!(taken.len() <= LONGEST_EXCERPT && taken.chars().all(|letter| letter == 'ü'));
        let noise = excerpt(&Bytes::from(vec![0xff; 5000]));
        assert!(noise.len() <= LONGEST_EXCERPT && !noise.is_empty());
    }

    #[test]
    fn keys_are_strings_and_numbers_only() {
        let keys: Vec<Option<String>> =
            [json!("a"), json!(12), json!(1.5), json!(""), json!(null), json!(true), json!([1])]
                .iter()
                .map(key_text)
                .collect();
        assert_eq!(keys, [Some("a".into()), Some("12".into()), Some("1.5".into()), None, None, None, None]);
    }

    #[test]
    fn header_values_are_bounded_and_visible() {
        let headers: HeaderMap = [(http::header::ETAG, "x".repeat(5000).parse().unwrap())].into_iter().collect();
        assert_eq!(header(&headers, Some("etag")).unwrap().len(), LONGEST_HEADER);
        assert_eq!(header(&headers, Some("not a header name")), None);
        assert_eq!(header(&headers, None), None);
    }
}
