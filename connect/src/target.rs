//! Which URL a call goes to. Pure. Values of records become one path segment or one query value each: whatever is in them, they cannot
//! lead to another path.

use std::collections::BTreeMap;

use crosstie_engine::{
    plan::{Batch, IDENTIFIER, KEY, Pagination, ReadOne, Stream},
    template::{Template, TemplateError},
    window::{Bounds, Position},
};
use jiff::Timestamp;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;
use url::Url;

use crate::{
    clock,
    failure::{CallFailure, FailureKind},
    response,
};

/// What is escaped in a path segment: all but the unreserved characters (RFC 3986).
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The URL of a page. Where the window's bounds are query parameters they go with every page but those that the vendor gives the whole URL of.
pub fn page(base: &Url, stream: &Stream, bounds: Option<&Bounds>, position: &Position) -> Result<Url, CallFailure> {
    let mut query = window_query(stream, bounds);
    match (position, &stream.pagination) {
        (Position::First, Pagination::Offset { param, limit_param, limit }) => {
            query.insert(param, "0".to_owned());
            query.insert(limit_param, limit.to_string());
        }
        (
            Position::First,
            Pagination::None | Pagination::LinkHeader | Pagination::Cursor { .. } | Pagination::NextUrl { .. },
        ) => {}
        (Position::Offset(offset), Pagination::Offset { param, limit_param, limit }) => {
            query.insert(param, offset.to_string());
            query.insert(limit_param, limit.to_string());
        }
        (Position::Cursor(cursor), Pagination::Cursor { param, .. }) => {
            query.insert(param, cursor.clone());
        }
        (Position::Url(url), Pagination::LinkHeader | Pagination::NextUrl { .. }) => {
            return Url::parse(url).map_err(|error| expired(stream).because(error));
        }
        (Position::Offset(_) | Position::Cursor(_) | Position::Url(_), _) => return Err(expired(stream)),
    }
    Ok(below(base, &stream.path, &query))
}

/// The URL of a page that costs the vendor little: an empty window, one record a page.
pub fn smallest_page(base: &Url, stream: &Stream, now: Timestamp) -> Url {
    let mut query = window_query(stream, Some(&Bounds { from: Some(now), until: now }));
    if let Pagination::Offset { param, limit_param, limit: _ } = &stream.pagination {
        query.insert(param, "0".to_owned());
        query.insert(limit_param, "1".to_owned());
    }
    below(base, &stream.path, &query)
}

/// What a record must provide for a path or query, and does not.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unfilled {
    /// No text or number of that name.
    #[error("the body has no text or number `{field}`, which path or query need: let the map provide it")]
    Missing {
        /// Name of the field.
        field: String,
    },
    /// `.` or `..` as a whole path segment.
    #[error("a field of the body makes `.` or `..` of a path segment, which would lead to another path")]
    DotSegment,
    /// What the vendor called the record is not known.
    #[error("path or query need what the vendor called the record, and no write of it has said so")]
    NoIdentifier,
    /// A template that names something else.
    #[error("path or query name `{name}`, which is nothing known of a record: write {{body.FIELD}} or {{identifier}}")]
    Unknown {
        /// The name.
        name: String,
    },
}

/// What fills the templates of an operation.
#[derive(Clone, Copy)]
pub struct Filling<'a> {
    pub body: &'a Value,
    /// What the vendor called the record.
    pub identifier: Option<&'a str>,
}

impl<'a> Filling<'a> {
    /// A field of the body: by its whole name at the top, or else step by step along its dots.
    pub fn value(&self, field: &str) -> Option<&'a Value> {
        let body = self.body;
        body.get(field).or_else(|| field.split('.').try_fold(body, |value, step| value.get(step)))
    }

    fn text(&self, name: &str) -> Result<String, Unfilled> {
        if name == IDENTIFIER {
            let identifier = self.identifier.filter(|identifier| !identifier.is_empty());
            return identifier.map(str::to_owned).ok_or(Unfilled::NoIdentifier);
        }
        let field = name.strip_prefix("body.").ok_or_else(|| Unfilled::Unknown { name: name.to_owned() })?;
        self.value(field).and_then(response::key_text).ok_or_else(|| Unfilled::Missing { field: field.to_owned() })
    }
}

/// The URL that an operation's templates make of a record.
pub fn filled(
    base: &Url,
    path: &Template,
    query: &BTreeMap<String, Template>,
    filling: Filling,
) -> Result<Url, Unfilled> {
    let path = fill(path, filling, |text| utf8_percent_encode(text, SEGMENT).to_string())?;
    if path.split('?').next().is_some_and(|path| path.split('/').any(is_dot_segment)) {
        return Err(Unfilled::DotSegment);
    }
    let query = query.iter().map(|(name, value)| Ok((name.as_str(), fill(value, filling, str::to_owned)?)));
    Ok(below(base, &path, &query.collect::<Result<_, Unfilled>>()?))
}

fn fill(template: &Template, filling: Filling, escape: impl Fn(&str) -> String) -> Result<String, Unfilled> {
    template.fill(|name| filling.text(name).ok().map(|text| escape(&text))).map_err(|error| match error {
        TemplateError::Missing { name } => filling.text(&name).err().unwrap_or(Unfilled::Unknown { name }),
        TemplateError::Malformed { text } => Unfilled::Unknown { name: text },
    })
}

/// The URL of a single record; none for a key that cannot name one, because it would make another path.
pub fn one(base: &Url, one: &ReadOne, key: &str) -> Option<Url> {
    if key.is_empty() {
        return None;
    }
    let named = |name: &str| (name == KEY).then_some(key);
    let path = one.path.fill(|name| named(name).map(|key| utf8_percent_encode(key, SEGMENT).to_string())).ok()?;
    if path.split('?').next().is_some_and(|path| path.split('/').any(is_dot_segment)) {
        return None;
    }
    let query = one
        .query
        .iter()
        .map(|(name, value)| Some((name.as_str(), value.fill(|name| named(name).map(str::to_owned)).ok()?)));
    Some(below(base, &path, &query.collect::<Option<_>>()?))
}

/// The URL that a batch goes to.
pub fn batch(base: &Url, batch: &Batch) -> Url {
    let query = batch.query.iter().map(|(name, value)| (name.as_str(), value.clone()));
    below(base, &batch.path, &query.collect())
}

/// The URL of a path that nothing is filled into.
pub fn plain(base: &Url, path: &str) -> Url {
    below(base, path, &BTreeMap::new())
}

fn is_dot_segment(segment: &str) -> bool {
    matches!(segment.to_ascii_lowercase().replace("%2e", ".").as_str(), "." | "..")
}

fn window_query<'a>(stream: &'a Stream, bounds: Option<&Bounds>) -> BTreeMap<&'a str, String> {
    let mut query: BTreeMap<&str, String> =
        stream.query.iter().map(|(name, value)| (name.as_str(), value.clone())).collect();
    if let (Some(cursor), Some(bounds)) = (&stream.cursor, bounds) {
        if let Some(from) = bounds.from {
            // Rounded down, so that no record of that second is left out.
            query.insert(&cursor.param, clock::whole_seconds(from).to_string());
        }
        if let Some(param) = &cursor.until_param {
            query.insert(param, bounds.until.to_string());
        }
    }
    query
}

/// A URL below the base URL's path. A path may bring a query of its own.
fn below(base: &Url, path: &str, query: &BTreeMap<&str, String>) -> Url {
    let (path, own_query) = path.split_once('?').map_or((path, None), |(path, query)| (path, Some(query)));
    let mut url = base.clone();
    url.set_path(&format!("{}/{}", base.path().trim_end_matches('/'), path.trim_start_matches('/')));
    url.set_query(own_query.filter(|query| !query.is_empty()));
    url.set_fragment(None);
    if !query.is_empty() {
        url.query_pairs_mut().extend_pairs(query);
    }
    url
}

fn expired(stream: &Stream) -> CallFailure {
    let detail = format!(
        "the page of `{}` to read next is not of the kind its pagination has now: its window starts again",
        stream.name
    );
    CallFailure::new(FailureKind::PageExpired, detail)
}

#[cfg(test)]
mod tests {
    use crosstie_engine::plan::Cursor;
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
            records: "/orders".into(),
            key: "/id".into(),
            version: Some("/updated_at".into()),
            deleted: None,
            one: None,
            cursor: Some(Cursor {
                field: "/updated_at".into(),
                param: "min".into(),
                until_param: Some("max".into()),
                lookback_seconds: 300,
            }),
            pagination,
        }
    }

    fn offset() -> Pagination {
        Pagination::Offset { param: "offset".into(), limit_param: "limit".into(), limit: 50 }
    }

    fn bounds() -> Bounds {
        let at = |text: &str| text.parse().unwrap();
        Bounds { from: Some(at("2027-01-01T10:00:00.999Z")), until: at("2027-01-02T00:00:00Z") }
    }

    fn url(pagination: Pagination, position: &Position) -> String {
        page(&base(), &stream(pagination), Some(&bounds()), position).unwrap().into()
    }

    #[test]
    fn a_first_page_asks_for_the_window_with_its_lower_end_rounded_down() {
        let expected = "https://api.example.com/root/orders.json?max=2027-01-02T00%3A00%3A00Z&min=2027-01-01T10%3A00%3A00Z&status=any";
        assert_eq!(url(Pagination::LinkHeader, &Position::First), expected);
    }

    #[test]
    fn a_window_from_the_beginning_has_no_lower_end() {
        let bounds = Bounds { from: None, ..bounds() };
        let url = page(&base(), &stream(Pagination::None), Some(&bounds), &Position::First).unwrap();
        assert_eq!(url.query(), Some("max=2027-01-02T00%3A00%3A00Z&status=any"));
    }

    #[test]
    fn a_stream_without_a_cursor_is_asked_for_everything() {
        let mut stream = stream(Pagination::None);
        stream.cursor = None;
        let url = page(&base(), &stream, Some(&bounds()), &Position::First).unwrap();
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
                Pagination::Cursor { pointer: "/next".into(), param: "after".into() },
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
        let url = smallest_page(&base(), &stream(offset()), now);
        assert_eq!(
            url.query(),
            Some("limit=1&max=2027-01-01T10%3A00%3A00Z&min=2027-01-01T10%3A00%3A00Z&offset=0&status=any")
        );
    }

    fn path(template: &str, body: &Value) -> Result<String, Unfilled> {
        let path = Template::parse(template).unwrap();
        filled(&base(), &path, &BTreeMap::new(), Filling { body, identifier: None })
            .map(|url| url[url::Position::BeforePath..].to_owned())
    }

    #[test]
    fn values_become_one_path_segment_whatever_is_in_them() {
        for (value, segment) in [
            ("A-1_b.c~d", "A-1_b.c~d"),
            ("../../admin", "..%2F..%2Fadmin"),
            ("a/b?c#d", "a%2Fb%3Fc%23d"),
            ("a\\b", "a%5Cb"),
            ("%2e%2e", "%252e%252e"),
            ("x@y:z", "x%40y%3Az"),
            ("Zürich 1", "Z%C3%BCrich%201"),
            ("a\tb\r\nc\u{0}", "a%09b%0D%0Ac%00"),
            ("{body.id}", "%7Bbody.id%7D"),
        ] {
            assert_eq!(
                path("/x/eid:{body.id}/y", &json!({"id": value})),
                Ok(format!("/root/x/eid:{segment}/y")),
                "{value}"
            );
        }
    }

    #[test]
    fn a_value_that_makes_a_dot_segment_is_refused() {
        for (template, body) in [
            ("/x/{body.id}", json!({"id": ".."})),
            ("/x/{body.id}/y", json!({"id": "."})),
            ("/x/{body.id}{body.id}/y", json!({"id": "."})),
            ("/x/%2E{body.id}", json!({"id": "."})),
        ] {
            assert_eq!(path(template, &body), Err(Unfilled::DotSegment), "{template}");
        }
        assert_eq!(path("/x/{body.id}.json", &json!({"id": "."})).as_deref(), Ok("/root/x/..json"));
    }

    #[test]
    fn fields_are_found_by_their_whole_name_and_along_their_dots() {
        let body = json!({"a": {"b": 12, "c": 1.5}, "a.b": "whole"});
        assert_eq!(path("/{body.a.b}/{body.a.c}", &body).as_deref(), Ok("/root/whole/1.5"));
        assert_eq!(path("/{body.a.b}", &json!({"a": {"b": 12}})).as_deref(), Ok("/root/12"));
    }

    #[test]
    fn a_field_that_is_missing_or_empty_is_named() {
        for body in [json!({}), json!({"id": ""}), json!({"id": null}), json!({"id": [1]}), json!("text")] {
            assert_eq!(path("/x/{body.id}", &body), Err(Unfilled::Missing { field: "id".into() }), "{body}");
        }
        assert_eq!(path("/x/{token}", &json!({})), Err(Unfilled::Unknown { name: "token".into() }));
    }

    #[test]
    fn a_path_may_bring_a_query_and_values_cannot_add_to_it() {
        let template = Template::parse("/find?email={body.email}").unwrap();
        let query = [("expand".to_owned(), Template::parse("{body.what}").unwrap())].into();
        let body = json!({"email": "a&admin=1#x", "what": "lines&x=1"});
        let url = filled(&base(), &template, &query, Filling { body: &body, identifier: None }).unwrap();
        assert_eq!(url.as_str(), "https://api.example.com/root/find?email=a%26admin%3D1%23x&expand=lines%26x%3D1");
    }
}
