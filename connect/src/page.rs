//! What a page holds: its records, and what comes next. Pure.

use bytes::Bytes;
use crosstie_engine::{
    plan::{CursorPages, Pagination, Stream},
    window::{Position, numbered_page},
};
use http::{HeaderMap, header};
use serde_json::Value;
use url::Url;

use crate::{
    ask,
    egress::Rules,
    failure::{CallFailure, FailureKind},
    guard, link, response, select,
};

/// A page that came, with where it came from.
pub struct Arrived<'a> {
    pub stream: &'a Stream,
    /// The page's position as it was asked for.
    pub position: &'a Position,
    /// The URL that answered; relative links start from it.
    pub url: &'a Url,
    pub headers: &'a HeaderMap,
    pub body: &'a Bytes,
}

impl Arrived<'_> {
    /// Its records and what comes next.
    pub fn open(&self, rules: &Rules) -> Result<(Vec<Value>, Option<Position>), CallFailure> {
        // 204, and servers that answer so without saying it.
        let mut document = if self.body.is_empty() { None } else { Some(self.document()?) };
        let pointed = |pointer: &str| {
            document.as_ref().and_then(|document| document.pointer(pointer)).unwrap_or(&Value::Null).clone()
        };
        let next = match &self.stream.pagination {
            Pagination::None | Pagination::Offset { .. } | Pagination::Page { .. } => None,
            Pagination::LinkHeader => {
                link::next(self.headers).map(|target| self.next_url(rules, &target)).transpose()?
            }
            Pagination::NextUrl { pointer } => match pointed(pointer) {
                Value::String(target) if !target.is_empty() => Some(self.next_url(rules, &target)?),
                Value::Null | Value::Bool(false) | Value::String(_) => None,
                Value::Bool(true) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
                    return Err(self.malformed(&format!("what is at `{pointer}` is no URL of a next page")));
                }
            },
            Pagination::Cursor(pages) => match &pages.pointer {
                Some(pointer) => self.cursor(pointer, &pointed(pointer))?,
                None => None,
            },
        };
        let more = match &self.stream.pagination {
            Pagination::Cursor(CursorPages { has_more: Some(pointer), .. }) => {
                Some(self.has_more(pointer, document.as_ref())?)
            }
            Pagination::Cursor(_) | Pagination::None | Pagination::LinkHeader | Pagination::NextUrl { .. } => None,
            Pagination::Offset { .. } | Pagination::Page { .. } => None,
        };
        let records = document.as_mut().map_or(Ok(Vec::new()), |document| self.records(document))?;
        let next = match &self.stream.pagination {
            Pagination::Offset { .. } => next_offset(ask::offset(self.position), ask::offset(self.position), &records),
            Pagination::Page { size, .. } => {
                let (number, size) = numbered_page(ask::offset(self.position), *size);
                next_offset(ask::offset(self.position), number.saturating_mul(u64::from(size)), &records)
            }
            Pagination::Cursor(pages) => self.behind(pages, more, next, &records)?,
            Pagination::None | Pagination::LinkHeader | Pagination::NextUrl { .. } => next,
        };
        self.without_circles(records, next)
    }

    fn document(&self) -> Result<Value, CallFailure> {
        serde_json::from_slice(self.body).map_err(|error| {
            let kind = self.headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
            let problem = if kind.trim_start().to_ascii_lowercase().starts_with("text/html") {
                "it is an HTML page and no JSON, perhaps one to log in: check baseURL, path and credentials"
            } else {
                "it is no JSON"
            };
            self.malformed(problem).because(response::without_content(&error))
        })
    }

    fn records(&self, document: &mut Value) -> Result<Vec<Value>, CallFailure> {
        let records = select::list(document.take(), &self.stream.records);
        records.ok_or_else(|| self.malformed(&format!("there is no list of records at `{}`", self.stream.records)))
    }

    fn cursor(&self, pointer: &str, value: &Value) -> Result<Option<Position>, CallFailure> {
        match value {
            Value::Null | Value::Bool(false) => Ok(None),
            Value::String(text) if text.is_empty() => Ok(None),
            value => match response::key_text(value) {
                Some(cursor) => Ok(Some(Position::Cursor(cursor))),
                None => Err(self.malformed(&format!("what is at `{pointer}` is no cursor"))),
            },
        }
    }

    /// Whether the vendor says that there are more pages. If it says nothing where it should, nobody knows.
    fn has_more(&self, pointer: &str, document: Option<&Value>) -> Result<bool, CallFailure> {
        match document.map(|document| document.pointer(pointer)) {
            None | Some(Some(Value::Null)) => Ok(false),
            Some(Some(Value::Bool(more))) => Ok(*more),
            Some(Some(Value::Number(_) | Value::String(_) | Value::Array(_) | Value::Object(_)) | None) => {
                Err(self.malformed(&format!("there is neither true nor false at `{pointer}`")))
            }
        }
    }

    /// The page behind a cursor, which is `next` or in the last record.
    fn behind(
        &self,
        pages: &CursorPages,
        more: Option<bool>,
        next: Option<Position>,
        records: &[Value],
    ) -> Result<Option<Position>, CallFailure> {
        if more == Some(false) {
            return Ok(None);
        }
        let next = match (&pages.last_record, records.last()) {
            (None, _) => next,
            (Some(_), None) => None,
            (Some(pointer), Some(last)) => {
                let cursor = last.pointer(pointer).and_then(response::key_text);
                let problem = || self.malformed(&format!("its last record has no text or number at `{pointer}`"));
                Some(Position::Cursor(cursor.ok_or_else(problem)?))
            }
        };
        if more == Some(true) && next.is_none() {
            return Err(self.malformed("it says that there are more pages, and nothing leads to the next one"));
        }
        Ok(next)
    }

    fn next_url(&self, rules: &Rules, target: &str) -> Result<Position, CallFailure> {
        let url = self.url.join(target).map_err(|error| self.malformed("its next page has no URL").because(error))?;
        rules.admit(&url).map_err(|refusal| guard::refused(&self.stream.name, refusal))?;
        Ok(Position::Url(url.into()))
    }

    /// A page that is its own next page would be read for ever. Without records it is the end, as some vendors mark it.
    fn without_circles(
        &self,
        records: Vec<Value>,
        next: Option<Position>,
    ) -> Result<(Vec<Value>, Option<Position>), CallFailure> {
        let circle = match &next {
            Some(Position::Url(url)) => *url == self.url.as_str(),
            Some(cursor @ Position::Cursor(_)) => cursor == self.position,
            Some(Position::First | Position::Offset(_)) | None => false,
        };
        match (circle, records.is_empty()) {
            (true, true) => Ok((records, None)),
            (true, false) => Err(self.malformed("it names itself as the next page")),
            (false, _) => Ok((records, next)),
        }
    }

    fn malformed(&self, problem: &str) -> CallFailure {
        let detail = format!("a page of `{}` cannot be read: {problem}", self.stream.name);
        CallFailure::new(FailureKind::Malformed, detail)
    }
}

/// Where a page by position was asked for the record at `position` and began at `start`: the position behind it. A page may hold fewer records
/// than were asked for, because vendors cap that, so a short page is not the end. The end is a page with nothing behind that record.
fn next_offset(position: u64, start: u64, records: &[Value]) -> Option<Position> {
    let end = start.saturating_add(u64::try_from(records.len()).unwrap_or(u64::MAX));
    (end > position.saturating_add(1)).then_some(Position::Offset(end))
}

#[cfg(test)]
mod tests {
    use crosstie_engine::plan::{Allowance, Authentication, Egress, System};
    use http::header;
    use serde_json::json;

    use super::*;

    fn rules() -> Rules {
        let system = System {
            connector: "shop".into(),
            base_url: Url::parse("https://api.example.com").unwrap(),
            api_version: None,
            authentication: Authentication::Bearer { token: "{token}".to_owned().try_into().unwrap() },
            egress: Egress { allow_hosts: vec!["files.example.com".into()], allow_cidrs: Vec::new() },
            allowance: Allowance { requests: 1, per_seconds: 1, concurrency: 1 },
            served_version_header: None,
            request_id_header: None,
            errors: Vec::new(),
            csrf: None,
            rate: crosstie_engine::plan::RateRules::default(),
            cache: None,
        };
        Rules::new(&system).unwrap()
    }

    type Opened = Result<(Vec<Value>, Option<Position>), (FailureKind, String)>;

    fn opened(pagination: &Pagination, position: &Position, link: &str, body: &str) -> Opened {
        let (name, records) = ("orders".into(), "/data".into());
        let stream = Stream { name, records, pagination: pagination.clone(), ..Stream::default() };
        let url = Url::parse("https://api.example.com/orders?page=1").unwrap();
        let headers = HeaderMap::from_iter([(header::LINK, link.parse().unwrap())]);
        let body = Bytes::from(body.to_owned());
        let arrived = Arrived { stream: &stream, position, url: &url, headers: &headers, body: &body };
        arrived.open(&rules()).map_err(|failure| (failure.kind, failure.detail))
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
        assert_eq!(
            next(&until_empty, &Position::First, "", &json!({"data": data})),
            Some(Position::Cursor("b".into()))
        );
        assert_eq!(next(&until_empty, &Position::Cursor("b".into()), "", &json!({"data": []})), None);
    }

    #[test]
    fn an_html_page_with_status_200_is_told_as_one() {
        let headers = HeaderMap::from_iter([(header::CONTENT_TYPE, "text/html; charset=utf-8".parse().unwrap())]);
        let (stream, body) =
            (Stream { name: "orders".into(), ..Stream::default() }, Bytes::from_static(b"<html>jane</html>"));
        let url = Url::parse("https://api.example.com/orders").unwrap();
        let arrived =
            Arrived { stream: &stream, position: &Position::First, url: &url, headers: &headers, body: &body };
        let failure = arrived.open(&rules()).unwrap_err();
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
        for body in
            ["<html>jane</html>", "{", r#"{"data":{"jane":1}}"#, r#"{"orders":["jane"]}"#, r#""jane""#, "[1] jane"]
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
}
