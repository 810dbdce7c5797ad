//! What dialects are made of: bearer tokens, JSON answers and bodies, times, changed records in order, and pages of a list.
//!
//! Nothing here knows a vendor.

use std::collections::BTreeMap;
use std::ops::Bound;

use axum::http::StatusCode;
use jiff::Timestamp;
use serde_json::{Map, Value};

use crate::message::{Call, Reply};
use crate::store::{Collection, Layout, Record, RecordId, Sort};
use crate::tokens::{Identity, Tokens};
use crate::wire::Settings;

/// Settings without limits and versions, for a vendor whose pages have 100 records when the request does not say.
pub(crate) fn settings(page_size_max: usize) -> Settings {
    Settings {
        page_size_default: page_size_max.min(100),
        page_size_max,
        rate_limit: None,
        concurrency_limit: None,
        api_versions: Vec::new(),
        deprecated_reasons: BTreeMap::new(),
        extra_headers: BTreeMap::new(),
        clock_offset_millis: 0,
        time_zone: "UTC".to_owned(),
    }
}

/// A layout of records with numeric ids at `id`, and no times and external ids.
pub(crate) const LAYOUT: Layout = Layout {
    id_field: "id",
    numeric_id: true,
    created_field: None,
    updated_field: None,
    external_field: None,
    flags: |_| 0,
};

/// Who a request with `Authorization: Bearer …` says it is.
pub(crate) fn bearer(call: &Call, tokens: &Tokens) -> Identity {
    match call.header("authorization").and_then(|value| value.split_once(' ')) {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => tokens.identify(token.trim()),
        Some(_) | None => Identity::ANONYMOUS,
    }
}

/// A path with what looks like an id replaced: segments that are neither words nor versions.
pub(crate) fn route(path: &str) -> String {
    let is_word = |segment: &str| segment.bytes().all(|byte| byte.is_ascii_alphabetic() || b"._-:".contains(&byte));
    let is_version = |segment: &str| {
        let number = segment.strip_prefix('v').unwrap_or(segment);
        let is_numeric = number.bytes().all(|byte| byte.is_ascii_digit() || b"-.".contains(&byte));
        is_numeric && number.len() <= 7 && (segment.starts_with('v') || number.contains('-'))
    };
    let shown = |segment| if is_word(segment) || is_version(segment) || segment == "3" { segment } else { "{id}" };
    path.split('/').map(shown).collect::<Vec<_>>().join("/")
}

/// An answer with a JSON body.
pub(crate) fn json(status: StatusCode, body: &Value) -> Reply {
    Reply::json(status, "application/json; charset=utf-8", body)
}

/// The request's body, when it is a JSON object.
pub(crate) fn object(call: &Call) -> Option<Map<String, Value>> {
    call.object()
}

/// RFC 3339 in UTC, whole seconds.
pub(crate) fn utc(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// RFC 3339 in UTC, milliseconds.
pub(crate) fn utc_millis(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string()
}

/// The records that changed between two times in microseconds, both ends included, oldest change first.
pub(crate) fn changed(collection: &Collection, from: Option<i64>, until: Option<i64>) -> Vec<Value> {
    let low = from.map_or(Bound::Unbounded, |micros| Bound::Included((micros, RecordId::MIN)));
    let high = until.map_or(Bound::Unbounded, |micros| Bound::Excluded((micros.saturating_add(1), RecordId::MIN)));
    collection.walk(Sort::Updated, (low, high), false).map(|(_, record)| record.value()).collect()
}

/// All records in the order of their ids.
pub(crate) fn all(collection: &Collection) -> Vec<Value> {
    collection.iter().map(|(_, record)| Record::value(record)).collect()
}

/// A page of a list.
#[derive(Debug, PartialEq)]
pub(crate) struct Page {
    /// Its records.
    pub(crate) items: Vec<Value>,
    /// Where the next one starts; none on the last.
    pub(crate) next: Option<usize>,
    /// How many the list has.
    pub(crate) total: usize,
}

/// The page of a list that starts at `offset`.
pub(crate) fn page(list: Vec<Value>, offset: usize, size: usize) -> Page {
    let total = list.len();
    let next = offset.saturating_add(size);
    Page { items: list.into_iter().skip(offset).take(size).collect(), next: (next < total).then_some(next), total }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_page_says_where_the_next_one_starts_and_the_last_says_nothing() {
        let list: Vec<Value> = (0..5).map(|n| json!(n)).collect();
        assert_eq!(page(list.clone(), 2, 2), Page { items: vec![json!(2), json!(3)], next: Some(4), total: 5 });
        assert_eq!(page(list.clone(), 4, 2).next, None);
        assert_eq!(page(list, 3, 2).next, None);
    }

    #[test]
    fn a_route_has_no_ids_in_it() {
        for (path, shown) in [
            ("/crm/objects/2026-09/deals/12345", "/crm/objects/2026-09/deals/{id}"),
            ("/api/v2/tickets/17", "/api/v2/tickets/{id}"),
            ("/rest/api/3/issue/SHOP-7", "/rest/api/3/issue/{id}"),
            ("/chat.postMessage", "/chat.postMessage"),
            ("/contacts/find_by_external_id/a%2F1", "/contacts/find_by_external_id/{id}"),
        ] {
            assert_eq!(route(path), shown);
        }
    }
}
